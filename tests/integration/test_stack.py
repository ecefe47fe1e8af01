"""The stack without Docker survives what happens to it on a laptop."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import xmlrpc.client
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import psutil
import pytest
import requests

pytest.importorskip("include.local_stack.stack", reason="needs the stack without Docker")
from include.local_stack.bench import temporary_stack
from include.local_stack.install import LOCKS
from include.local_stack.services import StackError
from include.local_stack.stack import Stack, free_port, free_ports

PATHS = (  # of SeaweedFS's master, volume server, filer and administration
    "/",
    "/buckets/",
    "/buckets/data/",
    "/buckets/data/secret-name.csv",
    "/buckets/data/another.csv",
    "/buckets/of-someone-else/",
    "/cluster/status",
    "/dir/assign",
    "/dir/lookup?volumeId=1",
    "/dir/status",
    "/status",
    "/submit",
    "/vol/grow?count=1",
    "/vol/status",
    "/api/s3/buckets",
    "/api/files/browser?path=/buckets",
    *(f"/{volume},01637037d6" for volume in range(1, 4)),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder of a stack whose services stay up from one test to the next, if that one doesn't end them."""
    home = tmp_path_factory.mktemp("stacks") / "a stack"
    yield home
    Stack(home).stop()


@pytest.fixture(scope="module")
def ports():
    return free_ports()


@pytest.fixture
def small(home, ports):
    """A stack of its own, of which the tests start PostgreSQL and S3."""
    return Stack(home, ports=ports)


def families(stack: Stack) -> list[psutil.Process]:
    found = [stack.process("postgres"), stack.process("s3")]
    return [*found, *(child for process in found for child in process.children(recursive=True))]


def test_a_port_that_is_taken_is_named_with_its_variable(tmp_path):
    ports = free_ports()

    with socket.create_server(("127.0.0.1", ports["mlflow"])), pytest.raises(StackError) as error:
        Stack(tmp_path, ports=ports).start("postgres")

    assert f"Port {ports['mlflow']}, for mlflow, is taken" in str(error.value)
    assert f"MLFLOW_PORT={ports['mlflow'] + 1}" in str(error.value)


def test_two_services_on_one_port_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_PORT", "5000")  # the default of MLFLOW_PORT

    with pytest.raises(StackError, match=r"^AIRFLOW_PORT and MLFLOW_PORT are both 5000\. Choose another port for one"):
        Stack(tmp_path).start("s3")


def test_it_does_not_move_while_it_is_up(small, ports):
    small.start("s3")

    with pytest.raises(StackError, match=rf"s3 on port {ports['s3']}. To move it: make stop"):
        Stack(small.home, ports=ports | {"s3": free_port()}).start("s3")


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("s3://localxcom", "s3://mine", "AIRFLOW__ASTRO_SDK__XCOM_STORAGE_URL"),
        ("", "MLFLOW_ARTIFACTS_DESTINATION=s3://mine\n", "MLFLOW_ARTIFACTS_DESTINATION (ARTIFACTS_URL)"),
    ],
    ids=["a variable", "the place for artifacts"],
)
def test_changed_settings_are_named_and_need_a_new_start(before, after, changed, small, tmp_path):
    small.start("s3")
    text = small.variables.read_text().replace("PARALLELISM=8", "PARALLELISM=4")
    small.variables = tmp_path / ".env"
    small.variables.write_text(text.replace(before, after, 1))
    names = ", ".join(sorted([changed, "AIRFLOW__CORE__PARALLELISM"]))

    with pytest.raises(StackError) as refused:
        small.start("s3")

    assert str(refused.value) == (
        f"The stack was started with other settings. Changed since then: {names}. "
        "To use the new settings: make stop, then make run"
    )


@pytest.mark.parametrize("lock", ["airflow", "mlflow"])
def test_packages_that_were_installed_meanwhile_need_a_new_start(lock, small, tmp_path, monkeypatch):
    small.start("s3")
    locks = Path(shutil.copytree(LOCKS, tmp_path / "locks"))
    (locks / f"{lock}.txt").write_text("another==1.0\n")
    monkeypatch.setattr("include.local_stack.stack.LOCKS", locks)

    with pytest.raises(StackError, match=r"Changed since then: the installed packages\. "):
        small.start("s3")


def test_a_folder_that_was_moved_under_running_services_needs_a_new_start(small, monkeypatch):
    small.start("s3")
    monkeypatch.setattr("include.local_stack.stack.ROOT", Path("/elsewhere"))

    with pytest.raises(StackError, match=r"Changed since then: the project's folder\. "):
        small.start("s3")


def test_code_of_the_stack_that_was_changed_meanwhile_needs_a_new_start(small, tmp_path, monkeypatch):
    small.start("s3")
    changed = tmp_path / "services.py"
    changed.touch()
    monkeypatch.setattr("include.local_stack.services.__file__", str(changed))

    with pytest.raises(StackError, match=r"Changed since then: the project's own code\. "):
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
    orphans, s3 = families(small), small.process("s3")
    ports = {str(each.laddr.port) for each in s3.net_connections() if each.status == psutil.CONN_LISTEN}
    sockets = [path for path in Path("/tmp").glob("seaweedfs-*.sock") if re.findall(r"\d+", path.name)[-1] in ports]
    assert sockets
    assert set(orphans) <= set(small.processes())
    os.kill(s3.ppid(), signal.SIGKILL)
    s3.kill()  # so that it can't delete its sockets

    small.stop()

    assert not [process for process in orphans if process.is_running()]
    assert not [path for path in sockets if path.exists()]


