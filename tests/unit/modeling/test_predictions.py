from __future__ import annotations

import pandas as pd
import pytest

from include.errors import DataError
from include.modeling.predictions import table


@pytest.fixture
def target() -> pd.DataFrame:
    return pd.DataFrame({"taill": [36.0, 37.0, 38.0]}, index=pd.Index([3, 7, 5], name="case"))


def test_predictions_find_their_animals(target):
    predicted = pd.DataFrame({"prediction": [50.0, 70.0, 30.0]}, index=pd.Index([5, 7, 3], name="case"))

    expected = pd.DataFrame({"true": [36.0, 37.0, 38.0], "predicted": [30.0, 70.0, 50.0]}, index=target.index)
    pd.testing.assert_frame_equal(table(predicted, target), expected)


def test_text_as_row_numbers(target):
    target.index = pd.Index(["c", "a", "b"], name="case")
    predicted = pd.DataFrame({"prediction": [1.0, 2.0, 3.0]}, index=["a", "b", "c"])

    assert table(predicted, target)["predicted"].to_dict() == {"c": 3.0, "a": 1.0, "b": 2.0}


@pytest.mark.parametrize("index", [[3, 7], [3, 7, 5, 8], [3, 7, 6], [3, 7, 7]], ids=["less", "more", "other", "twice"])
def test_predictions_for_other_animals_are_refused(index, target):
    predicted = pd.DataFrame({"prediction": [1.0] * len(index)}, index=index)

    with pytest.raises(DataError, match=f"{len(index)} predictions for 3 rows.*Run train again"):
        table(predicted, target)
