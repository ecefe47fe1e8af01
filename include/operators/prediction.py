"""The MLflow provider's prediction operator, updated for today's Airflow and MLflow."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import pandas as pd
from airflow.exceptions import AirflowException
from airflow.utils.context import Context
from mlflow.exceptions import MlflowException
from mlflow.models import Model, validate_schema
from mlflow.types import Schema
from mlflow_provider.operators import pyfunc as provider
from uv import find_uv_bin

from include.errors import DataError
from include.orchestration.retries import retry_policy
from include.tracking.session import mlflow_connected

# The environment variables that the model's process gets: it runs what was unpickled and installed, so no secret is
# among them. The second group is for uv alone, since an index or a proxy may be named together with its password.
MODEL_VARIABLES = (
    *("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LANGUAGE", "LC_*", "LD_LIBRARY_PATH"),
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    *("ARROW_DEFAULT_MEMORY_POOL", "MALLOC_TRIM_THRESHOLD_"),
)
UV_VARIABLES = ("UV_*", "XDG_*", "SSL_CLIENT_CERT", "NETRC", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def _load_and_predict(
    model: str, rows_file: str, predictions_file: str, named: bool, estimator_file: str | None = None
) -> None:
    """Predict in the model's environment, which knows nothing of this project: all that it needs is in here."""
    import pickle
    from pathlib import Path

    import pandas

    rows = pandas.read_parquet(rows_file)
    data = rows if named else rows.to_numpy()
    if estimator_file:
        predicted = pickle.loads(Path(estimator_file).read_bytes()).predict(data)  # noqa: S301 (as MLflow does)
    else:
        from mlflow import pyfunc

        loaded = pyfunc.load_model(model, suppress_warnings=True)  # of packages in other versions: none are, here
        if not named:
            loaded.metadata.signature = None
        predicted = loaded.predict(data)
    if not isinstance(predicted, pandas.DataFrame):
        predicted = pandas.DataFrame({"prediction": predicted})
    predicted.set_axis(rows.index).to_parquet(predictions_file)


