"""The scheduler reads the DAG files again and again: they import nothing heavy beyond what their operators need."""

from __future__ import annotations

import subprocess
import sys

from harness import ROOT

PROGRAM = """
import importlib, os, sys

HEAVY = {"matplotlib", "mlflow", "numpy", "pandas", "pyarrow", "scipy", "sklearn"}
OPERATORS = {
    "feature_eng": ["airflow.providers.amazon.aws.operators.s3", "mlflow_provider.hooks.client"],
    "train": ["mlflow_provider.operators.registry"],
    "predict": ["mlflow_provider.operators.pyfunc"],
}

import airflow.decorators, astro.sql  # all of them have these

for dag, operators in OPERATORS.items():
    if os.fork() == 0:  # each sees what the others have not imported
        for operator in operators:
            importlib.import_module(operator)
        brought = set(sys.modules)
        importlib.import_module(dag)
        own = {name.partition(".")[0] for name in set(sys.modules) - brought}
        print(dag, *sorted(HEAVY & own), flush=True)
        os._exit(0)
    os.wait()
"""


def test_nothing_heavy_beyond_the_operators(tmp_path):
    environment = {"AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": f"{ROOT}:{ROOT / 'dags'}"}

    seen = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)

    assert seen.stdout.splitlines() == ["feature_eng", "train", "predict"], seen.stderr
