"""Compares the features that a model predicts on with those that it was trained on."""

from __future__ import annotations

import math

import pandas as pd
from scipy.stats import ks_2samp

SIGNIFICANCE = 0.01  # over all features together: one in a hundred comparisons of equal data raises a false alarm


def compare(reference: pd.DataFrame, current: pd.DataFrame) -> pd.DataFrame:
    """Run the two-sample Kolmogorov-Smirnov test for each feature of `reference`.

    A gap counts as a value below all others, so that more or fewer gaps are drift, too.

    Returns:
        A table with the index `feature`: `statistic` (the largest distance between the two distribution functions, 0
        to 1), `p_value`, and `drifted`, with the Bonferroni correction for the number of features.
    """
    rows = {}
    for feature in reference.columns:
        test = ks_2samp(reference[feature].fillna(-math.inf), current[feature].fillna(-math.inf))
        rows[feature] = {"statistic": float(test.statistic), "p_value": float(test.pvalue)}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("feature")
    table["drifted"] = table["p_value"] < SIGNIFICANCE / len(table)
    return table
