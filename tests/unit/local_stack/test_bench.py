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


def listed(task: str, start: float, end: float) -> dict:
    """A task as Airflow's REST API lists it: without the fraction of a second where it is zero."""
    dag_id, task_id = task.split(".")
    dates = [(TRIGGERED + timedelta(seconds=seconds)).isoformat() for seconds in (start, end)]
    return {"dag_id": dag_id, "task_id": task_id, "state": "success", "start_date": dates[0], "end_date": dates[1]}


def measured(tasks: dict, plain: float, s3: float, database: float, memory: dict = MEMORY):
    """A run with these tasks, and one more that it has skipped."""
    skipped = {"dag_id": "train", "task_id": "report", "state": "skipped", "start_date": None, "end_date": None}
    figures = {"plain process": plain, "in S3": s3, "in the database": database}
    return bench.measured([skipped, *(listed(task, *span) for task, span in tasks.items())], TRIGGERED, memory, figures)


def test_a_line_of_the_table_has_medians_and_ranges():
    first = measured(TASKS, 6.5, 47_000_000, 120_000)
    second = measured(SLOWER, 7.5, 48_000_000, 140_000)

    assert list(bench.row(1_000_000, [first, second]).items()) == [
        ("rows", "1,000,000"),
        ("in all", "**14.0 s (13.0 to 15.0)**"),
        ("plain process", "7.0 s (6.5 to 7.5)"),
        ("ratio", "2.0"),
        ("feature_eng", "4.0 s (4.0 to 4.0)"),
        ("train", "5.0 s (5.0 to 5.0)"),
        ("predict", "5.0 s (4.0 to 6.0)"),
        ("between tasks", "3.0 s (3.0 to 3.0)"),
        (
            "longest tasks",
            "predict.run_prediction 4.0 s, train.train_model 4.0 s, predict.plot_predictions 3.0 s, "
            "feature_eng.extract_data 2.0 s",
        ),
        ("peak memory of a task", "1,500 MB (train.train_model)"),
        ("in S3", "47.5 MB"),
        ("in the database", "0.13 MB"),
    ]


def test_the_peak_may_be_that_of_a_short_task():
    memory = MEMORY | {"feature_eng.create_buckets_if_not_exists": 2_000_000_000}

    row = bench.row(104, [measured(SLOWER, 3.0, 0, 0, memory)])

    assert row["peak memory of a task"] == "2,000 MB (feature_eng.create_buckets_if_not_exists)"


def test_of_a_mapped_task_the_longest_instance_counts():
    instances = [listed(task, *span) for task, span in TASKS.items()] + [listed("train.train_model", 5, 8)]

    assert bench.measured(instances, TRIGGERED, MEMORY, {}).tasks["seconds"]["train.train_model"] == 4


def test_the_figure_of_a_single_run_has_no_range():
    assert bench.median_and_range(pd.Series([1.26])) == "1.3 s"


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
