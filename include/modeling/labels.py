"""Labels are text, wherever they come from."""

from __future__ import annotations

import re

import pandas as pd

from include.schema import WHOLE_NUMBER


def text_labels(values: pd.Series) -> pd.Series:
    """Return labels as text without spaces around it; gaps stay.

    Whole numbers have no decimals: pandas and spreadsheets write 3 as 3.0 where a column has gaps.
    """
    labels = values.astype(object)
    texts = labels[values.notna()].astype(str)  # first of all: to pandas, True and 1 are the same
    short = {text: re.sub(rf"^({WHOLE_NUMBER})\.0+$", r"\1", text.strip()) for text in texts.unique()}
    labels[values.notna()] = texts.map(short)
    return labels
