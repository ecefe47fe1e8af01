from __future__ import annotations

import pytest

from include.modeling.amounts import amount, rows_used, with_spread


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.2037, "1.20 cm"),
        (306.101, "306 cm"),
        (999.4, "999 cm"),
        (999.7, "1,000 cm"),
        (54_321.6, "54,322 cm"),
        (-0.0186, "-0.0186 cm"),
        (0.0, "0.00 cm"),
    ],
)
def test_an_amount_has_three_significant_digits(value, expected):
    assert amount(value, "cm") == expected


@pytest.mark.parametrize(
    ("mean", "spread", "expected"),
    [
        (1.2114, 0.1934, "1.2 ± 0.2 cm"),
        (306.101, 25.3, "306 ± 25 cm"),
        (54_321.6, 1_234.5, "54,322 ± 1,234 cm"),
        (0.00123, 0.000042, "0.00123 ± 0.00004 cm"),
        (0.5432, 0.1, "0.5 ± 0.1 cm"),
        (0.5432, 0.097, "0.5 ± 0.1 cm"),
        (1.5, 0, "1.500 ± 0.000 cm"),
        (1.5, float("nan"), "1.500 ± nan cm"),
    ],
)
def test_digits_are_those_that_the_spread_justifies(mean, spread, expected):
    assert with_spread(mean, spread, "cm") == expected


def test_an_amount_without_a_unit_is_a_number():
    assert with_spread(0.61, 0.08) == "0.61 ± 0.08"


@pytest.mark.parametrize(
    ("left_out", "with_gaps", "expected"),
    [
        ("0", "0", "5,000 flats from mine.csv"),
        ("3", "0", "5,000 flats from mine.csv (3 more have gaps and are left out)"),
        ("0", "1400", "5,000 flats from mine.csv (1,400 of them have gaps)"),
        ("3", "1400", "5,000 flats from mine.csv (1,400 of them have gaps; 3 more are left out)"),
    ],
)
def test_the_rows_that_were_used(left_out, with_gaps, expected):
    params = {"rows": "5000", "rows_left_out": left_out, "rows_with_gaps": with_gaps, "data_file": "mine.csv"}

    assert rows_used(params, "flat") == expected
