from __future__ import annotations

import multiprocessing
import uuid
from types import SimpleNamespace

import pytest
from airflow.exceptions import AirflowFailException
from mlflow_provider.hooks.client import MLflowClientHook
from mlflow_provider.operators import registry as provider

from include import config
from include.operators.registry import (
    CreateModelVersionOperator,
    CreateRegisteredModelOperator,
    TransitionModelVersionStageOperator,
)

MLFLOW = {"task_id": "a_task", "mlflow_conn_id": config.MLFLOW_CONNECTION}


@pytest.fixture
def name(client):
    name = f"operators-{uuid.uuid4().hex}"
    yield name
    client.delete_registered_model(name)


@pytest.mark.parametrize(
    "operator",
    [
        CreateRegisteredModelOperator(name="a/b", **MLFLOW),
        CreateModelVersionOperator(name="nobody's", source="s3://data/a", run_id=uuid.uuid4().hex, **MLFLOW),
        TransitionModelVersionStageOperator(
            name="nobody's", version="1", stage="Staging", archive_existing_versions=True, **MLFLOW
        ),
    ],
    ids=lambda operator: type(operator).__name__,
)
def test_what_mlflow_rejects_fails_without_retry(operator):
    with pytest.raises(AirflowFailException, match="MLflow: "):
        operator.execute({})


def register(name: str) -> str:
    """In a process of its own, as a task."""
    operator = CreateRegisteredModelOperator(name=name, description="the first one", **MLFLOW)
    return operator.execute({})["registered_model"]["name"]


def test_two_tasks_that_register_the_same_model_at_once_both_succeed(name, client):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(register, [name, name]) == [name, name]

    assert client.get_registered_model(name).description == "the first one"


def test_a_registered_model_keeps_its_description_when_it_is_created_again(name, client):
    CreateRegisteredModelOperator(name=name, description="by a person", **MLFLOW).execute({})
    CreateRegisteredModelOperator(name=name, description="by the pipeline", **MLFLOW).execute({})

    assert client.get_registered_model(name).description == "by a person"


def test_an_older_version_does_not_take_the_stage_from_a_newer_one(name, client):
    client.create_registered_model(name)
    context = {"ti": SimpleNamespace(xcom_push=lambda *_: None)}
    for number in ("1", "2", "1"):
        if number not in {version.version for version in client.search_model_versions(f"name = '{name}'")}:
            client.create_model_version(name, "s3://data/model")
        operator = TransitionModelVersionStageOperator(
            name=name, version=number, stage="staging", archive_existing_versions=True, **MLFLOW
        )
        operator.execute(context)

    stages = {each.version: each.current_stage for each in client.search_model_versions(f"name = '{name}'")}
    assert stages == {"1": "Archived", "2": "Staging"}


def test_the_operators_of_other_dags_keep_the_hook_of_the_provider():
    assert provider.MLflowClientHook is MLflowClientHook
