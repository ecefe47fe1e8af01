from __future__ import annotations

import pytest

from include import config
from include.tracking.model_card import model_card

METRICS = {
    f"{of}_{name}": value
    for of, values in {"cv": (1.234, 0.991, 0.567), "baseline": (1.961, 1.502, -0.019)}.items()
    for name, value in zip(("rmse", "mae", "r2"), values, strict=True)
} | {"cv_rmse_std": 0.211, "cv_mae_std": 0.149, "cv_r2_std": 0.178}
PARAMS = {"rows": "101", "rows_left_out": "3", "features": "age, sex_f", "data_file": "mine.csv"}
TAGS = {"model_class": "sklearn.linear_model.RidgeCV", "evaluation": "5-fold cross-validation on 101 rows"}


def test_many_features_leave_room_in_the_database():
    features = ", ".join(f"label_{number}" for number in range(10_000))

    card = model_card("RidgeCV", PARAMS | {"features": features}, METRICS, TAGS)

    assert "label_0, label_1," in card
    assert len(card) < 5_000


def test_the_card():
    card = model_card("RidgeCV", PARAMS, METRICS | {"alpha": 4.5203}, TAGS)

    assert (
        card
        == f"""**RidgeCV** predicts the tail length of one animal in cm.
It is a `sklearn.linear_model.RidgeCV`, alpha 4.52.

**Data:** 101 animals without gaps from mine.csv (3 more have gaps and are left out). \
**Features:** age, sex_f; scaled by the transformer in the tag `transformer`.

**On animals it has not seen:**

- RMSE 1.23 ± 0.21 cm (always saying the mean: 1.96 cm)
- MAE 0.99 ± 0.15 cm (always saying the mean: 1.50 cm)
- R² 0.57 ± 0.18 (always saying the mean: -0.02)

5-fold cross-validation on 101 rows; ± is the standard deviation over the folds.

**Intended use:** {config.INTENDED_USE}

**Limits:** {config.LIMITS}"""
    )


def test_without_an_alpha():
    assert "alpha" not in model_card("Forest", PARAMS, METRICS, TAGS)


def test_what_is_missing_is_an_error():
    with pytest.raises(KeyError, match="baseline_rmse"):
        model_card("RidgeCV", PARAMS, {name: value for name, value in METRICS.items() if "baseline" not in name}, TAGS)
