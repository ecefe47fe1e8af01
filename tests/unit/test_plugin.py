"""What the scheduler does before it forks its tasks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_tasks_find_the_big_packages_loaded_and_the_projects_code_as_it_is():
    program = """
import sys
from botocore.loaders import JSONFileLoader
from plugins import pipeline
pipeline.preload()
print("sklearn" in sys.modules, "mlflow" in sys.modules)
print([name for name in sys.modules if name.split(".")[0] == "include"])
JSONFileLoader.load_file = lambda *_: 1 / 0
print(type(pipeline.S3Hook(None).get_conn()).__name__)
"""
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)

    assert [line for line in loaded.stdout.splitlines() if "INFO" not in line] == ["True True", "[]", "S3"], (
        loaded.stderr
    )
