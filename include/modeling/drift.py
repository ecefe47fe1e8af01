"""Compares the features that a model predicts on with those that it was trained on."""

from __future__ import annotations

import math

import pandas as pd
from scipy.stats import ks_2samp

from include.errors import DataError

SIGNIFICANCE = 0.01  # over all features together: one in a hundred comparisons of equal data raises a false alarm
ROWS = 10_000  # that are compared: with many more, differences too small to matter would be significant


def compare(reference: pd.DataFrame, current: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Run the two-sample Kolmogorov-Smirnov test for each feature of `reference`.

    A gap counts as a value below all others, so that more or fewer gaps are drift, too.

    Args:
        reference: Features of the training data.
        current: The features to compare with them. Of more than `ROWS` rows, a random sample of that many.
        seed: The seed of the sample.

    Returns:
        A table with the index `feature`: `statistic` (the largest distance between the two distribution functions, 0
        to 1), `p_value`, and `drifted`, with the Bonferroni correction for the number of features.
    """
    if len(current) > ROWS:
        current = current.sample(ROWS, random_state=seed)
    rows = {}
    for feature in reference.columns:
        test = ks_2samp(reference[feature].fillna(-math.inf), current[feature].fillna(-math.inf))
        rows[feature] = {"statistic": float(test.statistic), "p_value": float(test.pvalue)}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("feature")
    table["drifted"] = table["p_value"] < SIGNIFICANCE / len(table)
    return table


def raise_if_drifted(drift: pd.DataFrame) -> None:
    """Raise DataError if `compare` found features that have drifted."""
    if drift["drifted"].any():
        names = ", ".join(drift.index[drift["drifted"]])
        raise DataError(
            f"Features have drifted from the training data: {names}. Check their units and where the rows come from, "
            "train again, or set FAIL_ON_DRIFT = False in include/config.py."
        )
