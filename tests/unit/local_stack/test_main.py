"""The commands behind `make run` and `make stop`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from harness import ROOT

main = pytest.importorskip("include.local_stack.__main__", reason="needs the stack without Docker")


def test_a_stack_can_be_stopped_whatever_is_in_the_configuration(tmp_path):
    program = f"""
import sys
sys.modules["include.config"] = None  # cannot be imported
from pathlib import Path
from include.local_stack import __main__
from include.local_stack.stack import Stack
stack = Stack(Path({str(tmp_path)!r}))
for command in (__main__.status, __main__.stop, __main__.clean):
    command(stack)
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("processes", "words"),
    [([], "nothing to stop: no service is running"), (["left by a crash"], "stopping the services")],
)
def test_stop_says_whether_anything_is_running(processes, words, tmp_path, monkeypatch, capsys):
    stack = main.Stack(tmp_path)
    monkeypatch.setattr(stack, "processes", lambda: iter(processes))
    monkeypatch.setattr(stack, "stop", lambda: None)

    main.stop(stack)

    assert capsys.readouterr().out == f"{words}\n"


@pytest.mark.parametrize("port", ["abc", "-1", "0", "65536", "80.5"])
@pytest.mark.parametrize(
    ("variable", "command"),
    [("AIRFLOW_PORT", "status"), ("MLFLOW_PORT", "run"), ("S3_PORT", "stop"), ("SERVE_PORT", "serve")],
)
def test_what_is_not_a_port_is_rejected(variable, command, port, monkeypatch, capsys):
    monkeypatch.setenv(variable, port)

    assert main.main(command) == 1

    assert f"{variable} is '{port}', which is not a port. Set it to a number" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("left_out", "words"),
    [
        (0, ""),
        (2, " (2 more have gaps and are left out)"),
        (3, " (3 more have gaps and are left out); ROWS_WITH_GAPS in include/config.py can keep those"),
    ],
)
def test_the_summary_says_what_to_do_about_many_gaps(left_out, words, server):
    version = {"name": "Tails", "version": "1", "run_id": "training", "current_stage": "Staging"}
    version["tags"] = [{"key": "promotion", "value": "champion: good"}]
    data = {
        "params": {"rows": "10", "rows_left_out": str(left_out), "data_file": "possum.csv"},
        "metrics": {"cv_rmse": 1.2, "cv_rmse_std": 0.2},
        "tags": {"features_run": "features"},
    }
    items = {kind: [{"key": key, "value": value} for key, value in each.items()] for kind, each in data.items()}
    answers = {
        "/model-versions/search": {"model_versions": [version]},
        "/runs/get": {"run": {"data": items}},
    }
    server.answer = lambda request: (200, json.dumps(answers[request.path.partition("?")[0]]))

    assert main.model(server.url, "manual")["Data"] == f"10 animals from possum.csv{words}"
