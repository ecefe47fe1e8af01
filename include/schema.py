"""What a data set looks like: its columns, what is predicted, and the words for both. `include.config` fills it in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Numeric:
    """A column of finite numbers from `low` to `high`, both included."""

    low: float = float("-inf")
    high: float = float("inf")


@dataclass(frozen=True)
class Categorical:
    """A column of labels. With `values`, only those are allowed."""

    values: tuple[str, ...] = ()


Column = Numeric | Categorical


@dataclass(frozen=True)
class Schema:
    """The rows of a data set.

    Attributes:
        columns: The columns to use by name, the target among them.
        target: The numeric column to predict.
        target_label: The target in words, such as "tail length".
        target_unit: The target's unit, such as "cm".
        row: What a row is, in the singular, such as "animal".
        row_number: The column that identifies a row and is not a feature; None if there is none.
        max_categories: How many labels a column may have: each becomes a feature.
    """

    columns: Mapping[str, Column]
    target: str
    target_label: str
    target_unit: str
    row: str = "row"
    row_number: str | None = None
    max_categories: int = 100

    @property
    def categorical(self) -> list[str]:
        """The columns of labels."""
        return [name for name, column in self.columns.items() if isinstance(column, Categorical)]

    @property
    def numeric(self) -> list[str]:
        """The columns of numbers, without the target."""
        return [name for name in self.columns if name not in self.categorical and name != self.target]

    @property
    def inputs(self) -> list[str]:
        """The columns that the target is predicted from, in their order."""
        return [name for name in self.columns if name != self.target]
