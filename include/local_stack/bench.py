"""`make bench`: what a run of the pipeline costs as the rows grow. Prints a table in Markdown, for docs/performance.md.

Runs on a stack of its own, warmed up by a run that isn't counted. SIZES are numbers of rows, REPEATS the runs of each.
"""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import psutil
import psycopg2

from include import config
from include.local_stack.install import ROOT
from include.local_stack.pipeline import Pipeline, PipelineError
from include.local_stack.stack import Stack, StackError, free_ports
from include.orchestration import DAG_IDS

SIZES = [int(size) for size in os.environ.get("SIZES", "104 100000 1000000").split()]
REPEATS = int(os.environ.get("REPEATS", "3"))
SEED = 1
MEGABYTE = 1e6
PUBLISHED = (
    "The published example took 98 s at 104 rows and 117 s at 100,000 on a machine like that of docs/performance.md "
    "(November 2026); at 1,000,000 rows it fails."
)


@dataclass(frozen=True)
class Run:
    """One pipeline run: seconds, the peak memory (bytes) of each task, and the bytes that it left."""

    dags: dict[str, float]
    tasks: dict[str, float]
    total: float
    plain: float
    waiting: float
    memory: dict[str, int]
    s3: int
    database: int


class Memory(threading.Thread):
    """Measures the resident memory of the tasks' processes and of those that they have started."""

    def __init__(self, scheduler: psutil.Process) -> None:
        super().__init__(daemon=True)
        self.scheduler = scheduler
        self.peaks: dict[str, int] = defaultdict(int)
        self.over = threading.Event()

    def run(self) -> None:
        """Keep the peak of each task until `over` is set."""
        while not self.over.wait(0.2):
            for process in self.scheduler.children(recursive=True):
                with contextlib.suppress(psutil.Error):  # it has just ended
                    words = " ".join(process.cmdline()).split()
                    if words[:3] == ["airflow", "task", "runner:"]:
                        family = [process, *process.children(recursive=True)]
                        task = ".".join(words[3:5])
                        self.peaks[task] = max(self.peaks[task], sum(each.memory_info().rss for each in family))


@contextlib.contextmanager
def temporary_stack() -> Iterator[Stack]:
    """Yield a stack in a temporary folder. In `.local/`, `make run`, `make stop` and `make clean` would end it."""
    with TemporaryDirectory() as folder:
        stack = Stack(Path(folder), ports=free_ports())
        try:
            yield stack
        finally:
            stack.stop()


class Bench:
    """Runs the pipeline on a stack, which it starts, and measures it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        stack.start()
        self.pipeline = Pipeline(stack.url("airflow"))

    def run(self, rows: int) -> Run:
        """Run the pipeline once on this number of rows."""
        file = config.INCLUDE / f"bench-{rows}.csv"
        resampled(rows).to_csv(file, index=False)
        before = self.sizes()
        memory = Memory(self.stack.process("scheduler"))
        memory.start()
        try:
            plain = plain_seconds(file)
            started = time.time()
            run_id = self.pipeline.trigger(data_file=file.name)
            self.pipeline.finish(run_id)
        finally:
            memory.over.set()
            memory.join()
            file.unlink()
        after = self.sizes()
        grown = (after[0] - before[0], after[1] - before[1])
        return measured(started, plain, self.intervals(run_id), dict(memory.peaks), *grown)

    def intervals(self, run_id: str) -> dict[str, tuple[float, float]]:
        """Return when each task started and ended."""
        return {
            f"{task['dag_id']}.{task['task_id']}" + (f"[{task['map_index']}]" if task["map_index"] >= 0 else ""): (
                datetime.fromisoformat(task["start_date"]).timestamp(),
                datetime.fromisoformat(task["end_date"]).timestamp(),
            )
            for task in self.pipeline.all_tasks(run_id)
            if task["state"] == "success" and task["start_date"]
        }

    def sizes(self) -> tuple[int, int]:
        """Return the number of bytes in the S3 store and in the metadata database."""
        client = self.stack.s3()
        pages = client.get_paginator("list_objects_v2")
        stored = sum(
            item["Size"]
            for bucket in client.list_buckets()["Buckets"]
            for page in pages.paginate(Bucket=bucket["Name"])
            for item in page.get("Contents", ())
        )
        with psycopg2.connect(self.stack.database()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_database_size(current_database())")
            return stored, cursor.fetchone()[0]


def data_file() -> Path:
    """Return the data file. Raises StackError if it isn't in `include/`."""
    file = config.INCLUDE / config.DATA_FILE
    if not file.is_file():
        raise StackError(
            f"make bench needs a file in include/, and DATA_FILE in include/config.py is {config.DATA_FILE!r}. Put the "
            "data there and set DATA_FILE to the name of the file."
        )
    return file


