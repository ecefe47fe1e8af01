"""What every DAG has, and how these three are wired. Needs no service: `astro dev pytest` runs it in a container."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.datasets import Dataset
from airflow.exceptions import ParamValidationError
from airflow.models import DagBag
from airflow.utils.trigger_rule import TriggerRule
from harness import ROOT

from include import config
from include.orchestration import upstream

EXPERIMENT, MODEL = "prepare_mlflow_experiment", "register_model"
EDGES: dict[str, dict[str, set[str]]] = {
    "feature_eng": {
        "create_buckets_if_not_exists": {"extract_data"},
        f"{EXPERIMENT}.list_existing_experiments": {f"{EXPERIMENT}.check_if_experiment_exists"},
        f"{EXPERIMENT}.check_if_experiment_exists": {
            f"{EXPERIMENT}.create_experiment",
            f"{EXPERIMENT}.experiment_exists",
        },
        f"{EXPERIMENT}.create_experiment": {f"{EXPERIMENT}.get_current_experiment_id"},
        f"{EXPERIMENT}.experiment_exists": {f"{EXPERIMENT}.get_current_experiment_id"},
        f"{EXPERIMENT}.get_current_experiment_id": {"build_features"},
        "extract_data": {"build_features"},
        "build_features": {"save_data_to_s3"},
        "save_data_to_s3": set(),
    },
    "train": {
        "fetch_feature_df": {"train_model"},
        "fetch_experiment_id": {"train_model"},
        "fetch_hyper_parameters": {"train_model"},
        "train_model": {f"{MODEL}.create_model_version", "choose_champion"},
        f"{MODEL}.check_if_model_already_registered": {
            f"{MODEL}.create_registered_model",
            f"{MODEL}.model_already_registered",
        },
        f"{MODEL}.create_registered_model": {f"{MODEL}.create_model_version"},
        f"{MODEL}.model_already_registered": {f"{MODEL}.create_model_version"},
        f"{MODEL}.create_model_version": {f"{MODEL}.transition_model"},
        f"{MODEL}.transition_model": {"choose_champion"},
        "choose_champion": set(),
    },
    "predict": {
        "fetch_rows": {"fetch_feature_df_no_target", "fetch_target"},
        "fetch_feature_df_no_target": {"run_prediction", "compare_with_training"},
        "fetch_target": {"list_to_dataframe"},
        "fetch_model_run_id": {
            "fetch_feature_df_no_target",
            "add_line_to_file",
            "plot_predictions",
            "compare_with_training",
        },
        "add_line_to_file": {"run_prediction"},
        "run_prediction": {"list_to_dataframe"},
        "list_to_dataframe": {"plot_predictions", "save_predictions"},
        "compare_with_training": {"plot_predictions", "save_predictions"},
        "plot_predictions": set(),
        "save_predictions": set(),
    },
}
FEATURES_ANNOUNCED, MODEL_ANNOUNCED = Dataset("s3://data_possum.csv"), Dataset("model_trained")
BAG = DagBag(ROOT / "dags", include_examples=False)
DAGS = list(BAG.dags.values())  # also those that someone adds to this template
TASKS = [task for dag in DAGS for task in dag.tasks]

every_dag = pytest.mark.parametrize("dag", DAGS, ids=lambda dag: dag.dag_id)
every_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.dag_id}.{task.task_id}")


def test_every_file_can_be_imported():
    assert BAG.import_errors == {}


@pytest.mark.parametrize("file", sorted(ROOT.glob("dags/*.py")), ids=lambda file: file.name)
def test_every_file_suits_a_metadata_database_that_has_no_unicode(file):
    assert file.read_text().isascii()  # Airflow keeps the file's text there


@pytest.mark.parametrize("dag_id", EDGES)
def test_each_task_leads_to(dag_id):
    assert {task.task_id: task.downstream_task_ids for task in BAG.dags[dag_id].tasks} == EDGES[dag_id]


def test_what_starts_each():
    schedules = {dag_id: BAG.dags[dag_id].timetable.dataset_condition for dag_id in ("train", "predict")}

    assert BAG.dags["feature_eng"].timetable.summary == "None"
    assert {dag_id: list(schedule.objects) for dag_id, schedule in schedules.items()} == {
        "train": [FEATURES_ANNOUNCED],
        "predict": [MODEL_ANNOUNCED],
    }


def test_what_each_announces_comes_last():
    outlets = {(task.dag_id, task.task_id): task.outlets for task in TASKS if task.outlets}

    assert outlets == {
        ("feature_eng", "save_data_to_s3"): [FEATURES_ANNOUNCED],
        ("train", "choose_champion"): [MODEL_ANNOUNCED],
    }
    for dag_id, task_id in outlets:
        assert [leaf.task_id for leaf in BAG.dags[dag_id].leaves] == [task_id]


def test_one_branch_of_two_is_enough():
    rules = {f"{task.dag_id}.{task.task_id}": task.trigger_rule for task in TASKS}

    assert {task_id for task_id, rule in rules.items() if rule != TriggerRule.ALL_SUCCESS} == {
        f"feature_eng.{EXPERIMENT}.get_current_experiment_id",
        f"train.{MODEL}.create_model_version",
    }
    assert rules[f"train.{MODEL}.create_model_version"] == TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS


def test_what_a_person_can_choose():
    parameters = {dag.dag_id: set(dag.params) for dag in DAGS if dag.dag_id in EDGES}

    assert parameters == {
        "feature_eng": {"data_file", "hyper_parameters"},
        "train": {"hyper_parameters"},
        "predict": {"data_file", "model"},
    }


@pytest.mark.parametrize(
    "data_file",
    [
        "../secret.csv",
        "/etc/passwd",
        "a/b.csv",
        "possum.txt",
        ".csv",
        "",
        "http://host/a.csv",
        "https://a@host/a.csv",
        "file:///a.csv",
        "{{ 7 * 7 }}.csv",
        "a.csv; touch pwned",
        "$(id).csv",
        "possum.csv\n",
    ],
)
def test_a_data_file_lies_in_include(data_file):
    parameter = BAG.dags["feature_eng"].params.get_param("data_file")

    assert parameter.resolve() == "possum.csv"
    with pytest.raises(ParamValidationError, match="does not match"):
        type(parameter)(data_file, **parameter.schema).resolve()


@every_dag
def test_every_dag(dag):
    assert dag.tags
    assert dag.doc_md
    assert dag.doc_md.strip().startswith("### ")
    assert dag.catchup is False
    assert dag.max_active_runs == 1  # runs share names in S3 and in the registry
    assert dag.is_paused_upon_creation is False  # a Dataset event reaches no paused DAG
    assert dag.params.validate() is not None


@every_task
def test_every_task(task):
    assert task.owner not in ("", "airflow")
    assert task.retries >= 2
    assert task.retry_exponential_backoff is True
    assert timedelta(0) < task.retry_delay <= task.max_retry_delay <= timedelta(minutes=5)
    assert timedelta(0) < task.execution_timeout <= timedelta(hours=1)
    assert task.on_failure_callback == config.FAILURE_CALLBACKS


def texts(value: object) -> Iterator[str]:
    """The strings in a template field; what comes from other tasks is no template, whatever it holds."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        yield from itertools.chain.from_iterable(map(texts, value))
    elif isinstance(value, dict):
        yield from texts(list(value.values()))


