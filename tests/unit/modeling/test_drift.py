from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from include.errors import DataError
from include.modeling import drift
from include.modeling.drift import raise_if_drifted


def compare(reference: pd.DataFrame, current: pd.DataFrame) -> pd.DataFrame:
    return drift.compare(reference, current, seed=1)


def test_the_statistic_is_the_largest_distance():
    # at 2 the reference has passed half of its values, the current ones none: nowhere are they further apart
    table = compare(pd.DataFrame({"a": [1, 2, 3, 4]}), pd.DataFrame({"a": [3, 4, 5, 6]}))

    assert table.index.name == "feature"
    assert table.loc["a", "statistic"] == pytest.approx(0.5)
    assert not table.loc["a", "drifted"]


def test_the_same_data_has_not_drifted():
    frame = pd.DataFrame({"a": [1.0, 2.0, 2.0], "b": [0.0, 1.0, 1.0]})

    table = compare(frame, frame.sample(frac=1, random_state=1))

    assert table["statistic"].tolist() == [0, 0]
    assert table["p_value"].tolist() == [1, 1]
    assert not table["drifted"].any()


def test_more_features_need_a_clearer_difference():
    # five values all below five others: 2 of the 252 ways to choose five of ten are as extreme, so p is 2 / 252
    below, above = [1, 2, 3, 4, 5], [6, 7, 8, 9, 10]

    alone = compare(pd.DataFrame({"a": below}), pd.DataFrame({"a": above}))
    together = compare(pd.DataFrame({"a": below, "b": below}), pd.DataFrame({"a": above, "b": below}))

    assert alone.loc["a", "p_value"] == pytest.approx(2 / 252)
    assert alone.loc["a", "drifted"]
    assert not together.loc["a", "drifted"]


def test_only_the_features_that_have_moved_are_found():
    random = np.random.default_rng(3)
    reference, current = (pd.DataFrame(random.normal(size=(n, 3)), columns=list("abc")) for n in (400, 300))

    table = compare(reference, current.assign(b=current["b"] + 1, c=current["c"] * 3))

    assert table["drifted"].to_dict() == {"a": False, "b": True, "c": True}


def test_labels_need_no_more_rows_than_numbers():
    reference = pd.DataFrame({"site_1": [0] * 60 + [1] * 40})

    assert compare(reference, pd.DataFrame({"site_1": [1] * 15})).loc["site_1", "drifted"]
    assert not compare(reference, pd.DataFrame({"site_1": [0, 1] * 10})).loc["site_1", "drifted"]


def test_features_are_matched_by_name():
    reference = pd.DataFrame({"a": range(50), "b": range(100, 150)})

    assert not compare(reference, reference[["b", "a"]].assign(new=0))["drifted"].any()


def test_drifted_features_are_named_in_the_error():
    reference = pd.DataFrame({"a": range(50), "b": range(50), "c": range(50)})

    raise_if_drifted(compare(reference, reference))
    with pytest.raises(DataError, match=r"training data: a, c\. Check their units"):
        raise_if_drifted(compare(reference, reference.assign(a=999, c=-1)))


def test_more_gaps_are_drift():
    reference = pd.DataFrame({"a": range(100), "b": range(100)}).astype(float)
    current = reference.assign(b=reference["b"].where(reference["b"] % 2 == 0))

    table = compare(reference, current)

    assert table["statistic"].to_dict() == {"a": 0, "b": 0.5}
    assert table["drifted"].to_dict() == {"a": False, "b": True}


def test_a_feature_that_is_all_gaps_has_drifted():
    reference = pd.DataFrame({"a": range(100)}).astype(float)

    assert compare(reference, reference.assign(a=np.nan)).loc["a", "drifted"]


def test_of_many_rows_a_sample_is_compared():
    many = pd.DataFrame({"a": np.random.default_rng(1).normal(size=30_000)})

    table = compare(many.head(50), many)

    of_the_sample = ks_2samp(many["a"].head(50), many["a"].sample(drift.ROWS, random_state=1))
    assert table.loc["a", "statistic"] == of_the_sample.statistic
    assert table.loc["a", "p_value"] == of_the_sample.pvalue
