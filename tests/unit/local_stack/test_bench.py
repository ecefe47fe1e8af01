"""The arithmetic of `make bench`, by hand."""

from __future__ import annotations

import runpy
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

bench = pytest.importorskip("include.local_stack.bench", reason="needs the stack without Docker")

TRIGGERED = datetime(2026, 1, 1, tzinfo=UTC)
# Two tasks at a time in the first DAG, and a second between any two DAGs.
TASKS = {
    "feature_eng.extract_data": (1, 3),
    "feature_eng.create_buckets_if_not_exists": (2.5, 4),
    "train.train_model": (5, 9),
    "predict.run_prediction": (10, 13),
}
SLOWER = TASKS | {"predict.run_prediction": (10, 15), "predict.plot_predictions": (12, 15)}
MEMORY = {"train.train_model": 1_500_000_000, "predict.run_prediction": 700_000_000}
TABLES = """\
|                      |   median |   min |   max |
|:---------------------|---------:|------:|------:|
| in all (s)           |    14.00 | 13.00 | 15.00 |
| plain process (s)    |     7.00 |  6.50 |  7.50 |
| feature_eng (s)      |     4.00 |  4.00 |  4.00 |
| train (s)            |     5.00 |  5.00 |  5.00 |
| predict (s)          |     5.00 |  4.00 |  6.00 |
| between tasks (s)    |     3.00 |  3.00 |  3.00 |
| ratio                |     2.00 |  2.00 |  2.00 |
| in S3 (MB)           |    47.50 | 47.00 | 48.00 |
| in the database (MB) |     0.13 |  0.12 |  0.14 |

|                                          |   seconds |   peak memory (MB) |
|:-----------------------------------------|----------:|-------------------:|
| predict.run_prediction                   |      4.00 |             700.00 |
| train.train_model                        |      4.00 |            1500.00 |
| predict.plot_predictions                 |      3.00 |             nan    |
| feature_eng.extract_data                 |      2.00 |             nan    |
| feature_eng.create_buckets_if_not_exists |      1.50 |             nan    |"""


def listed(task: str, start: float, end: float) -> dict:
    """A task as Airflow's REST API lists it: without the fraction of a second where it is zero."""
    dag_id, task_id = task.split(".")
    dates = [(TRIGGERED + timedelta(seconds=seconds)).isoformat() for seconds in (start, end)]
    return {"dag_id": dag_id, "task_id": task_id, "state": "success", "start_date": dates[0], "end_date": dates[1]}


def measured(tasks: dict, plain: float, s3: float, database: float):
    """A run with these tasks, and one more that it has skipped."""
    skipped = {"dag_id": "train", "task_id": "report", "state": "skipped", "start_date": None, "end_date": None}
    stored = pd.Series({"in S3 (MB)": s3, "in the database (MB)": database})
    ran = [skipped, *(listed(task, *span) for task, span in tasks.items())]
    return bench.measured(ran, TRIGGERED, MEMORY, plain, stored)


def test_the_tables_have_medians_and_ranges():
    runs = [measured(TASKS, 6.5, 47, 0.12), measured(SLOWER, 7.5, 48, 0.14)]

    assert bench.tables(runs) == TABLES


def test_of_a_mapped_task_the_longest_instance_counts():
    instances = [listed(task, *span) for task, span in TASKS.items()] + [listed("train.train_model", 5, 8)]

    run = bench.measured(instances, TRIGGERED, MEMORY, 1, pd.Series())

    assert run.tasks["seconds"]["train.train_model"] == 4


@pytest.mark.parametrize("rows", [10, 1000])
def test_any_number_of_rows_is_drawn_each_with_a_number_of_its_own(rows):
    drawn = bench.resampled(rows)

    assert drawn["case"].tolist() == list(range(1, rows + 1))
    assert drawn["totlngth"].nunique() > 5


def test_a_parquet_file_is_read_as_well(monkeypatch, tmp_path):
    pd.DataFrame({"totlngth": [89.0]}).to_parquet(tmp_path / "rows.parquet")
    monkeypatch.setattr(bench.config, "INCLUDE", tmp_path)
    monkeypatch.setattr(bench.config, "DATA_FILE", "rows.parquet")

    assert bench.resampled(3)["totlngth"].tolist() == [89.0] * 3


def test_a_file_elsewhere_is_an_error_with_the_cure_before_anything_starts(monkeypatch):
    monkeypatch.setattr(bench.config, "DATA_FILE", "s3://lab/possum.csv")

    with pytest.raises(SystemExit) as ended:
        runpy.run_path(bench.__file__, run_name="__main__")

    assert str(ended.value) == (
        "Failed. make bench needs a file in include/, and DATA_FILE in include/config.py is 's3://lab/possum.csv'. Put "
        "the data there and set DATA_FILE to the name of the file."
    )