def test_what_is_shutting_down_is_waited_for(small):
    small.start("postgres", "s3")
    services = families(small)
    with small._supervisor() as supervisor:
        supervisor.shutdown()

    assert set(small.status().values()) == {"STOPPED"}
    assert not [process for process in services if process.is_running()]


def test_make_stop_and_make_clean_leave_the_stack_of_make_bench_alone():
    with temporary_stack() as stack:
        stack.start("postgres", "s3")
        assert not set(families(stack)) & set(Stack().processes())
        assert not stack.home.is_relative_to(Stack().home)

    assert not stack.home.exists()


def test_after_a_move_airflow_logs_into_the_new_folder(tmp_path):
    def log_folder(stack: Stack) -> str:
        stack.start("s3")
        stack.stop()
        command = [sys.executable, "-m", "airflow", "config", "get-value", "logging", "base_log_folder"]
        return subprocess.run(command, env=stack.environment(), capture_output=True, text=True).stdout.strip()

    old = Stack(tmp_path / "old", ports=free_ports())
    assert log_folder(old) == f"{old.home}/airflow/logs"

    new = Stack(old.home.rename(tmp_path / "new"), ports=old.ports)

    assert log_folder(new) == f"{new.home}/airflow/logs"


def test_a_service_that_dies_comes_back(small):
    small.start("postgres")
    killed = small.process("postgres")
    killed.kill()

    def is_back() -> bool:
        with small._supervisor() as supervisor:
            found = supervisor.getProcessInfo("postgres")
        return found["statename"] == "RUNNING" and found["pid"] != killed.pid

    small._wait(is_back, "postgres")
    assert small.process("postgres").is_running()
    small.start("postgres")


def test_a_service_that_cannot_start_says_why(small):
    small.start("postgres")
    with small._supervisor() as supervisor:
        supervisor.stopProcess("postgres")
    settings = small.home / "postgres" / "data" / "postgresql.conf"
    text = settings.read_text()
    settings.write_text("no_such_setting = 1\n")

    with pytest.raises(StackError, match=r"postgres does not start.*[\s\S]*no_such_setting"):
        small.start("postgres")

    settings.write_text(text)


def test_no_port_of_the_s3_store_lets_anyone_in_without_credentials(small):
    small.start("s3")
    client = small.s3()
    client.create_bucket(Bucket="data")
    client.put_object(Bucket="data", Key="secret-name.csv", Body=b"secret-content" * 100_000)
    connections = small.process("s3").net_connections("inet")
    ports = {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}
    assert len(ports) >= 9

    def look(port: int) -> None:
        for path in PATHS:
            for method in ("GET", "PUT", "POST", "DELETE"):
                try:
                    answer = requests.request(method, f"http://127.0.0.1:{port}{path}", data=b"x", timeout=10)
                except requests.RequestException:  # it speaks gRPC alone
                    continue
                told = re.search('secret-name|secret-content|"fid"', answer.text) if answer.ok else None
                assert not told, (port, method, path)
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.FutureTimeoutError):
            grpc.channel_ready_future(channel).result(timeout=1)

    with ThreadPoolExecutor(len(ports)) as pool:
        list(pool.map(look, ports))  # raises what one of them has raised

    assert [item["Key"] for item in client.list_objects_v2(Bucket="data")["Contents"]] == ["secret-name.csv"]
    assert [bucket["Name"] for bucket in client.list_buckets()["Buckets"]] == ["data"]


def test_a_secret_and_a_folder_may_have_any_character(tmp_path, request):
    password = """it's "quoted", 100% $HOME `pwd` \\ ;"""
    connection = {"login": "admin", "password": password, "extra": {"endpoint_url": "http://minio:9000"}}
    variables = tmp_path / ".env"
    variables.write_text(f"AIRFLOW_CONN_AWS_CONN={json.dumps(connection)}\n")
    stack = Stack(tmp_path / "stack #1; 'of mine'", variables, free_ports())
    request.addfinalizer(stack.stop)

    stack.start("s3")

    assert stack.s3().list_buckets()["Buckets"] == []
    assert stack.process("s3").environ()["AWS_SECRET_ACCESS_KEY"] == password


def test_files_of_the_services_are_closed_to_other_accounts(small):
    small.start("s3")
    small.stop()
    (small.home / "logs").chmod(0o755)

    small.start("s3")

    for name in ("postgres", "s3", "mlflow", "airflow", "logs"):
        assert stat.S_IMODE((small.home / name).stat().st_mode) == 0o700


def test_a_supervisor_that_does_not_stop_is_named(small, monkeypatch):
    @contextmanager
    def shutting_down():
        raise xmlrpc.client.Fault(6, "SHUTDOWN_STATE")
        yield

    with monkeypatch.context() as patch:
        patch.setattr("include.local_stack.stack.PATIENCE", 0.5)
        patch.setattr(small, "_supervisor", shutting_down)
        with pytest.raises(StackError, match=r"have not stopped in 0\.5 s"):
            small.is_up()
