"""The files of an Astro project, and of a codespace."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import yaml
from harness import ROOT

ADDED = {
    "broken.py": "from airflow import DAG\nimport no_such_module\n",
    "unfinished.py": "from airflow import DAG\nimport not_there_yet\n",  # one of the exceptions
    "asking.py": (
        "from airflow import DAG\n"
        "from airflow.hooks.base import BaseHook\n"
        "from airflow.models import Variable\n"
        "host = BaseHook.get_connection('nowhere').host\n"
        "DAG(Variable.get('name').replace(' ', '_'), tags=[Variable.get('tag', default_var='none')])\n"
    ),
}


def test_parse_finds_what_cannot_be_imported_and_nothing_else(tmp_path):
    """The test behind `astro dev parse`, on a copy of the project with some more files, without any service."""
    for folder in (".astro", "dags", "include", "plugins"):
        ignored = shutil.ignore_patterns("__pycache__", "plots")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    for name, code in ADDED.items():
        (tmp_path / "dags" / name).write_text(code)
    with (tmp_path / ".astro" / "dag_integrity_exceptions.txt").open("a") as file:
        file.write("dags/unfinished.py\n")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "ignore", ".astro"],
        cwd=tmp_path,
        env=plain
        | {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout
    reported = re.findall(r"^E +AssertionError: (.+)\.py:$", done.stdout, re.MULTILINE)
    assert reported == ["dags/broken"], done.stdout
    assert "No module named 'no_such_module'" in done.stdout
    assert "1 failed, 1 passed" in done.stdout


def test_the_project_has_a_name_that_works_as_a_host():
    """The Astro CLI serves it as http://<name>.localhost:6563."""
    name = yaml.safe_load((ROOT / ".astro" / "config.yaml").read_text())["project"]["name"]
    assert re.fullmatch(r"[a-z][a-z0-9-]*", name)


def test_neither_history_nor_the_stack_without_docker_nor_what_git_ignores_gets_into_the_image():
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if not line.startswith("#")}
    left_out = {line.removeprefix("**/") for line in (ROOT / ".dockerignore").read_text().splitlines()}
    assert {("py[co]" in name and "*.pyc") or name for name in ignored} | {".git", "include/local_stack"} <= left_out


def test_codespaces_have_the_astro_cli_of_version_1_as_ci_has():
    text = (ROOT / ".devcontainer" / "devcontainer.json").read_text()
    settings = json.loads(re.sub(r"^\s*//.*", "", text, flags=re.MULTILINE))
    assert re.search(r":\S*\d", settings["image"])
    (cli,) = [options for feature, options in settings["features"].items() if "astro-cli" in feature]
    assert re.fullmatch(r"v1\.\d+\.\d+", cli["version"])  # version 2 does not start projects of Airflow 2
    assert cli["version"] in (ROOT / ".github" / "workflows" / "ci.yml").read_text()
