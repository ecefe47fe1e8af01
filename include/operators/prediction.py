"""The MLflow provider's prediction operator, mended for today's Airflow and MLflow."""

from __future__ import annotations

from pathlib import Path
from subprocess import CalledProcessError
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import pandas as pd
from airflow.exceptions import AirflowException
from airflow.utils.context import Context
from mlflow_provider.operators import pyfunc as provider

from include import config
from include.operators.prediction_environment import is_intact, prediction_environment
from include.orchestration.retries import fail_for_good
from include.tracking.session import mlflow_connected


def _load_and_predict(model: str, rows_file: str, predictions_file: str, named: bool) -> None:
    """Runs in the model's environment, which knows nothing of this project: all that it needs is in here."""
    import pandas
    from mlflow import pyfunc

    rows = pandas.read_parquet(rows_file)
    loaded = pyfunc.load_model(model, suppress_warnings=True)  # of packages in other versions: none are, here
    if not named:
        loaded.metadata.signature = None
    predicted = loaded.predict(rows if named else rows.to_numpy())
    if not isinstance(predicted, pandas.DataFrame):
        predicted = pandas.DataFrame({"prediction": predicted})
    predicted.set_axis(rows.index).to_parquet(predictions_file)


class ModelLoadAndPredictOperator(provider.ModelLoadAndPredictOperator):
    """Loads a model from MLflow and predicts, in a virtual environment with just the model's own requirements.

    What differs from the provider's operator: it runs on Airflow 2.8 and later; the connection's port counts, and its
    login may be missing; the environment is built once and kept; rows and predictions travel as Parquet; and no secret
    gets into the task's rendered fields or into the environment.

    :param model_uri: whatever MLflow loads: `runs:/<run id>/model`, `models:/<name>/<version or stage>`,
        `models:/<name>@<alias>`
    :param data: the rows to predict for: a DataFrame, or what pandas makes one of
    :param aws_conn_id: the connection to the S3 store with the model's files
    :return: the predictions: a DataFrame with the column `prediction` and the index of `data`
    """

    template_fields = ("model_uri", "data")

    def __init__(self, *, aws_conn_id: str = config.AWS_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.aws_conn_id = aws_conn_id
        self.python_callable = _load_and_predict
        self.op_kwargs: dict[str, Any] = {}
        # The first prediction in a new environment leaves the bytecode of what it has imported, for all later ones.
        self.env_vars = {"PYTHONDONTWRITEBYTECODE": ""}

    @fail_for_good()
    def execute(self, context: Context) -> pd.DataFrame:
        named = isinstance(self.data, pd.DataFrame)
        rows = self.data if named else pd.DataFrame(self.data).rename(columns=str)
        with TemporaryDirectory(prefix="predict-") as folder:
            with mlflow_connected(self.mlflow_conn_id, self.aws_conn_id):
                model = mlflow.artifacts.download_artifacts(self.model_uri, dst_path=folder)
            files = {"rows_file": f"{folder}/rows.parquet", "predictions_file": f"{folder}/predictions.parquet"}
            rows.to_parquet(files["rows_file"])
            self.op_kwargs = {"model": model, "named": named, **files}
            self._predict(Path(model, "requirements.txt").read_text())
            predictions = pd.read_parquet(files["predictions_file"])
        self.log.info("Predicted %d rows with %s", len(predictions), self.model_uri)
        return predictions

    def _predict(self, requirements: str) -> None:
        """Predicts in the environment, and once more in a new one if that has turned out broken."""
        for rebuild in (False, True):
            with prediction_environment(requirements, rebuild) as python:
                try:
                    return self._execute_python_callable_in_subprocess(python)
                except (AirflowException, CalledProcessError, OSError) as error:
                    if rebuild or is_intact(python):
                        raise
                    self.log.warning("The environment is broken and is built anew: %s", error)
