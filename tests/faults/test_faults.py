"""What the pipeline survives. Each test brings about a fault on a running stack; `site` then looks for half-truths."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from datetime import UTC, datetime
from functools import partial

import pytest

from include.local_stack.pipeline import PipelineError
from include.local_stack.services import is_healthy

OUTAGE = 8  # seconds
pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]


@pytest.mark.parametrize(
    ("service", "tasks"),
    [
        ("mlflow", {"feature_eng": "build_features", "train": "train_model", "predict": "add_line_to_file"}),
        ("s3", {"feature_eng": "build_features", "train": "train_model", "predict": "run_prediction"}),
    ],
)
def test_a_service_stops_in_the_middle_of_each_dag(site, service, tasks):
    run_id = site.pipeline.trigger()

    back = {}
    for dag_id, task_id in tasks.items():
        (worker := site.worker(dag_id, task_id)).suspend()
        with site.without(service):
            worker.resume()
            time.sleep(OUTAGE)
            back[f"{dag_id}.{task_id}"] = datetime.now(UTC)

    ends = site.of_each_task(run_id, "end_date")
    assert all(datetime.fromisoformat(ends[task]) > moment for task, moment in back.items())


def test_a_service_is_gone_for_longer_than_the_retries_take(site):
    run_id = site.pipeline.trigger()
    site.worker("train", "train_model")

    with site.without("mlflow"), pytest.raises(PipelineError) as failure:
        site.pipeline.finish(run_id)

    assert "Failed to establish a new connection" in str(failure.value)
    assert site.stack.url("mlflow").removeprefix("http://127.0.0.1") in str(failure.value)
    site.clear("train", site.pipeline.started_by(run_id, "train"))
    site.pipeline.finish(run_id)


def test_the_scheduler_is_killed_in_the_middle_of_a_task(site):
    run_id = site.pipeline.trigger()
    site.worker("train", "train_model")

    (scheduler := site.stack.process("scheduler")).kill()

    site.pipeline.finish(run_id)
    assert site.stack.process("scheduler").pid != scheduler.pid


@pytest.mark.parametrize(
    ("dag_id", "task_id", "is_in_the_middle"),
    [
        ("train", "train_model", lambda site, worker: site.has_unfinished_run()),
        ("predict", "run_prediction", lambda site, worker: worker.children()),
    ],
)
def test_a_worker_is_killed(site, dag_id, task_id, is_in_the_middle):
    run_id = site.pipeline.trigger()
    worker = site.worker(dag_id, task_id)
    site.until(lambda: is_in_the_middle(site, worker), f"{task_id} to be in the middle of its work")

    worker.kill()

    assert site.of_each_task(run_id, "try_number")[f"{dag_id}.{task_id}"] == 2


def test_a_worker_is_killed_with_the_process_that_watches_it(site):
    run_id = site.pipeline.trigger()
    worker = site.worker("train", "train_model")
    watching = worker.parent()

    watching.kill()
    worker.kill()

    assert site.of_each_task(run_id, "try_number")["train.train_model"] == 2


def test_postgresql_is_restarted(site):
    run_id = site.pipeline.trigger()
    site.worker("train", "train_model")

    with site.without("postgres"):
        time.sleep(2)

    site.until(lambda: is_healthy(site.stack.ports["airflow"], "scheduler"), "the scheduler to be back")
    site.pipeline.finish(run_id)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a disk that is full")
def test_the_disk_is_full_where_the_prediction_environment_is_built(site):
    shutil.rmtree(site.uv_cache)
    site.uv_cache.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", site.uv_cache], check=True)
    try:
        run_id = site.pipeline.trigger()
        with pytest.raises(PipelineError, match="No space left on device"):
            site.pipeline.finish(run_id)
    finally:
        subprocess.run(["umount", site.uv_cache], check=True)

    site.clear("predict", site.pipeline.started_by(site.pipeline.started_by(run_id, "train"), "predict"))
    site.pipeline.finish(run_id)


def test_the_prediction_environment_is_damaged(site):
    site.pipeline.finish(site.pipeline.trigger())  # it is there now
    (environment,) = site.uv_cache.glob("environments-v*/*/*/lib/*/site-packages")
    shutil.rmtree(environment / "pandas")

    run_id = site.pipeline.trigger()

    assert site.of_each_task(run_id, "try_number")["predict.run_prediction"] == 2


def test_feature_eng_is_triggered_five_times_at_once(site):
    run_ids = [site.pipeline.trigger() for _ in range(5)]

    for run_id in run_ids:
        site.pipeline.finish(run_id)

    # Trainings may serve several announcements at once: each takes the newest. The last one serves the last run.
    assert site.champion().tags["pipeline_run"] == run_ids[-1]


def test_announcements_come_while_a_training_is_on(site):
    run_ids = [site.pipeline.trigger()]
    (worker := site.worker("train", "train_model")).suspend()
    run_ids += [site.pipeline.trigger(), site.pipeline.trigger()]
    for run_id in run_ids:
        site.until(partial(site.is_announced, run_id), "its announcement")
    worker.resume()

    for run_id in run_ids:
        site.pipeline.finish(run_id)

    assert site.champion().tags["pipeline_run"] == run_ids[-1]


def test_every_task_is_cleared_after_success(site):
    finished = site.pipeline.finish(site.pipeline.trigger())
    runs = {task["dag_id"]: task["dag_run_id"] for task in finished}
    tasks = {dag_id: [] for dag_id in runs}
    for task in finished:
        if task["state"] == "success" and task["task_id"] not in tasks[task["dag_id"]]:
            tasks[task["dag_id"]].append(task["task_id"])

    for waiting in tasks.values():  # what announces a Dataset comes last: it starts newer runs than this one
        waiting.sort(key=lambda task_id: task_id not in ("save_data_to_s3", "choose_champion"))

    # One of each DAG at a time, since they don't get in each other's way; feature_eng last: it starts train.
    for together in (("train", "predict"), ("feature_eng",)):
        while any(tasks[dag_id] for dag_id in together):
            for dag_id in together:
                if tasks[dag_id]:
                    site.clear(dag_id, runs[dag_id], tasks[dag_id].pop())
            site.until(lambda: not site.is_busy(), "the cleared tasks")

    # Clearing a task that updates a Dataset updates it again, as in any DAG: that starts one more train and predict.
    site.announced_again.update([runs["feature_eng"], runs["train"]])


def test_two_airflows_use_one_mlflow_and_one_s3_at_once(site, sharing_site):
    run_ids = {each: each.pipeline.trigger() for each in (site, sharing_site)}

    for each, run_id in run_ids.items():
        each.pipeline.finish(run_id)


def test_mlflow_and_s3_are_slow(slow_site, slow_ways):
    for way in slow_ways.values():
        way.delay = 0.3
    try:
        slow_site.pipeline.finish(slow_site.pipeline.trigger())
    finally:
        for way in slow_ways.values():
            way.delay = 0

    assert all(way.pieces > 50 for way in slow_ways.values())
    slow_site.check()
