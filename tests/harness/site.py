"""Whole stacks, as `make run` starts them, and what must hold on them whatever has happened."""

from __future__ import annotations

import contextlib
import io
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import mlflow
import pandas as pd
import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from harness import ROOT
from harness.stacks import PossumStack
from include import config
from include.local_stack.pipeline import Pipeline
from include.orchestration import DAG_IDS

# Retries follow after 10 s at most, a dead task or scheduler is noticed after 15 s: the same as ever, in less time.
IMPATIENCE = """
AIRFLOW__CORE__MAX_TASK_RETRY_DELAY=10
AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD=15
AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD=15
AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL=15
"""
Found = TypeVar("Found")
PATIENCE = 600  # seconds for what is waited for: enough for a machine that has other things to do


class Site:
    """A stack and its pipeline, seen from outside."""

    def __init__(self, home: Path, replaced: dict[str, str] | None = None, **ports: int) -> None:
        self.uv_cache = home / "uv-cache"  # its own, to be damaged
        text = (ROOT / ".env_example").read_text() + IMPATIENCE + f"UV_CACHE_DIR={self.uv_cache}\n"
        for old, new in (replaced or {}).items():
            text = text.replace(old, new)
        (variables := home / "variables").write_text(text)
        self.stack = PossumStack(home / "stack", variables, **ports)
        self.announced_again: Counter[str] = Counter()
        self.sharing: list[Site] = []  # others that use the same MLflow and S3

    def start(self) -> None:
        self.stack.start()
        self.pipeline = Pipeline(self.stack.url("airflow"))
        self.client = MlflowClient(self.stack.url("mlflow"))
        self.s3 = self.stack.s3()

    @contextlib.contextmanager
    def without(self, service: str) -> Iterator[None]:
        with self.stack._supervisor() as supervisor:
            supervisor.stopProcess(service)
        yield
        self.stack.start(service)

    def is_busy(self) -> bool:
        states = [
            run["state"] for dag in DAG_IDS for run in self.pipeline.call(f"dags/{dag}/dagRuns?limit=100")["dag_runs"]
        ]
        events = self.pipeline.call("datasets/events?limit=100")["dataset_events"]
        return set(states) != {"success"} or not all(event["created_dagruns"] for event in events)

    def of_each_task(self, run_id: str, what: str) -> dict[str, Any]:
        """What Airflow has noted of each task of a pipeline run, once it is over."""
        tasks = self.pipeline.finish(run_id)
        return {f"{task['dag_id']}.{task['task_id']}": task[what] for task in tasks}

    def champion(self) -> ModelVersion:
        return self.client.get_model_version_by_alias(config.REGISTERED_MODEL, "champion")

    def is_announced(self, run_id: str) -> bool:
        events = self.pipeline.call("datasets/events", params={"source_run_id": run_id})
        return bool(events["total_entries"])

    def has_unfinished_run(self) -> bool:
        return bool(self.client.search_runs([self._experiment_id()], "attributes.status = 'RUNNING'"))

    def _experiment_id(self) -> str:
        experiment = self.client.get_experiment_by_name(config.EXPERIMENT)
        assert experiment, "no run of feature_eng has created the experiment"
        return experiment.experiment_id

    def worker(self, dag_id: str, task_id: str) -> psutil.Process:
        """The process that runs this task: waits until there is one."""

        def running() -> psutil.Process | None:
            for process in self.stack.processes():
                with contextlib.suppress(psutil.Error):
                    if f"airflow task runner: {dag_id} {task_id} " in " ".join(process.cmdline()):
                        return process
            return None

        return self.until(running, f"{dag_id}.{task_id} to run")

    def until(self, found: Callable[[], Found | None], what: str) -> Found:
        deadline = time.monotonic() + PATIENCE
        while not (result := found()):
            assert time.monotonic() < deadline, f"timed out after {PATIENCE} s waiting for {what}"
            time.sleep(0.1)
        return result

    def clear(self, dag_id: str, run_id: str, *task_ids: str) -> None:
        """What a person does in the UI: clears these tasks of a run (those that failed, if none is named)."""
        wanted = {"dry_run": False, "dag_run_id": run_id, "only_failed": not task_ids, "reset_dag_runs": True}
        wanted |= {"task_ids": list(task_ids)} if task_ids else {"include_downstream": True}
        self.pipeline.call(f"dags/{dag_id}/clearTaskInstances", "POST", json=wanted)

    def runs(self, *dag_ids: str) -> list[str]:
        """All runs of these DAGs."""
        found = [self.pipeline.call(f"dags/{dag_id}/dagRuns?limit=100")["dag_runs"] for dag_id in dag_ids]
        assert {run["state"] for run in chain(*found)} == {"success"}
        return [run["dag_run_id"] for run in chain(*found)]

    def check(self) -> None:
        """All that has ever run here has left whole results, once."""
        self._check_events(self.runs(*DAG_IDS[:2]))
        self._check_mlflow()
        self._check_s3()

    def _check_events(self, announcing: list[str]) -> None:
        events = self.pipeline.call("datasets/events?limit=100")["dataset_events"]
        assert Counter(event["source_run_id"] for event in events) == Counter(announcing) + self.announced_again
        assert {len(event["created_dagruns"]) for event in events} == {1}

    def _check_mlflow(self) -> None:
        sites = [self, *self.sharing]
        tracked = self.client.search_runs([self._experiment_id()])
        assert {run.info.status for run in tracked} == {"FINISHED"}
        runs = chain(*(site.runs(*DAG_IDS) for site in sites))
        assert Counter(run.data.tags["airflow_run_id"] for run in tracked) == Counter(runs)
        trained_by = {run.info.run_id: run.data.tags["airflow_run_id"] for run in tracked}
        versions = self.client.search_model_versions(f"name = '{config.REGISTERED_MODEL}'")
        trainings = chain(*(site.runs("train") for site in sites))
        assert Counter(trained_by[version.run_id] for version in versions) == Counter(trainings)
        newest = max(versions, key=lambda version: int(version.version))
        # The same rows give the same error, and a tie goes to the newer model.
        champion = self.champion()
        assert champion.version == newest.version
        (staged,) = [version for version in versions if version.current_stage == config.STAGE]
        assert staged.version == newest.version or self.sharing  # of two trainings at once, the last one to be staged
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", self.stack.url("mlflow"))
            model = mlflow.sklearn.load_model(champion.tags["serving_model"])
        assert len(model[-1].feature_names_in_) == self._frame("data", config.FEATURES_FILE).shape[1] - 1

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
