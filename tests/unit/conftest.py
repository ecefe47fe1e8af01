from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
from harness.web_server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def connect(monkeypatch):
    """Defines an Airflow connection for a test."""

    def connect(conn_id: str, **fields: object) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))

    return connect
