"""The prediction operator with every way to name a model and to hand over rows, on the real MLflow."""

from __future__ import annotations

import os
from datetime import datetime

import mlflow
import numpy as np
import pandas as pd
import pytest
from airflow import DAG
from airflow.exceptions import AirflowFailException

from include import config
from include.operators.prediction import ModelLoadAndPredictOperator
from include.tracking.requirements import MODEL_PACKAGES, pinned

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


def test_a_missing_model_fails_without_retry(rows):
    with pytest.raises(AirflowFailException, match=f"{MODEL}.*99"):
        predict(f"models:/{MODEL}/99", rows)


def test_a_missing_column_is_named_and_fails_without_retry(rows):
    with pytest.raises(AirflowFailException, match=r"Model is missing inputs \['footlgth'\]"):
        predict(f"models:/{MODEL}/Staging", rows.drop(columns="footlgth"))


def test_a_model_of_any_flavour_predicts(tmp_path):
    """One that is loaded by pyfunc, and returns a column instead of a list."""
    code = tmp_path / "model.py"
    code.write_text(
        "from mlflow.models import set_model\n"
        "from mlflow.pyfunc import PythonModel\n"
        "class Double(PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n"
        "        return 2 * model_input[['x']].to_numpy()\n"
        "set_model(Double())\n"
    )
    needed = pinned([*MODEL_PACKAGES, *config.PREDICTION_PACKAGES])
    mlflow.pyfunc.save_model(tmp_path / "double", python_model=str(code), pip_requirements=needed)

    predicted = predict(str(tmp_path / "double"), pd.DataFrame({"x": [1, 2]}))

    assert predicted["prediction"].tolist() == [2, 4]
