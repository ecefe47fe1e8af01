from __future__ import annotations

from dataclasses import replace

import possums
import pytest

from include.schema import Numeric
from include.tracking.model_card import hyper_parameters, model_card, registered_model_card

METRICS = {
    f"{of}_{name}": value
    for of, values in {
        "cv": (1.234, 0.211, 0.991, 0.149, 0.567, 0.178),
        "baseline": (1.961, 0.283, 1.502, 0.231, -0.019, 0.024),
    }.items()
    for name, value in zip(("rmse", "rmse_std", "mae", "mae_std", "r2", "r2_std"), values, strict=True)
}
PARAMS = {"rows": "101", "rows_left_out": "3", "features": "age, sex_f", "data_file": "mine.csv"}
USE, LIMITS = "Shows something.", "One species."
TAGS = {
    "model_class": "sklearn.linear_model.RidgeCV",
    "hyper_parameters": "`cv` 5",
    "evaluation": "5-fold cross-validation on 101 rows",
}


@pytest.mark.parametrize("limits", [LIMITS, 6_000 * "x"], ids=["short limits", "long limits"])
def test_long_lists_and_texts_are_shortened_to_what_the_database_takes(limits):
    names = [f"label_{number}" for number in range(10_000)]
    long = ", ".join(names)
    schema = replace(possums.SCHEMA, columns={**dict.fromkeys(names, Numeric()), **possums.SCHEMA.columns})

    card = model_card(
        "RidgeCV", PARAMS | {"features": long}, METRICS, TAGS | {"hyper_parameters": long}, schema, USE, limits
    )

    assert card.count("label_0, label_1,") == 3
    assert f"**Intended use:** {USE}" in card
    assert len(card) <= 5_000


def test_the_card_has_data_features_errors_use_and_limits():
    card = model_card("RidgeCV", PARAMS, METRICS | {"alpha": 4.5203}, TAGS, possums.SCHEMA, USE, LIMITS)

    assert (
        card
        == f"""**RidgeCV** predicts the tail length of one animal in cm.
It is a `sklearn.linear_model.RidgeCV`, alpha 4.52. **Hyperparameters:** `cv` 5.

**Data:** 101 animals from mine.csv (3 more have gaps and are left out). \
**Features:** age, sex_f; scaled by the transformer in the tag `transformer`. The model in the tag `serving_model` \
takes animals as they are measured: site, Pop, sex, age, hdlngth, skullw, totlngth, footlgth.

**On animals it has not seen:**

- RMSE 1.2 ± 0.2 cm (always predicting the mean: 2.0 ± 0.3 cm)
- MAE 1.0 ± 0.1 cm (always predicting the mean: 1.5 ± 0.2 cm)
- R² 0.6 ± 0.2 (always predicting the mean: -0.02 ± 0.02)

5-fold cross-validation on 101 rows; ± is the standard deviation over the folds.

**Intended use:** {USE}

**Limits:** {LIMITS}"""
    )


def test_a_model_without_alpha_has_none_on_its_card():
    assert "alpha" not in model_card("Forest", PARAMS, METRICS, TAGS, possums.SCHEMA, USE, LIMITS)


def test_hyperparameters_are_named_and_long_ones_cut_short():
    text = hyper_parameters({"alphas": [0.001 * n for n in range(1000)], "scoring": None, "max_iter": 5})

    assert text.startswith("`alphas` [0.0, 0.001, 0.002,")
    assert text.endswith(" …, `scoring` null, `max_iter` 5")
    assert len(text) < 150


def test_a_model_without_hyperparameters_has_the_defaults():
    assert hyper_parameters({}) == "the defaults"


def test_the_registered_model_says_in_its_first_line_how_to_load_and_serve_it():
    first, _, rest = registered_model_card("Tails", "Staging", possums.SCHEMA).partition("\n")

    assert first == (
        "Load it: `mlflow.sklearn.load_model(mlflow.MlflowClient()"
        ".get_model_version_by_alias('Tails', 'champion').tags['serving_model'])`. Serve it over HTTP: `make serve`."
    )
    assert "predicts the tail length of one animal in cm from raw measurements." in rest
    assert "The stage `Staging` has the newest version, the alias `champion` the best." in rest
