"""The hook against a web server that answers as MLflow does, or as it should not."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest
import requests
from harness.web_server import Server

from include.errors import ConfigurationError
from include.orchestration.retries import is_permanent
from include.tracking import client
from include.tracking.client import MLflowClientHook


@pytest.fixture
def hook(server, connect):
    connect("mlflow_default", conn_type="http", host=server.url)
    return MLflowClientHook("GET")


def problem(code: str) -> str:
    return json.dumps({"error_code": code, "message": "as MLflow says it"})


def test_call_returns_the_answer(hook, server):
    server.answer = 200, '{"experiment": {"name": "a"}}'

    assert hook.call("experiments/get-by-name", experiment_name="a & b") == {"experiment": {"name": "a"}}
    assert server.requests[0].path == "/api/2.0/mlflow/experiments/get-by-name?experiment_name=a+%26+b"


def test_call_posts_its_parameters_as_json(hook, server):
    MLflowClientHook("POST").call("experiments/create", name="a", artifact_location="s3://b")

    assert server.requests[0].command == "POST"
    assert json.loads(server.requests[0].body) == {"name": "a", "artifact_location": "s3://b"}


def test_call_returns_none_for_the_named_error_code_only(hook, server):
    server.answer = 404, problem("RESOURCE_DOES_NOT_EXIST")

    assert hook.call("registered-models/get", none_for="RESOURCE_DOES_NOT_EXIST", name="a") is None
    server.answer = 400, problem("INVALID_PARAMETER_VALUE")
    with pytest.raises(requests.HTTPError, match="MLflow: as MLflow says it") as error:
        hook.call("registered-models/get", none_for="RESOURCE_DOES_NOT_EXIST", name="")
    assert is_permanent(error.value)


@pytest.mark.parametrize("status", [401, 403])
def test_a_rejected_login_is_a_configuration_error(status, hook, server):
    server.answer = status, "You are not authenticated."

    with pytest.raises(ConfigurationError) as error:
        hook.call("experiments/search")

    for words in (server.url, "'mlflow_default'", str(status), "not authenticated", "Correct login and password"):
        assert words in str(error.value)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_transient_status_may_be_retried(status, hook, server):
    server.answer = status, "<html>try later</html>"

    with pytest.raises(requests.HTTPError, match=str(status)) as error:
        hook.call("experiments/search")

    assert not is_permanent(error.value)


@pytest.mark.parametrize(
    "answer",
    [
        (200, "<html>Welcome to nginx!</html>"),
        (404, "<html>Not found</html>"),
        (200, ""),
        (200, '["another", "service"]'),
        (404, '{"detail": "Not Found"}'),
        (405, "null"),
    ],
    ids=["a page", "no page", "nothing", "a list", "another API", "null"],
)
def test_another_server_is_a_configuration_error(answer, hook, server):
    server.answer = answer

    with pytest.raises(ConfigurationError) as error:
        hook.call("experiments/search", none_for="RESOURCE_DOES_NOT_EXIST")

    for words in (f"{server.url} is not MLflow", f"status {answer[0]}", "host and port of connection 'mlflow_default'"):
        assert words in str(error.value)


def test_a_login_page_is_not_mlflow(hook, server):
    server.answer = lambda request: (200, "<html>") if request.path == "/login" else (302, "", {"Location": "/login"})

    with pytest.raises(ConfigurationError, match="is not MLflow"):
        hook.call("experiments/search")


def test_a_server_that_does_not_answer_times_out(hook, server, monkeypatch):
    monkeypatch.setattr(client, "TIMEOUT", (0.5, 0.2))
    server.answer = lambda _: time.sleep(20) or (200, "{}")
    began = time.monotonic()

    with pytest.raises(requests.RequestException, match="timed out") as error:
        hook.call("experiments/search")

    assert time.monotonic() - began < 10
    assert not is_permanent(error.value)
    assert len(server.requests) == 1


@pytest.fixture
def free_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


def test_a_server_that_does_not_listen_may_be_retried(connect, free_port):
    connect("mlflow_default", conn_type="http", host="http://127.0.0.1", port=free_port)

    with pytest.raises(requests.ConnectionError, match=f"port={free_port}") as error:
        MLflowClientHook("GET").call("experiments/search")

    assert not is_permanent(error.value)


def test_a_server_that_is_just_starting_is_asked_again(connect, free_port):
    connect("mlflow_default", conn_type="http", host="http://127.0.0.1", port=free_port)
    starting = threading.Timer(0.2, lambda: Server(free_port).handle_request())
    starting.start()

    assert MLflowClientHook("GET").call("experiments/search") == {}
    starting.join()


@pytest.mark.parametrize(
    ("login", "authorization"),
    [
        ({"login": "me", "password": "sesame: ü"}, "Basic bWU6c2VzYW1lOiD8"),  # Base64 of the two in Latin-1
        ({"login": "token", "password": "sesame"}, "Bearer sesame"),
        ({}, None),
    ],
    ids=["login and password", "token", "no login"],
)
def test_the_login_of_the_connection_is_sent_and_not_logged(login, authorization, server, connect, caplog):
    connect("mlflow_default", conn_type="http", host=server.url, **login)

    with caplog.at_level("DEBUG"):
        MLflowClientHook("GET").call("experiments/search")

    assert server.requests[0].headers["Authorization"] == authorization
    assert "experiments/search" in caplog.text
    assert "sesame" not in caplog.text


@pytest.mark.parametrize(
    "fields",
    [{}, {"host": "htp://mlflow"}, {"host": "http://my mlflow"}, {"host": "http://mlflow", "port": 99999}],
    ids=["no host", "no such protocol", "a space", "no such port"],
)
def test_a_connection_without_an_address_is_a_configuration_error(fields, connect):
    connect("mlflow_default", conn_type="http", **fields)

    with pytest.raises(
        ConfigurationError, match=r"'mlflow_default' does not have MLflow's address.*http://mlflow:5000"
    ):
        MLflowClientHook("GET").call("experiments/search")
