"""`make bench`: what a run of the pipeline costs as the rows grow. Prints a table in Markdown, for docs/performance.md.

Runs on a stack of its own, warmed up by a run that isn't counted. SIZES are numbers of rows, REPEATS the runs of each.
"""

from __future__ import annotations

import contextlib
import os
import platform
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
from include.local_stack.services import StackError
from include.local_stack.stack import Stack, free_ports
from include.orchestration import DAG_IDS

SIZES = [int(size) for size in os.environ.get("SIZES", "104 100000 1000000").split()]
REPEATS = int(os.environ.get("REPEATS", "3"))
SEED = 1
MEGABYTE = 1e6
PUBLISHED = (
    "The published example took 98 s at 104 rows and 117 s at 100,000 on a machine like that of docs/performance.md "
    "(November 2026); at 1,000,000 rows it fails."
)


class Run(NamedTuple):
    """One pipeline run: seconds and bytes by the table's columns, and the `seconds` and peak `memory` of each task."""

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
    """Run the pipeline once on this number of rows."""
    pipeline = Pipeline(stack.url("airflow"))
    file = config.INCLUDE / f"bench-{rows}.csv"
    resampled(rows).to_csv(file, index=False)
    before = sizes(stack)
    memory = Memory(stack.process("scheduler"))
    memory.start()
    try:
        plain = plain_seconds(file)
        triggered = datetime.now(UTC)
        tasks = pipeline.finish(pipeline.trigger(data_file=file.name))
    finally:
        memory.over.set()
        memory.join()
        file.unlink()
    figures = {"plain process": plain, **(sizes(stack) - before)}
    return measured(tasks, triggered, memory.peaks, figures)


def sizes(stack: Stack) -> pd.Series:
    """Return the number of bytes in the S3 store and in the metadata database."""
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
        return pd.Series({"in S3": stored, "in the database": cursor.fetchone()[0]})


def resampled(rows: int) -> pd.DataFrame:
    """Return rows drawn from the data file with replacement, each with a number of its own."""
    file = config.INCLUDE / config.DATA_FILE
    read = pd.read_parquet if file.suffix == ".parquet" else pd.read_csv
    animals = read(file).sample(rows, replace=True, random_state=SEED)
    return animals.assign(**{config.ROW_NUMBER: range(1, rows + 1)}) if config.ROW_NUMBER else animals


def plain_seconds(file: Path) -> float:
    """Return how long one plain process takes for the same work on a data file."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "include.local_stack.plain", file], cwd=ROOT, check=True, capture_output=True)
    return time.monotonic() - started


def measured(
    tasks: list[dict[str, Any]], triggered: datetime, memory: dict[str, int], figures: dict[str, float]
) -> Run:
    """Add the seconds to the other figures of a run. `tasks` are as Airflow lists them, `memory` has their peaks."""
    ran = pd.DataFrame(tasks).query("state == 'success'").dropna(subset="start_date")
    dates = ran[["start_date", "end_date"]].apply(pd.to_datetime, format="ISO8601")
    ran[["start", "end"]] = (dates - triggered) / pd.Timedelta(seconds=1)
    ran = ran.sort_values("start")
    busy_until = ran["end"].cummax().shift(fill_value=0)
    idle = (ran["start"] - busy_until).clip(lower=0)
    ends = ran.groupby("dag_id")["end"].max()[[*DAG_IDS]]
    dags = ends - ends.shift(fill_value=0)  # a DAG begins where the one before it ends
    task_names = ran["dag_id"] + "." + ran["task_id"]
    seconds = (ran["end"] - ran["start"]).groupby(task_names).max()  # the longest instance of a mapped task
    return Run(
        {"in all": ends.max(), **dags, "between tasks": idle.sum(), **figures},
        pd.DataFrame({"seconds": seconds, "memory": pd.Series(memory)}),
    )


def median_and_range(seconds: pd.Series) -> str:
    """Return the median, and the range where there are several values."""
    median = f"{seconds.median():.1f} s"
    return f"{median} ({seconds.min():.1f} to {seconds.max():.1f})" if len(seconds) > 1 else median


def row(rows: int, runs: list[Run]) -> dict[str, str]:
    """Return a line of the table, by the titles of its columns."""
    figures = pd.DataFrame([run.figures for run in runs])
    tasks = pd.concat([run.tasks for run in runs]).groupby(level=0).median()
    ratio = figures["in all"] / figures["plain process"]
    longest = tasks["seconds"].nlargest(4)
    return {
        "rows": f"{rows:,}",
        "in all": f"**{median_and_range(figures['in all'])}**",
        "plain process": median_and_range(figures["plain process"]),
        "ratio": f"{ratio.median():.1f}",
        **{dag: median_and_range(figures[dag]) for dag in DAG_IDS},
        "between tasks": median_and_range(figures["between tasks"]),
        "longest tasks": ", ".join(f"{task} {seconds:.1f} s" for task, seconds in longest.items()),
        "peak memory of a task": f"{tasks['memory'].max() / MEGABYTE:,.0f} MB ({tasks['memory'].idxmax()})",
        "in S3": f"{figures['in S3'].median() / MEGABYTE:,.1f} MB",
        "in the database": f"{figures['in the database'].median() / MEGABYTE:,.2f} MB",
    }


def main() -> None:
    """Measure each size and print the table."""
    if not (config.INCLUDE / config.DATA_FILE).is_file():
        raise StackError(
            f"make bench needs a file in include/, and DATA_FILE in include/config.py is {config.DATA_FILE!r}. Put the "
            "data there and set DATA_FILE to the name of the file."
        )
    packages = ", ".join(f"{name} {version(name)}" for name in ("apache-airflow", "mlflow", "scikit-learn"))
    memory = psutil.virtual_memory().total / 1e9
    print(f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.system()} {platform.machine()}, ", end="")
    print(f"Python {platform.python_version()}, {packages}; medians (and ranges) of {REPEATS} runs\n", flush=True)
    with temporary_stack() as stack:
        stack.start()
        titles = row(min(SIZES), [run(stack, min(SIZES))])  # warms up; its figures aren't shown
        print("|", " | ".join(titles), "|")
        print(f"|{'---|' * len(titles)}", flush=True)
        for size in SIZES:
            cells = row(size, [run(stack, size) for _ in range(REPEATS)])
            print("|", " | ".join(cells.values()), "|", flush=True)
    print(f"\n{PUBLISHED}")


if __name__ == "__main__":
    try:
        main()
    except (StackError, PipelineError) as error:
        sys.exit(f"Failed. {error}")
