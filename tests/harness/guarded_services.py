"""An S3 store and an MLflow server that ask who is there, and the connections that tell them."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psutil
import requests

from include.local_stack import services
from include.local_stack.services import Service
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

    def client(self, key: str = S3_KEY, secret: str = S3_SECRET) -> Any:
        login = {"aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=self.s3, **login)


@contextmanager
def _running(service: Service, folder: Path, *options: str, **variables: str) -> Iterator[None]:
    """A service of the stack with more options, up inside the block."""
    log = folder / f"{service.name}.log"
    with log.open("w") as file:
        command = [*service.command, *options]
        environment = os.environ | service.variables | variables
        process = psutil.Popen(command, cwd=folder, env=environment, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + PATIENCE
        while not service.ready():
            assert process.is_running(), log.read_text()
            assert time.monotonic() < deadline, f"{service.name} does not answer"
            time.sleep(0.1)
        yield
    finally:
        for each in [*process.children(recursive=True), process]:
            each.kill()
        process.wait()


@contextmanager
def guarded_services(folder: Path) -> Iterator[Guarded]:
    ports = {"s3": free_port(), "mlflow": free_port()}
    store = services.s3(ports, login={}, secret="of-this-test")
    server = services.mlflow(ports, f"s3://{BUCKETS[1]}", store={})
    guarded = Guarded(*(f"http://127.0.0.1:{ports[name]}" for name in ("s3", "mlflow")))
    with _s3_store(store, folder), _mlflow_server(server, folder, guarded):
        yield guarded


def _s3_store(service: Service, folder: Path) -> AbstractContextManager[None]:
    """SeaweedFS with one identity for everything and one for our buckets alone, which may not make any."""
    rights = [f"{action}:{bucket}" for bucket in BUCKETS for action in ("Read", "Write", "List")]
    people = {"admin": (ADMIN_KEY, ADMIN_SECRET, ["Admin"]), "pipeline": (S3_KEY, S3_SECRET, rights)}
    identities = [
        {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}
        for name, (key, secret, actions) in people.items()
    ]
    (folder / "identities.json").write_text(json.dumps({"identities": identities}))
    services.prepare_s3(folder)
    return _running(service, folder, "-s3.config=identities.json")


@contextmanager
def _mlflow_server(service: Service, folder: Path, guarded: Guarded) -> Iterator[None]:
    """MLflow with its basic-auth app, and a user who may make things and change those alone."""
    admin = ("admin", "of-the-administrator")
    settings = {"default_permission": "READ", "database_uri": "sqlite:///auth.db",
                "admin_username": admin[0], "admin_password": admin[1],
                "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth"}  # fmt: skip
    (folder / "auth.ini").write_text(
        "\n".join(["[mlflow]", *(f"{name} = {value}" for name, value in settings.items())])
    )
    server = _running(
        service, folder, "--app-name", "basic-auth",
        MLFLOW_AUTH_CONFIG_PATH=str(folder / "auth.ini"), MLFLOW_FLASK_SERVER_SECRET_KEY="of this test",
        MLFLOW_S3_ENDPOINT_URL=guarded.s3, AWS_ACCESS_KEY_ID=ADMIN_KEY, AWS_SECRET_ACCESS_KEY=ADMIN_SECRET,
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
    )  # fmt: skip
    with server:
        user = {"username": USER, "password": PASSWORD}
        made = requests.post(f"{guarded.mlflow}/api/2.0/mlflow/users/create", json=user, auth=admin, timeout=30)
        assert made.ok, made.text
        yield


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
