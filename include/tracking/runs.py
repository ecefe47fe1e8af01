"""What the three MLflow runs of a pipeline run have in common: lineage, start, inputs and artifacts.

A task that runs again leaves no second MLflow run: one that an earlier attempt finished with the same inputs, code and
package versions is used again, and what an attempt left unfinished is deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import platform
from collections.abc import Iterator
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import pandas as pd
from airflow.operators.python import get_current_context
from mlflow import MlflowClient
from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.pandas_dataset import PandasDataset
from mlflow.models import infer_signature
from mlflow.types import Schema
from mlflow.utils.git_utils import get_git_commit

from include import config
from include.tracking.pages import mlflow_page

log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("scikit-learn", "pandas", "numpy", "scipy", "mlflow", "apache-airflow")
SAME_CODE = ("code_digest", "versions")  # tags
SAME = ("inputs", *SAME_CODE)  # where these are equal, the result is
SCHEMA_ROWS = 1_000


def lineage(pipeline_run: str, frame: pd.DataFrame, *inputs: object) -> dict[str, str]:
    """Return the tags that say where a run comes from.

    Args:
        pipeline_run: The run of feature_eng that this run through the three DAGs began with.
        frame: The data that the result depends on.
        inputs: Whatever else it depends on, except code and package versions.
    """
    instance = get_current_context()["ti"]
    data = digest(frame)
    attempt_of = hashlib.sha256(repr((instance.dag_id, instance.run_id, instance.task_id)).encode()).hexdigest()[:32]
    return code_tags() | {
        "mlflow.source.name": f"dags/{instance.dag_id}.py",
        "mlflow.source.type": "JOB",
        "pipeline_run": pipeline_run,
        "airflow_dag_id": instance.dag_id,
        "airflow_run_id": instance.run_id,
        "airflow_task_id": instance.task_id,
        "attempt_of": attempt_of,
        "data_digest": data[:8],
        "inputs": hashlib.sha256(repr((data, inputs)).encode()).hexdigest()[:32],
    }


def code_tags() -> dict[str, str]:
    """Return the versions of what computes: the project's files, its commit if there is one, Python and packages."""
    files = [*ROOT.glob("dags/*.py"), *ROOT.glob("include/**/*.py")]
    code = [file.read_bytes() for file in sorted(files) if "local_stack" not in file.parts]
    packages = [f"{name} {version(name)}" for name in PACKAGES]
    tags = {
        "code_digest": hashlib.sha256(b"".join(code)).hexdigest()[:12],
        "versions": ", ".join([f"python {platform.python_version()}", *packages]),
    }
    if commit := get_git_commit(str(ROOT)):
        tags["mlflow.source.git.commit"] = commit
    return tags


def digest(frame: pd.DataFrame) -> str:
    """Return a fingerprint of all values of a DataFrame, its index and its columns."""
    values = hashlib.sha256(pd.util.hash_pandas_object(frame).to_numpy().tobytes())
    values.update(repr(list(frame.columns)).encode())
    return values.hexdigest()[:32]


def find_finished(experiment_id: str, lineage: dict[str, str]) -> str | None:
    """Return the run that an earlier attempt of this task finished with the same lineage; delete unfinished ones."""
    client = MlflowClient()
    for run in client.search_runs([experiment_id], f"tags.attempt_of = '{lineage['attempt_of']}'"):
        if run.info.status != "FINISHED":
            log.info("Deleting run %s, which an earlier attempt left unfinished", run.info.run_id)
            client.delete_run(run.info.run_id)
        elif all(run.data.tags.get(tag) == lineage[tag] for tag in SAME):
            log.info("Using run %s of an earlier attempt: same inputs, code and versions", run.info.run_id)
            link_task(experiment_id, run.info.run_id)
            return run.info.run_id
    return None


@contextlib.contextmanager
def start(experiment_id: str, name: str, tags: dict[str, str], description: str) -> Iterator[str]:
    """Start a run for the block and yield its id. An error in the block leaves it FAILED."""
    instance = get_current_context()["ti"]
    origin = f"Logged by [{instance.dag_id}.{instance.task_id}]({instance.log_url}) in Airflow."
    together = f'tags.pipeline_run = "{tags["pipeline_run"]}"'
    with mlflow.start_run(
        experiment_id=experiment_id,
        run_name=name,
        tags=tags,
        description=f"{description}\n\n{origin} The other runs of the same pipeline run: search for `{together}`",
    ) as run:
        yield run.info.run_id
    link_task(experiment_id, run.info.run_id)


def link_task(experiment_id: str, run_id: str) -> None:
    """Let the task's button "MLflow run" lead to this run."""
    page = f"experiments/{experiment_id}/runs/{run_id}"
    log.info("Tracked in MLflow: %s", mlflow_page(page, config.MLFLOW_CONNECTION))
    instance = get_current_context()["ti"]
    instance.xcom_push("mlflow_run_id", run_id)
    instance.xcom_push("mlflow_run_page", page)


class _FrameDataset(PandasDataset):
    """Infers the schema from the first rows: MLflow would look at every value, and all rows have the same types."""

    @cached_property
    def schema(self) -> Schema | None:
        return infer_signature(self.df.head(SCHEMA_ROWS)).inputs


def log_frame(frame: pd.DataFrame, source: str, name: str, context: str, target: str, digest: str) -> None:
    """Log a DataFrame as an input of the active run: its source, columns, number of rows and digest, not its values."""
    data = _FrameDataset(frame, resolve_dataset_source(source), targets=target, name=name, digest=digest)
    mlflow.log_input(data, context=context)


@contextlib.contextmanager
def artifacts() -> Iterator[Path]:
    """Yield a folder whose files become artifacts of the active run, all at once."""
    with TemporaryDirectory() as folder:
        yield Path(folder)
        mlflow.log_artifacts(folder)
