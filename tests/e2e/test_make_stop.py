"""How a stack ends that `make run` has started: interrupted, stopped, and cleaned up."""

from __future__ import annotations

import signal
import subprocess
from functools import partial

import pytest
from harness.clone import Clone

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    clone = Clone(tmp_path_factory.mktemp("clone"))
    clone.use_what_is_installed_here()
    yield clone
    clone.make("stop")


@pytest.fixture
def started(clone):
    """The clone, with all services up."""
    clone.start()
    return clone


def test_an_interrupted_run_says_that_it_goes_on(started):
    run = subprocess.Popen(
        [".venv/bin/python", "-m", "include.local_stack", "run"],
        stdout=subprocess.PIPE,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # whatever the tests themselves ignore
        **started.shell,
    )
    next(line for line in run.stdout if "feature_eng" in line)

    run.send_signal(signal.SIGINT)

    assert "What has been started keeps running; make stop stops it." in run.communicate()[0]
    assert run.returncode == 130


def test_stop_leaves_no_process(started):
    assert started.processes()

    assert started.make("stop").returncode == 0

    assert started.processes() == []
    assert started.make("status").stdout.count("STOPPED") == 6


def test_clean_deletes_the_data_and_leaves_what_is_installed(started):
    assert started.make("clean").returncode == 0

    assert started.processes() == []
    assert [file.name for file in (started.folder / ".local").iterdir()] == ["mlflow-server"]
    assert (started.folder / ".venv").exists()
