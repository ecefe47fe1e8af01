"""Tasks that are cleared and run again, one by one, double, append and lose nothing."""

from __future__ import annotations

import pytest

MODEL = "Reg_RidgeCV_possums"
ORDER = {
    "feature_eng": [
        "create_buckets_if_not_exists",
        "prepare_mlflow_experiment.list_existing_experiments",
        "prepare_mlflow_experiment.check_if_experiment_exists",
        "prepare_mlflow_experiment.create_experiment",
        "prepare_mlflow_experiment.experiment_exists",
        "prepare_mlflow_experiment.get_current_experiment_id",
        "extract_data",
        "build_features",
        "save_data_to_s3",
    ],
    "train": [
        "fetch_feature_df",
        "fetch_experiment_id",
        "fetch_hyper_parameters",
        "register_model.check_if_model_already_registered",
        "register_model.create_registered_model",
        "train_model",
        "register_model.create_model_version",
        "register_model.transition_model",
        "choose_champion",
    ],
    "predict": [
        "fetch_rows",
        "fetch_model_run_id",
        "fetch_feature_df_no_target",
        "fetch_target",
        "add_line_to_file",
        "run_prediction",
        "list_to_dataframe",
        "compare_with_training",
        "plot_predictions",
        "save_predictions",
    ],
}


@pytest.mark.parametrize("dag_id", list(ORDER))
def test_every_task_can_run_again(dag_id, pipeline_runs, run_again, snapshot):
    before = snapshot()

    for task_id in ORDER[dag_id]:
        run_again(pipeline_runs[-1][dag_id], task_id)

    assert snapshot() == before


def test_what_an_attempt_left_unfinished_goes(pipeline_runs, tracked, client, run_again, snapshot):
    before = snapshot()
    run = tracked(pipeline_runs[-1]["train"])
    left = client.create_run(run.info.experiment_id, tags=run.data.tags)  # as a killed process leaves it: still running

    run_again(pipeline_runs[-1]["train"], "train_model")

    assert client.get_run(left.info.run_id).info.lifecycle_stage == "deleted"
    assert snapshot() == before


def test_missing_lines_are_added_to_the_requirements_once(pipeline_runs, client, s3, run_again):
    version = client.get_model_version_by_alias(MODEL, "champion")
    key = version.source.removeprefix("s3://mlflowdatapossums/") + "/requirements.txt"
    complete = s3.get_object(Bucket="mlflowdatapossums", Key=key)["Body"].read().decode().splitlines()
    without = [line for line in complete if not line.startswith(("boto3==", "botocore==", "pyarrow=="))]
    s3.put_object(Bucket="mlflowdatapossums", Key=key, Body="\n".join(without).encode())

    for _ in range(2):
        run_again(pipeline_runs[-1]["predict"], "add_line_to_file")

    lines = s3.get_object(Bucket="mlflowdatapossums", Key=key)["Body"].read().decode().splitlines()
    assert sorted(lines) == sorted(complete)
