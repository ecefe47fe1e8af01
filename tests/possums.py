"""The possums as the tests know them, whatever `include/config.py` says by now."""

from __future__ import annotations

from include import config  # that of tests/possum_project, which is first on the tests' path

CSV = config.INCLUDE / "possum.csv"  # 104 animals, 3 gaps: two in age, one in footlgth
SCHEMA = config.SCHEMA
ALPHAS: list[float] = config.HYPER_PARAMETERS["alphas"]
