"""What the three DAGs have in common."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.models import Param

from include import config
from include.config_rules import DATA_FILE_PATTERN

# Outages of a minute or two pass without anyone's help; permanent errors fail at once (orchestration/retries.py).
TASK_DEFAULTS: dict[str, Any] = {
    "owner": config.OWNER,
    "retries": 4,
    "retry_delay": timedelta(seconds=5),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=1),
    "execution_timeout": timedelta(minutes=config.TASK_MINUTES),
}


def documented(documentation: str) -> str:
    """A DAG's documentation, with the names of `include/config.py` in the place of {THEIRS}."""
    return documentation.format_map(vars(config))


DAG_DEFAULTS: dict[str, Any] = {
    "start_date": datetime(2023, 1, 1),
    "catchup": False,
    "max_active_runs": 1,  # runs write to the same names in S3 and in the registry: one after the other
    "is_paused_upon_creation": False,
    "tags": config.TAGS,
    "default_args": TASK_DEFAULTS,
}

meanings = [f"{name}: {rule['description']}" for name, rule in config.HYPER_PARAMETER_RULES.items()]
HYPER_PARAMETERS = Param(
    config.HYPER_PARAMETERS,
    type="object",
    properties=config.HYPER_PARAMETER_RULES,
    title="Hyperparameters",
    description=". ".join([f"What {config.MODEL_CLASS} is made with, as JSON", *meanings]) + ".",
)
DATA_FILE = Param(
    config.DATA_FILE,
    type="string",
    pattern=DATA_FILE_PATTERN,
    examples=sorted(file.name for file in config.INCLUDE.glob("*.csv")),
    title="Data file",
    description="The name of a CSV file in include/, with the columns that include/config.py names.",
)
