"""The possums as the tests know them, whatever `include/config.py` says by now."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

from include import config  # that of tests/possum_project, which is first on the tests' path
from include.modeling.rows import DataFile

CSV = config.INCLUDE / "possum.csv"  # 104 animals, 3 gaps: two in age, one in footlgth
FILE = DataFile("possum.csv", CSV.read_bytes())
SCHEMA = config.SCHEMA
ALPHAS: list[float] = config.HYPER_PARAMETERS["alphas"]
TEXT = CSV.read_text()
HEADER, *LINES = TEXT.splitlines()
FIFTH = LINES[3]  # the fifth line of the file
# One that is not in the file.
ANIMAL = {"site": 3, "Pop": "other", "sex": "m", "age": 4, "hdlngth": 92, "skullw": 57, "totlngth": 87, "footlgth": 67}


def edited(edit: Callable[[int, str, str], str]) -> str:
    """The file with the cell `value` in line `line` and column `name` replaced by `edit(line, name, value)`."""
    rows = list(csv.DictReader(io.StringIO(TEXT)))
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0], lineterminator="\n")
    writer.writeheader()
    for line, row in enumerate(rows, start=2):
        writer.writerow({name: edit(line, name, value) for name, value in row.items()})
    return out.getvalue()


def cell(column: str, text: str, line: int = 5) -> str:
    """The file with another text in one cell."""
    return edited(lambda at, name, value: text if (at, name) == (line, column) else value)


def column(column: str, text: Callable[[int, str], str]) -> str:
    """The file with the cell `value` of one column in line `line` replaced by `text(line, value)`."""
    return edited(lambda line, name, value: text(line, value) if name == column else value)


def with_column(name: str, text: str) -> str:
    """The file with one more column, the same text in all its cells."""
    return "\n".join([f"{HEADER},{name}", *(f"{line},{text}" for line in LINES)])
