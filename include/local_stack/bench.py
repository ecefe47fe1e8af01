"""`make bench`: what a run of the pipeline costs as the rows grow. Prints tables in Markdown.

Runs on a stack of its own, warmed up by a run that isn't counted. SIZES are numbers of rows, REPEATS the runs of each.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pandas as pd
import psutil
import psycopg2

from include import config
from include.local_stack.install import ROOT
from include.local_stack.pipeline import Pipeline, PipelineError
from include.local_stack.services import StackError, no_proxy
from include.local_stack.stack import Stack, free_ports
from include.orchestration import DAG_IDS

SIZES = [int(size) for size in os.environ.get("SIZES", "104 100000 1000000").split()]
REPEATS = int(os.environ.get("REPEATS", "3"))
SEED = 1
MEGABYTE = 1e6


class Run(NamedTuple):
    """One pipeline run: its figures by name, and the seconds and the peak memory of each task."""

    figures: dict[str, float]
    tasks: pd.DataFrame


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


def run(stack: Stack, rows: int) -> Run:
    """Run the pipeline once on this number of rows, and the plain process before it."""
    pipeline = Pipeline(stack.url("airflow"))
    file = config.INCLUDE / f"bench-{rows}.csv"
    resampled(rows).to_csv(file, index=False)
    before = sizes(stack)
    memory = Memory(stack.process("scheduler"))
    memory.start()
    try:
        plain = plain_seconds(stack, file)
        triggered = datetime.now(UTC)
        tasks = pipeline.finish(pipeline.trigger(data_file=file.name))
    finally:
        memory.over.set()
        memory.join()
        file.unlink()
    return measured(tasks, triggered, memory.peaks, plain, sizes(stack) - before)


def sizes(stack: Stack) -> pd.Series:
    """Return the megabytes in the S3 store and in the metadata database."""
    client = stack.s3()
    pages = client.get_paginator("list_objects_v2")
    stored = sum(
        item["Size"]
        for bucket in client.list_buckets()["Buckets"]
        for page in pages.paginate(Bucket=bucket["Name"])
        for item in page.get("Contents", ())
    )
    with psycopg2.connect(stack.database()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return pd.Series({"in S3 (MB)": stored, "in the database (MB)": cursor.fetchone()[0]}) / MEGABYTE


def resampled(rows: int) -> pd.DataFrame:
    """Return rows drawn from the data file with replacement, each with a number of its own."""
    file = config.INCLUDE / config.DATA_FILE
    read = pd.read_parquet if file.suffix == ".parquet" else pd.read_csv
    animals = read(file).sample(rows, replace=True, random_state=SEED)
    return animals.assign(**{config.ROW_NUMBER: range(1, rows + 1)}) if config.ROW_NUMBER else animals


def plain_seconds(stack: Stack, file: Path) -> float:
    """Return how long one plain process takes for the same work on a data file, with the same settings."""
    command = [sys.executable, "-m", "include.local_stack.plain", str(file)]
    started = time.monotonic()
    subprocess.run(command, cwd=ROOT, env=stack.environment(), check=True, capture_output=True)
    return time.monotonic() - started


def measured(
    tasks: list[dict[str, Any]], triggered: datetime, memory: dict[str, int], plain: float, stored: pd.Series
) -> Run:
    """Return the figures of a run. `tasks` are as Airflow lists them, `memory` has their peaks in bytes."""
    ran = pd.DataFrame(tasks).query("state == 'success'").dropna(subset="start_date")
    dates = ran[["start_date", "end_date"]].apply(pd.to_datetime, format="ISO8601")
    ran[["start", "end"]] = (dates - triggered) / pd.Timedelta(seconds=1)
    ran = ran.sort_values("start")
    busy_until = ran["end"].cummax().shift(fill_value=0)
    idle = (ran["start"] - busy_until).clip(lower=0)
    ends = ran.groupby("dag_id")["end"].max()[[*DAG_IDS]]
    dags = ends - ends.shift(fill_value=0)  # a DAG begins where the one before it ends
    seconds = {"in all": ends.max(), "plain process": plain, **dags, "between tasks": idle.sum()}
    task_names = ran["dag_id"] + "." + ran["task_id"]
    longest = (ran["end"] - ran["start"]).groupby(task_names).max()  # the longest instance of a mapped task
    return Run(
        {f"{name} (s)": value for name, value in seconds.items()} | {"ratio": ends.max() / plain, **stored},
        pd.DataFrame({"seconds": longest, "peak memory (MB)": pd.Series(memory) / MEGABYTE}),
    )


def tables(runs: list[Run]) -> str:
    """Return the median and the range of each figure, and the medians of each task, as tables in Markdown."""
    figures = pd.DataFrame([run.figures for run in runs]).agg(["median", "min", "max"]).T
    tasks = pd.concat([run.tasks for run in runs]).groupby(level=0).median().sort_values("seconds", ascending=False)
    return "\n\n".join(table.to_markdown(floatfmt=".2f") for table in (figures, tasks))


def main() -> None:
    """Measure each size and print its tables."""
    if not (config.INCLUDE / config.DATA_FILE).is_file():
        raise StackError(
            f"make bench needs a file in include/, and DATA_FILE in include/config.py is {config.DATA_FILE!r}. Put the "
            "data there and set DATA_FILE to the name of the file."
        )
    packages = ", ".join(f"{name} {version(name)}" for name in ("apache-airflow", "mlflow", "scikit-learn"))
    memory = psutil.virtual_memory().total / 1e9
    print(f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.system()} {platform.machine()}, ", end="")
    print(f"Python {platform.python_version()}, {packages}; medians (and ranges) of {REPEATS} runs", flush=True)
    os.environ["no_proxy"] = no_proxy()
    with temporary_stack() as stack:
        stack.start()
        run(stack, min(SIZES))  # warms up
        for rows in SIZES:
            print(f"\n## {rows:,} rows\n\n{tables([run(stack, rows) for _ in range(REPEATS)])}", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Terminated."))  # after the services are stopped
    try:
        main()
    except (StackError, PipelineError) as error:
        sys.exit(f"Failed. {error}")
