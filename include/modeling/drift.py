"""Compares the features that a model predicts on with those that it was trained on."""

from __future__ import annotations

import math

import pandas as pd
from scipy.stats import fisher_exact, ks_2samp

from include.errors import DataError

SIGNIFICANCE = 0.01  # over all features together: of comparisons of equal data, this share at most raises an alarm
ROWS = 10_000  # that are compared: with many more, differences too small to matter would be significant


def compare(reference: pd.DataFrame, current: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Compare the distribution of each feature of `reference` by the two-sample Kolmogorov-Smirnov test.

    That test is for continuous values. Where a feature has two values, such as one for a label, Fisher's exact test has
    the p-value: it takes far fewer rows to find a difference. A gap counts as a value below all others, so that more or
    fewer gaps are drift, too.

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
    found = {}
    for feature in reference.columns:
        before, now = reference[feature].fillna(-math.inf), current[feature].fillna(-math.inf)
        test = ks_2samp(before, now)
        counts = pd.concat([before.value_counts(), now.value_counts()], axis="columns").fillna(0)
        p_value = fisher_exact(counts).pvalue if len(counts) == 2 else test.pvalue
        found[feature] = {"statistic": float(test.statistic), "p_value": float(p_value)}
    table = pd.DataFrame.from_dict(found, orient="index").rename_axis("feature")
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
