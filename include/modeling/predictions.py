"""Puts what a model predicted beside the truth."""

from __future__ import annotations

import pandas as pd

from include.errors import DataError


def table(predicted: pd.DataFrame, target: pd.DataFrame) -> pd.DataFrame:
    """One row per row of `target` (a single column), with its index and the columns `true` and `predicted`.

    Raises DataError if `predicted` isn't for the same rows: nothing is matched by position.
    """
    if not predicted.index.sort_values().equals(target.index.sort_values()):
        raise DataError(f"{len(predicted)} predictions for {len(target)} rows, or for other ones. Run train again.")
    true, values = target.iloc[:, 0], predicted.iloc[:, 0]
    return pd.DataFrame({"true": true, "predicted": values.reindex(true.index)})
