"""DAGs that a person starts by hand, and experiments that a person has deleted."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from airflow.utils import timezone
from airflow.utils.session import create_session

from include import config

LONG_AGO = datetime(2023, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(("dag_id", "before"), [("train", "feature_eng"), ("predict", "train")])
def test_without_a_run_to_work_for_it_says_which_dag_to_run_first(dag_id, before, run_dag, pipeline_runs, caplog):
    with caplog.at_level(logging.ERROR):
        run = run_dag(dag_id, state="failed", execution_date=LONG_AGO)

    assert f"Trigger {before} first" in caplog.text
    # Trying again is no use. (DAG.test itself may cost a task one try, once another one has failed.)
    assert all(task.try_number <= 2 for task in run.get_task_instances())


def test_it_works_for_the_newest_successful_run(run_part, pipeline_runs, tracked, caplog):
    with caplog.at_level(logging.INFO):
        run = run_part("train", "train_model")

    newest = pipeline_runs[-1]["feature_eng"].run_id
    assert f"Started by hand; using the newest successful run of feature_eng: {newest}" in caplog.text
    assert tracked(run).data.tags["pipeline_run"] == newest


def test_a_run_that_found_nothing_new_is_not_worked_for(run_part, pipeline_runs, dags, caplog):
    now = timezone.utcnow()
    skipped = dags["feature_eng"].create_dagrun(
        run_id="nothing_new", state="success", execution_date=now, data_interval=(now, now), run_type="scheduled"
    )
    with create_session() as session:
        session.merge(skipped).end_date = now

    with caplog.at_level(logging.INFO):
        run_part("train", "fetch_experiment_id")

    assert f"newest successful run of feature_eng: {pipeline_runs[-1]['feature_eng'].run_id}" in caplog.text
    with create_session() as session:
        session.delete(session.merge(skipped))


@pytest.mark.parametrize("dag_id", ["train", "predict"])
@pytest.mark.parametrize(
    "other",
    [{"keep_gaps": True}, {"columns": {name: config.COLUMNS[name] for name in ("age", "sex", "taill")}}],
    ids=["gaps", "columns"],
)
def test_features_that_were_created_with_other_settings_are_rejected(
    dag_id, other, run_dag, pipeline_runs, monkeypatch, caplog
):
    monkeypatch.setattr(config, "SCHEMA", replace(config.SCHEMA, **other))

    with caplog.at_level(logging.ERROR):
        run = run_dag(dag_id, state="failed")

    assert "were created with other COLUMNS, another TARGET or other ROWS_WITH_GAPS" in caplog.text
    assert all(task.try_number <= 2 for task in run.get_task_instances())  # as above


def test_its_own_hyperparameters_reach_the_model(run_part, tracked):
    run = run_part("train", "train_model", {"hyper_parameters": {"alphas": [0.5, 50.0]}})

    assert tracked(run).data.params["alphas"] == "[0.5, 50.0]"


def test_a_deleted_experiment_is_restored(run_part, client):
    experiment = client.get_experiment_by_name("Possum_tails")
    client.delete_experiment(experiment.experiment_id)

    run_part("feature_eng", "prepare_mlflow_experiment.get_current_experiment_id")

    assert client.get_experiment(experiment.experiment_id).lifecycle_stage == "active"
