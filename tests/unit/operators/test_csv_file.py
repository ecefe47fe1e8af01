from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from astro.dataframes.pandas import PandasDataframe

from include.operators.csv_file import CSVFile

FRAMES = {
    "numbers": pd.DataFrame({"case": [1, 2, 3], "true": [36.0, 0.1 + 0.2, 1e-7], "predicted": [1 / 3, -1e300, 2**53]}),
    "gaps": pd.DataFrame({"a": [1.0, None, 3.0], "b": pd.array([1, None, 3], dtype="Int64"), "c": ["x", None, "z"]}),
    "labels": pd.DataFrame({"a": ["Lake, North", 'the "old" one', "two\nlines", "Höhe", " spaces ", "{{ 1 }}"]}),
    "truth values": pd.DataFrame({"a": [True, False]}),
    "odd names": pd.DataFrame([[1.0, 2.0, 3.0]], columns=["a, b", 'the "c"', "site_{{ 1 }}"]),
    "an index of its own": pd.DataFrame({"a": [1.5, 2.5]}, index=pd.Index([7, 9], name="case")),
    "no rows": pd.DataFrame({"a": pd.Series(dtype=float), "b": pd.Series(dtype=float)}),
    "random": pd.DataFrame(np.random.default_rng(1).normal(size=(1000, 5))).add_prefix("x"),
    "as the SDK hands it over": PandasDataframe({"a": [1.0, 2.0]}),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_it_reads_back_as_if_pandas_had_written_it(frame, tmp_path):
    path = tmp_path / "frame.csv"

    CSVFile(str(path)).create_from_dataframe(frame)

    by_pandas = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    pd.testing.assert_frame_equal(pd.read_csv(path), by_pandas, check_exact=True, check_dtype=False)


def test_plain_to_read(tmp_path):
    path = tmp_path / "possum_tail_length.csv"

    CSVFile(str(path)).create_from_dataframe(pd.DataFrame({"case": [1, 2], "true": [36.0, 36.5], "sex": ["f", None]}))

    assert path.read_text() == '"case","true","sex"\n1,36,"f"\n2,36.5,\n'


def test_what_was_there_is_replaced(tmp_path):
    path = tmp_path / "frame.csv"
    path.write_text("old\n" * 100)

    CSVFile(str(path)).create_from_dataframe(pd.DataFrame({"a": [1]}))

    assert path.read_text() == '"a"\n1\n'
