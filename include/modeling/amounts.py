"""Numbers in words: with their unit, in the digits that mean something."""

from __future__ import annotations

import math
from collections.abc import Mapping

MANY = 0.2  # of the rows: to leave out more is a warning


def amount(value: float, unit: str = "") -> str:
    """Return `value unit`: three significant digits, and thousands to the whole number."""
    digits = f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:#.3g}".rstrip(".")
    return f"{digits} {unit}".rstrip()


def with_spread(mean: float, spread: float, unit: str = "") -> str:
    """Return `mean ± spread unit`: one significant digit of the spread, and no digit that it makes meaningless."""
    decimals = 3
    if math.isfinite(spread) and spread > 0:
        one_digit = float(f"{spread:.0e}")  # 0.097 becomes 0.1
        decimals = max(0, -math.floor(math.log10(one_digit)))
    return f"{mean:,.{decimals}f} ± {spread:,.{decimals}f} {unit}".rstrip()


def are_many(left_out: int, rows: int) -> bool:
    """Return whether too many of the rows are left out to pass over it."""
    return left_out > MANY * rows


def rows_used(params: Mapping[str, str], row: str) -> str:
    """Return `101 animals from possum.csv (3 more have gaps and are left out)`, from the params of a feature run."""
    left_out, with_gaps = int(params["rows_left_out"]), int(params.get("rows_with_gaps", 0))
    notes = [f"{with_gaps:,} of them have gaps"] if with_gaps else []
    if left_out:
        why = "" if with_gaps else "have gaps and "
        notes.append(f"{left_out:,} more {why}are left out")
    about_gaps = f" ({'; '.join(notes)})" if notes else ""
    return f"{int(params['rows']):,} {row}s from {params['data_file']}{about_gaps}"
