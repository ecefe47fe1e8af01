"""What a data set looks like: its columns, what is predicted, and the words for both. `include.config` fills it in."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from include.errors import ConfigurationError

WHOLE_NUMBER = r"(?:0|-?[1-9][0-9]{0,17})"  # written as Python writes it, and fits 64 bits


@dataclass(frozen=True)
class Numeric:
    """A column of finite numbers from `low` to `high`, both included."""

    low: float = float("-inf")
    high: float = float("inf")


@dataclass(frozen=True)
class Categorical:
    """A column of labels. With `values`, only those are allowed."""

    values: tuple[str, ...] = ()

    def __new__(cls, *arguments: object, **_: object) -> Categorical:
        """Raise ConfigurationError if the labels are not in parentheses of their own."""
        if len(arguments) > 1:
            raise _rejected(
                "COLUMNS",
                f"has Categorical{arguments!r}, without parentheses of their own around the labels",
                f"Write Categorical({arguments!r}).",
            )
        return super().__new__(cls)


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
        keep_gaps: Whether rows with gaps are used. If not, the model is given only the rows without gaps.

    Raises:
        ConfigurationError: No file could fit this schema. Names the setting in `include/config.py` and the cure.
    """

    columns: Mapping[str, Column]
    target: str
    target_label: str
    target_unit: str
    row: str = "row"
    row_number: str | None = None
    max_categories: int = 100
    keep_gaps: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.max_categories, int) or self.max_categories < 1:
            raise _rejected("MAX_CATEGORIES", f"is {self.max_categories!r}", "Set it to an integer from 1 on.")
        if not isinstance(self.columns, Mapping):
            raise _rejected("COLUMNS", f"is {self.columns!r}", "Make it a dictionary of Numeric() and Categorical().")
        for name, column in self.columns.items():
            _check_name("COLUMNS", name)
            if isinstance(column, Numeric):
                _check_bounds(name, column)
            elif isinstance(column, Categorical):
                _check_labels(name, column, self.max_categories)
            else:
                raise _rejected("COLUMNS", f"has {column!r} for {name!r}", "Make it Numeric() or Categorical().")
        if not isinstance(self.columns.get(self.target), Numeric):
            raise _rejected(
                "TARGET", f"is {self.target!r}, but COLUMNS has no numeric column of that name", "Name one that it has."
            )
        if not self.inputs:
            raise _rejected(
                "COLUMNS", "has the target alone", f"Add the columns that {self.target!r} is to be predicted from."
            )
        _check_row_name("ROW", self.row, "Choose another word.")
        _check_row_name("ROW_NUMBER", self.row_number, "Rename the column, here and in the data file.")
        if self.row_number is not None:
            _check_name("ROW_NUMBER", self.row_number)
            if self.row_number in self.columns:
                raise _rejected(
                    "ROW_NUMBER",
                    f"is {self.row_number!r}, which is in COLUMNS, too",
                    "A row number is not a feature: take it out of COLUMNS, or set ROW_NUMBER to None.",
                )

    @property
    def names(self) -> list[str]:
        """Every column to read: the columns to use, and the row number."""
        return [*self.columns, self.row_number] if self.row_number else [*self.columns]

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

    @property
    def fingerprint(self) -> str:
        """The settings that decide which rows are used and which features they become, as text."""
        return repr((dict(self.columns), self.target, self.keep_gaps))


def _check_name(setting: str, name: str) -> None:
    if not isinstance(name, str) or not name or name != name.strip():
        raise _rejected(
            setting, f"has the column {name!r}", "A name is text that is not empty and has no spaces around it."
        )


def _check_row_name(setting: str, name: str | None, cure: str) -> None:
    if name in ("true", "predicted"):
        raise _rejected(setting, f"is {name!r}, which is a column of the predictions", cure)


def _check_bounds(name: str, column: Numeric) -> None:
    bounds = (column.low, column.high)
    if any(not isinstance(bound, int | float) or math.isnan(bound) for bound in bounds) or column.low > column.high:
        raise _rejected("COLUMNS", f"has the bounds {bounds} for {name!r}", "Give two numbers, the lower one first.")


def _check_labels(name: str, column: Categorical, max_categories: int) -> None:
    labels = column.values
    if not isinstance(labels, tuple) or not all(isinstance(label, str) for label in labels):
        raise _rejected(
            "COLUMNS", f"has the labels {labels!r} for {name!r}", 'Make them a tuple of text, such as ("a", "b").'
        )
    for label, count in Counter(labels).items():
        if not label or label != label.strip():
            raise _rejected(
                "COLUMNS",
                f"has the label {label!r} for {name!r}",
                "A label is text that is not empty and has no spaces around it.",
            )
        if re.fullmatch(rf"{WHOLE_NUMBER}\.0+", label):
            raise _rejected("COLUMNS", f"has the label {label!r} for {name!r}", "Write whole numbers without decimals.")
        if count > 1:
            raise _rejected("COLUMNS", f"has the label {label!r} for {name!r} {count} times", "Keep one of them.")
    if len(labels) > max_categories:
        raise _rejected(
            "COLUMNS",
            f"has {len(labels)} labels for {name!r}, and each becomes a feature",
            f"Take the column out, or raise MAX_CATEGORIES ({max_categories}).",
        )


def _rejected(setting: str, what: str, cure: str) -> ConfigurationError:
    return ConfigurationError(f"{setting} in include/config.py {what}. {cure}")
