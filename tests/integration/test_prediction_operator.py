"""The prediction operator with every way to name a model and to hand over rows, on the real MLflow."""

from __future__ import annotations

import json
import os
from datetime import datetime

import mlflow
import numpy as np
import pandas as pd
import pytest
from airflow import DAG
from airflow.exceptions import AirflowException, AirflowFailException
from sklearn.linear_model import LinearRegression

from include.operators.prediction import ModelLoadAndPredictOperator

MODEL = "Reg_RidgeCV_possums"


@pytest.fixture
def rows(read_csv, passes):
    """Features in an order of their own, with an index that is no row number."""
    features = read_csv("possum.csv").drop(columns="taill").sample(7, random_state=1)
    return features.set_axis(pd.Index([f"possum {number}" for number in range(7)], name="animal"))


def predict(model_uri: str, data: object) -> pd.DataFrame:
    with DAG("predicting", start_date=datetime(2023, 1, 1), schedule=None):
        operator = ModelLoadAndPredictOperator(task_id="predict", model_uri=model_uri, data=data)
    return operator.execute({})


@pytest.mark.parametrize("name", [f"models:/{MODEL}/Staging", f"models:/{MODEL}@champion", f"models:/{MODEL}/1", "run"])
def test_every_way_to_name_a_model(name, rows, as_outsider, client):
    uri = f"runs:/{client.get_model_version(MODEL, '1').run_id}/model" if name == "run" else name
    expected = mlflow.sklearn.load_model(uri).predict(rows)
    before = dict(os.environ)

    predicted = predict(uri, rows)

    assert predicted.index.equals(rows.index)
    np.testing.assert_allclose(predicted["prediction"], expected)
    assert dict(os.environ) == before  # no login or address stays


@pytest.mark.parametrize("kind", ["list of lists", "array", "other order of columns"])
def test_every_way_to_hand_over_rows(kind, rows, as_outsider):
    uri = f"models:/{MODEL}/Staging"
    data = {
        "list of lists": rows.to_numpy().tolist(),
        "array": rows.to_numpy(),
        "other order of columns": rows[rows.columns[::-1]],
    }[kind]

    predicted = predict(uri, data)

    np.testing.assert_allclose(predicted["prediction"], mlflow.sklearn.load_model(uri).predict(rows))


def test_a_login_on_the_connection(rows, stack, monkeypatch):
    connection = {"conn_type": "http", "host": stack.url("mlflow"), "login": "someone", "password": "secret"}
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(connection))

    assert len(predict(f"models:/{MODEL}/Staging", rows)) == 7


def test_a_model_that_is_missing_fails_for_good(rows):
    with pytest.raises(AirflowFailException, match=f"{MODEL}.*99"):
        predict(f"models:/{MODEL}/99", rows)


def test_a_missing_column_is_named(rows, capfd, caplog):
    with pytest.raises(AirflowException), caplog.at_level("INFO"):
        predict(f"models:/{MODEL}/Staging", rows.drop(columns="footlgth"))

    assert "Model is missing inputs ['footlgth']" in caplog.text + capfd.readouterr().out


def test_requirements_that_cannot_be_installed(rows, as_outsider, client):
    with mlflow.start_run(experiment_id=client.get_experiment_by_name("Possum_tails").experiment_id) as run:
        mlflow.sklearn.log_model(
            LinearRegression().fit([[1]], [1]), name="model", pip_requirements=["pandas==0.0.0.dev1"]
        )

    with pytest.raises(RuntimeError, match="could not be built") as error:
        predict(f"runs:/{run.info.run_id}/model", rows)

    assert "pandas==0.0.0.dev1" in str(error.value)
    client.delete_run(run.info.run_id)


def test_a_server_that_does_not_answer_is_tried_again(rows, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps({"host": "http://127.0.0.1:1"}))

    with pytest.raises(Exception, match=r"Connection refused|Max retries exceeded") as error:
        predict(f"models:/{MODEL}/Staging", rows)

    assert not isinstance(error.value, AirflowFailException)
