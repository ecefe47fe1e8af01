"""The environment of the prediction operator, built by the real uv from a package that is created here."""

from __future__ import annotations

import json
import os
import time
import zipfile
from datetime import datetime
from pathlib import Path

import numpy as np
import psutil
import pytest
from airflow import DAG
from airflow.exceptions import AirflowException, AirflowTaskTimeout
from airflow.utils.timeout import timeout
from mlflow.models import ModelSignature, infer_signature

from include.operators.prediction import ModelLoadAndPredictOperator

INHERITED = {
    "LANG": "C.UTF-8",
    "LC_TIME": "C",
    "OMP_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "SSL_CERT_DIR": "/etc/ssl/certs",
}
HIDDEN = {
    "AIRFLOW_CONN_AWS_CONN": "hidden",
    "AIRFLOW__CORE__FERNET_KEY": "hidden",
    "AWS_SECRET_ACCESS_KEY": "hidden",
    "MLFLOW_TRACKING_PASSWORD": "hidden",
    "PYTHONPATH": str(Path.cwd()),
    "UV_INDEX_PRIVATE_PASSWORD": "hidden",
    "HTTPS_PROXY": "http://someone:hidden@127.0.0.1:1",
    "https_proxy": "http://someone:hidden@127.0.0.1:1",
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A cache of uv for one test, in a path with a space. Nothing is downloaded."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "kept here"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    return tmp_path / "kept here"


@pytest.fixture
def requirements(tmp_path) -> Path:
    """A requirements.txt that names one package, whose single module answers 42."""
    wheel, description = tmp_path / "tiny_answer-1.0-py3-none-any.whl", "tiny_answer-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_answer.py", "answer = 42\n")
        archive.writestr(f"{description}/METADATA", "Metadata-Version: 2.1\nName: tiny-answer\nVersion: 1.0\n")
        archive.writestr(f"{description}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{description}/RECORD", "")
    file = tmp_path / "requirements.txt"
    file.write_text(f"tiny-answer @ {wheel.as_uri()}\n")
    return file


SEEN = """
import importlib.util, json, os, sys
from pathlib import Path

import tiny_answer

modules = {name: bool(importlib.util.find_spec(name)) for name in ("include", "airflow", "pandas")}
found = {"answer": tiny_answer.answer, "environ": dict(os.environ), "modules": modules}
Path(sys.argv[1]).write_text(json.dumps(found))
"""


@pytest.fixture
def operator() -> ModelLoadAndPredictOperator:
    with DAG("predicting", start_date=datetime(2023, 1, 1), schedule=None):
        return ModelLoadAndPredictOperator(task_id="predict", model_uri="models:/tiny/1", data=[])


@pytest.fixture
def run(operator, tmp_path, requirements):
    """Runs a program where a model would run, and returns what it has seen of its surroundings."""

    def run() -> dict:
        program = tmp_path / "program.py"
        program.write_text(SEEN)
        operator._predict(requirements, program, tmp_path / "result")
        return json.loads((tmp_path / "result").read_text())

    return run


def module_file(cache: Path) -> Path:
    return next(cache.glob("environments-v*/*/*/lib/*/site-packages/tiny_answer.py"))


def test_the_process_gets_no_secret_and_cannot_import_the_project(run, monkeypatch):
    for name, value in (HIDDEN | INHERITED).items():
        monkeypatch.setenv(name, value)

    found = run()

    assert found["answer"] == 42
    assert found["modules"] == {"include": False, "airflow": False, "pandas": False}
    assert found["environ"].keys() & HIDDEN.keys() == set()
    assert "hidden" not in str(found["environ"])
    assert found["environ"].items() >= (INHERITED | {"HOME": os.environ["HOME"]}).items()


def test_the_environment_is_built_once_and_found_again(run, cache):
    run()
    built = module_file(cache)
    (built.parent / "left.py").touch()

    run()

    assert module_file(cache).with_name("left.py").exists()


def test_a_damaged_environment_fails_once_and_is_built_again(run, cache):
    run()
    module_file(cache).unlink()

    with pytest.raises(AirflowException, match=r"models:/tiny/1 failed to predict: .* No module named 'tiny_answer'"):
        run()
    assert run()["answer"] == 42


@pytest.mark.parametrize("line", ["no-such-package-anywhere==1.0", "not a requirement", "-r missing.txt"])
def test_an_environment_that_cannot_be_built_names_the_model_and_the_requirement(line, run, requirements):
    requirements.write_text(line)

    with pytest.raises(RuntimeError, match="models:/tiny/1") as error:
        run()

    assert line.split()[-1].partition("==")[0] in str(error.value)


TENSOR = infer_signature(np.eye(2))


@pytest.mark.parametrize(
    "signature", [None, ModelSignature(outputs=TENSOR.inputs), TENSOR], ids=["none", "without inputs", "of a tensor"]
)
def test_rows_for_a_model_without_names_of_columns_can_be_written_as_parquet(signature, operator, tmp_path):
    operator.data = [[1, 2], [3, 4]]

    rows = operator._rows(signature)

    rows.to_parquet(tmp_path / "rows.parquet")
    assert rows.to_numpy().tolist() == [[1, 2], [3, 4]]


def test_a_model_that_hangs_ends_with_its_task(operator, requirements, tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import time; time.sleep(60)")
    operator._build(requirements)
    started = time.monotonic()

    with pytest.raises(AirflowTaskTimeout), timeout(1):
        operator._predict(requirements, program)

    assert time.monotonic() - started < 30
    assert not any(str(program) in (process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
