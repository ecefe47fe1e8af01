"""What README.md and the pages in docs/ name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from harness import ROOT
from harness.possum_project import POSSUM_PROJECT

README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))
ALL = [README, *PAGES]
CONTRIBUTING = ROOT / ".github" / "CONTRIBUTING.md"
SETTINGS = ROOT / "docs" / "configuration.md"
# Variables of .env and of the shell, in a table of settings.
VARIABLES = re.compile(r"AIRFLOW_\w+|MLFLOW_\w+|\w+_PORT")


def text(page: Path) -> str:
    return page.read_text()


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```$", "", text(page), flags=re.DOTALL | re.MULTILINE)


def code(page: Path) -> list[str]:
    """The code of a page, in lines and in blocks."""
    return [found for _, found in re.findall(r"(`+)(.+?)\1", text(page), re.DOTALL)]


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(page)}


def links(page: Path) -> list[str]:
    found = re.findall(r'(?:\]\(|src=")([^)"\s]+)', prose(page))
    return [link for link in found if not link.startswith("http")]


def test_the_readme_is_short():
    assert len(text(README).split()) <= 1500


def test_the_readme_leads_to_every_page():
    named = {(ROOT / link.partition("#")[0]).resolve() for link in links(README)}

    assert len(PAGES) >= 7
    assert set(PAGES) <= named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_says_first_what_it_answers(page):
    first = text(page).split("\n\n")[1]

    assert first.startswith("This page answers: ")


def test_every_command_is_a_target_of_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for page in [*ALL, CONTRIBUTING]
        for found in code(page)
        for target in re.findall(r"\bmake ([a-z-]+)", found)
    }

    assert {"run", "stop", "status", "clean", "test"} <= targets
    assert len(named) > 10
    assert named <= targets


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.name)
def test_every_link_inside_the_project_leads_somewhere(page):
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.name)
def test_every_path_exists(page):
    # What git ignores is created by use, such as .venv/. The image doesn't have the stack without Docker.
    absent = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line.startswith("/")]
    if not (ROOT / "include" / "local_stack").exists():
        absent.append("include/local_stack")
    pattern = r"(?<![\w/])(?:dags|docs|include|plugins|tests|\.\w+)/[\w./*]*"
    paths = {path for found in code(page) for path in re.findall(pattern, found)}
    named = {path for path in paths if not path.startswith(tuple(absent))}

    # The possums' files are at least in the tests, if someone has made the project their own.
    folders = (ROOT, POSSUM_PROJECT)
    assert {path for path in named if not any(list(folder.glob(path.strip("/"))) for folder in folders)} == set()


def test_every_task_of_the_dags_is_explained():
    dags = "".join(file.read_text() for file in (ROOT / "dags").glob("*.py"))
    functions = set(re.findall(r"^@(?:task|aql\.dataframe)\S*\n(?:@\w+\n)*def (\w+)", dags, re.MULTILINE))
    tasks = functions | set(re.findall(r'task_id="(\w+)"', dags))

    assert len(tasks) > 20
    assert {task for task in tasks if f"`{task}`" not in text(ROOT / "docs" / "tutorial.md")} == set()


def table_names(lines: str) -> set[str]:
    """The names in capitals in the first column of the tables."""
    cells = re.findall(r"^\| (.+?) \|", lines, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([A-Z][A-Z_]+)`", cell) if not VARIABLES.fullmatch(name)}


def test_every_setting_of_the_configuration_page_exists(project_config):
    names = table_names(text(SETTINGS))

    assert len(names) > 30
    assert {name for name in names if not hasattr(project_config, name)} == set()


def test_every_setting_that_the_readme_names_is_explained(readme):
    rows = re.findall(r"^\|.*\|$", readme("Make it yours"), re.MULTILINE)
    names = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}

    assert len(names) > 20
    assert names <= table_names(text(SETTINGS))


def test_every_setting_of_the_config_is_explained():
    """All but those that are made of others, and the names of the connections."""
    config = (ROOT / "include" / "config.py").read_text()
    assigned = set(re.findall(r"^([A-Z_]+)(?:: [^=]+)? = ", config, re.MULTILINE))
    derived = {"INCLUDE", "SCHEMA", "MODEL_NAME", "XCOM_URL", "PLOTS", "PICTURE", "MLFLOW_CONNECTION", "AWS_CONNECTION"}

    assert assigned - derived - table_names(text(SETTINGS)) == set()


def test_every_promise_names_the_test_that_holds_it():
    tables = re.findall(
        r"^\| promise \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text(ROOT / "docs" / "reliability.md"), re.MULTILINE
    )
    rows = "".join(tables).splitlines()

    assert len(rows) > 15
    assert [row for row in rows if not re.search(r"`(make test-|tests/)[\w./-]+`|`tests/\w+/`", row)] == []
