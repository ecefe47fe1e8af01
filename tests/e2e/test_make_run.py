"""What the README promises to someone who has just cloned the project: `make run`, and `make run` again."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
import requests
from harness.clone import Clone

from include.local_stack.pipeline import Pipeline
from include.local_stack.stack import free_port

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    clone = Clone(tmp_path_factory.mktemp("fresh clone"))
    yield clone
    clone.make("stop")


@pytest.fixture(scope="module")
def runs(clone):
    """Two times `make run`, one after the other; then behind a proxy that knows nothing of this machine."""
    return [clone.make("run"), clone.make("run", "http_proxy=http://127.0.0.1:9")]


def test_it_ends_well(runs):
    assert [run.returncode for run in runs] == [0, 0], runs[0].stdout + runs[0].stderr + runs[1].stdout


def test_it_says_what_it_does(runs):
    first, second = (run.stdout for run in runs)

    for words in ("installing airflow", "starting postgres, s3, mlflow", "feature_eng", "train", "predict"):
        assert words in first
    assert "installing" not in second
    assert "starting" not in second  # the stack is up


def test_the_summary_is_true(runs, clone):
    mlflow = f"http://127.0.0.1:{clone.ports['MLFLOW_PORT']}/api/2.0/mlflow"
    for number, run in enumerate(runs, start=1):
        assert f"Reg_RidgeCV_possums, version {number}, stage Staging" in run.stdout
        assert re.search(r"^  Alias +champion: RMSE 1\.\d+ cm[,;] ", run.stdout, re.MULTILINE)
    name = {"name": "Reg_RidgeCV_possums", "alias": "champion"}
    version = requests.get(f"{mlflow}/registered-models/alias", params=name, timeout=30).json()["model_version"]
    data = requests.get(f"{mlflow}/runs/get", params={"run_id": version["run_id"]}, timeout=30).json()["run"]["data"]
    metrics = {metric["key"]: metric["value"] for metric in data["metrics"]}
    assert version["version"] == "2"
    assert (
        f"RMSE {metrics['cv_rmse']:.1f} ± {metrics['cv_rmse_std']:.1f} cm on animals it has not seen" in runs[1].stdout
    )
    for name in ("AIRFLOW_PORT", "MLFLOW_PORT", "S3_PORT"):
        assert f"http://localhost:{clone.ports[name]}" in runs[1].stdout


def test_train_and_predict_worked_for_the_run_that_triggered_them(runs, clone):
    api = requests.Session()
    api.auth = ("admin", "admin")
    url = f"http://127.0.0.1:{clone.ports['AIRFLOW_PORT']}/api/v1"

    events = api.get(f"{url}/datasets/events", timeout=60).json()["dataset_events"]

    started = {event["source_run_id"]: [run["dag_id"] for run in event["created_dagruns"]] for event in events}
    assert sorted(started.values()) == [["predict"], ["predict"], ["train"], ["train"]]
    for dag in ("train", "predict"):
        found = api.get(f"{url}/dags/{dag}/dagRuns", timeout=60).json()["dag_runs"]
        assert [run["run_type"] for run in found] == ["dataset_triggered"] * 2


def test_the_plot_is_there(runs, clone):
    assert (clone.folder / "include" / "plots" / "possum_tails.png").stat().st_size > 10_000


def test_status_says_what_is_up(runs, clone):
    status = clone.make("status").stdout

    assert re.findall(r"(\w+) +RUNNING", status) == ["postgres", "s3", "mlflow", "scheduler", "webserver", "triggerer"]


def test_logins_are_not_limited(runs, clone):
    for _ in range(15):
        Pipeline(f"http://127.0.0.1:{clone.ports['AIRFLOW_PORT']}").call("dags")


def test_make_serve_answers_until_it_is_interrupted(runs, clone):
    command = ["make", "serve", f"SERVE_PORT={free_port()}"]
    serving = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True, **clone.shell)
    printed = ""
    while "Ctrl-C" not in printed:
        line = serving.stdout.readline()
        assert line, printed
        printed += line
    curl = re.search(r"^curl .*$", printed, re.MULTILINE).group()

    retried = [*shlex.split(curl), "-sS", "--retry", "9", "--retry-delay", "1", "--retry-connrefused"]
    answer = subprocess.run(retried, capture_output=True, text=True)
    family = psutil.Process(serving.pid).children(recursive=True)
    os.killpg(serving.pid, signal.SIGINT)

    (tail,) = json.loads(answer.stdout)["predictions"]
    assert 30 < tail < 45
    assert psutil.wait_procs(family, timeout=30)[1] == []
    assert "Traceback" not in serving.stdout.read()


def test_everything_listens_on_loopback_alone(runs, clone):
    listening = [
        connection.laddr.ip
        for process in clone.processes()
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    ]

    assert listening
    assert set(listening) == {"127.0.0.1"}


def test_no_secret_is_readable_by_others(runs, clone):
    settings = json.loads((clone.folder / ".local" / "stack.json").read_text())
    secrets = [value for value in settings.values() if isinstance(value, str)]
    assert len(secrets) == 4
    for process in clone.processes():
        assert not any(secret in " ".join(process.cmdline()) for secret in secrets)
    local = clone.folder / ".local"
    written = [file for item in local.iterdir() if item.name != "mlflow-server" for file in (item, *item.rglob("*"))]
    for file in written:
        if file.is_file() and file.stat().st_mode & 0o077 and file.stat().st_size < 10_000_000:
            assert not any(secret.encode() in file.read_bytes() for secret in secrets), file


def test_the_repository_stays_clean(runs, clone):
    assert clone.git("status", "--porcelain") == ""


def test_no_log_has_a_line_without_meaning(runs, clone):
    logs = [*(clone.folder / ".local" / "airflow" / "logs").glob("dag_id=*/run_id=*/**/attempt=*.log")]
    noise = re.compile(
        r"Retrieving connection|credentials retrieved|Found credentials|DatasetModel .* not found|Use 'pickle' as"
        r"|Returned value was: None|serialize_value|uploading part_num"
    )
    own_work = {log: log.read_text().partition("::endgroup::")[2] for log in logs}  # after what Airflow prepares

    assert len(logs) > 50
    assert {str(log): noise.findall(text) for log, text in own_work.items() if noise.search(text)} == {}


def test_a_run_that_fails_says_why(runs, clone):
    file = clone.folder / "include" / "possum.csv"
    rows = file.read_text()
    file.write_text("")

    failed, verbose = clone.make("run"), clone.make("run", "VERBOSE=1")

    file.write_text(rows)
    assert failed.returncode != 0
    reason, log = failed.stdout.splitlines()[-2:]
    assert reason.startswith("Failed. feature_eng.extract_data: ")
    assert reason.endswith("possum.csv is empty. Put the data there.")
    assert Path(re.findall(r"VERBOSE=1 .*: (/.+)$", log)[0]).read_text().count("possum.csv is empty") > 0
    assert "Traceback" not in failed.stdout
    assert "Traceback" in verbose.stdout


def test_a_config_that_cannot_be_read_is_named_and_stops_nothing_else(runs, clone):
    config = clone.folder / "include" / "config.py"
    text = config.read_text()
    config.write_text(text.replace('ROW = "animal"', 'ROW = "animal'))

    failed, status = clone.make("run"), clone.make("status")

    config.write_text(text)
    assert failed.returncode != 0
    assert re.search(r"include/config\.py, line \d+: unterminated string literal", failed.stdout)
    assert status.stdout.count("RUNNING") == 6


def test_without_a_python_it_says_so(clone):
    refused = clone.make("install", "PYTHON=/bin/false")

    assert refused.returncode != 0
    assert "No Python 3.11 or 3.12 found" in refused.stderr


def test_prune_leaves_what_is_young(runs, clone):
    pruned = clone.make("prune")

    assert pruned.returncode == 0, pruned.stdout + pruned.stderr
    assert "Deleted 0 XComs and 0 DataFrames in " in pruned.stdout + pruned.stderr