def resampled(rows: int) -> pd.DataFrame:
    """Return rows drawn from the data file with replacement, each with a number of its own."""
    file = data_file()
    read = pd.read_parquet if file.suffix == ".parquet" else pd.read_csv
    animals = read(file).sample(rows, replace=True, random_state=SEED)
    return animals.assign(**{config.ROW_NUMBER: range(1, rows + 1)}) if config.ROW_NUMBER else animals


def plain_seconds(file: Path) -> float:
    """Return how long one plain process takes for the same work on a data file."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "include.local_stack.plain", file], cwd=ROOT, check=True, capture_output=True)
    return time.monotonic() - started


def measured(
    triggered: float,
    plain: float,
    intervals: dict[str, tuple[float, float]],
    memory: dict[str, int],
    s3: int,
    database: int,
) -> Run:
    """Return the figures of a run. `intervals` has the start and the end of each task, in seconds since the epoch."""
    dags = {dag: [span for task, span in intervals.items() if task.startswith(f"{dag}.")] for dag in DAG_IDS}
    ends = {dag: max(end for _, end in spans) for dag, spans in dags.items()}
    starts = dict(zip(DAG_IDS, [triggered, *ends.values()], strict=False))  # a DAG begins where the one before it ends
    busy, until = 0.0, triggered
    for start, end in sorted(intervals.values()):
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    return Run(
        dags={dag: ends[dag] - starts[dag] for dag in DAG_IDS},
        tasks={task: end - start for task, (start, end) in intervals.items()},
        total=until - triggered,
        plain=plain,
        waiting=until - triggered - busy,
        memory=memory,
        s3=s3,
        database=database,
    )


def seconds(values: list[float]) -> str:
    """Return the median, and the range where there are several values."""
    spread = f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else ""
    return f"{statistics.median(values):.1f} s{spread}"


def medians(runs: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """Return the median of each key, largest first, then by name."""
    keys = {key for run in runs for key in run}
    found = {key: statistics.median(run[key] for run in runs if key in run) for key in keys}
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))


def row(rows: int, runs: list[Run]) -> str:
    """Return a line of the table."""
    longest = ", ".join(f"{task} {value:.1f} s" for task, value in medians([run.tasks for run in runs])[:4])
    hungriest, peak = medians([run.memory for run in runs])[0]
    cells = [
        f"{rows:,}",
        f"**{seconds([run.total for run in runs])}**",
        seconds([run.plain for run in runs]),
        f"{statistics.median(run.total / run.plain for run in runs):.1f}",
        *(seconds([run.dags[dag] for run in runs]) for dag in DAG_IDS),
        seconds([run.waiting for run in runs]),
        longest,
        f"{peak / MEGABYTE:,.0f} MB ({hungriest})",
        f"{statistics.median(run.s3 for run in runs) / MEGABYTE:,.1f} MB",
        f"{statistics.median(run.database for run in runs) / MEGABYTE:,.2f} MB",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure each size and print the table."""
    data_file()  # fails before anything starts
    packages = ", ".join(f"{name} {version(name)}" for name in ("apache-airflow", "mlflow", "scikit-learn"))
    memory = psutil.virtual_memory().total / 1e9
    print(f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.system()} {platform.machine()}, ", end="")
    print(f"Python {platform.python_version()}, {packages}; medians (and ranges) of {REPEATS} runs\n", flush=True)
    titles = [
        "rows",
        "in all",
        "plain process",
        "ratio",
        *DAG_IDS,
        "between tasks",
        "longest tasks",
        "peak memory of a task",
        "in S3",
        "in the database",
    ]
    with temporary_stack() as stack:
        bench = Bench(stack)
        bench.run(min(SIZES))
        print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}", flush=True)
        for size in SIZES:
            print(row(size, [bench.run(size) for _ in range(REPEATS)]), flush=True)
    print(f"\n{PUBLISHED}")


if __name__ == "__main__":
    try:
        main()
    except (StackError, PipelineError) as error:
        sys.exit(f"Failed. {error}")
