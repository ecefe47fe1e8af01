"""The possums as the tests know them, whatever `include/config.py` says by now."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

from include.schema import Categorical, Numeric, Schema

CSV = Path(__file__).parent / "data" / "possum.csv"  # 104 animals, 3 gaps: two in age, one in footlgth
SCHEMA = Schema(
    columns={
        "site": Categorical(),
        "Pop": Categorical(("Vic", "other")),
        "sex": Categorical(("f", "m")),
        "age": Numeric(0, 30),
        "hdlngth": Numeric(30, 300),
        "skullw": Numeric(10, 200),
        "totlngth": Numeric(20, 200),
        "footlgth": Numeric(10, 200),
        "taill": Numeric(5, 100),
    },
    target="taill",
    target_label="tail length",
    target_unit="cm",
    row="animal",
    row_number="case",
)
ALPHAS = [10 ** (-3 + 4 * i / 29) for i in range(30)]  # np.logspace(-3, 1, num=30)
TEXT = CSV.read_text()
HEADER, *LINES = TEXT.splitlines()
FIFTH = LINES[3]  # the fifth line of the file


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
