"""Tasks that are cleared and run again, one by one, double, append and lose nothing."""

from __future__ import annotations

import pytest

from include import config
from include.orchestration import DAG_IDS


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_every_task_can_run_again(dag_id, dags, pipeline_runs, run_again, snapshot):
    before = snapshot()

    for task in dags[dag_id].topological_sort():
        run_again(pipeline_runs[-1][dag_id], task.task_id)

    assert snapshot() == before


def test_what_an_attempt_left_unfinished_goes(pipeline_runs, tracked, client, run_again, snapshot):
    before = snapshot()
    run = tracked(pipeline_runs[-1]["train"])
    left = client.create_run(run.info.experiment_id, tags=run.data.tags)  # as a killed process leaves it: still running

    run_again(pipeline_runs[-1]["train"], "train_model")

    assert client.get_run(left.info.run_id).info.lifecycle_stage == "deleted"
    assert snapshot() == before


def test_missing_lines_are_added_to_the_requirements_once(pipeline_runs, client, s3, run_again):
    version = client.get_model_version_by_alias(config.REGISTERED_MODEL, "champion")
    _, _, bucket, folder = version.source.split("/", 3)
    place = {"Bucket": bucket, "Key": f"{folder}/requirements.txt"}
    complete = s3.get_object(**place)["Body"].read().decode().splitlines()
    without = [line for line in complete if not line.startswith(("boto3==", "botocore==", "pyarrow=="))]
    s3.put_object(**place, Body="\n".join(without).encode())

    for _ in range(2):
        run_again(pipeline_runs[-1]["predict"], "add_line_to_file")

    assert sorted(s3.get_object(**place)["Body"].read().decode().splitlines()) == sorted(complete)


def test_a_folder_for_plots_that_cannot_be_written(pipeline_runs, run_again, tmp_path, monkeypatch, caplog):
    (file := tmp_path / "a file").touch()
    monkeypatch.setattr(config, "PLOTS", file / "plots")

    run_again(pipeline_runs[-1]["predict"], "plot_predictions")

    assert "The plots are in MLflow only" in caplog.text
