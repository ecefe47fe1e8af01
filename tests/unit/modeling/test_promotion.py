from __future__ import annotations

import pytest

from include import config
from include.modeling.promotion import decide


@pytest.mark.parametrize(
    ("new", "champion", "alias"),
    [
        (9.0, None, "champion"),
        (1.9, 2.0, "champion"),
        (2.0, 2.0, "champion"),
        (2.039, 2.0, "champion"),
        (2.04, 2.0, "champion"),
        (2.041, 2.0, "challenger"),
        (9.0, 2.0, "challenger"),
        (0.0, 0.0, "champion"),
        (0.1, 0.0, "challenger"),
    ],
    ids=["first", "better", "tie", "within", "at the limit", "just above", "worse", "perfect", "worse than perfect"],
)
def test_who_becomes_champion(new, champion, alias):
    assert decide(new, champion, tolerance=0.02).alias == alias


@pytest.mark.parametrize(("error", "alias"), [(1.96, "champion"), (1.97, "challenger"), (2.0, "challenger")])
def test_one_older_than_the_champion_has_to_be_better_by_the_tolerance(error, alias):
    assert decide(error, 2.0, older=True, tolerance=0.02).alias == alias


def test_the_tolerance_is_that_of_the_configuration():
    assert decide(2 * (1 + config.TOLERANCE) - 1e-9, 2).alias == "champion"
    assert decide(2 * (1 + config.TOLERANCE) + 1e-9, 2).alias == "challenger"


def test_the_reason_has_the_numbers_and_their_unit():
    assert decide(1.5, None, unit="mm").reason == "there was no champion; its error is 1.500 mm"
    assert (
        decide(2.1, 2.0, tolerance=0.02, unit="mm").reason
        == "its error of 2.100 mm is above 2.040 mm (the champion's 2.000 mm and 2%)"
    )
    assert " is within " in decide(2.0, 2.0).reason