@every_task
def test_template_fields_hold_no_template_but_ours_and_no_file(task):
    found = list(texts([getattr(task, name, None) for name in task.template_fields]))
    templates = [text for text in found if re.search(r"{{|{%|{#", text)]

    ours = {"run_prediction": "fetch_model_run_id", "register_model.transition_model": "create_model_version"}
    assert len(templates) == (task.task_id in ours)
    for template in templates:
        task.dag.get_template_env().from_string(template)
        assert ours[task.task_id] in template
    assert not [text for text in found if text.endswith(tuple(task.template_ext))]


def test_a_page_shows_each_task_its_result_in_mlflow_or_s3():
    links = {task.task_id: {link.name for link in task.operator_extra_links} for task in TASKS}

    assert {task_id: names for task_id, names in links.items() if names} == {
        f"{EXPERIMENT}.get_current_experiment_id": {"MLflow experiment"},
        "build_features": {"MLflow run"},
        "save_data_to_s3": {"S3 object"},
        "train_model": {"MLflow run"},
        f"{MODEL}.create_model_version": {"Model version"},
        f"{MODEL}.transition_model": {"Model version"},
        "choose_champion": {"Model version"},
        "run_prediction": {"Model version"},
        "plot_predictions": {"MLflow run"},
        "compare_with_training": {"MLflow run"},
        "save_predictions": {"S3 object"},
    }


@pytest.mark.parametrize("chosen", [{}, {"alphas": [1.0]}])
def test_training_takes_the_hyperparameters_of_the_announcement(chosen, monkeypatch):
    fetch = BAG.dags["train"].get_task("fetch_hyper_parameters").python_callable
    announced = upstream.UpstreamRun("feature_eng", "a run", {"hyper_parameters": chosen})
    monkeypatch.setattr(upstream, "feature_eng_run", lambda: announced)
    own = {
        "params": {"hyper_parameters": {"alphas": [2.0]}},
        "dag": BAG.dags["train"],
        "dag_run": SimpleNamespace(conf={}),
    }
    monkeypatch.setitem(fetch.__wrapped__.__globals__, "get_current_context", lambda: own)

    assert fetch() == chosen
