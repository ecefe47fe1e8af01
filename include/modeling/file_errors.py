"""Everything that is wrong with a file, reported together."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from include.errors import DataError

SHOWN = 20  # errors in one message
SHORT = reprlib.Repr()
SHORT.maxstring = SHORT.maxother = 80  # characters of a value


@dataclass(frozen=True)
class _Error:
    text: str
    line: int
    nth: int  # how many of its kind come before it
    times: int = 1  # how many cells it stands for


class FileErrors:
    """Collects the errors of the file `source`, which is named as the user named it.

    `new_rows` are for a model that exists: they need no target, and its columns in `include/config.py` are not to be
    changed for them.
    """

    def __init__(self, source: str, *, new_rows: bool = False) -> None:
        self.source = source
        self.new_rows = new_rows
        self._errors: list[_Error] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def cure(self, in_file: str, in_config: str) -> str:
        """Return what to do about an error: in the file or, unless these are new rows, in `include/config.py`."""
        return f"{in_file}." if self.new_rows else f"{in_file}, or {in_config} in include/config.py."

    def add(self, text: str) -> None:
        """Add an error that concerns a column or the file."""
        self.add_lines([(0, text)])

    def add_lines(self, texts: Iterable[tuple[int, str]]) -> None:
        """Add errors of one kind, each with its line."""
        for nth, (line, text) in enumerate(texts):
            self._count += 1
            if nth < SHOWN:
                self._errors.append(_Error(text, line, nth))

    def add_cells(self, values: pd.Series, wrong: pd.Series, why: str) -> None:
        """Add the `wrong` ones of a column's `values`: one error for each value, at the first place that has it.

        The name of the index says what its labels count, such as "line".
        """
        cells = values[wrong]
        self._count += len(cells)
        times = cells.value_counts()
        for nth, (line, value) in enumerate(cells.drop_duplicates().head(SHOWN).items()):
            counted, more = cells.index.name, times[value] - 1
            again = f" ({more:,} more {counted}{'s' if more > 1 else ''} with this value)" if more else ""
            text = f"{counted} {line}, column {values.name}: {SHORT.repr(value)} {why}{again}"
            self._errors.append(_Error(text, line, nth, int(times[value])))

    def raise_if_any(self) -> None:
        """Raise DataError with the first errors in the order of their lines, each kind of error among them."""
        if not self._errors:
            return
        first = sorted(self._errors, key=lambda error: (error.nth, error.line))[:SHOWN]
        texts = [error.text for error in sorted(self._errors, key=lambda error: error.line) if error in first]
        if self._count == 1:
            raise DataError(f"{self.source}: {texts[0]}")
        hidden = self._count > sum(error.times for error in first)
        more = f", of which these are the first {SHOWN}" if hidden else ""
        raise DataError("\n".join([f"{self.source} has {self._count:,} errors{more}:", *texts]))
