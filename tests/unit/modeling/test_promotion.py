from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.ensemble import BaggingRegressor
from sklearn.linear_model import Lasso, Ridge, RidgeCV

from include.modeling.promotion import Champion, Decision, decide, recipe


def decision(error: float, baseline: float = 9.9, champion: Champion | None = None, **changed) -> Decision:
    return decide(error, baseline, champion, **({"tolerance": 0.02, "max_error_rise": 0.25, "unit": "mm"} | changed))


@pytest.mark.parametrize(
    ("error", "alias"),
    [(2.99, "champion"), (3.0, "challenger"), (3.01, "challenger"), (float("nan"), "challenger")],
    ids=["better", "equal", "worse", "not a number"],
)
@pytest.mark.parametrize("champion", [None, Champion(9.0, 9.0)], ids=["first version", "later version"])
def test_only_a_version_better_than_the_mean_becomes_champion(error, alias, champion):
    assert decision(error, 3.0, champion).alias == alias


@pytest.mark.parametrize(
    ("error", "champion", "alias"),
    [
        (1.9, 2.0, "champion"),
        (2.0, 2.0, "champion"),
        (2.04, 2.0, "champion"),
        (2.041, 2.0, "challenger"),
        (0.0, 0.0, "champion"),
        (0.1, 0.0, "challenger"),
    ],
    ids=["better", "tie", "at the limit", "just above", "perfect", "worse than perfect"],
)
def test_a_version_may_be_worse_than_the_champion_by_the_tolerance(error, champion, alias):
    assert decision(error, champion=Champion(champion, promoted_error=None)).alias == alias


@pytest.mark.parametrize(("error", "alias"), [(1.96, "champion"), (1.97, "challenger"), (2.0, "challenger")])
def test_a_version_older_than_the_champion_has_to_be_better_by_the_tolerance(error, alias):
    assert decision(error, champion=Champion(2.0, 2.0, is_newer=True)).alias == alias


@pytest.mark.parametrize(
    ("error", "promoted", "alias"),
    [(2.5, 2.0, "champion"), (2.51, 2.0, "challenger"), (2.51, None, "champion")],
    ids=["at the limit", "above", "not known"],
)
def test_a_version_whose_error_rose_too_far_stays_challenger_though_the_champions_rose_with_it(error, promoted, alias):
    assert decision(error, champion=Champion(error, promoted)).alias == alias


def test_a_champion_with_other_features_stays():
    assert decision(0.1, champion=Champion(None, 9.0)).alias == "challenger"


REASONS = [
    (1.5, 2.5, None, "RMSE 1.50 mm; there was no champion (always predicting the mean: 2.50 mm)"),
    (2.6, 2.5, None, "(2.50 mm). There is no champion until a version is: the alias leads nowhere"),
    (913, 800, Champion(913, 306), "RMSE 913 mm, not better than always predicting the mean (800 mm)"),
    (306, 800, Champion(318, 330), "RMSE 306 mm, better than the present champion's 318 mm on the same data"),
    (1.188, 2.5, Champion(1.191, 1.191), "as good as the present champion's 1.19 mm on the same data, and newer"),
    (2.03, 2.5, Champion(2, 2), "at most 2% above the present champion's 2.00 mm on the same data, and newer"),
    (2.1, 2.5, Champion(2, 2), "RMSE 2.10 mm, more than 2% above the present champion's 2.00 mm on the same data"),
    (2, 2.5, Champion(2, 2, is_newer=True), "2.00 mm on the same data, as an older version has to be"),
    (1.7, 2.5, Champion(None, 2), "To let this version take over, give it the alias champion in the MLflow UI"),
    (2.4, 2.5, Champion(2.4, 1.5), "If that is right, give this version the alias champion in the MLflow UI"),
]


@pytest.mark.parametrize(("error", "baseline", "champion", "words"), REASONS)
def test_the_reason_has_the_numbers_in_words(error, baseline, champion, words):
    assert decision(error, baseline, champion).reason.endswith(words)


def test_a_decision_that_a_person_can_reverse_says_what_has_changed():
    rose = decision(2.4, champion=Champion(2.4, 1.5)).reason

    assert "more than 25% above the 1.50 mm that the present champion had when it was promoted: the data got" in rose
    assert "the present champion was trained on other features" in decision(1.7, champion=Champion(None, 2)).reason


def test_a_tolerance_of_a_fraction_of_a_percent_is_not_rounded_away():
    assert "more than 0.5% above" in decision(2.1, champion=Champion(2.0, 2.0), tolerance=0.005).reason


def test_a_target_without_unit_leaves_no_gap():
    assert decision(1.5, 2.5, unit="").reason == "RMSE 1.50; there was no champion (always predicting the mean: 2.50)"


X, Y = np.arange(12.0).reshape(6, 2), np.arange(6.0)


def test_a_fitted_and_reloaded_model_has_the_recipe_of_the_unfitted_one():
    regressor = BaggingRegressor(Ridge(0.1), random_state=0)
    reloaded = pickle.loads(pickle.dumps(regressor.fit(X, Y)))  # noqa: S301

    assert recipe(reloaded, ["a", "b"]) == recipe(BaggingRegressor(Ridge(0.1), random_state=0), ["a", "b"])


@pytest.mark.parametrize(
    ("regressor", "features"),
    [(Lasso(0.1), ["a", "b"]), (Ridge(0.2), ["a", "b"]), (Ridge(0.1), ["b", "a"]), (Ridge(0.1), ["a", "b", "c"])],
    ids=["class", "hyperparameter", "order of the features", "features"],
)
def test_another_class_hyperparameter_or_feature_is_another_recipe(regressor, features):
    assert recipe(regressor, features) != recipe(Ridge(0.1), ["a", "b"])


def test_long_hyperparameters_that_differ_at_the_end_are_different_recipes():
    alphas = [0.1 + i for i in range(5_000)]

    assert recipe(RidgeCV(alphas), ["a"]) != recipe(RidgeCV([*alphas[:-1], 0.1]), ["a"])
