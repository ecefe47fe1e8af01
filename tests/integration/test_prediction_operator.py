"""The prediction operator with every way to name a model and to hand over rows, on the real MLflow."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from airflow import DAG
from airflow.exceptions import AirflowFailException
from sklearn.linear_model import LinearRegression

from include import config
from include.operators.prediction import ModelLoadAndPredictOperator
from include.tracking.requirements import MODEL_PACKAGES, pinned, pinned_requirements

MODEL = "Reg_RidgeCV_possums"


@pytest.fixture
def rows(read_csv, pipeline_runs):
    """Features in an order of their own, with an index that is no row number."""
    features = read_csv("possum.csv").drop(columns="taill").sample(7, random_state=1)
    return features.set_axis(pd.Index([f"possum {number}" for number in range(7)], name="animal"))


def predict(model_uri: str, data: object) -> pd.DataFrame:
    with DAG("predicting", start_date=datetime(2023, 1, 1), schedule=None):
        operator = ModelLoadAndPredictOperator(
            task_id="predict", model_uri=model_uri, data=data, aws_conn_id="aws_conn"
        )
    return operator.execute({})


@pytest.mark.parametrize("uri", [f"models:/{MODEL}@champion", f"models:/{MODEL}/1"])
def test_every_way_to_name_a_model(uri, rows, as_outsider):
    """The DAG names a run; the tests below name a stage."""
    expected = mlflow.sklearn.load_model(uri).predict(rows)
    before = dict(os.environ)

    predicted = predict(uri, rows)

    assert predicted.index.equals(rows.index)
    np.testing.assert_allclose(predicted["prediction"], expected)
    assert dict(os.environ) == before  # no login or address stays


@pytest.mark.parametrize("kind", ["list of lists", "other order of columns"])
def test_every_way_to_hand_over_rows(kind, rows, as_outsider):
    uri = f"models:/{MODEL}/Staging"
    data = {"list of lists": rows.to_numpy().tolist(), "other order of columns": rows[rows.columns[::-1]]}[kind]

    predicted = predict(uri, data)

    np.testing.assert_allclose(predicted["prediction"], mlflow.sklearn.load_model(uri).predict(rows))


def test_a_login_on_the_connection(rows, stack, monkeypatch):
    connection = {"conn_type": "http", "host": stack.url("mlflow"), "login": "someone", "password": "secret"}
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(connection))

    assert len(predict(f"models:/{MODEL}/Staging", rows)) == 7


def test_a_model_that_is_missing_fails_for_good(rows):
    with pytest.raises(AirflowFailException, match=f"{MODEL}.*99"):
        predict(f"models:/{MODEL}/99", rows)


def test_a_missing_column_is_named_and_not_tried_again(rows):
    with pytest.raises(AirflowFailException, match=r"Model is missing inputs \['footlgth'\]"):
        predict(f"models:/{MODEL}/Staging", rows.drop(columns="footlgth"))


def test_a_model_of_any_flavour_predicts_and_sees_no_secret(tmp_path, monkeypatch):
    """One that is loaded by pyfunc, and answers each row with what it can see under that name."""
    code = tmp_path / "model.py"
    code.write_text(
        "import importlib.util, os\n"
        "from mlflow.models import set_model\n"
        "from mlflow.pyfunc import PythonModel\n"
        "class Spy(PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n"
        "        found = [os.environ.get(name, 'nothing') for name in model_input['name']]\n"
        "        return [*found[:-1], str(importlib.util.find_spec('include'))]\n"
        "set_model(Spy())\n"
    )
    names = ["AIRFLOW_CONN_AWS_CONN", "AIRFLOW_CONN_MLFLOW_DEFAULT", "AIRFLOW__CORE__FERNET_KEY"]
    names += ["AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_PASSWORD", "PYTHONPATH", "HOME", "last"]
    for name in set(names) - {"HOME", "MLFLOW_TRACKING_URI"}:
        if name not in os.environ:
            monkeypatch.setenv(name, "a secret")
    needed = pinned([*MODEL_PACKAGES, *config.PREDICTION_PACKAGES])
    mlflow.pyfunc.save_model(tmp_path / "spy", python_model=str(code), pip_requirements=needed)

    predicted = predict(str(tmp_path / "spy"), pd.DataFrame({"name": names}))

    assert predicted["prediction"].tolist() == ["nothing"] * 7 + [os.environ["HOME"], "None"]


def test_what_is_logged_names_what_it_needs_itself_and_nothing_more(pipeline_runs, as_outsider, client, tmp_path):
    """The transformer's file is as it was logged: `add_line_to_file` adds to that of the model."""
    transformer = client.get_model_version(MODEL, "1").tags["transformer"]
    folder = Path(mlflow.artifacts.download_artifacts(transformer, dst_path=str(tmp_path)))
    lines = (folder / "requirements.txt").read_text().split()

    assert set(lines) == set(pinned_requirements("sklearn.linear_model.RidgeCV"))
    assert {"boto3", "pyarrow"}.isdisjoint(line.partition("==")[0] for line in lines)


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
