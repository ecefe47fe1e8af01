"""The MLflow run `Predictions`: which version predicted, its errors, and whether the features have drifted."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from include.schema import Schema
from include.tracking import runs
from include.tracking.training_run import OUT_OF_FOLD_PLOT

log = logging.getLogger(__name__)
NAME = "Predictions"


@contextmanager
def start(experiment_id: str, lineage: dict[str, str], version: ModelVersion, schema: Schema) -> Iterator[str]:
    """Start the run and yield its id."""
    tags = lineage | {
        "model_name": version.name,
        "model_version": version.version,
        "model_aliases": ", ".join(version.aliases) or "none",
        "training_run": str(version.run_id),
    }
    description = (
        f"Predictions by {version.name}, version {version.version}, for {schema.row}s of its training data, so "
        "`in_sample_*` is optimistic. `drift.csv` compares each feature with the training data."
    )
    with runs.start(experiment_id, NAME, tags, description) as run_id:
        yield run_id


def log_errors(errors: Mapping[str, float], unit: str) -> None:
    """Log the errors on rows that the model was trained on."""
    mlflow.log_metrics({f"in_sample_{name}": value for name, value in errors.items()})
    log.info("RMSE %.3f %s on the rows that the model was trained on", errors["rmse"], unit)


def log_drift(drift: pd.DataFrame) -> None:
    """Log the comparison of each feature with the training data; warn of those that have drifted."""
    drifted = drift.index[drift["drifted"]]
    if drifted.empty:
        log.info("None of %d features has drifted from the training data", len(drift))
    else:
        log.warning("Features that have drifted from the training data: %s", ", ".join(drifted))
    mlflow.log_metrics({"drifted_features": len(drifted), "drift_max": drift["statistic"].max()})
    with runs.artifacts() as folder:
        drift.to_csv(folder / "drift.csv")


def log_plot(figure: Figure, file: str, run_id: str, folder: Path) -> None:
    """Log the plot of the predictions to the model's run; write it to `folder`, next to the out-of-fold plot."""
    client = MlflowClient()
    with TemporaryDirectory() as temporary:
        plot = Path(temporary, file)
        figure.savefig(plot)
        client.log_artifact(run_id, str(plot), "plots")
        out_of_fold = client.download_artifacts(run_id, OUT_OF_FOLD_PLOT, temporary)
        _copy([plot, Path(out_of_fold)], folder)


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
