"""Transient and permanent errors, as the libraries really raise them."""

from __future__ import annotations

import json

import boto3
import mlflow
import pytest
import requests
from airflow.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException, AirflowSkipException
from botocore.config import Config
from botocore.exceptions import NoCredentialsError
from mlflow.exceptions import MlflowException

from include.errors import ConfigurationError, DataError
from include.orchestration.retries import http_status, is_permanent, retry_policy


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        *((status, True) for status in (400, 401, 403, 404, 409)),
        *((status, False) for status in (408, 425, 429, 500, 503)),
    ],
)
def test_errors_of_requests(status, permanent, server):
    server.answer = status, ""

    with pytest.raises(requests.HTTPError) as error:
        requests.get(server.url, timeout=5).raise_for_status()

    assert http_status(error.value) == status
    assert is_permanent(error.value) == permanent


def s3(url: str):
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, connect_timeout=2)
    return boto3.client(
        "s3", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1", config=config
    )


@pytest.mark.parametrize(
    ("status", "code", "permanent"),
    [
        (403, "InvalidAccessKeyId", True),
        (404, "NoSuchBucket", True),
        (409, "BucketAlreadyExists", True),
        (409, "BucketAlreadyOwnedByYou", False),
        (409, "OperationAborted", False),
        (400, "RequestTimeout", False),
        (429, "TooManyRequestsException", False),
        (503, "SlowDown", False),
    ],
)
def test_errors_of_s3(status, code, permanent, server):
    server.answer = status, f"<Error><Code>{code}</Code><Message>as S3 says it</Message></Error>"

    with pytest.raises(Exception, match=code) as error:
        s3(server.url).create_bucket(Bucket="data")

    assert http_status(error.value) == status
    assert is_permanent(error.value) == permanent


@pytest.mark.parametrize(
    ("bucket", "words", "permanent"),
    [("data", "Could not connect", False), ("no bucket!", "Invalid bucket name", True)],
)
def test_errors_before_s3_is_reached(bucket, words, permanent):
    with pytest.raises(Exception, match=words) as error:
        s3("http://127.0.0.1:9").create_bucket(Bucket=bucket)

    assert is_permanent(error.value) == permanent


@pytest.mark.parametrize(
    ("status", "code", "permanent"),
    [
        (400, "INVALID_PARAMETER_VALUE", True),
        (404, "RESOURCE_DOES_NOT_EXIST", True),
        (429, "REQUEST_LIMIT_EXCEEDED", False),
        (503, "TEMPORARILY_UNAVAILABLE", False),
    ],
)
def test_errors_of_mlflow(status, code, permanent, server, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    server.answer = status, json.dumps({"error_code": code, "message": "as MLflow says it"})

    with pytest.raises(MlflowException) as error:
        mlflow.MlflowClient(server.url).get_experiment("1")

    assert is_permanent(error.value) == permanent


def test_an_mlflow_that_is_down_is_transient(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    with pytest.raises(MlflowException) as error:
        mlflow.MlflowClient("http://127.0.0.1:9").get_experiment("1")

    assert not is_permanent(error.value)


@pytest.mark.parametrize(
    ("error", "permanent"),
    [
        (DataError("a"), True),
        (ConfigurationError("a"), True),
        (AirflowNotFoundException("a"), True),
        (NoCredentialsError(), True),
        (AirflowException("a"), False),
        (ValueError("a"), False),
        (OSError("no space left on device"), False),
        (requests.Timeout("a"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_other_errors(error, permanent):
    assert is_permanent(error) == permanent


def test_a_permanent_error_fails_without_retry():
    with pytest.raises(AirflowFailException, match="which file") as error, retry_policy():
        raise DataError("which file")

    assert error.value.__suppress_context__  # the message says it all


def test_an_error_of_a_library_keeps_its_traceback():
    refused = NoCredentialsError()
    with pytest.raises(AirflowFailException) as error, retry_policy():
        raise refused

    assert error.value.__cause__ is refused


@pytest.mark.parametrize("error", [OSError("a"), AirflowSkipException("a"), AirflowFailException("a")], ids=repr)
def test_other_errors_pass_through(error):
    with pytest.raises(type(error)) as raised, retry_policy():
        raise error

    assert raised.value is error


def test_the_policy_decorates_a_function():
    @retry_policy()
    def read(name):
        if not name:
            raise DataError("no name")
        return name

    assert read("a") == "a"
    with pytest.raises(AirflowFailException, match="no name"):
        read("")
    assert read("b") == "b"
