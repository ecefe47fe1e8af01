"""Triggers the pipeline over Airflow's REST API and watches its three DAGs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import requests

DAGS = ("feature_eng", "train", "predict")
LOGIN = {"username": "admin", "password": "admin"}
PATIENCE = 120  # seconds for Airflow to find the DAGs, or to start the next one


class PipelineError(Exception):
    """Why a run did not come to its end, with the log of the task at fault."""


@dataclass(frozen=True)
class Progress:
    """How far a DAG is. `state` is None as long as it has no run."""

    dag_id: str
    state: str | None = None
    done: int = 0
    total: int = 0
    running: tuple[str, ...] = ()


class Pipeline:
    """The three DAGs of the Airflow at `url`. Logs in as a browser does: with a password in every call Airflow would
    hash it each time, which takes more of the machine than the run that is watched.
    """

    def __init__(self, url: str) -> None:
        self.url = f"{url}/api/v1"
        self.session = requests.Session()
        page = self.session.get(f"{url}/login/", timeout=60).text
        token = re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', page)[0]
        self.session.post(f"{url}/login/", LOGIN | {"csrf_token": token}, timeout=60)

    def call(self, path: str, method: str = "GET", **arguments: Any) -> Any:
        response = self.session.request(method, f"{self.url}/{path}", timeout=60, **arguments)
        response.raise_for_status()
        return response.json()

    def trigger(self, **params: Any) -> str:
        """Triggers feature_eng with these params, once Airflow has found all three DAGs. Returns the run's id."""
        deadline = time.monotonic() + PATIENCE
        while not {"feature_eng", "train", "predict"} <= {dag["dag_id"] for dag in self.call("dags")["dags"]}:
            if errors := [error for error in self.call("importErrors")["import_errors"] if is_current(error)]:
                raise PipelineError("\n".join(f"{error['filename']}:\n{error['stack_trace']}" for error in errors))
            if time.monotonic() > deadline:
                raise PipelineError(f"Airflow has not found the DAGs in {PATIENCE} s.")
            time.sleep(0.5)
        return self.call("dags/feature_eng/dagRuns", "POST", json={"conf": params})["dag_run_id"]

    def watch(self, run_id: str, interval: float = 1) -> Iterator[list[Progress]]:
        """Yields how far the DAGs are until predict has succeeded for this run of feature_eng.

        Raises PipelineError as soon as one of them fails, or isn't started by the one before it.
        """
        runs = {"feature_eng": run_id}
        deadline = None
        progress = [Progress(dag_id) for dag_id in DAGS]
        while True:
            newest = DAGS[len(runs) - 1]
            progress[len(runs) - 1] = now = self.progress(newest, runs[newest])
            yield progress
            if now.state == "failed":
                raise PipelineError(self.failure(newest, runs[newest]))
            if progress[-1].state == "success":
                return
            if now.state == "success":
                following = DAGS[len(runs)]
                deadline = deadline or time.monotonic() + PATIENCE
                if started := self.started_by(runs[newest], following):
                    runs[following], deadline = started, None
                elif time.monotonic() > deadline and not self.is_active(following):
                    raise PipelineError(
                        f"{newest} has succeeded, but {following} has not followed in {PATIENCE} s. Is it paused?"
                    )
            time.sleep(interval)

    def finish(self, run_id: str, interval: float = 1) -> None:
        """Waits for what `watch` watches."""
        for _ in self.watch(run_id, interval):
            pass

    def is_active(self, dag_id: str) -> bool:
        """Whether a run of this DAG is on, or waits for its turn."""
        active = {"state": ["running", "queued"], "limit": 1}
        return self.call(f"dags/{dag_id}/dagRuns", params=active)["total_entries"] > 0

    def started_by(self, run_id: str, dag_id: str) -> str | None:
        """The run of `dag_id` that a Dataset event of the run `run_id` has started."""
        events = self.call("datasets/events", params={"source_run_id": run_id})["dataset_events"]
        runs = [run["dag_run_id"] for event in events for run in event["created_dagruns"] if run["dag_id"] == dag_id]
        return runs[-1] if runs else None

    def runs(self, run_id: str) -> dict[str, str]:
        """The runs of the three DAGs that the run `run_id` of feature_eng has led to so far."""
        runs = {DAGS[0]: run_id}
        for dag_id, following in pairwise(DAGS):
            if dag_id in runs and (started := self.started_by(runs[dag_id], following)):
                runs[following] = started
        return runs

    def all_tasks(self, run_id: str) -> list[dict[str, Any]]:
        """The task instances of these runs."""
        return [task for run in self.runs(run_id).items() for task in self.tasks(*run)]

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run."""
        return self.call(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]

    def progress(self, dag_id: str, run_id: str) -> Progress:
        tasks = self.tasks(dag_id, run_id)
        done = sum(task["state"] in ("success", "skipped") for task in tasks)
        running = dict.fromkeys(task["task_id"].rpartition(".")[2] for task in tasks if task["state"] == "running")
        state = self.call(f"dags/{dag_id}/dagRuns/{run_id}")["state"]
        return Progress(dag_id, state, done, len(tasks), tuple(running))

    def failure(self, dag_id: str, run_id: str) -> str:
        """What the failed tasks of a run have logged, and at the end why each of them has failed."""
        logs, reasons = [], []
        for task in self.tasks(dag_id, run_id):
            if task["state"] == "failed":
                path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
                answer = self.session.get(
                    f"{self.url}/{path}",
                    params={"map_index": task["map_index"]},
                    headers={"Accept": "text/plain"},
                    timeout=60,
                )
                logs.append(f"{dag_id}.{task['task_id']} failed. Its log:\n{answer.text}")
                raised = re.findall(r"^[\w.]+(?:Error|Exception|Terminated): (.+)$", answer.text, re.MULTILINE)
                reasons.append(f"{dag_id}.{task['task_id']}: {raised[-1] if raised else 'the log says more'}")
        return "\n".join([*logs, *reasons]) or f"{dag_id}, run {run_id}, failed."


def is_current(import_error: dict[str, Any]) -> bool:
    """Whether Airflow has seen the file, and the modules that it imports, as they are now."""
    file = Path(import_error["filename"])
    if not file.exists():
        return False
    newest = max(each.stat().st_mtime for each in [file, *file.parents[1].glob("include/**/*.py")])
    return datetime.fromisoformat(import_error["timestamp"]).timestamp() > newest
