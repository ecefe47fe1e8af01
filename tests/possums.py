"""The possums as the tests know them, whatever `include/config.py` says by now."""

from __future__ import annotations

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
