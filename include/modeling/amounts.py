"""Numbers with their unit, in the digits that mean something."""

from __future__ import annotations

import math


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