class ModelLoadAndPredictOperator(provider.ModelLoadAndPredictOperator):
    """Load a model from MLflow and predict, in a virtual environment with just the model's own requirements.

    uv builds the environment and keeps it in its cache (`UV_CACHE_DIR`) for the next predictions with the same
    requirements; `uv cache prune` deletes it.

    What differs from the provider's operator: it runs on Airflow 2.8 and later; the connection's port counts, and its
    login may be missing; the environment is built once and kept; rows and predictions travel as Parquet; and no secret
    gets into the task's rendered fields or into the model's process.

    Args:
        model_uri: Whatever MLflow loads: `runs:/<run id>/model`, `models:/<name>/<version or stage>`,
            `models:/<name>@<alias>`.
        data: The rows to predict for: a DataFrame, or what pandas can turn into one.
        aws_conn_id: The connection to the S3 store with the model's files.
        kwargs: What the provider's operator takes.

    Returns:
        The predictions: a DataFrame with the column `prediction` and the index of `data`.
    """

    template_fields = ("model_uri", "data")

    def __init__(self, *, aws_conn_id: str = "aws_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.aws_conn_id = aws_conn_id
        self.python_callable = _load_and_predict
        self.op_kwargs: dict[str, Any] = {}
        self.inherit_env = False

    @retry_policy()
    def execute(self, context: Context) -> pd.DataFrame:
        """Return the predictions."""
        named = isinstance(self.data, pd.DataFrame)
        rows = self.data if named else pd.DataFrame(self.data).rename(columns=str)
        with TemporaryDirectory(prefix="predict-") as temporary:
            folder = Path(temporary)
            with mlflow_connected(self.mlflow_conn_id, self.aws_conn_id):
                model = Path(mlflow.artifacts.download_artifacts(self.model_uri, dst_path=temporary))
            description = Model.load(str(model))
            estimator = _pickled_estimator(model, description)
            if estimator and named and description.signature:  # pyfunc would do the same
                rows = self._fit_to_signature(rows, description.signature.inputs)
            rows.to_parquet(folder / "rows.parquet")
            del rows  # they may be a copy, and the model's process needs the memory
            self.op_kwargs = {
                "model": str(model),
                "rows_file": str(folder / "rows.parquet"),
                "predictions_file": str(folder / "predictions.parquet"),
                "named": named,
                "estimator_file": estimator,
            }
            self._predict(folder, model / "requirements.txt")
            predictions = pd.read_parquet(folder / "predictions.parquet")
        self.log.info("Predicted %d rows with %s", len(predictions), self.model_uri)
        return predictions

    def _fit_to_signature(self, rows: pd.DataFrame, inputs: Schema) -> pd.DataFrame:
        """Return the columns of the model's signature in its order.

        Raises:
            DataError: If one is missing or of another type.
        """
        try:
            validate_schema(rows, inputs)
        except MlflowException as error:
            message = (
                f"The rows do not fit the signature of {self.model_uri}: {error} Give it the columns it was trained on."
            )
            raise DataError(message) from error
        return rows.filter(items=inputs.input_names())

    def _predict(self, folder: Path, requirements: Path) -> None:
        """Run `_load_and_predict` in the environment, which is built if it is not in uv's cache yet."""
        self.env_vars = _inherited(*MODEL_VARIABLES, *UV_VARIABLES)
        self._build(requirements)
        python = folder / "python"  # Airflow calls one file
        unset = [f"-u{name}" for name in self.env_vars.keys() - _inherited(*MODEL_VARIABLES).keys()]
        command = shlex.join([*_uv_run(requirements), "--offline", "env", *unset, "python"])
        python.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        python.chmod(0o700)
        try:
            self._execute_python_callable_in_subprocess(python)
        except (AirflowException, subprocess.CalledProcessError):
            # The reason may be a damaged environment, which uv does not notice. The next attempt builds another one.
            prune = {**self.env_vars, "UV_LOCK_TIMEOUT": "10"}  # s, while other predictions use the cache
            subprocess.run([find_uv_bin(), "cache", "prune", "--quiet"], env=prune, capture_output=True)
            raise

    def _build(self, requirements: Path) -> None:
        """Make sure that the environment is in uv's cache. Ask the package index only if something is missing."""
        for offline in (["--offline"], []):
            command = [*_uv_run(requirements), *offline, "python", "-c", ""]
            done = subprocess.run(command, env=self.env_vars, capture_output=True, text=True)
            if done.returncode == 0:
                return
            self.log.info("Building the prediction environment")
        raise RuntimeError(
            f"The prediction environment could not be built from the requirements.txt of {self.model_uri}: "
            f"{done.stderr.strip()}\nCorrect the requirements of the model, or what keeps the worker from building it "
            "(package index, disk), and clear the task."
        )


def _inherited(*patterns: str) -> dict[str, str]:
    """Return the variables of this process whose names, in capitals, match one of the patterns."""
    return {
        name: value
        for name, value in os.environ.items()
        if any(fnmatchcase(name.upper(), pattern) for pattern in patterns)
    }


def _uv_run(requirements: Path) -> list[str]:
    alone = ("--quiet", "--isolated", "--no-project", "--no-env-file")
    return [find_uv_bin(), "run", *alone, "--python", sys.executable, "--with-requirements", str(requirements)]


def _pickled_estimator(model: Path, description: Model) -> str | None:
    """Return the file with the pickled estimator, where pyfunc would do no more than call its `predict`.

    To unpickle it without MLflow takes half the time. Any other model is loaded by pyfunc.
    """
    pyfunc, sklearn = (description.flavors.get(flavor, {}) for flavor in ("python_function", "sklearn"))
    signature = description.signature
    plain = (
        pyfunc.get("loader_module") == "mlflow.sklearn"
        and pyfunc.get("predict_fn", "predict") == "predict"
        and not pyfunc.get("code")
        and sklearn.get("serialization_format") in ("cloudpickle", "pickle")
        and (signature is None or (signature.inputs is not None and not signature.inputs.is_tensor_spec()))
    )
    return str(model / sklearn["pickled_model"]) if plain else None
