from __future__ import annotations

import pytest
import requests

from include.orchestration.retries import is_permanent
from include.tracking.logged_models import served_address


@pytest.fixture(autouse=True)
def _connection(server, connect):
    connect("mlflow_default", conn_type="http", host=server.url)


@pytest.mark.parametrize("root", ["s3://artifacts", "s3://acme/mlflow"], ids=["a bucket", "a bucket with a prefix"])
@pytest.mark.parametrize(
    ("status", "text"),
    [
        (404, ""),
        (500, "a server that keeps artifacts in another bucket"),
        (503, "disabled due to the mlflow server running with `--no-serve-artifacts`"),
    ],
)
def test_a_model_that_the_server_does_not_serve_keeps_its_address_in_s3(root, status, text, server):
    server.answer = status, text
    location = f"{root}/models/m-1/artifacts"

    assert served_address(location, root, "mlflow_default") == location


@pytest.mark.parametrize("root", ["s3://artifacts", "s3://acme/mlflow"], ids=["a bucket", "a bucket with a prefix"])
def test_a_model_that_the_server_serves_has_an_address_without_the_root(root, server):
    server.answer = 200, ""

    address = served_address(f"{root}/models/m-1/artifacts", root, "mlflow_default")

    assert address == "mlflow-artifacts:/models/m-1/artifacts"
    assert server.requests[0].path == "/api/2.0/mlflow-artifacts/artifacts/models/m-1/artifacts/MLmodel"


def test_a_model_outside_the_root_keeps_its_address(server):
    location = "s3://elsewhere/models/m-1/artifacts"

    assert served_address(location, "s3://artifacts", "mlflow_default") == location
    assert server.requests == []


def test_a_server_that_is_unavailable_may_be_asked_again(server):
    server.answer = 503, ""

    with pytest.raises(requests.HTTPError) as error:
        served_address("s3://artifacts/models/m-1/artifacts", "s3://artifacts", "mlflow_default")

    assert not is_permanent(error.value)
