from __future__ import annotations

import pytest
from airflow.exceptions import AirflowFailException

from include.operators.s3 import S3CreateBucketOperator


@pytest.fixture
def make(server, connect):
    def make(bucket: str, conn_id: str = "aws_conn") -> None:
        extra = {"endpoint_url": server.url, "region_name": "us-east-1"}
        connect("aws_conn", conn_type="aws", login="a", password="b", extra=extra)
        S3CreateBucketOperator(task_id="make", bucket_name=bucket, aws_conn_id=conn_id).execute({})

    return make


def asked(server) -> list[str]:
    return [f"{request.command} {request.path}" for request in server.requests]


def test_a_bucket_is_made(make, server):
    server.answer = lambda request: (404 if request.command == "HEAD" else 200, "")

    make("data")

    assert asked(server) == ["HEAD /data", "PUT /data"]


def test_a_bucket_that_is_there_is_left_alone(make, server):
    make("data")

    assert asked(server) == ["HEAD /data"]


def test_a_rejected_login_fails_without_retry(make, server):
    server.answer = 403, ""

    with pytest.raises(
        AirflowFailException, match=r"denied connection 'aws_conn' access to bucket 'data'.*403.*Correct login"
    ):
        make("data")


def test_a_name_that_s3_rejects_fails_without_retry(make):
    with pytest.raises(AirflowFailException, match="Invalid bucket name"):
        make("my data")


def test_a_missing_connection_fails_without_retry(make, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "else")

    with pytest.raises(AirflowFailException, match="no_such_conn"):
        make("data", conn_id="no_such_conn")
