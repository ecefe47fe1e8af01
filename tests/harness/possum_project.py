"""The possums' configuration and data, in the place of what the project has by now."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from harness import ROOT

POSSUM_PROJECT = ROOT / "tests" / "possum_project"
# For the processes that the tests start. Python would look into the working directory first, without the second one.
PYTHON_VARIABLES = {"PYTHONPATH": os.pathsep.join([str(POSSUM_PROJECT), str(ROOT)]), "PYTHONSAFEPATH": "1"}


def put_possums_into(project: Path) -> None:
    """Replace the configuration of a copy of the project, and add the data."""
    for name in ("config.py", "possum.csv", "possum.jpeg"):
        shutil.copy(POSSUM_PROJECT / "include" / name, project / "include" / name)
