"""A model version's description: what someone should know who finds it in the registry."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import shorten

from include import config

REGISTERED_MODEL_CARD = f"""Predicts the {config.TARGET_LABEL} of one {config.ROW} in {config.TARGET_UNIT}. Load the \
version with the alias `champion`; the tag `promotion` of each version says why it became champion or didn't."""
ROOM = 2_000  # characters for the features: MLflow's database takes 5,000 in all


def model_card(run_name: str, params: Mapping[str, str], metrics: Mapping[str, float], tags: Mapping[str, str]) -> str:
    """Writes the card in Markdown from what the training run has logged."""
    unit, row = config.TARGET_UNIT, config.ROW
    errors = [
        f"- {name} {metrics[f'cv_{key}']:.2f} ± {metrics[f'cv_{key}_std']:.2f}{unit_of_it}"
        f" (always saying the mean: {metrics[f'baseline_{key}']:.2f}{unit_of_it})"
        for key, name, unit_of_it in (("rmse", "RMSE", f" {unit}"), ("mae", "MAE", f" {unit}"), ("r2", "R²", ""))
    ]
    left_out = f" ({params['rows_left_out']} more have gaps and are left out)" if int(params["rows_left_out"]) else ""
    features = shorten(params["features"], ROOM, placeholder=" …")
    chosen = f", alpha {metrics['alpha']:.3g}" if "alpha" in metrics else ""
    return "\n".join(
        [
            f"**{run_name}** predicts the {config.TARGET_LABEL} of one {row} in {unit}.",
            f"It is a `{tags['model_class']}`{chosen}.",
            "",
            f"**Data:** {params['rows']} {row}s without gaps from {params['data_file']}{left_out}. "
            f"**Features:** {features}; scaled by the transformer in the tag `transformer`.",
            "",
            f"**On {row}s it has not seen:**",
            "",
            *errors,
            "",
            f"{tags['evaluation']}; ± is the standard deviation over the folds.",
            "",
            f"**Intended use:** {config.INTENDED_USE}",
            "",
            f"**Limits:** {config.LIMITS}",
        ]
    )
