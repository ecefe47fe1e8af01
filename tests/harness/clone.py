"""A fresh clone of the project, for what a user types there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import psutil

from harness import ROOT
from harness.possum_project import put_possums_into
from include.local_stack.stack import free_port

FOREIGN = ("AIRFLOW", "AWS_", "MLFLOW_", "PYTHON", "VIRTUAL_ENV", "PREDICTION_ENVIRONMENTS")


def plain_environment() -> dict[str, str]:
    """Return the variables of this process, without those of the tests, of Airflow and of its services."""
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


def use_what_is_installed_here(project: Path) -> None:
    """Save a copy of the project from installing what is installed already."""
    (project / ".local").mkdir()
    for name in (".venv", ".local/mlflow-server"):
        (project / name).symlink_to(ROOT / name)


class Clone:
    """A clone in an empty folder, with the possums' configuration and ports of its own."""

    def __init__(self, folder: Path) -> None:
        """Clone what is committed here. Nothing of the tests' own environment reaches it."""
        self.folder = folder
        self.ports = {name: str(free_port()) for name in ("AIRFLOW_PORT", "MLFLOW_PORT", "S3_PORT")}
        self.shell: dict[str, Any] = {
            "cwd": folder,
            "env": plain_environment() | self.ports,
            "stdin": subprocess.DEVNULL,
            "text": True,
        }
        subprocess.run(["git", "clone", "-q", ROOT, folder], check=True)
        put_possums_into(folder)
        self.git("add", "--all")
        author = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
        self.git(*author, "commit", "-q", "--allow-empty", "-m", "Take the possums")

    def git(self, *words: str) -> str:
        """Run git in the clone and return what it prints."""
        return str(subprocess.run(["git", *words], capture_output=True, check=True, **self.shell).stdout)

    def make(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run make in the clone."""
        return subprocess.run(["make", *words], capture_output=True, **self.shell)

    def processes(self) -> list[psutil.Process]:
        """Find the processes that work in the clone."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return str(self.folder) in " ".join([process.cwd(), *process.cmdline()])
        except psutil.Error:
            return False
