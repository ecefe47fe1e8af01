"""Whole stacks, as `make run` starts them, and what must hold on them whatever has happened."""

from __future__ import annotations

import contextlib
import io
import time
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import mlflow
import pandas as pd
import psutil
import pytest
from mlflow import MlflowClient
from slow import SlowWay

from include import config
from include.local_stack.pipeline import DAGS, Pipeline
from include.local_stack.stack import Stack, free_port, free_ports

# Retries follow after 10 s at most, a dead task or scheduler is noticed after 15 s: the same as ever, in less time.
IMPATIENCE = """
AIRFLOW__CORE__MAX_TASK_RETRY_DELAY=10
AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD=15
AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD=15
AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL=15
"""
PATIENCE = 600  # seconds for what is waited for: enough for a machine that has other things to do


class Site:
    """A stack and its pipeline, seen from outside."""

    def __init__(self, home: Path, replaced: dict[str, str] | None = None, **ports: int) -> None:
        text = Path(".env_example").read_text() + IMPATIENCE
        for old, new in (replaced or {}).items():
            text = text.replace(old, new)
        (variables := home / "variables").write_text(text)
        self.stack = Stack(home / "stack", variables, free_ports() | ports)
        self.announced_again: Counter[str] = Counter()

    def start(self) -> None:
        self.stack.start()
        self.pipeline = Pipeline(self.stack.url("airflow"))
        self.client = MlflowClient(self.stack.url("mlflow"))
        self.s3 = self.stack.s3()

    @contextlib.contextmanager
    def without(self, service: str):
        self.stack.halt(service)
        yield
        self.stack.start(service)

    def is_busy(self) -> bool:
        states = [
            run["state"] for dag in DAGS for run in self.pipeline.call(f"dags/{dag}/dagRuns?limit=100")["dag_runs"]
        ]
        events = self.pipeline.call("datasets/events?limit=100")["dataset_events"]
        return set(states) != {"success"} or not all(event["created_dagruns"] for event in events)

    def tries(self, run_id: str) -> dict[str, int]:
        """How often each task of a pass was tried, once it is through."""
        self.pipeline.finish(run_id)
        return {f"{task['dag_id']}.{task['task_id']}": task["try_number"] for task in self.pipeline.all_tasks(run_id)}

    def worker(self, dag_id: str, task_id: str) -> psutil.Process:
        """The process that runs this task: waits until there is one."""

        def running() -> psutil.Process | None:
            for process in self.stack.processes():
                with contextlib.suppress(psutil.Error):
                    if f"airflow task runner: {dag_id} {task_id} " in " ".join(process.cmdline()):
                        return process
            return None

        return self.until(running, f"{dag_id}.{task_id} to run")

    def until(self, found: Callable[[], object], what: str):
        deadline = time.monotonic() + PATIENCE
        while not (result := found()):
            assert time.monotonic() < deadline, f"waited {PATIENCE} s in vain for {what}"
            time.sleep(0.1)
        return result

    def clear(self, dag_id: str, run_id: str, *task_ids: str) -> None:
        """What a person does in the UI: clears these tasks of a run (those that failed, if none is named)."""
        wanted = {"dry_run": False, "dag_run_id": run_id, "only_failed": not task_ids, "reset_dag_runs": True}
        wanted |= {"task_ids": list(task_ids)} if task_ids else {"include_downstream": True}
        self.pipeline.call(f"dags/{dag_id}/clearTaskInstances", "POST", json=wanted)

    def check(self) -> None:
        """All that has ever run here has left whole results, once."""
        runs = {dag: self.pipeline.call(f"dags/{dag}/dagRuns?limit=100")["dag_runs"] for dag in DAGS}
        assert {run["state"] for found in runs.values() for run in found} == {"success"}
        self._check_events([run["dag_run_id"] for dag in DAGS[:2] for run in runs[dag]])
        self._check_mlflow({dag: [run["dag_run_id"] for run in found] for dag, found in runs.items()})
        self._check_s3()

    def _check_events(self, announcing: list[str]) -> None:
        events = self.pipeline.call("datasets/events?limit=100")["dataset_events"]
        assert Counter(event["source_run_id"] for event in events) == Counter(announcing) + self.announced_again
        assert {len(event["created_dagruns"]) for event in events} == {1}

    def _check_mlflow(self, runs: dict[str, list[str]]) -> None:
        experiment = self.client.get_experiment_by_name(config.EXPERIMENT)
        tracked = self.client.search_runs([experiment.experiment_id])
        assert {run.info.status for run in tracked} == {"FINISHED"}
        assert Counter(run.data.tags["airflow_run_id"] for run in tracked) == Counter(chain(*runs.values()))
        versions = self.client.search_model_versions(f"name = '{config.REGISTERED_MODEL}'")
        assert Counter(version.tags["airflow_run_id"] for version in versions) == Counter(runs["train"])
        newest = max(versions, key=lambda version: int(version.version))
        # The same rows give the same error, and a tie goes to the newer model.
        champion = self.client.get_model_version_by_alias(config.REGISTERED_MODEL, "champion")
        assert (champion.version, champion.current_stage) == (newest.version, config.STAGE)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", self.stack.url("mlflow"))
            model = mlflow.sklearn.load_model(champion.tags["model"])
        assert len(model.feature_names_in_) == self._frame("data", config.FEATURES_FILE).shape[1] - 1

    def _check_s3(self) -> None:
        assert {len(self._frame("data", key)) for key in self._keys("data")} == {101}
        assert self._keys("data") == {config.FEATURES_FILE, config.PREDICTIONS_FILE}
        for key in self._keys("localxcom"):
            assert len(self._frame("localxcom", key)), key

    def _keys(self, bucket: str) -> set[str]:
        return {item["Key"] for item in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])}

    def _frame(self, bucket: str, key: str) -> pd.DataFrame:
        content = io.BytesIO(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        return pd.read_csv(content) if key.endswith(".csv") else pd.read_parquet(content)


@pytest.fixture(scope="session")
def whole_site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("site"))
    try:
        site.start()
        site.pipeline.finish(site.pipeline.trigger())
        yield site
    finally:
        site.stack.stop()


@pytest.fixture
def site(whole_site):
    """A site on which one pass at least was made. What a test has done to it, it must survive."""
    yield whole_site
    whole_site.until(lambda: not whole_site.is_busy(), "what was announced last")
    whole_site.check()


@pytest.fixture(scope="session")
def slow_ways():
    return {"mlflow": SlowWay(free_port()), "s3": SlowWay(free_port())}


@pytest.fixture(scope="session")
def slow_site(tmp_path_factory, slow_ways):
    """A site whose pipeline reaches MLflow and S3 on ways that can be slowed down."""
    addresses = {"http://mlflow:5000": slow_ways["mlflow"].url, "http://minio:9000": slow_ways["s3"].url}
    ports = {name: way.target for name, way in slow_ways.items()}
    site = Site(tmp_path_factory.mktemp("slow site"), addresses, **ports)
    try:
        site.start()
        yield site
    finally:
        site.stack.stop()
