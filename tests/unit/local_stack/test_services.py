"""How PostgreSQL is run by root, and how the services are asked behind a proxy."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

services = pytest.importorskip("include.local_stack.services", reason="needs the stack without Docker")

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")


@pytest.fixture
def folder(tmp_path):
    """A folder of nobody's, behind one that only root may enter."""
    folder = tmp_path / "closed" / "postgres"
    folder.mkdir(parents=True)
    folder.parent.chmod(0o700)
    os.chown(folder, services.NOBODY, services.NOBODY)
    return folder


def run(folder: Path, *command: str) -> int:
    return subprocess.run(services.as_postgres(folder, *command), cwd=folder, capture_output=True).returncode


@only_root
def test_it_writes_into_its_own_folder_behind_one_that_only_root_may_enter(folder):
    assert run(folder, "touch", str(folder / "file")) == 0
    assert (folder / "file").stat().st_uid == services.NOBODY


@only_root
def test_it_writes_nowhere_else(folder):
    assert run(folder, "touch", str(folder.parent / "file")) != 0


@only_root
def test_it_gets_no_rights_where_every_folder_can_be_entered(tmp_path, monkeypatch):
    monkeypatch.setattr(services, "POSTGRES", Path("/usr/bin"))

    assert not [word for word in services.as_postgres(Path("/tmp/postgres"), "initdb") if "caps" in word]


@only_root
@pytest.mark.parametrize(("mode", "rights"), [(0o755, 0), (0o711, 2)], ids=["for all", "for root alone"])
def test_it_may_read_programs_that_were_installed_with_another_umask(mode, rights, monkeypatch):
    with TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        program = Path(folder, "initdb")
        program.touch()
        program.chmod(mode)
        monkeypatch.setattr(services, "POSTGRES", Path(folder))

        command = services.as_postgres(Path("/tmp/postgres"), "initdb")

    assert len([word for word in command if "+dac_read_search" in word]) == rights


@pytest.mark.parametrize(
    ("shell", "hosts"),
    [
        ({}, "127.0.0.1,localhost"),
        ({"no_proxy": "example.org,localhost"}, "127.0.0.1,localhost,example.org"),
        ({"NO_PROXY": "*.example.org"}, "127.0.0.1,localhost,*.example.org"),
    ],
    ids=str,
)
def test_this_machine_is_asked_directly_behind_a_proxy(shell, hosts, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in shell.items():
        monkeypatch.setenv(name, value)

    assert services.no_proxy() == hosts
