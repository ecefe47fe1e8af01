"""What is worth a warning, but no reason to fail."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from include import config


@pytest.fixture
def moved(pipeline_runs, client, as_outsider, tmp_path):
    """One of the features that the newest model was trained on, as if it had had other values then."""
    run_id = pipeline_runs[-1]["train"].get_task_instance("train_model").xcom_pull("train_model", key="run_id")
    file = Path(client.download_artifacts(run_id, "reference/features.parquet", tmp_path))
    features = pd.read_parquet(file)
    features.assign(totlngth=features["totlngth"] + 1).to_parquet(file)
    client.log_artifact(run_id, str(file), "reference")
    yield "totlngth"
    features.to_parquet(file)
    client.log_artifact(run_id, str(file), "reference")


def test_features_that_have_drifted(moved, run_part, client, caplog):
    run = run_part("predict", "compare_with_training")

    assert f"Features that have drifted from the training data: {moved}" in caplog.text
    tracked = run.get_task_instance("compare_with_training").xcom_pull("compare_with_training", key="mlflow_run_id")
    assert client.get_run(tracked).data.metrics["drifted_features"] == 1


def test_a_folder_for_plots_that_cannot_be_written(pipeline_runs, run_again, tmp_path, monkeypatch, caplog):
    (file := tmp_path / "a file").touch()
    monkeypatch.setattr(config, "PLOTS", file / "plots")

    run_again(pipeline_runs[-1]["predict"], "plot_predictions")

    assert "The plots are in MLflow only" in caplog.text
