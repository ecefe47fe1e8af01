"""How the tasks write to MLflow.

A task that is run again leaves no second run: one that was finished for the same data, parameters and code is found
again, and what an attempt left unfinished is deleted.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import platform
import re
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ParamSpec

import mlflow
import mlflow.sklearn
import pandas as pd
from airflow.operators.python import get_current_context
from mlflow import MlflowClient
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import LoggedModel, Run
from mlflow.models import infer_signature
from mlflow.utils.git_utils import get_git_commit
from sklearn.base import BaseEstimator

from include import config
from include.errors import DataError
from include.orchestration.retries import fail_for_good
from include.tracking.client import MLflowClientHook
from include.tracking.requirements import pinned_requirements
from include.tracking.session import mlflow_connected

log = logging.getLogger(__name__)
P = ParamSpec("P")
ROOT = Path(__file__).resolve().parents[2]
HARMLESS = (  # warnings of MLflow's
    "Hint: Inferred schema contains integer column",  # they can't get gaps: such rows are left out
    "The specified dataset source can be interpreted in multiple ways",  # it names the same one twice
)


def in_mlflow(function: Callable[P, str]) -> Callable[P, str]:
    """Runs a function that returns a run's id connected to MLflow. What can't pass fails the task for good.

    Whoever asks the task for `mlflow_run_id` gets the id, and for `mlflow_run_page` the run's page in the MLflow UI.
    """

    @functools.wraps(function)
    def connected(*args: P.args, **kwargs: P.kwargs) -> str:
        with fail_for_good(), mlflow_connected(), warnings.catch_warnings():
            for harmless in HARMLESS:
                warnings.filterwarnings("ignore", harmless)
            run_id = function(*args, **kwargs)
            run = MlflowClient().get_run(run_id).info
        log.info("Tracked in MLflow: run %s (%s)", run.run_name, run_id)
        instance = get_current_context()["ti"]
        instance.xcom_push("mlflow_run_id", run_id)
        instance.xcom_push("mlflow_run_page", f"experiments/{run.experiment_id}/runs/{run_id}")
        return run_id

    return connected


def digest(frame: pd.DataFrame, *others: object) -> str:
    """A fingerprint of all values of a DataFrame, its index and columns, and of the other objects."""
    values = hashlib.sha256(pd.util.hash_pandas_object(frame).to_numpy().tobytes())
    values.update(repr((list(frame.columns), others)).encode())
    return values.hexdigest()[:32]


def code_tags() -> dict[str, str]:
    """The versions of what computes: the project's files, its commit where there is one, Python and the packages."""
    code = (*ROOT.glob("dags/*.py"), *ROOT.glob("include/**/*.py"))
    files = sorted(file for file in code if "local_stack" not in file.parts)
    tags = {"code_digest": hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]}
    if commit := get_git_commit(str(ROOT)):
        tags["mlflow.source.git.commit"] = commit
    packages = [f"{name} {version(name)}" for name in ("scikit-learn", "pandas", "mlflow", "apache-airflow")]
    return tags | {"versions": ", ".join([f"python {platform.python_version()}", *packages])}


def lineage_tags(pipeline_run: str, inputs: str) -> dict[str, str]:
    """Where a run comes from. `pipeline_run` is the run of feature_eng that one pass through the three DAGs began with,
    `inputs` a digest of everything that the result depends on but the code.
    """
    instance = get_current_context()["ti"]
    attempt_of = hashlib.sha256(repr((instance.dag_id, instance.run_id, instance.task_id)).encode()).hexdigest()[:32]
    return code_tags() | {
        "mlflow.source.name": f"dags/{instance.dag_id}.py",
        "mlflow.source.type": "JOB",
        "pipeline_run": pipeline_run,
        "airflow_dag_id": instance.dag_id,
        "airflow_run_id": instance.run_id,
        "airflow_task_id": instance.task_id,
        "attempt_of": attempt_of,
        "inputs": inputs,
    }


