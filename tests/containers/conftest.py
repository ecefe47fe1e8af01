"""The container files, read by a real compose as `astro dev start` reads them. No container is started."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from harness import ROOT
from harness.airflow_settings import use_own_airflow
from readers import line_by_line

use_own_airflow()  # before a test imports Airflow


@pytest.fixture(scope="session")
def compose() -> list[str]:
    """The command of the compose that is installed here, version 2 or 1."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            return command
    pytest.skip("needs a compose to read docker-compose.override.yml: `docker compose` or docker-compose")


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project's folder with what compose reads: the override, the base file of the Astro CLI, and .env."""
    folder = tmp_path_factory.mktemp("project")
    base = (Path(__file__).parent / "astro_cli.yml").read_text()
    (folder / "base.yml").write_text(base.replace("PROJECT", str(folder)))
    shutil.copy(ROOT / "docker-compose.override.yml", folder)
    shutil.copy(ROOT / ".env_example", folder / ".env")
    return folder


@pytest.fixture(scope="session")
def merged(compose: list[str], project: Path) -> Callable[..., dict]:
    """Returns the merged file as a dictionary: `merged(MLFLOW_PORT="5001")` with these variables in the shell."""

    def merge(**shell: str) -> dict:
        moved = {name: value for name, value in os.environ.items() if not name.endswith("_PORT")} | shell
        files = ["-f", "base.yml", "-f", "docker-compose.override.yml"]
        command = [*compose, "--project-directory", str(project), *files, "config"]
        done = subprocess.run(command, cwd=project, env=moved, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return yaml.safe_load(done.stdout)

    return merge


@pytest.fixture(scope="session")
def services(merged: Callable[..., dict]) -> dict[str, dict]:
    return merged()["services"]


@pytest.fixture(scope="session")
def override() -> dict:
    """The override as it is written."""
    return yaml.safe_load((ROOT / "docker-compose.override.yml").read_text())


@pytest.fixture(scope="session")
def variables() -> dict[str, str]:
    """Those of .env_example."""
    return line_by_line((ROOT / ".env_example").read_text())
