"""Triggers the pipeline over Airflow's REST API and watches its three DAGs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from include.orchestration import DAG_IDS

LOGIN = {"username": "admin", "password": "admin"}
PATIENCE = 120  # seconds for Airflow to find the DAGs, or to start the next one
INTERVAL = 1  # seconds between two polls of a run


class PipelineError(Exception):
    """Why a run could not be started or did not succeed."""


@dataclass(frozen=True)
class Progress:
    """The progress of a DAG's run: how many of its tasks are done, and which are running."""

    dag_id: str
    run_id: str
    state: str
    done: int
    total: int
    running: list[str]

    def __str__(self) -> str:
        return f"{self.dag_id} {self.done}/{self.total} {'+'.join(self.running)}".rstrip()


class Pipeline:
    """The three DAGs of the Airflow at `url`. A failure shows the whole log of the task if `verbose`.

    It logs in as a browser does: with a password in every call, Airflow would hash it each time, which takes more CPU
    time than the run itself.
    """

    def __init__(self, url: str, verbose: bool = False) -> None:
        self.url = url
        self.verbose = verbose
        self.session = requests.Session()
        page = self.session.get(f"{url}/login/", timeout=60)
        page.raise_for_status()
        token = re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)[0]
        answer = self.session.post(f"{url}/login/", LOGIN | {"csrf_token": token}, timeout=60)
        if not answer.ok or 'name="password"' in answer.text:  # the login page again
            raise PipelineError(
                f"Airflow at {url} rejected the login {LOGIN['username']} / {LOGIN['password']} (status "
                f"{answer.status_code}). If someone has changed the password, change it back in Airflow: Your Profile."
            )

    def call(self, path: str, method: str = "GET", **arguments: Any) -> Any:
        """Call Airflow's REST API and return its answer.

        Raises:
            PipelineError: Airflow rejected the call. Has its reason.
        """
        response = self.session.request(method, f"{self.url}/api/v1/{path}", timeout=60, **arguments)
        if response.ok:
            return response.json()
        try:
            reason = response.json()["detail"]
        except (ValueError, KeyError, TypeError):
            reason = response.reason
        raise PipelineError(f"Airflow rejected {method} {path} (status {response.status_code}): {reason}")

    def trigger(self, **params: Any) -> str:
        """Trigger feature_eng with these params, once Airflow has found all three DAGs. Return the run's id."""
        deadline = time.monotonic() + PATIENCE
        while True:
            dags = {dag["dag_id"]: dag for dag in self.call("dags")["dags"] if not dag["has_import_errors"]}
            if set(DAG_IDS) <= dags.keys():
                break
            errors = [error for error in self.call("importErrors")["import_errors"] if is_current(error)]
            if errors:
                raise PipelineError("\n".join(f"{error['filename']}:\n{error['stack_trace']}" for error in errors))
            if time.monotonic() > deadline:
                raise PipelineError(f"Airflow has not found the DAGs in {PATIENCE} s.")
            time.sleep(0.5)
        paused = ", ".join(dag_id for dag_id in DAG_IDS if dags[dag_id]["is_paused"])
        if paused:
            raise PipelineError(f"Paused DAGs: {paused}. Switch them on in Airflow ({self.url}), then run again.")
        return self.call("dags/feature_eng/dagRuns", "POST", json={"conf": params})["dag_run_id"]

    def watch(self, run_id: str) -> Iterator[list[Progress]]:
        """Yield the progress of the DAGs that have started, until predict has succeeded for this run of feature_eng.

        Raises:
            PipelineError: A DAG has failed, or was not started by the one before it.
        """
        finished: list[Progress] = []
        for dag_id in DAG_IDS:
            if finished:
                run_id = self._wait_for_run(dag_id, run_id)
            while (progress := self.progress(dag_id, run_id)).state not in ("success", "failed"):
                yield [*finished, progress]
                time.sleep(INTERVAL)
            finished.append(progress)
            yield [*finished]
            if progress.state == "failed":
                raise PipelineError(self.failure(dag_id, run_id))

    def _wait_for_run(self, dag_id: str, source_run_id: str) -> str:
        """Wait for the run of `dag_id` that a Dataset event of another run starts, and return its id."""
        deadline = time.monotonic() + PATIENCE
        active = {"state": ["running", "queued"], "limit": 1}
        while not (run_id := self.started_by(source_run_id, dag_id)):
            if time.monotonic() > deadline and not self.call(f"dags/{dag_id}/dagRuns", params=active)["total_entries"]:
                raise PipelineError(f"{source_run_id} has not started {dag_id} in {PATIENCE} s. Is {dag_id} paused?")
            time.sleep(INTERVAL)
        return run_id

    def finish(self, run_id: str) -> list[dict[str, Any]]:
        """Wait until predict has succeeded for this run of feature_eng. Return the task instances of the three runs."""
        last = list(self.watch(run_id))[-1]
        return [task for run in last for task in self.tasks(run.dag_id, run.run_id)]

    def started_by(self, run_id: str, dag_id: str) -> str | None:
        """Return the run of `dag_id` that a Dataset event of the run `run_id` has started."""
        events = self.call("datasets/events", params={"source_run_id": run_id})["dataset_events"]
        runs = [run["dag_run_id"] for event in events for run in event["created_dagruns"] if run["dag_id"] == dag_id]
        return runs[-1] if runs else None

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run."""
        return self.call(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]

    def progress(self, dag_id: str, run_id: str) -> Progress:
        """Return the progress of a run."""
        tasks = self.tasks(dag_id, run_id)
        done = sum(task["state"] in ("success", "skipped") for task in tasks)
        notes = {"running": "", "up_for_retry": " (failed, to be retried)"}
        active = [task for task in tasks if task["state"] in notes]
        running = [task["task_id"].rpartition(".")[2] + notes[task["state"]] for task in active]
        state = self.call(f"dags/{dag_id}/dagRuns/{run_id}")["state"]
        return Progress(dag_id, run_id, state, done, len(tasks), [*dict.fromkeys(running)])

    def failure(self, dag_id: str, run_id: str) -> str:
        """Return why each failed task of a run has failed and where its log is; with `verbose`, the log itself too."""
        failed = [task for task in self.tasks(dag_id, run_id) if task["state"] == "failed"]
        texts = [self._failure_of(task, dag_id, run_id) for task in failed]
        return "\n".join(texts) or f"{dag_id}, run {run_id}, failed."

    def _failure_of(self, task: dict[str, Any], dag_id: str, run_id: str) -> str:
        name = f"{dag_id}.{task['task_id']}"
        answer = self.session.get(
            f"{self.url}/api/v1/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task['task_id']}/logs/{task['try_number']}",
            params={"map_index": task["map_index"]},
            headers={"Accept": "text/plain"},
            timeout=60,
        )
        log = answer.content.decode(errors="replace")  # UTF-8, which Airflow does not say
        place = re.search(r"^[*\s]*\* (/.+\.log)\s*$", log, re.MULTILINE)  # Airflow names the file at the top
        where = place[1] if place else f"on the page of the task in Airflow, {self.url}"
        if self.verbose:
            return f"{log.rstrip()}\n\n{name}: {reason(log)}\nIts log, shown above: {where}"
        return f"{name}: {reason(log)}\nIts log (make run VERBOSE=1 shows it here): {where}"


def reason(log: str) -> str:
    """Return the message of the last exception in a task's log, which may have several lines."""
    raised = re.findall(
        r"^[\w.]+(?:Error|Exception|Terminated): (.+(?:\n(?!\[\d{4}-|The above exception).+)*)", log, re.MULTILINE
    )
    return raised[-1].strip() if raised else "no exception in its log"


def is_current(import_error: dict[str, Any]) -> bool:
    """Return whether Airflow has read the file, and the modules that it imports, as they are now."""
    file = Path(import_error["filename"])
    if not file.exists():
        return False
    newest = max(each.stat().st_mtime for each in [file, *file.parents[1].glob("include/**/*.py")])
    return datetime.fromisoformat(import_error["timestamp"]).timestamp() > newest
