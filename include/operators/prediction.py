"""The MLflow provider's prediction operator, updated for today's Airflow and MLflow."""

from __future__ import annotations

import os
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
from mlflow.models import Model, ModelSignature, validate_schema
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
    "OMP_WAIT_POLICY",
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    *("ARROW_DEFAULT_MEMORY_POOL", "MALLOC_TRIM_THRESHOLD_"),
)
UV_VARIABLES = ("UV_*", "XDG_*", "SSL_CLIENT_CERT", "NETRC", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
PROGRAM = Path(__file__).with_name("predict_in_environment.py")


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
        data: The rows to predict for: a DataFrame, or lists of values in the order of the model's signature.
        aws_conn_id: The connection to the S3 store with the model's files.
        kwargs: What the provider's operator takes.

    Returns:
        The predictions: a DataFrame with the column `prediction` and the index of `data`.
    """

    template_fields = ("model_uri", "data")

    def __init__(self, *, aws_conn_id: str = "aws_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.aws_conn_id = aws_conn_id

    @retry_policy()
    def execute(self, context: Context) -> pd.DataFrame:
        """Return the predictions."""
        with TemporaryDirectory(prefix="predict-") as folder:
            with mlflow_connected(self.mlflow_conn_id, self.aws_conn_id):
                model = Path(mlflow.artifacts.download_artifacts(self.model_uri, dst_path=folder))
            description = Model.load(str(model))
            self._rows(description.signature).to_parquet(Path(folder, "rows.parquet"))
            self._predict(model / "requirements.txt", PROGRAM, model, folder, *_pickled_estimator(model, description))
            predictions = pd.read_parquet(Path(folder, "predictions.parquet"))
        self.log.info("Predicted %d rows with %s", len(predictions), self.model_uri)
        return predictions

    def _rows(self, signature: ModelSignature | None) -> pd.DataFrame:
        """Return the rows with the columns of the model's signature in its order, if that names columns.

        Raises:
            DataError: A column is missing or of another type.
        """
        inputs = signature.inputs if signature else None
        if inputs is None or not inputs.has_input_names():
            return pd.DataFrame(self.data).rename(columns=str)  # Parquet has no other names
        names = inputs.input_names()
        rows = self.data if isinstance(self.data, pd.DataFrame) else pd.DataFrame(self.data, columns=names)
        try:
            validate_schema(rows, inputs)
        except MlflowException as error:
            raise DataError(
                f"The rows do not fit the signature of {self.model_uri}: {error} Give it the columns it was trained on."
            ) from error
        return rows.filter(items=names)

    def _predict(self, requirements: Path, program: Path, *arguments: object) -> None:
        """Run a program in the environment, which is built if it is not in uv's cache yet."""
        self._build(requirements)
        unset = [f"-u{name}" for name in _inherited(*UV_VARIABLES)]
        done = _uv_run(requirements, "--offline", "env", *unset, "python", "-P", program, *arguments)
        output = f"{done.stdout}{done.stderr}".strip()
        if output:
            self.log.info("Output of the model's process:\n%s", output)
        if done.returncode:
            # The reason may be a damaged environment, which uv does not notice. The next attempt builds another one.
            prune = [find_uv_bin(), "cache", "prune", "--quiet"]
            patience = {"UV_LOCK_TIMEOUT": "10"}  # seconds, while other predictions use the cache
            subprocess.run(prune, env=_inherited(*MODEL_VARIABLES, *UV_VARIABLES) | patience, capture_output=True)
            *_, last_line = ["", *output.splitlines()]
            raise AirflowException(f"{self.model_uri} failed to predict: {last_line} (Its whole output is above.)")

    def _build(self, requirements: Path) -> None:
        """Make sure that the environment is in uv's cache. Ask the package index only if something is missing."""
        nothing = ("python", "-c", "")
        if _uv_run(requirements, "--offline", *nothing).returncode == 0:
            return
        self.log.info("Building the prediction environment")
        done = _uv_run(requirements, *nothing)
        if done.returncode:
            raise RuntimeError(
                f"The prediction environment could not be built from the requirements.txt of {self.model_uri}: "
                f"{done.stderr.strip()}\nCorrect the requirements of the model, or what keeps the worker from building "
                "it (package index, disk), and clear the task."
            )


def _inherited(*patterns: str) -> dict[str, str]:
    """Return the variables of this process whose names, in capitals, match one of the patterns."""
    return {
        name: value
        for name, value in os.environ.items()
        if any(fnmatchcase(name.upper(), pattern) for pattern in patterns)
    }


def _uv_run(requirements: Path, *command: object) -> subprocess.CompletedProcess[str]:
    """Run a command in an environment with these requirements alone."""
    alone = ("--quiet", "--isolated", "--no-project", "--no-env-file", "--python", sys.executable)
    words = [str(word) for word in (find_uv_bin(), "run", *alone, "--with-requirements", requirements, *command)]
    variables = _inherited(*MODEL_VARIABLES, *UV_VARIABLES)
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=variables, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            output, errors = process.communicate()
        except BaseException:  # such as the timeout of the task
            process.terminate()  # uv ends the command, too; if uv were killed, it would run on
            raise
    return subprocess.CompletedProcess(words, process.returncode, output, errors)


def _pickled_estimator(model: Path, description: Model) -> list[Path]:
    """Return the file with the pickled estimator, if scikit-learn alone can load and call it; otherwise nothing.

    That takes half the time of pyfunc, which loads any model.
    """
    pyfunc, sklearn = (description.flavors.get(flavor, {}) for flavor in ("python_function", "sklearn"))
    is_pickled = sklearn.get("serialization_format") in ("cloudpickle", "pickle") and not sklearn.get("code")
    return [model / sklearn["pickled_model"]] if is_pickled and pyfunc.get("predict_fn") == "predict" else []
