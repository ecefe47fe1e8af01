"""How `make run` reads Airflow's answers."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

import pytest

pipeline = pytest.importorskip("include.local_stack.pipeline", reason="needs the stack without Docker")
Pipeline, PipelineError = pipeline.Pipeline, pipeline.PipelineError
is_current, reason = pipeline.is_current, pipeline.reason

SEEN = datetime(2026, 1, 1, tzinfo=UTC)
LOGIN_PAGE = '<form><input name="csrf_token" type="hidden" value="token"><input name="password"></form>'


def listed(unreadable: bool = False, paused: tuple[str, ...] = ()) -> str:
    """Airflow's list of the DAGs."""
    ids = ("feature_eng", "train", "predict")
    dags = [{"dag_id": each, "has_import_errors": unreadable, "is_paused": each in paused} for each in ids]
    return json.dumps({"dags": dags})


@pytest.fixture
def airflow(server):
    """An Airflow with three DAGs that accepts the login, and answers a trigger of feature_eng with this."""

    def airflow(status: int, body: str, paused: tuple[str, ...] = ()) -> Pipeline:
        def answer(request):
            if request.path == "/login/":
                return 200, LOGIN_PAGE if request.command == "GET" else "welcome"
            if request.command == "POST":
                return status, body
            return 200, listed(paused=paused)

        server.answer = answer
        return Pipeline(server.url)

    return airflow


@pytest.mark.parametrize(
    ("edited", "current"), [([], True), (["dags/train.py"], False), (["include/config.py"], False)], ids=str
)
def test_an_error_that_was_corrected_meanwhile_does_not_count(edited, current, tmp_path):
    for file in ("dags/train.py", "include/config.py"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).touch()
        moment = SEEN.timestamp() + (60 if file in edited else -60)
        os.utime(tmp_path / file, (moment, moment))

    assert is_current({"filename": str(tmp_path / "dags/train.py"), "timestamp": SEEN.isoformat()}) is current


@pytest.mark.parametrize(
    ("answer", "status"), [((200, LOGIN_PAGE), 200), ((429, "5 per 40 second"), 429)], ids=["login page", "login limit"]
)
def test_a_rejected_login_is_named(answer, status, server):
    server.answer = lambda request: answer if request.command == "POST" else (200, LOGIN_PAGE)

    with pytest.raises(PipelineError, match=rf"rejected the login admin / admin \(status {status}\)"):
        Pipeline(server.url)


def test_a_dag_that_could_not_be_read_is_waited_for(server):
    """Its file may have been corrected since Airflow read it."""
    reads = []

    def answer(request):
        if request.path == "/login/":
            return 200, LOGIN_PAGE if request.command == "GET" else "welcome"
        if request.command == "POST":
            return 200, json.dumps({"dag_run_id": f"after {len(reads)} reads"})
        if request.path.endswith("/importErrors"):
            return 200, json.dumps({"import_errors": []})
        reads.append(request.path)
        return 200, listed(unreadable=len(reads) < 3)

    server.answer = answer

    assert Pipeline(server.url).trigger() == "after 3 reads"


def test_paused_dags_are_named(airflow, server):
    pipeline = airflow(200, json.dumps({"dag_run_id": "manual"}), paused=("feature_eng", "predict"))

    with pytest.raises(PipelineError, match=rf"feature_eng, predict\. Switch them on in Airflow \({server.url}\)"):
        pipeline.trigger()


@pytest.mark.parametrize("body", ['{"detail": "no"}', "[]", "<html>"], ids=["a reason", "a list", "a page"])
def test_a_rejection_is_shown_with_its_status(body, airflow):
    with pytest.raises(PipelineError, match=r"Airflow rejected POST dags/feature_eng/dagRuns \(status 409\): \w+"):
        airflow(409, body).trigger()


