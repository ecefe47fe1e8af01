"""The stack without Docker survives what happens to it on a laptop."""

from __future__ import annotations

import json
import os
import signal
import socket

import psutil
import pytest

pytest.importorskip("include.local_stack.stack", reason="needs the stack without Docker")
from include.local_stack.stack import Stack, StackError, free_port, free_ports


@pytest.fixture
def ports():
    return free_ports()


@pytest.fixture
def small(tmp_path, ports):
    """A stack of its own, of which the tests start PostgreSQL and S3."""
    small = Stack(tmp_path / "a stack", ports=ports)
    yield small
    small.stop()


def families(stack: Stack) -> list[psutil.Process]:
    found = [stack.process("postgres"), stack.process("s3")]
    return [*found, *(child for process in found for child in process.children(recursive=True))]


def test_what_is_up_is_used_again(small):
    small.start("postgres", "s3")
    before = small.process("postgres").pid

    small.start("postgres", "s3")

    assert small.process("postgres").pid == before


def test_a_port_that_is_taken_is_named_with_its_variable(tmp_path, ports):
    with socket.create_server(("127.0.0.1", ports["mlflow"])), pytest.raises(StackError) as error:
        Stack(tmp_path, ports=ports).start("postgres")

    assert f"Port {ports['mlflow']}, for mlflow, is taken" in str(error.value)
    assert f"MLFLOW_PORT={ports['mlflow'] + 1}" in str(error.value)


def test_it_does_not_move_while_it_is_up(small, ports):
    small.start("s3")

    with pytest.raises(StackError, match=rf"s3 on port {ports['s3']}. To move it: make stop"):
        Stack(small.home, ports=ports | {"s3": free_port()}).start("s3")


def test_changed_settings_need_a_new_start(small, tmp_path):
    small.start("s3")
    small.variables = tmp_path / ".env"
    small.variables.write_text("MLFLOW_ARTIFACTS_DESTINATION=s3://mine\n")

    with pytest.raises(StackError, match=r"other settings .* make stop"):
        small.start("s3")


def test_after_a_power_cut_it_starts_again(small, ports):
    small.start("postgres", "s3")
    secrets = json.loads((small.home / "stack.json").read_text())
    supervisor = small.process("postgres").parent()
    for process in [supervisor, *families(small)]:
        process.kill()
    psutil.wait_procs([supervisor], timeout=10)
    (small.home / "supervisord.pid").write_text(str(os.getpid()))  # someone else's number by now
    assert set(small.status().values()) == {"STOPPED"}

    again = Stack(small.home, ports=ports)
    again.start("postgres", "s3")

    assert all(process.is_running() for process in families(again))
    assert json.loads((small.home / "stack.json").read_text()) == secrets


def test_stop_finds_what_has_lost_its_supervisor(small):
    small.start("postgres", "s3")
    orphans = families(small)
    os.kill(small.process("postgres").ppid(), signal.SIGKILL)

    small.stop()

    assert not [process for process in orphans if process.is_running()]


def test_what_is_shutting_down_is_waited_for(small):
    small.start("postgres", "s3")
    services = families(small)
    with small._supervisor() as supervisor:
        supervisor.shutdown()

    assert set(small.status().values()) == {"STOPPED"}
    assert not [process for process in services if process.is_running()]


def test_a_service_that_dies_comes_back(small):
    small.start("postgres")
    small.process("postgres").kill()

    small._wait(lambda: small.status()["postgres"] == "RUNNING" and small.process("postgres").is_running(), "postgres")
    small.start("postgres")


def test_a_service_that_cannot_start_says_why(small):
    small.start("s3")
    (small.home / "postgres" / "data" / "postgresql.conf").write_text("no_such_setting = 1\n")

    with pytest.raises(StackError, match=r"postgres does not start.*[\s\S]*no_such_setting"):
        small.start("postgres")


def test_clean_deletes_the_data(small):
    small.start("s3")

    small.clean()

    assert list(small.home.iterdir()) == []
