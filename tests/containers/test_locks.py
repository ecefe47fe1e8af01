"""requirements.txt resolves for both Pythons, and the locks of the stack without Docker are made of it."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest
from harness import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from uv import find_uv_bin

PYTHONS = ("3.11", "3.12")
AIRFLOW = "2.11.0"  # of astro-runtime:13.4.0
LOCKS = ROOT / "include" / "local_stack" / "locks"
if not LOCKS.exists():
    pytest.skip("the locks belong to the stack without Docker", allow_module_level=True)
GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]


def requirements() -> list[Requirement]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]


def locked(name: str, python: str) -> dict[str, str]:
    """The versions that a lock has for this Python."""
    lines = re.findall(r"^(\S+==[^\\\n]+)", (LOCKS / f"{name}.txt").read_text(), re.MULTILINE)
    environment = {"python_version": python, "python_full_version": f"{python}.9"}
    found = [requirement for line in lines if (requirement := Requirement(line.strip()))]
    return {
        canonicalize_name(requirement.name): str(requirement.specifier).removeprefix("==")
        for requirement in found
        if requirement.marker is None or requirement.marker.evaluate(environment)
    }


def test_every_requirement_is_pinned():
    assert not [str(each) for each in requirements() if not re.fullmatch(r"==[\w.]+", str(each.specifier))]


def test_airflow_itself_comes_with_the_image():
    """The image rejects a requirements.txt that names it."""
    assert "apache-airflow" not in {each.name for each in requirements()}
    assert f"apache-airflow=={AIRFLOW}" in GROUPS["airflow"]


@pytest.mark.parametrize("python", PYTHONS)
def test_requirements_resolve_next_to_airflow(tmp_path, python):
    (wanted := tmp_path / "wanted.txt").write_text(f"-r {ROOT / 'requirements.txt'}\napache-airflow=={AIRFLOW}\n")
    options = ("--no-header", "--no-annotate", "--no-config", "--python-version", python)
    command = [find_uv_bin(), "pip", "compile", "-q", *options, wanted]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    if done.returncode and re.search(r"error sending request|Failed to fetch|dns error|Connect", done.stderr):
        pytest.skip(f"needs the package index: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    resolved = {line.split("==")[0]: line for line in done.stdout.splitlines()}
    session = resolved["flask-session"].removeprefix("flask-session==")
    assert Version(session) < Version("0.6")  # the Astro SDK's session table
    assert {f"{each.name}{each.specifier}" for each in requirements()} <= set(resolved.values())


@pytest.mark.parametrize("python", PYTHONS)
def test_the_locks_satisfy_what_they_are_made_of(python):
    for lock, wanted in {
        "airflow": [*requirements(), *map(Requirement, GROUPS["airflow"])],
        "mlflow": map(Requirement, GROUPS["mlflow"]),
        "dev": map(Requirement, GROUPS["dev"]),
        "celery": map(Requirement, GROUPS["celery"]),
        "browser": map(Requirement, GROUPS["browser"]),
    }.items():
        versions = locked(lock, python)
        for each in wanted:
            assert versions[canonicalize_name(each.name)] in each.specifier, f"{each}: run make lock"


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", ["dev", "celery", "browser"])
def test_tools_fit_into_the_environment_of_airflow(lock, python):
    airflow, tools = locked("airflow", python), locked(lock, python)
    assert {name: tools[name] for name in tools.keys() & airflow.keys()}.items() <= airflow.items()


@pytest.mark.parametrize("lock", sorted(LOCKS.glob("*.txt")), ids=lambda path: path.stem)
def test_locks_name_no_index(lock):
    text = lock.read_text()
    assert "--hash=sha256:" in text
    assert not re.search(r"://|^--?(i|f|index-url|extra-index-url|find-links)\b", text, re.MULTILINE)


def test_the_actions_of_the_workflow_are_pinned():
    used = re.findall(r"uses: (\S+)", (ROOT / ".github" / "workflows" / "ci.yml").read_text())

    assert used
    assert not [action for action in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action)]
