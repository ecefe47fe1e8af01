"""An S3 store and an MLflow server that ask who is there, and the connections that tell them."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import psutil
import requests

from include.local_stack.install import MLFLOW_ENVIRONMENT
from include.local_stack.stack import free_port

BUCKETS = ("data", "mlflowdatapossums", "localxcom")
S3_KEY, S3_SECRET = "pipeline-key", "Of-the-S3-store-alone-4711"
USER, PASSWORD = "pipeline", "Of-the-MLflow-server-alone-0815"
ADMIN_KEY, ADMIN_SECRET = "admin-key", "of-the-administrator"
PATIENCE = 600  # seconds for a service to come up, on a machine that has other things to do


@dataclass(frozen=True)
class Guarded:
    """Where the two services are, and what they ask for."""

    s3: str
    mlflow: str

    def connections(self, s3_secret: str = S3_SECRET, password: str = PASSWORD) -> dict[str, str]:
        s3 = {"endpoint_url": self.s3, "region_name": "us-east-1", "config_kwargs": {"retries": {"max_attempts": 1}}}
        return {
            "AIRFLOW_CONN_AWS_CONN": json.dumps(
                {"conn_type": "aws", "login": S3_KEY, "password": s3_secret, "extra": s3}
            ),
            "AIRFLOW_CONN_MLFLOW_DEFAULT": json.dumps(
                {"conn_type": "http", "host": self.mlflow, "login": USER, "password": password}
            ),
        }

    def client(self, key: str = S3_KEY, secret: str = S3_SECRET):
        login = {"aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=self.s3, **login)


@contextmanager
def _running(address: str, folder: Path, command: list[object], **variables: str) -> Iterator[str]:
    """A program that answers at `address` inside the block."""
    with (folder / f"{Path(str(command[0])).name}.log").open("w") as log:
        words = [str(word) for word in command]
        process = psutil.Popen(words, cwd=folder, env=os.environ | variables, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE
        while not _answers(address):
            assert process.is_running(), Path(log.name).read_text()
            assert time.monotonic() < deadline, f"no answer at {address}"
            time.sleep(0.1)
        yield address
    finally:
        for each in [*process.children(recursive=True), process]:
            each.kill()
        process.wait()


def _answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).status_code < 500
    except requests.RequestException:
        return False


def s3_store(folder: Path) -> AbstractContextManager[str]:
    """SeaweedFS with one identity for everything and one for our buckets alone, which may not make any."""
    rights = [f"{action}:{bucket}" for bucket in BUCKETS for action in ("Read", "Write", "List")]
    people = {"admin": (ADMIN_KEY, ADMIN_SECRET, ["Admin"]), "pipeline": (S3_KEY, S3_SECRET, rights)}
    identities = [
        {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}
        for name, (key, secret, actions) in people.items()
    ]
    (folder / "identities.json").write_text(json.dumps({"identities": identities}))
    (folder / "objects").mkdir()
    command = [Path(sys.executable).with_name("weed"), "mini", "-dir=objects", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
               f"-s3.port={(port := free_port())}", "-s3.config=identities.json", "-s3.autoCreateBucket=false",
               "-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false",
               "-master.telemetry=false"]  # fmt: skip
    return _running(f"http://127.0.0.1:{port}", folder, command)


@contextmanager
def mlflow_server(folder: Path, s3: str) -> Iterator[str]:
    """MLflow with its basic-auth app, and a user who may make things and change those alone."""
    admin = ("admin", "of-the-administrator")
    settings = {"default_permission": "READ", "database_uri": "sqlite:///auth.db",
                "admin_username": admin[0], "admin_password": admin[1],
                "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth"}  # fmt: skip
    (folder / "auth.ini").write_text(
        "\n".join(["[mlflow]", *(f"{name} = {value}" for name, value in settings.items())])
    )
    command = [MLFLOW_ENVIRONMENT / "bin" / "python", "-m", "mlflow", "server", "--app-name", "basic-auth",
               "--host", "127.0.0.1", "--port", (port := free_port()), "--workers", "1",
               "--backend-store-uri", "sqlite:///mlflow.db",
               "--artifacts-destination", f"s3://{BUCKETS[1]}"]  # fmt: skip
    server = _running(
        f"http://127.0.0.1:{port}", folder, command,
        MLFLOW_AUTH_CONFIG_PATH=str(folder / "auth.ini"), MLFLOW_FLASK_SERVER_SECRET_KEY="of this test",
        MLFLOW_S3_ENDPOINT_URL=s3, AWS_ACCESS_KEY_ID=ADMIN_KEY, AWS_SECRET_ACCESS_KEY=ADMIN_SECRET,
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
    )  # fmt: skip
    with server as address:
        user = {"username": USER, "password": PASSWORD}
        made = requests.post(f"{address}/api/2.0/mlflow/users/create", json=user, auth=admin, timeout=30)
        assert made.ok, made.text
        yield address


class Witness(threading.Thread):
    """Notes the command lines of all processes, as `ps` shows them to everyone, inside the block."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[str] = set()
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.5):
            self.seen |= {" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])}

    def __enter__(self) -> Witness:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.join()
