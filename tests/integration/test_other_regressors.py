"""Any regressor can be put into include/config.py: what it doesn't have is left out, not an error."""

from __future__ import annotations

import mlflow
import numpy as np
import pytest


@pytest.mark.parametrize(
    ("model_class", "hyper_parameters", "has"),
    [
        ("sklearn.neighbors.KNeighborsRegressor", {}, set()),
        ("sklearn.dummy.DummyRegressor", {}, set()),
        ("sklearn.gaussian_process.GaussianProcessRegressor", {"alpha": 1.0, "normalize_y": True}, set()),
        ("sklearn.svm.LinearSVR", {"max_iter": 20_000}, {"coefficients"}),
        ("sklearn.cross_decomposition.PLSRegression", {"n_components": 1}, {"coefficients"}),  # predicts a column
        ("sklearn.linear_model.LassoCV", {}, {"coefficients", "alpha"}),
    ],
)
def test_a_regressor_is_trained_and_logged(model_class, hyper_parameters, has, run_part, client, as_outsider, read_csv):
    done = run_part("train", "train_model", {"hyper_parameters": hyper_parameters}, model_class=model_class)

    run_id = done.get_task_instance("train_model").xcom_pull("train_model", key="run_id")
    run = client.get_run(run_id)
    assert run.data.tags["model_class"] == model_class
    assert 0 < run.data.metrics["cv_rmse"] < 1.5 * run.data.metrics["baseline_rmse"]
    assert ("alpha" in run.data.metrics) == ("alpha" in has)
    artifacts = {file.path for file in client.list_artifacts(run_id)}
    assert ("coefficients.csv" in artifacts) == ("coefficients" in has)
    assert "out_of_fold_predictions.csv" in artifacts
    features = read_csv("possum.csv").drop(columns="taill")
    predicted = np.ravel(mlflow.pyfunc.load_model(f"runs:/{run_id}/model").predict(features))
    assert len(predicted) == len(features)
    assert 30 < predicted.mean() < 45
