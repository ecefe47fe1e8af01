"""The descriptions of the registered model and of its versions: what someone should know who finds them in MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from textwrap import shorten
from typing import Any

from include.modeling.amounts import rows_used, with_spread
from include.schema import Schema

VALUE_CHARACTERS = 80
HYPER_PARAMETERS_CHARACTERS = 2_000
LIST_CHARACTERS = 1_000  # of each list on the card
CARD_CHARACTERS = 5_000  # what MLflow's database takes


def registered_model_card(name: str, stage: str, schema: Schema) -> str:
    """Return the description of the registered model `name` in Markdown."""
    version = f"mlflow.MlflowClient().get_model_version_by_alias({name!r}, 'champion')"
    return (
        f"Load it: `mlflow.sklearn.load_model({version}.tags['serving_model'])`. Serve it over HTTP: `make serve`.\n\n"
        f"It predicts the {schema.target_label} of one {schema.row} in {schema.target_unit} from raw measurements. "
        f"The stage `{stage}` has the newest version, the alias `champion` the best. The tag `promotion` of each "
        "version says why it became champion or did not."
    )


def hyper_parameters(values: Mapping[str, Any]) -> str:
    """Return hyperparameters in words; long values are cut short."""
    texts = [f"`{name}` {shorten(json.dumps(values[name]), VALUE_CHARACTERS, placeholder=' …')}" for name in values]
    return shorten(", ".join(texts), HYPER_PARAMETERS_CHARACTERS, placeholder=" …") or "the defaults"


def model_card(
    run_name: str,
    params: Mapping[str, str],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    schema: Schema,
    intended_use: str,
    limits: str,
) -> str:
    """Return the description of a version in Markdown, from what the feature run and the training run logged.

    Long lists are cut short, and so is the whole card: MLflow's database takes 5,000 characters.

    Args:
        run_name: The name of the training run.
        params: The params of the feature run.
        metrics: The metrics of the training run.
        tags: The tags of the training run.
        schema: What the rows look like.
        intended_use: One sentence on what the model is for.
        limits: One sentence on where it does not apply.
    """
    chosen = f", alpha {metrics['alpha']:.3g}" if "alpha" in metrics else ""
    features, inputs, parameters = (
        shorten(text, LIST_CHARACTERS, placeholder=" …")
        for text in (params["features"], ", ".join(schema.inputs), tags["hyper_parameters"])
    )
    card = "\n".join(
        [
            f"**{run_name}** predicts the {schema.target_label} of one {schema.row} in {schema.target_unit}.",
            f"It is a `{tags['model_class']}`{chosen}. **Hyperparameters:** {parameters}.",
            "",
            f"**Data:** {rows_used(params, schema.row)}. "
            f"**Features:** {features}; scaled by the transformer in the tag `transformer`. The model in the tag "
            f"`serving_model` takes {schema.row}s as they are measured: {inputs}.",
            "",
            f"**On {schema.row}s it has not seen:**",
            "",
            _error("RMSE", "rmse", metrics, schema.target_unit),
            _error("MAE", "mae", metrics, schema.target_unit),
            _error("R²", "r2", metrics, ""),
            "",
            f"{tags['evaluation']}; ± is the standard deviation over the folds.",
            "",
            f"**Intended use:** {intended_use}",
            "",
            f"**Limits:** {limits}",
        ]
    )
    return card if len(card) <= CARD_CHARACTERS else f"{card[: CARD_CHARACTERS - 2]} …"


def _error(name: str, metric: str, metrics: Mapping[str, float], unit: str) -> str:
    own, of_the_mean = (
        with_spread(metrics[f"{prefix}_{metric}"], metrics[f"{prefix}_{metric}_std"], unit)
        for prefix in ("cv", "baseline")
    )
    return f"- {name} {own} (always predicting the mean: {of_the_mean})"
