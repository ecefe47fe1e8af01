"""What a column of the input may hold: `include.config` says it, `include.modeling.reading` checks it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Numeric:
    """A column of finite numbers from `low` to `high`, both included."""

    low: float = float("-inf")
    high: float = float("inf")


@dataclass(frozen=True)
class Categorical:
    """A column of labels. With `values` only those may stand in it."""

    values: tuple[str, ...] = ()


Column = Numeric | Categorical
