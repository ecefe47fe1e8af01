"""What the three DAGs have in common: their defaults, and the params on their trigger forms."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from airflow.datasets import Dataset
from airflow.models import Param

from include import config
from include.config_rules import DATA_FILE_PATTERN, DATA_FILE_WORDS
from include.errors import ConfigurationError
from include.orchestration.sources import allowed_hosts

# Retries get past an outage of a minute or two; permanent errors fail at once (include/orchestration/retries.py).
TASK_DEFAULTS: dict[str, Any] = {
    "owner": config.OWNER,
    "retries": 4,
    "retry_delay": timedelta(seconds=5),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=1),
    "execution_timeout": timedelta(minutes=config.TASK_MINUTES),
    "on_failure_callback": config.FAILURE_CALLBACKS,
}
MODEL = "champion"  # which predicts for new rows, if the form names no other
DAG_DEFAULTS: dict[str, Any] = {
    "start_date": datetime(2023, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own time zone
    "catchup": False,
    "max_active_runs": 1,  # runs write to the same names in S3 and in the registry: one after the other
    "is_paused_upon_creation": False,
    "tags": config.TAGS,
    "default_args": TASK_DEFAULTS,
}


def hyper_parameters() -> Param:
    """Return the param `hyper_parameters`: a JSON object that follows HYPER_PARAMETER_RULES."""
    rules = config.HYPER_PARAMETER_RULES.items()
    meanings = [f"{name}: {rule['description']}" for name, rule in rules if "description" in rule]
    return Param(
        config.HYPER_PARAMETERS,
        type="object",
        properties=config.HYPER_PARAMETER_RULES,
        title="Hyperparameters",
        description=". ".join([f"The arguments of {config.MODEL_CLASS}, as JSON", *meanings]) + ".",
    )


def new_data_file() -> Param:
    """Return the param `data_file` of `predict`: as that of `feature_eng`, or empty."""
    return Param(
        None,
        type=["null", "string"],  # the form would not be sent without a value for a plain string
        pattern=f"^$|{_data_file_pattern()}",
        examples=_local_files(),
        title="Data file",
        description=(
            f"New {config.ROW}s to predict: {_data_file_words()}. {config.TARGET} may be missing. "
            f"Empty: predict for the {config.ROW}s of the newest training."
        ),
    )


def model() -> Param:
    """Return the param `model` of `predict`: which version predicts for a data file."""
    return Param(
        MODEL,
        type="string",
        minLength=1,
        title="Model",
        description=(
            f"For a data file: the version of {config.REGISTERED_MODEL} that predicts. An alias (champion is the best "
            f"version), a stage ({config.STAGE} is the newest) or a version number."
        ),
    )


def reject_model_without_data_file(model: str) -> None:
    """Raise ConfigurationError if a model is chosen, but no rows to predict for."""
    if model != MODEL:
        raise ConfigurationError(
            f"The model {model!r} has no data file to predict for. Name one, or leave the model out: without a data "
            "file, the newest model predicts for the rows that it was trained on."
        )


def data_file() -> Param:
    """Return the param `data_file` of `feature_eng`."""
    return Param(
        config.DATA_FILE,
        type="string",
        pattern=_data_file_pattern(),
        examples=_local_files(),
        title="Data file",
        description=(
            f"The {config.ROW}s to train on: {_data_file_words()}. With the columns that include/config.py names."
        ),
    )


def run_params(context: Any) -> dict[str, Any]:
    """Return the params of a run.

    Raises:
        ConfigurationError: It was triggered with a name that is not a param. Airflow alone would ignore it.
    """
    dag = context["dag"]
    unknown = [name for name in context["dag_run"].conf or {} if name not in dag.params]
    if unknown:
        raise ConfigurationError(
            f"This run was triggered with {', '.join(map(repr, unknown))}, but the params of {dag.dag_id} are "
            f"{', '.join(dag.params)}. Correct the name, and trigger it again."
        )
    return context["params"]


def schedule(setting: str | None) -> str | list[Dataset] | None:
    """Return a DAG's schedule: the URI of a Dataset becomes the Dataset, a cron expression stays as it is."""
    return [Dataset(setting)] if setting and "://" in setting else setting


def _data_file_pattern() -> str:
    """Return the pattern of a data file, with https addresses only of the hosts that a task may call."""
    hosts = "|".join(map(re.escape, allowed_hosts()))
    return f"^(?!https://(?!(?i:{hosts})(?::443)?/)){DATA_FILE_PATTERN}"


def _data_file_words() -> str:
    return f"{DATA_FILE_WORDS} (hosts now: {', '.join(allowed_hosts()) or 'none'})"


def _local_files() -> list[str]:
    return sorted(file.name for file in config.INCLUDE.iterdir() if file.suffix in (".csv", ".parquet"))
