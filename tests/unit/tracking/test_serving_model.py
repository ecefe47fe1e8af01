from __future__ import annotations

import platform
import re
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace

import cloudpickle
import numpy as np
import pandas as pd
import possums
import pytest
from mlflow.exceptions import MlflowException
from possums import ANIMAL
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge

from include.errors import ConfigurationError
from include.modeling.features import engineer, usable_rows
from include.modeling.rows import read_rows
from include.tracking.logged_models import pickled_by_value
from include.tracking.serving_model import check_python, serving_model

SCHEMA = possums.SCHEMA


def fitted(model, *, keep_gaps: bool):
    schema = replace(SCHEMA, keep_gaps=keep_gaps)
    rows = usable_rows(read_rows(possums.FILE, schema), schema)
    features, transformer = engineer(rows, schema)
    model.fit(features.drop(columns="taill"), features["taill"])
    return (serving_model(transformer, model, schema), model.predict(features.drop(columns="taill")), rows)


@pytest.fixture(scope="module")
def ridge():
    model, _, _ = fitted(Ridge(), keep_gaps=False)
    return model


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("model", "keep_gaps"), [(Ridge(), False), (HistGradientBoostingRegressor(max_iter=9), True)])
def test_it_predicts_from_raw_rows_what_the_model_predicts_from_features(model, keep_gaps):
    chained, expected, rows = fitted(model, keep_gaps=keep_gaps)

    assert len(rows) == (104 if keep_gaps else 101)
    assert np.allclose(chained.predict(rows[SCHEMA.inputs]), expected)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"age": None}, "row 1, column age: the value is missing"),
        ({"site": None}, "row 1, column site: the value is missing"),
        ({"age": "old"}, "row 1, column age: 'old' is not a number"),
        ({"site": [3]}, "column site: not numbers or text"),
        ({"Pop": "vic"}, "row 1, column Pop: 'vic' is none of Vic, other"),
        (
            {"age": 31, "sex": "x"},
            "2 errors:\nrow 1, column sex: 'x' is none of f, m. Correct it.\nrow 1, column age: 31.0 is above 30",
        ),
    ],
    ids=str,
)
def test_a_wrong_value_is_named_with_its_row_and_column(change, words, ridge):
    with pytest.raises(MlflowException, match=re.escape(words)) as error:
        ridge.predict(pd.DataFrame([ANIMAL | change]))

    assert error.value.get_http_status_code() == 400


def test_a_label_does_not_depend_on_the_rows_next_to_it(ridge):
    mixed = [ANIMAL | {"site": site} for site in (1, True, 1.0)]

    predicted = ridge.predict(pd.DataFrame(mixed))

    assert predicted[0] == predicted[2] != predicted[1]


@pytest.mark.parametrize("site", ["3", "3.0", " 3", 3.0, np.float32(3)])
def test_a_label_may_be_text_or_a_number(site, ridge):
    assert ridge.predict(pd.DataFrame([ANIMAL | {"site": site}])) == ridge.predict(pd.DataFrame([ANIMAL]))


def test_a_request_without_rows_is_rejected(ridge):
    with pytest.raises(MlflowException, match="there are no rows"):
        ridge.predict(pd.DataFrame([ANIMAL]).head(0))


def test_a_missing_column_is_named(ridge):
    with pytest.raises(MlflowException, match=r"there is no column sex, age\. Add it"):
        ridge.predict(pd.DataFrame([ANIMAL]).drop(columns=["sex", "age"]))


def test_many_wrong_values_are_counted(ridge):
    with pytest.raises(MlflowException, match=r"100 errors:\nrow 1, .*\(99 more rows with this value\)"):
        ridge.predict(pd.DataFrame([ANIMAL | {"age": 99}] * 100))


@pytest.mark.filterwarnings("error")
def test_with_gaps_kept_a_value_may_be_missing_but_not_wrong():
    chained, _, _ = fitted(HistGradientBoostingRegressor(max_iter=9), keep_gaps=True)

    assert chained.predict(pd.DataFrame([ANIMAL | {"age": np.nan, "site": None, "sex": None}])).shape == (1,)
    with pytest.raises(MlflowException, match="column sex: 'x' is none of f, m"):
        chained.predict(pd.DataFrame([ANIMAL | {"sex": "x"}]))


def test_it_loads_without_this_project(ridge, tmp_path):
    with pickled_by_value():
        (tmp_path / "model.pkl").write_bytes(cloudpickle.dumps(ridge))
    program = f"""
import pickle, pandas as pd, sys
model = pickle.load(open("model.pkl", "rb"))
print(model.predict(pd.DataFrame([{ANIMAL}]))[0], [name for name in sys.modules if name.startswith("include")])
"""

    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env={}, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    value, modules = done.stdout.split()
    assert float(value) == pytest.approx(ridge.predict(pd.DataFrame([ANIMAL]))[0])
    assert modules == "[]"


def test_nothing_is_pickled_by_value_afterwards():
    with pickled_by_value():
        assert cloudpickle.list_registry_pickle_by_value()
    assert not cloudpickle.list_registry_pickle_by_value()


@pytest.mark.parametrize(("saved_by", "is_rejected"), [(platform.python_version(), False), ("3.10.9", True)], ids=str)
def test_a_model_that_another_python_saved_is_rejected(saved_by, is_rejected, tmp_path):
    (tmp_path / "python_env.yaml").write_text(f"python: {saved_by}\n")

    with pytest.raises(ConfigurationError, match=r"saved by Python 3\.10\.9") if is_rejected else nullcontext():
        check_python(str(tmp_path))
