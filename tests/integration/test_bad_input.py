"""Bad data and bad configuration: one clear message, no retry, and nothing exported, registered or announced."""

from __future__ import annotations

import json

import possums

from include import config


def test_bad_data(fails, tmp_path, monkeypatch):
    (tmp_path / "bad.csv").write_text(possums.TEXT.replace("8,94.1", "8,about 94"))
    monkeypatch.setattr(config, "INCLUDE", tmp_path)

    text = fails("feature_eng", data_file="bad.csv")

    for word in ("bad.csv", "line 2", "column hdlngth", "about 94", "Correct it"):
        assert word in text


def test_the_failure_callbacks_are_called_for_the_task_that_fails(fails):
    """Here for one that misses its file."""
    told = []

    def tell(context):
        told.append((context["ti"].task_id, str(context["exception"])))

    config.FAILURE_CALLBACKS.append(tell)
    try:
        text = fails("feature_eng", data_file="no_such_file.csv")
    finally:
        config.FAILURE_CALLBACKS.remove(tell)

    ((task_id, reason),) = told
    assert task_id == "extract_data"
    assert "no_such_file.csv is missing" in reason
    assert "no_such_file.csv is missing" in text


def test_a_param_that_the_dag_does_not_have(fails):
    text = fails("feature_eng", datafile="possum.csv")

    assert "triggered with 'datafile', but the params of feature_eng are data_file" in text


def test_a_model_without_a_data_file(fails):
    text = fails("predict", model="Staging")

    assert "The model 'Staging' has no data file to predict for. Name one, or leave the model out" in text


def test_hyperparameters_that_do_not_go_with_the_rows(fails, monkeypatch):
    monkeypatch.setattr(config, "MODEL_CLASS", "sklearn.cross_decomposition.PLSRegression")

    text = fails("feature_eng", hyper_parameters={"n_components": 25})

    assert "PLSRegression can't be trained on these rows" in text
    assert "upper bound is 16" in text  # the number of features


def test_a_server_that_is_not_mlflow(fails, stack, monkeypatch):
    connection = json.loads(stack.shared_variables()["AIRFLOW_CONN_MLFLOW_DEFAULT"])
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", json.dumps(connection | {"host": stack.url("s3")}))

    assert "if that is not MLflow" in fails("feature_eng")
