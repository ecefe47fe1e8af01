"""The arithmetic of `make bench`, by hand."""

from __future__ import annotations

import runpy

import pandas as pd
import pytest

bench = pytest.importorskip("include.local_stack.bench", reason="needs the stack without Docker")

# Triggered at 100: two tasks at a time in the first DAG, and a second between any two DAGs.
INTERVALS = {
    "feature_eng.extract_data": (101.0, 103.0),
    "feature_eng.create_buckets_if_not_exists[0]": (102.5, 104.0),
    "train.train_model": (105.0, 109.0),
    "predict.run_prediction": (110.0, 113.0),
}
SLOWER = INTERVALS | {"predict.run_prediction": (110.0, 115.0), "predict.plot_predictions": (112.0, 115.0)}


def test_a_line_of_the_table_has_medians_and_ranges():
    memory = {"train.train_model": 1_500_000_000, "predict.run_prediction": 700_000_000}
    first = bench.measured(100.0, 6.5, INTERVALS, memory, s3=47_000_000, database=120_000)
    second = bench.measured(100.0, 7.5, SLOWER, memory, s3=48_000_000, database=140_000)

    assert bench.row(1_000_000, [first, second]) == (
        "| 1,000,000 | **14.0 s (13.0 to 15.0)** | 7.0 s (6.5 to 7.5) | 2.0 "
        "| 4.0 s (4.0 to 4.0) | 5.0 s (5.0 to 5.0) | 5.0 s (4.0 to 6.0) | 3.0 s (3.0 to 3.0) "
        "| predict.run_prediction 4.0 s, train.train_model 4.0 s, predict.plot_predictions 3.0 s, "
        "feature_eng.extract_data 2.0 s | 1,500 MB (train.train_model) | 47.5 MB | 0.13 MB |"
    )


def test_the_figure_of_a_single_run_has_no_range():
    assert bench.seconds([1.26]) == "1.3 s"


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
