"""The arithmetic of `make bench`, by hand."""

from __future__ import annotations

import pytest

bench = pytest.importorskip("include.local_stack.bench", reason="needs the stack without Docker")

# Triggered at 100: two tasks at a time in the first DAG, and a second between any two DAGs.
INTERVALS = {
    "feature_eng.extract_data": (101.0, 103.0),
    "feature_eng.create_buckets_if_not_exists[0]": (102.5, 104.0),
    "train.train_model": (105.0, 109.0),
    "predict.run_prediction": (110.0, 113.0),
}


def test_what_a_pipeline_run_has_cost():
    run = bench.measured(100.0, 6.5, INTERVALS, {"train.train_model": 5_000_000}, s3=300, database=200)

    assert run.dags == {"feature_eng": 4, "train": 5, "predict": 4}
    assert (run.total, run.plain) == (13, 6.5)
    assert run.waiting == 3  # from 100 to 101, 104 to 105, 109 to 110
    assert run.tasks["train.train_model"] == 4
    assert (run.memory, run.s3, run.database) == ({"train.train_model": 5_000_000}, 300, 200)


def test_medians_are_taken_where_there_is_a_value_and_the_largest_comes_first():
    assert bench.medians([{"a": 1, "b": 9}, {"a": 3}, {"a": 2}]) == [("b", 9), ("a", 2)]


@pytest.mark.parametrize(
    ("values", "text"), [([1.26], "1.3 s"), ([3.0, 1.0, 2.0], "2.0 s (1.0 to 3.0)")], ids=["one", "some"]
)
def test_seconds(values, text):
    assert bench.seconds(values) == text


def test_a_line_of_the_table():
    memory = {"train.train_model": 1_500_000_000, "predict.run_prediction": 700_000_000}
    run = bench.measured(100.0, 6.5, INTERVALS, memory, s3=47_500_000, database=130_000)

    cells = [cell.strip() for cell in bench.row(1_000_000, [run]).strip("|").split("|")]

    assert cells == [
        "1,000,000",
        "**13.0 s**",
        "6.5 s",
        "2.0",
        "4.0 s",
        "5.0 s",
        "4.0 s",
        "3.0 s",
        "train.train_model 4.0 s, predict.run_prediction 3.0 s, feature_eng.extract_data 2.0 s, "
        "feature_eng.create_buckets_if_not_exists[0] 1.5 s",
        "1,500 MB (train.train_model)",
        "47.5 MB",
        "0.13 MB",
    ]


@pytest.mark.parametrize("rows", [10, 1000])
def test_any_number_of_rows_is_drawn_each_with_a_number_of_its_own(rows):
    drawn = bench.resampled(rows)

    assert drawn["case"].tolist() == list(range(1, rows + 1))
    assert drawn["totlngth"].nunique() > 5