def described(what: str, lineage: dict[str, str]) -> str:
    """A run's description: what it holds, and how to find the others of the same pass through the pipeline."""
    together = f'tags.pipeline_run = "{lineage["pipeline_run"]}"'
    return f"{what}\n\nThe runs of the same pass through the pipeline: search for `{together}`"


def finished_run(experiment_id: str, lineage: dict[str, str]) -> Run | None:
    """The run that an earlier attempt of this task finished with the same inputs and code. Deletes unfinished ones."""
    client = MlflowClient()
    same = ("inputs", "code_digest")
    for run in client.search_runs([experiment_id], f"tags.attempt_of = '{lineage['attempt_of']}'"):
        if run.info.status != "FINISHED":
            log.info("Deleting run %s, which an earlier attempt left unfinished", run.info.run_id)
            client.delete_run(run.info.run_id)
        elif all(run.data.tags.get(tag) == lineage[tag] for tag in same):
            log.info("Run %s of an earlier attempt has the same inputs and code, and is used again", run.info.run_id)
            return run
    return None


def log_data(frame: pd.DataFrame, source: str, name: str, context: str, targets: str | None = config.TARGET) -> None:
    """Logs a DataFrame as an input of the run: its source, columns, number of rows and digest, not its values."""
    data = from_pandas(frame, source=source, name=name, targets=targets, digest=digest(frame)[:8])
    mlflow.log_input(data, context=context)


@contextlib.contextmanager
def artifacts() -> Iterator[Path]:
    """A folder whose files become artifacts of the active run, all at once."""
    with TemporaryDirectory() as folder:
        yield Path(folder)
        mlflow.log_artifacts(folder)


def log_sklearn(model: BaseEstimator, name: str, example: pd.DataFrame) -> str:
    """Logs a fitted regressor or transformer with its signature and all its requirements, pinned. Returns its id."""
    predicts = hasattr(model, "predict")
    result = model.predict(example) if predicts else model.transform(example)
    # It would warn of pickles, which the README does, and that a transformer has no predict.
    logging.getLogger("mlflow.sklearn").setLevel(logging.ERROR)
    return mlflow.sklearn.log_model(
        model,
        name=name,
        signature=infer_signature(example, result),
        input_example=example if predicts else None,  # MLflow tries it out with predict
        pip_requirements=pinned_requirements(type(model).__module__),
        serialization_format="cloudpickle",  # holds any regressor, and loads in half the time that skops takes
    ).model_id


def logged_model(run: Run) -> LoggedModel:
    """The model that a run has logged."""
    if not run.outputs:
        raise DataError(f"Run {run.info.run_id} has no model. Run the task that makes it again.")
    return MlflowClient().get_logged_model(run.outputs.model_outputs[0].model_id)


def served(artifact_uri: str) -> str:
    """The address under which the MLflow server itself hands out what lies at `artifact_uri`, so that whoever loads it
    needs no access to S3. Where the server doesn't do that, `artifact_uri` as it is.

    Raises HTTPError if the server can't say at the moment.
    """
    path = artifact_uri.removeprefix(f"s3://{config.ARTIFACT_BUCKET}/")
    hook = MLflowClientHook("GET", mlflow_conn_id=config.MLFLOW_CONNECTION)
    answer = hook.get_conn().get(f"{hook.address}/api/2.0/mlflow-artifacts/artifacts/{path}/MLmodel")
    if answer.status_code in (429, 502, 503, 504) and "--no-serve-artifacts" not in answer.text:
        answer.raise_for_status()
    return f"mlflow-artifacts:/{path}" if path != artifact_uri and answer.ok else artifact_uri


def metric_name(text: str) -> str:
    """`text` with what MLflow doesn't take in a name replaced by underscores."""
    return re.sub(r"[^\w\-. :]", "_", text, flags=re.ASCII)
