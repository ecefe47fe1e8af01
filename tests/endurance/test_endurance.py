"""Runs in a row cost the same each, and leave nothing behind on the machine. RUNS says how many."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

import psutil
import pytest
from harness.stacks import PossumStack

from include.local_stack.pipeline import Pipeline
from include.local_stack.stack import AIRFLOW, STORES, Stack

pytestmark = [pytest.mark.endurance, pytest.mark.timeout(0)]
RUNS = int(os.environ.get("RUNS") or 30)
PATIENCE = 60  # seconds
WARM_UP = 2  # runs in which caches fill and server processes come up

MEGABYTES = 100  # that all services together may grow by while caches fill (MLflow's and PostgreSQL's) ...
MEGABYTES_A_RUN = 4  # ... and then
FILES = 20  # more open files and connections at the end than at the beginning, whatever the number of runs
SLOWER = 1.3  # that a run may take longer at the end than at the beginning


@dataclass(frozen=True)
class Usage:
    """What the stack holds when no run is on: `memory` in MB, counted once where processes share it."""

    seconds: float
    memory: float
    files: int
    processes: tuple[str, ...]
    temporary: tuple[str, ...]


def usage(stack: Stack, seconds: float, temporary: Path) -> Usage:
    memory, files, names = 0.0, 0, []
    for process in stack.processes():
        with contextlib.suppress(psutil.NoSuchProcess), process.oneshot():
            memory += process.memory_full_info().pss / 2**20
            name = service_of(stack, process)
            if name != "postgres":  # whose processes keep the files of tables open, as a cache
                files += process.num_fds()
            names.append(name)
    return Usage(seconds, memory, files, tuple(sorted(names)), tuple(sorted(path.name for path in temporary.iterdir())))


def service_of(stack: Stack, process: psutil.Process) -> str:
    services = {stack.process(name).pid: name for name in STORES + AIRFLOW}
    return next((services[each.pid] for each in [process, *process.parents()] if each.pid in services), "supervisor")


def is_quiet(stack: Stack) -> bool:
    """Whether no task and no parsing of a DAG file is on: PostgreSQL's own processes come and go."""
    titles = [" ".join(process.cmdline()) for process in stack.processes()]
    return not any(word in title for title in titles for word in ("airflow task", "DagFileProcessor "))


@pytest.fixture(scope="module")
def usages(tmp_path_factory):
    temporary = tmp_path_factory.mktemp("temporary")
    stack = PossumStack(tmp_path_factory.mktemp("endurance") / "stack")
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        try:
            stack.start()
            pipeline = Pipeline(stack.url("airflow"))
            for number in range(RUNS + WARM_UP):
                seconds = one_run(pipeline)
                deadline = time.monotonic() + PATIENCE
                while not is_quiet(stack):
                    assert time.monotonic() < deadline, f"timed out after {PATIENCE} s waiting for Airflow to be quiet"
                    time.sleep(0.2)
                found.append(now := usage(stack, seconds, temporary))
                print(f"run {number + 1}: {now.seconds:.1f} s, {now.memory:.0f} MB, {now.files} files", flush=True)
        finally:
            stack.stop()
    return found[WARM_UP:]


def at_both_ends(values: list[float]) -> tuple[float, float]:
    """The median of the first third of the runs, and of the last: what is open, and how long a run takes, varies."""
    third = max(1, len(values) // 3)
    return median(values[:third]), median(values[-third:])


def one_run(pipeline: Pipeline) -> float:
    """The seconds from the start of feature_eng to the end of predict, as Airflow has noted them."""
    tasks = pipeline.finish(pipeline.trigger())
    times = [moment for task in tasks for moment in (task["start_date"], task["end_date"]) if moment]
    moments = [datetime.fromisoformat(moment) for moment in times]
    return (max(moments) - min(moments)).total_seconds()


def test_memory_stays_within_its_bound(usages):
    assert usages[-1].memory - usages[0].memory < MEGABYTES + MEGABYTES_A_RUN * len(usages)


def test_open_files_stay(usages):
    first, last = at_both_ends([each.files for each in usages])

    assert last - first < FILES


def test_no_process_is_left(usages):
    assert {name: usages[-1].processes.count(name) for name in (*STORES, *AIRFLOW)} == {
        name: usages[0].processes.count(name) for name in (*STORES, *AIRFLOW)
    }


def test_no_temporary_file_is_left(usages):
    assert usages[-1].temporary == usages[0].temporary


def test_a_run_takes_as_long_as_ever(usages):
    first, last = at_both_ends([each.seconds for each in usages])

    assert last < SLOWER * first
