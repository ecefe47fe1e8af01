"""The settings of the Airflow that runs inside the tests' own process.

Airflow reads them when it is imported. The conftest.py of each folder whose tests import Airflow therefore calls
`use_own_airflow`; for the other tests nothing changes.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import uuid
from pathlib import Path

from harness import ROOT, STACK_IS_INSTALLED

HOME = (
    Path(tempfile.gettempdir()).resolve() / f"pipeline tests {uuid.uuid4().hex}"
)  # created by the first that needs it


@functools.cache
def use_own_airflow() -> None:
    """Give Airflow a home in a temporary folder and the settings that the containers get, none of the user's shell."""
    if not STACK_IS_INSTALLED:
        return
    from dotenv import dotenv_values  # which the Astro image does without

    for name in [name for name in os.environ if name.startswith(("AIRFLOW", "AWS_", "MLFLOW_"))]:
        del os.environ[name]
    variables = dotenv_values(ROOT / ".env_example", interpolate=False)
    os.environ.update({name: value or "" for name, value in variables.items()})
    os.environ["AIRFLOW_HOME"] = str(HOME / "airflow")
    os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(ROOT / "dags")
    os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(ROOT / "plugins")
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"


def remove_own_airflow() -> None:
    """Delete what Airflow and the stack of the tests have left."""
    shutil.rmtree(HOME, ignore_errors=True)
