"""Labels are text, wherever they come from."""

from __future__ import annotations

import pandas as pd

from include.schema import WHOLE_NUMBER


def text_labels(values: pd.Series) -> pd.Series:
    """Return labels as text without spaces around it; gaps stay.

    Whole numbers have no decimals: pandas and spreadsheets write 3 as 3.0 where a column has gaps.
    """
    labels = pd.Series(values.dropna().unique(), dtype=object)
    texts = labels.astype(str).str.strip().str.replace(rf"^({WHOLE_NUMBER})\.0+$", r"\1", regex=True)
    return values.astype(object).map(dict(zip(labels, texts, strict=True))).astype(object)
