"""The experiment and the runs in a real MLflow, where several tasks use them at once or again."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from include.errors import DataError
from include.orchestration.upstream import UpstreamRun
from include.tracking import experiment, runs

CONNECTION = "mlflow_default"


@pytest.fixture
def name(client):
    """The name of an experiment that does not exist yet."""
    name = f"test-{uuid.uuid4()}"
    yield name
    client.delete_experiment(client.get_experiment_by_name(name).experiment_id)


def test_two_tasks_that_create_the_same_experiment_both_succeed(name):
    with ThreadPoolExecutor(4) as pool:
        created = pool.map(lambda _: experiment.create(name, "s3://mlflowdatapossums", "", CONNECTION), range(4))

    list(created)  # raises what one of them has raised
    assert experiment.active_id(name, CONNECTION)


def test_an_experiment_keeps_its_artifacts_below_a_prefix(name, client):
    experiment.create(name, "s3://mlflowdatapossums/team/possums", "", CONNECTION)

    assert client.get_experiment_by_name(name).artifact_location == "s3://mlflowdatapossums/team/possums"


def test_a_run_of_other_package_versions_is_not_used_again(pipeline_runs, run_again, client, monkeypatch):
    run = pipeline_runs[-1]["feature_eng"]

    def tracked() -> str:
        return run.get_task_instance("build_features").xcom_pull("build_features", key="mlflow_run_id")

    before = tracked()
    with monkeypatch.context() as patch:
        patch.setattr(runs, "version", lambda package: "0.0.1")
        run_again(run, "build_features")
    upgraded = tracked()
    client.delete_run(upgraded)
    run_again(run, "build_features")

    assert upgraded != before
    assert tracked() == before


@pytest.mark.parametrize("task_id", ["train_model", "fetch_feature_df"])
def test_a_result_that_was_pruned_is_an_error_that_says_which_dag_to_trigger(task_id, pipeline_runs):
    pruned = UpstreamRun("train", "a run whose XComs were pruned")

    with pytest.raises(DataError, match=f"{task_id} of train, run .* has no result any more. Trigger train again"):
        pruned.output(task_id)
    with pytest.raises(DataError, match=f"{task_id} of train, run .* has no result any more. Trigger train again"):
        pruned.frame_reference(task_id)
