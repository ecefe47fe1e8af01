"""Tasks of this project log less than Airflow's libraries would, and nobody else notices."""

from __future__ import annotations

import logging
import warnings
from types import SimpleNamespace

import pytest

pytest.importorskip("airflow")
import quiet_logs

NOISE = [
    ("airflow.hooks.base", "Retrieving connection 'aws_conn'"),
    ("airflow.providers.amazon.aws.utils.connection_wrapper.AwsConnectionWrapper", "credentials retrieved from login"),
    ("botocore.credentials", "Found credentials in environment variables."),
    ("smart_open.s3", "uploading part_num: 1"),
    ("a task", "Done. Returned value was: None"),
    ("a task", "Use 'pickle' as serializer."),
]
FINISHED = [quiet_logs.on_task_instance_success, quiet_logs.on_task_instance_failed]


def start(dag_id: str) -> None:
    task = SimpleNamespace(log=logging.getLogger("a task"))
    quiet_logs.on_task_instance_running(task_instance=SimpleNamespace(dag_id=dag_id, task=task))


@pytest.fixture(autouse=True)
def finish():
    yield
    quiet_logs.on_task_instance_success()


@pytest.fixture
def logged(caplog):
    """Logs all the noise, and returns what arrives."""
    caplog.set_level(logging.INFO)

    def logged() -> list[str]:
        caplog.clear()
        for name, line in NOISE:
            logging.getLogger(name).info(line)
        return caplog.messages

    return logged


def warned() -> list[str]:
    message = "Method `serialize_value` in XCom backend AstroCustomXcomBackend is using outdated signature"
    with warnings.catch_warnings(record=True) as found:
        warnings.warn(message, DeprecationWarning, stacklevel=1)
        warnings.warn("something else", UserWarning, stacklevel=1)
    return [str(warning.message).partition(" in ")[0] for warning in found]


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("dag_id", ["feature_eng", "train", "predict"])
def test_a_task_of_this_project_logs_nothing_without_meaning(dag_id, logged):
    start(dag_id)

    assert logged() == []
    assert warned() == ["something else"]


def test_a_task_of_this_project_logs_everything_else(caplog):
    caplog.set_level(logging.INFO)
    start("train")

    logging.getLogger("airflow.hooks.base").warning("a warning")
    logging.getLogger("a task").info("Done. Returned value was: 1")
    logging.getLogger("include.tracking.runs").info("Tracked in MLflow")

    assert caplog.messages == ["a warning", "Done. Returned value was: 1", "Tracked in MLflow"]


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("finished", FINISHED)
def test_after_the_task_everything_is_as_it_was(finished, logged):
    before = logged().copy()
    start("train")

    finished()

    assert logged() == before
    assert len(warned()) == 2


@pytest.mark.filterwarnings("always")
def test_tasks_of_other_dags_log_as_before(logged):
    before = logged().copy()

    start("someone_elses")

    assert logged() == before == [line for _, line in NOISE]
    assert len(warned()) == 2


def test_a_task_of_another_dag_after_one_that_was_skipped_logs_as_before(logged):
    start("train")

    start("someone_elses")

    assert len(logged()) == len(NOISE)
