"""Starts, watches and stops the services. All their state lives in one folder, `.local/` for `make run`."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import time
import xmlrpc.client
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any

import psutil
from dotenv import dotenv_values
from supervisor.xmlrpc import SupervisorTransport

from include.local_stack.certificate import create_certificate
from include.local_stack.install import LOCKS, MLFLOW_ENVIRONMENT, ROOT
from include.local_stack.mlflow_server import s3_variables
from include.local_stack.services import (
    LOOPBACK,
    NOBODY,
    POSTGRES,
    Service,
    airflow,
    as_postgres,
    mlflow,
    postgres,
    remove_stale_sockets,
    s3,
)

PORTS = {"airflow": ("AIRFLOW_PORT", 8080), "mlflow": ("MLFLOW_PORT", 5000), "s3": ("S3_PORT", 9000)}
STORES = ("postgres", "s3", "mlflow")
AIRFLOW = ("scheduler", "webserver", "triggerer")
DESTINATION = "MLFLOW_ARTIFACTS_DESTINATION"
NOT_UP = "The stack without Docker is not up: make run. (With Docker, see docs/deployment.md.)"
RESTART = "To use the new settings: make stop, then make run"
PATIENCE = 180  # seconds that a service may take to come up


class StackError(Exception):
    """What is wrong and how to fix it, for the person who typed `make run`."""


class Stack:
    """The services whose state lives in the folder `home`.

    `variables` is the file of variables that the containers get, too; this stack's addresses replace those in it.
    `ports` are numbers for "airflow", "mlflow" and "s3"; others come from the shell's variables or the defaults.
    `report` is called with each line to show.
    """

    def __init__(
        self,
        home: Path = ROOT / ".local",
        variables: Path = ROOT / ".env_example",
        ports: dict[str, int] | None = None,
        report: Callable[[str], None] = print,
    ) -> None:
        self.home = home.resolve()
        self.variables = variables
        self.report = report
        asked = {name: port_in(variable) for name, (variable, _) in PORTS.items()}
        self._asked = {name: port for name, port in asked.items() if port} | (ports or {})
        self._memory = self.home / "stack.json"
        self._settings: dict[str, Any] = json.loads(self._memory.read_text()) if self._memory.exists() else {}

    def start(self, *names: str) -> None:
        """Start those of these services (all, if none is named) that aren't up, and return when they are ready."""
        names = names or STORES + AIRFLOW
        self._supervise()
        self._bring_up([name for name in names if name in STORES])
        if services := [name for name in names if name in AIRFLOW]:
            self._wait_for("postgres")
            self.prepare_airflow()
            self._bring_up(services)
        self._wait_for(*names)

    def stop(self) -> None:
        """Stop every process of the stack, including those that lost their supervisor in a crash."""
        if self.is_up():
            with self._supervisor() as supervisor:
                supervisor.shutdown()
            self._wait(lambda: not self.is_up(), "the services to stop")
        leftovers = list(self.processes())
        for process in leftovers:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        for process in psutil.wait_procs(leftovers, timeout=10)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(leftovers, timeout=10)
        remove_stale_sockets()

    def clean(self) -> None:
        """Stop the stack and delete its data; what is installed stays."""
        self.stop()
        for item in self.home.iterdir() if self.home.exists() else ():
            if item != MLFLOW_ENVIRONMENT:
                shutil.rmtree(item) if item.is_dir() else item.unlink()
        self._settings = {}

    def status(self) -> dict[str, str]:
        """Return each service's state, in the supervisor's words."""
        if not self.is_up():
            return dict.fromkeys(STORES + AIRFLOW, "STOPPED")
        with self._supervisor() as supervisor:
            states = {process["name"]: process["statename"] for process in supervisor.getAllProcessInfo()}
        return {name: states[name] for name in STORES + AIRFLOW}

    def is_up(self) -> bool:
        """Return whether the supervisor answers. Wait for one that is shutting down."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                with self._supervisor() as supervisor:
                    return bool(supervisor.getPID())
            except xmlrpc.client.Fault:  # it is shutting down
                time.sleep(0.1)
            except OSError:
                return False
        raise StackError(f"The services have not stopped in {PATIENCE} s. The logs are in {self.home / 'logs'}")

    def process(self, name: str) -> psutil.Process:
        """Return the process of a service that is up."""
        with self._supervisor() as supervisor:
            return psutil.Process(supervisor.getProcessInfo(name)["pid"])

    def processes(self) -> Iterator[psutil.Process]:
        """Yield the processes that work in the stack's folder, except those that a person started in a terminal."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                at_home = self.home in Path(process.cwd(), "-").parents
                if at_home and not process.terminal() and process.pid != os.getpid():
                    yield process

    def halt(self, name: str) -> None:
        """Stop one service."""
        with self._supervisor() as supervisor:
            supervisor.stopProcess(name)

    # --- addresses and variables ---

    @property
    def ports(self) -> dict[str, int]:
        """The port of each service."""
        return self._settings["ports"]

    def url(self, name: str) -> str:
        """Return the address of a service."""
        return f"http://{LOOPBACK}:{self.ports[name]}"

    def log(self, name: str) -> Path:
        """Return the log file of a service."""
        return self.home / "logs" / f"{name}.log"

    def shared_variables(self) -> dict[str, str]:
        """Return the variables that the containers get, with this stack's addresses."""
        text = self.variables.read_text()
        for service, host in {"s3": "minio:9000", "mlflow": "mlflow:5000"}.items():
            text = text.replace(f"http://{host}", self.url(service))
        return {name: value or "" for name, value in dotenv_values(stream=io.StringIO(text), interpolate=False).items()}

    def database(self, driver: str = "") -> str:
        """Return the address of Airflow's metadata database."""
        login = f"postgres:{self._settings['postgres_password']}"
        return f"postgresql{driver}://{login}@{LOOPBACK}:{self.ports['postgres']}/postgres"

    def s3_variables(self) -> dict[str, str]:
        """Return the S3 store of `aws_conn`, as AWS's and MLflow's variables; if that isn't JSON, this stack's own."""
        try:
            found = s3_variables(self.shared_variables().get("AIRFLOW_CONN_AWS_CONN", ""))
        except ValueError as error:
            raise StackError(f"AIRFLOW_CONN_AWS_CONN in {self.variables} is not valid JSON: {error}.") from None
        if found is None:
            found = {"AWS_ACCESS_KEY_ID": "minioadmin", "AWS_SECRET_ACCESS_KEY": "minioadmin"}
            found["MLFLOW_S3_ENDPOINT_URL"] = self.url("s3")
        return found

    def s3_login(self) -> dict[str, str]:
        """Return the credentials of this stack's own S3 store: those of `aws_conn`, if that leads here."""
        variables = self.s3_variables()
        here = variables.get("MLFLOW_S3_ENDPOINT_URL") == self.url("s3")
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        return {name: variables[name] if here else "minioadmin" for name in names}

    def s3(self) -> Any:
        """Return a client of the S3 store."""
        import boto3  # `make run` and `make status` don't need it

        login = {name.lower(): value for name, value in self.s3_login().items()}
        return boto3.client("s3", endpoint_url=self.url("s3"), region_name="us-east-1", **login)

    def environment(self) -> dict[str, str]:
        """Return the environment of the services: without the shell's variables for Airflow, MLflow and AWS."""
        foreign = ("AIRFLOW", "MLFLOW_", "AWS_", "DATABRICKS_", "PYTHONDONTWRITEBYTECODE")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return inherited | self.shared_variables() | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            "PYTHONPATH": str(ROOT),
            "AIRFLOW_HOME": str(self.home / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__FAB__AUTH_RATE_LIMITED": "False",  # `make run` logs in each time, and loopback needs no limit
            "AIRFLOW__CORE__FERNET_KEY": self._settings["fernet_key"],
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database("+psycopg2"),
            "AIRFLOW__WEBSERVER__SECRET_KEY": self._settings["webserver_secret"],
            "AIRFLOW__WEBSERVER__BASE_URL": f"http://localhost:{self.ports['airflow']}",  # for links in MLflow
            "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": LOOPBACK,
            "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": str(self.ports["airflow"]),
            "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.session,airflow.api.auth.backend.basic_auth",
            "no_proxy": "*" if sys.platform == "darwin" else f"{LOOPBACK},localhost",
            "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",  # as no_proxy=*: lets Airflow fork its tasks on macOS
        }  # fmt: skip

    # --- how it is done ---

    def settle(self) -> None:
        """Decide on ports and secrets, for a stack that isn't up."""
        ports = {name: self._asked.get(name, default) for name, (_, default) in PORTS.items()}
        for (name, port), (other, same) in combinations(ports.items(), 2):
            if port == same:
                variables = f"{PORTS[name][0]} and {PORTS[other][0]}"
                raise StackError(f"{variables} are both {port}. Choose another port for one of them.")
        for name, port in ports.items():
            if not is_free(port):
                variable = PORTS[name][0]
                raise StackError(f"Port {port}, for {name}, is taken. Choose another: make run {variable}={port + 1}")
        postgres = self._settings.get("ports", {}).get("postgres")
        self._settings["ports"] = ports | {"postgres": postgres if postgres and is_free(postgres) else free_port()}
        self._settings.setdefault("postgres_password", secrets.token_urlsafe(24))
        self._settings.setdefault("fernet_key", urlsafe_b64encode(secrets.token_bytes(32)).decode())
        self._settings.setdefault("webserver_secret", secrets.token_urlsafe(24))
        self._settings.setdefault("s3_secret", secrets.token_urlsafe(24))
        self._settings["fingerprints"] = self._fingerprints()
        self.home.mkdir(parents=True, exist_ok=True)
        write_private(self._memory, json.dumps(self._settings))

    def _supervise(self) -> None:
        """Start a supervisor that knows all services, on ports that are free, unless one is running."""
        if self.is_up():
            for name, port in self._asked.items():
                if port != self.ports[name]:
                    raise StackError(f"The stack is up, with {name} on port {self.ports[name]}. To move it: make stop")
            now = self._fingerprints()
            before = self._settings["fingerprints"]
            files = self._files().items()
            if before != now or any((self.home / name).read_text() != text for name, text in files):
                changed = ", ".join(sorted(name for name in before | now if before.get(name) != now.get(name)))
                changed = changed or "the project's own code"
                raise StackError(f"The stack was started with other settings. Changed since then: {changed}. {RESTART}")
            return
        self.stop()
        self.settle()
        for name in ("airflow", "logs", "mlflow", "postgres", "s3"):
            folder = self.home / name
            folder.mkdir(exist_ok=True)
            folder.chmod(0o700)  # no other account of this machine gets past the logins by reading the files
        for name in ("data", "logs"):
            (self.home / "s3" / name).mkdir(exist_ok=True)
        create_certificate(self.home / "s3")
        self._prepare_postgres()
        for left_by_a_crash in (self.home / "airflow").glob("*.pid"):
            left_by_a_crash.unlink()
        # If it is missing, Airflow writes its defaults there, with paths that are wrong once the project has moved.
        (self.home / "airflow" / "airflow.cfg").write_text("")
        for name, text in self._files().items():
            write_private(self.home / name, text)
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", "supervisord.conf"]
        subprocess.run(command, cwd=self.home, env=self.environment(), check=True, start_new_session=True)
        self._wait(self.is_up, "the supervisor")

    def _services(self) -> dict[str, Service]:
        from include import config  # here, so that the stack can be stopped even if this file is broken

        destination = self.shared_variables().get(DESTINATION, config.ARTIFACTS_URL)
        services = [
            postgres(self.home / "postgres", self.ports),
            s3(self.ports, self.s3_login(), self._settings["s3_secret"]),
            mlflow(self.ports, destination, self.s3_variables()),
            *airflow(self.ports),
        ]
        return {service.name: service for service in services}

    def _fingerprints(self) -> dict[str, str]:
        """Return a hash of each setting that reaches a service only when it starts."""
        from include import config  # here, as above

        settings = self.shared_variables()
        settings[f"{DESTINATION} (ARTIFACTS_URL)"] = settings.pop(DESTINATION, config.ARTIFACTS_URL)
        locks = (LOCKS / f"{name}.txt" for name in ("airflow", "mlflow"))
        settings["the installed packages"] = "".join(lock.read_text() for lock in locks)
        return {name: hashlib.sha256(value.encode()).hexdigest() for name, value in settings.items()}

    def _files(self) -> dict[str, str]:
        """Return the supervisor's configuration and the shell script of each service, by the names of the files.

        The scripts have the paths and secrets, since not every character can be quoted in the configuration.
        """
        sections = [
            "[supervisord]\nlogfile=logs/supervisord.log\npidfile=supervisord.pid\n",
            "[unix_http_server]\nfile=supervisor.sock\n",
            "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n",
        ]
        scripts = {}
        for service in self._services().values():
            variables = [f"export {name}={shlex.quote(value)}" for name, value in service.variables.items()]
            scripts[f"{service.name}.sh"] = "\n".join([*variables, f"exec {shlex.join(service.command)}", ""])
            settings = {
                "command": f"sh ../{service.name}.sh",
                "directory": service.folder,
                "stopsignal": service.stop_signal,
                "stopasgroup": str(service.stop_signal == "TERM").lower(),
                "killasgroup": "true",
                "stopwaitsecs": "30",
                "autostart": "false",
                "autorestart": "true",
                "redirect_stderr": "true",
                "stdout_logfile": f"logs/{service.name}.log",
                "stdout_logfile_maxbytes": "10MB",
                "stdout_logfile_backups": "1",
            }
            lines = [f"{name}={value}" for name, value in settings.items()]
            sections.append("\n".join([f"[program:{service.name}]", *lines, ""]))
        return {"supervisord.conf": "\n".join(sections), **scripts}

    def _prepare_postgres(self) -> None:
        folder = self.home / "postgres"
        if not (folder / "data").exists():
            shutil.rmtree(folder / "unfinished", ignore_errors=True)
            write_private(password := folder / "password", self._settings["postgres_password"])
            if os.geteuid() == 0:
                os.chown(folder, NOBODY, NOBODY)
                os.chown(password, NOBODY, NOBODY)
            options = (
                "--pwfile=password",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--no-locale",
                "--no-instructions",
                "--set=scram_iterations=1",  # more would protect weak passwords, which this isn't, at each connection
            )
            command = as_postgres(folder, POSTGRES / "initdb", "-D", "unfinished", "-U", "postgres", *options)
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            if done.returncode:
                raise StackError(f"PostgreSQL could not create its files in {folder}:\n{done.stdout}{done.stderr}")
            (folder / "unfinished").rename(folder / "data")
        # Nothing of this stack runs now. A lock left by a crash may have the number of another process by now.
        (folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def prepare_airflow(self) -> None:
        """Migrate the metadata database and create the user admin, once."""
        done = self.home / "airflow" / f"prepared-{version('apache-airflow')}"
        if done.exists():
            return
        self.report("preparing Airflow's metadata database")
        command = [sys.executable, "-m", "include.local_stack.metadata_database"]
        with self.log("prepare").open("w") as log:
            if subprocess.run(command, cwd=self.home, env=self.environment(), stdout=log, stderr=log).returncode:
                raise StackError(f"Airflow's database could not be prepared. {log.name}:\n{tail(Path(log.name))}")
        done.touch()

    def _bring_up(self, names: list[str]) -> None:
        down = [name for name in names if self.status()[name] != "RUNNING"]
        if down:
            self.report(f"starting {', '.join(down)}")
        with self._supervisor() as supervisor:
            for name in down:
                with contextlib.suppress(xmlrpc.client.Fault):  # is starting already
                    supervisor.startProcess(name, False)

    def _wait_for(self, *names: str) -> None:
        services = self._services()
        for name in names:
            self._wait(partial(self._is_ready, services[name]), name)

    def _is_ready(self, service: Service) -> bool:
        if self.status()[service.name] == "FATAL":
            log = self.log(service.name)
            raise StackError(f"{service.name} does not start. The end of {log}:\n{tail(log)}")
        return service.ready()

    def _wait(self, ready: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not ready():
            if time.monotonic() > deadline:
                raise StackError(
                    f"Timed out after {PATIENCE} s waiting for {what}. The logs are in {self.home / 'logs'}"
                )
            time.sleep(0.1)

    @contextlib.contextmanager
    def _supervisor(self) -> Iterator[Any]:
        """Yield the supervisor's XML-RPC interface. Named from its folder: the full path may be too long."""
        if not (self.home / "supervisor.sock").exists():
            raise FileNotFoundError(self.home / "supervisor.sock")
        with contextlib.chdir(self.home):
            transport = SupervisorTransport(serverurl="unix://supervisor.sock")
            yield xmlrpc.client.ServerProxy(f"http://{LOOPBACK}", transport=transport).supervisor


def port_in(variable: str) -> int | None:
    """Return the port that a variable of the shell has; None without a value. Raises StackError if it isn't one."""
    text = os.environ.get(variable)
    if not text:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise StackError(f"{variable} is {text!r}, which is not a port. Set it to a number from 1 to 65535.")
    return int(text)


def is_free(port: int) -> bool:
    """Return whether no program listens on this port of loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
        return False  # by IPv6, or on a Mac, which lets two have one port
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port that is free at the moment."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def free_ports() -> dict[str, int]:
    """Return ports for a stack that runs at the same time as that of `make run`."""
    return {name: free_port() for name in PORTS}


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.unlink(missing_ok=True)
    path.touch(0o600, exist_ok=False)
    path.write_text(text)


def tail(path: Path, lines: int = 20) -> str:
    """Return the last lines of a log file."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(there is none)"
