"""The MLflow run `Predictions`: which version predicted for which rows, its errors, and the drift of the features."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from include.modeling import plots
from include.modeling.amounts import amount
from include.modeling.evaluation import errors
from include.schema import Schema
from include.tracking import runs
from include.tracking.training_run import OUT_OF_FOLD_PLOT

log = logging.getLogger(__name__)
NAME = "Predictions"
NEW_ROWS_PLOT = "predictions.png"


def start(
    experiment_id: str, lineage: dict[str, str], version: ModelVersion, source: Mapping[str, str], schema: Schema
) -> AbstractContextManager[str]:
    """Start the run; its block gets its id.

    Args:
        experiment_id: The experiment.
        lineage: The run's tags, from `runs.lineage`.
        version: The version that predicted.
        source: More tags: of new rows, their `data_file` and `file_digest`, and the `model_requested` on the form.
        schema: What the rows look like.
    """
    tags = lineage | {
        "model_name": version.name,
        "model_version": version.version,
        "model_aliases": ", ".join(version.aliases) or "none",
        "training_run": str(version.run_id),
        **source,
    }
    rows = f"{schema.row}s of its training data, so the errors `in_sample_*` are optimistic"
    if source:
        rows = f"the {schema.row}s of {source['data_file']}"
    description = (
        f"Predictions by {version.name}, version {version.version}, for {rows}. "
        "`drift.csv` compares each feature with the training data."
    )
    return runs.start(experiment_id, NAME, tags, description)


def log_errors(run_id: str, predictions: pd.DataFrame, prefix: str, unit: str) -> None:
    """Log the errors on the rows whose true values are known, if there are any; `prefix` says which rows these are."""
    known = predictions.dropna()
    if "true" not in known or known.empty:
        return
    found = errors(known["true"], known["predicted"])
    defined = {name: value for name, value in found.items() if not math.isnan(value)}  # one row has no R²
    mlflow.log_metrics({f"{prefix}{name}": value for name, value in defined.items()}, run_id=run_id)
    for name, value in defined.items():
        log.info("%s%s: %s", prefix, name, amount(value, "" if name == "r2" else unit))


def log_drift(drift: pd.DataFrame, reference: pd.DataFrame, current: pd.DataFrame) -> None:
    """Log the comparison of each feature with the training data, as a table, and a plot of those that have drifted.

    Args:
        drift: What `drift.compare` returns for the other two.
        reference: The features of the training data.
        current: The features of the rows to predict for.
    """
    drifted = list(drift.index[drift["drifted"]])
    if drifted:
        log.warning("Features that have drifted from the training data: %s", ", ".join(drifted))
    else:
        log.info("None of %d features has drifted from the training data", len(drift))
    mlflow.log_metrics({"drifted_features": len(drifted), "drift_max": drift["statistic"].max()})
    with runs.artifacts() as folder:
        drift.to_csv(folder / "drift.csv")
        if drifted:
            plots.drift(drift, reference, current).savefig(folder / "drift.png")


def log_new_rows_plot(figure: Figure, run_id: str) -> None:
    """Log the plot of predictions for new rows to their own run."""
    client = MlflowClient()
    client.log_figure(run_id, figure, f"plots/{NEW_ROWS_PLOT}")
    runs.link_task(client.get_run(run_id).info.experiment_id, run_id)


def log_plot(figure: Figure, file: str, run_id: str, folder: Path) -> None:
    """Log the plot of the predictions to the model's run; write it to `folder`, next to the out-of-fold plot."""
    client = MlflowClient()
    with TemporaryDirectory() as temporary:
        plot = Path(temporary, file)
        figure.savefig(plot)
        client.log_artifact(run_id, str(plot), "plots")
        out_of_fold = client.download_artifacts(run_id, OUT_OF_FOLD_PLOT, temporary)
        _copy([plot, Path(out_of_fold)], folder)
    runs.link_task(client.get_run(run_id).info.experiment_id, run_id)


def _copy(plots: list[Path], folder: Path) -> None:
    """Copy plots to a folder. One that cannot be written is only a warning: the plots are in MLflow."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for plot in plots:
            partial = folder / f".{plot.parent.name}-{plot.name}"
            shutil.copy(plot, partial)
            partial.replace(folder / plot.name)
    except OSError as error:  # no permission, read-only or full
        log.warning("The plots are in MLflow only: %s. To have them on disk, too: chmod a+rwx %s", error, folder)
    else:
        log.info("Wrote %s", ", ".join(str(folder / plot.name) for plot in plots))