LOG = """\
*** Found local files:
***   * /home/ann/possums/.local/airflow/logs/dag_id=feature_eng/run_id=manual/task_id=extract_data/attempt=1.log
[2026-11-25, 12:00:00 UTC] {local_task_job_runner.py:123} ▶ Pre task execution logs
[2026-11-25, 12:00:01 UTC] {taskinstance.py:3313} ERROR - Task failed with exception
Traceback (most recent call last):
  File "include/modeling/rows.py", line 1, in read_rows
include.errors.DataError: possum.csv, line 3: no number

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
airflow.exceptions.AirflowFailException: 2 values in possum.csv can't be used:
line 3, column age: 'ä' is not a number
line 4, column age: 99 is above 30
[2026-11-25, 12:00:01 UTC] {taskinstance.py:1225} INFO - Marking task as FAILED.
"""
REASON = """\
2 values in possum.csv can't be used:
line 3, column age: 'ä' is not a number
line 4, column age: 99 is above 30"""


@pytest.fixture
def failed(server):
    """An Airflow in which extract_data has failed."""

    def failed(log: str, verbose: bool = False) -> str:
        task = {"task_id": "extract_data", "state": "failed", "try_number": 1, "map_index": -1}
        others = [{"task_id": "build_features", "state": "upstream_failed"}]

        def answer(request):
            if request.path.startswith("/login/"):
                return 200, LOGIN_PAGE if request.command == "GET" else "welcome"
            if "/logs/" in request.path:
                return 200, log, {"Content-Type": "text/plain"}  # without the charset, as Airflow
            return 200, json.dumps({"task_instances": [task, *others]})

        server.answer = answer
        return Pipeline(server.url, verbose).failure("feature_eng", "manual")

    return failed


def test_a_failure_shows_the_reason_and_the_file_of_the_log(failed):
    assert failed(LOG) == (
        f"feature_eng.extract_data: {REASON}\n"
        "Its log (make run VERBOSE=1 shows it here): /home/ann/possums/.local/airflow/logs/dag_id=feature_eng/"
        "run_id=manual/task_id=extract_data/attempt=1.log"
    )


def test_a_failure_shows_the_whole_log_on_request(failed):
    shown = failed(LOG, verbose=True)

    assert shown.startswith(LOG)
    assert f"feature_eng.extract_data: {REASON}\n" in shown.removeprefix(LOG)


def test_a_failure_without_a_log_file_leads_to_the_page_of_the_task(failed, server):
    log = LOG.partition("\n")[2].partition("\n")[2]

    assert failed(log).endswith(f"here): on the page of the task in Airflow, {server.url}")


def test_a_task_that_was_killed_has_no_reason():
    assert reason("[2026-11-25, 12:00:00 UTC] INFO - Task exited with return code -9\n") == "no exception in its log"


def test_a_task_that_waits_for_its_retry_is_shown(airflow, server):
    tasks = [
        {"task_id": "extract_data", "state": "success"},
        {"task_id": "register.check", "state": "running"},
        {"task_id": "train_model", "state": "up_for_retry"},
    ]
    pipeline = airflow(200, "")
    answers = {"taskInstances": {"task_instances": tasks}, "run": {"state": "running"}}
    server.answer = lambda request: (200, json.dumps(answers[request.path.rpartition("/")[2]]))

    progress = pipeline.progress("train", "run")

    assert str(progress) == "train 1/3 check+train_model (failed, to be retried)"


def test_the_dags_that_have_started_are_shown_until_the_last_one_has_succeeded(airflow, server, monkeypatch):
    monkeypatch.setattr(pipeline, "INTERVAL", 0)
    watched = airflow(200, "")
    states = iter(["queued", "running", "success", "success", "running", "success"])
    following = {"feature_eng": "train", "train": "predict"}

    def answer(request):
        path = request.path.partition("?")[0]
        if path.endswith("/events"):
            run_id = request.path.rpartition("=")[2]
            created = [{"dag_id": following[run_id], "dag_run_id": following[run_id]}]
            return 200, json.dumps({"dataset_events": [{"created_dagruns": created}]})
        if path.endswith("/taskInstances"):
            return 200, json.dumps({"task_instances": [{"task_id": "task", "state": "success"}]})
        return 200, json.dumps({"state": next(states)})

    server.answer = answer

    shown = ["  ".join(map(str, progress)) for progress in watched.watch("feature_eng")]

    assert shown == [
        *["feature_eng 1/1"] * 3,
        "feature_eng 1/1  train 1/1",
        *["feature_eng 1/1  train 1/1  predict 1/1"] * 2,
    ]
