"""`astro dev parse` runs this in a container, where no service is up: every file in dags/ can be imported.

The Astro CLI expects it under this name. dag_integrity_exceptions.txt lists files that may fail.
"""

from pathlib import Path

import pytest
from airflow.configuration import conf
from airflow.hooks.base import BaseHook
from airflow.models import Connection, DagBag, Variable

PROJECT = Path(__file__).resolve().parents[1]
NONE = object()


def any_variable(key, default_var=NONE, deserialize_json=False):
    """Stands in for Variable.get, as files may call it while they are read, and there is no database."""
    if default_var is not NONE:
        return default_var
    return {} if deserialize_json else f"value of {key}"


@pytest.fixture(scope="module")
def dag_bag():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Variable, "get", any_variable)
        patch.setattr(BaseHook, "get_connection", lambda conn_id, *args: Connection(conn_id))
        return DagBag(include_examples=False, collect_dags=True)


def exceptions():
    lines = (PROJECT / ".astro" / "dag_integrity_exceptions.txt").read_text().splitlines()
    return {line.strip() for line in lines if not line.startswith("#")}


def test_every_file_can_be_imported(dag_bag):
    folder = Path(conf.get("core", "dags_folder"))
    errors = {f"dags/{Path(file).relative_to(folder)}": error for file, error in dag_bag.import_errors.items()}
    messages = [f"{file}:\n{error}" for file, error in errors.items() if file not in exceptions()]
    assert not messages, "\n".join(messages)


def test_there_are_dags(dag_bag):
    assert dag_bag.dags, "There is not one DAG in dags/"
