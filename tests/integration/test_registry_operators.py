"""The registry operators against the real MLflow."""

from __future__ import annotations

import uuid

import pytest
from airflow.exceptions import AirflowFailException

from include import config
from include.operators.registry import (
    CreateModelVersionOperator,
    CreateRegisteredModelOperator,
    TransitionModelVersionStageOperator,
)

MLFLOW = {"task_id": "a_task", "mlflow_conn_id": config.MLFLOW_CONNECTION}


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
def test_what_mlflow_refuses_fails_for_good(operator):
    with pytest.raises(AirflowFailException, match="MLflow: "):
        operator.execute({})
