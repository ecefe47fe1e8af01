"""Labels are text, wherever they come from."""

from __future__ import annotations

import re

import pandas as pd

from include.schema import WHOLE_NUMBER


def text_labels(values: pd.Series) -> pd.Series:
    """Return labels as text without spaces around it; gaps stay.

    Whole numbers have no decimals: pandas and spreadsheets write 3 as 3.0 where a column has gaps.
    """
    texts = values.astype(object).astype(str)  # first of all: to pandas, True and 1 are the same
    labels = {text: re.sub(rf"^({WHOLE_NUMBER})\.0+$", r"\1", text.strip()) for text in texts.unique()}
    return texts.map(labels).where(values.notna(), None)
