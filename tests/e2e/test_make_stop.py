"""How a stack ends that `make run` has started: interrupted, stopped, and cleaned up."""

from __future__ import annotations

import signal
import subprocess
from functools import partial

import pytest
from harness.clone import Clone, use_what_is_installed_here

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    clone = Clone(tmp_path_factory.mktemp("clone"))
    use_what_is_installed_here(clone.folder)
    yield clone
    clone.make("stop")


@pytest.fixture(scope="module")
def interrupted(clone):
    """What stands behind `make run`, interrupted while the DAGs run: its exit status, what it
    printed, and what `make status` says then."""
    run = subprocess.Popen(
        [".venv/bin/python", "-m", "include.local_stack", "run"],
        stdout=subprocess.PIPE,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # whatever the tests themselves ignore
        **clone.shell,
    )
    next(line for line in run.stdout if "feature_eng" in line)
    run.send_signal(signal.SIGINT)
    printed = run.communicate()[0]
    return run.returncode, printed, clone.make("status").stdout


@pytest.fixture(scope="module")
def stopped(clone, interrupted):
    """`make stop` after it: its exit status, what is left running, and what `make status` says."""
    assert clone.processes()
    return clone.make("stop").returncode, clone.processes(), clone.make("status").stdout


@pytest.fixture(scope="module")
def cleaned(clone, stopped):
    """`make clean` after that: its exit status, and what is left in `.local`."""
    return clone.make("clean").returncode, [file.name for file in (clone.folder / ".local").iterdir()]


def test_an_interrupted_run_says_that_it_goes_on(interrupted):
    status, printed, services = interrupted

    assert status == 130
    assert "What has been started keeps running; make stop stops it." in printed
    assert services.count("RUNNING") == 6


def test_stop_leaves_no_process(stopped):
    status, left, services = stopped

    assert status == 0
    assert left == []
    assert services.count("STOPPED") == 6


def test_clean_deletes_the_data_and_leaves_what_is_installed(cleaned, clone):
    status, left = cleaned

    assert status == 0
    assert left == ["mlflow-server"]
    assert (clone.folder / ".venv").exists()
