"""What README.md names is there."""

from __future__ import annotations

import re

from harness import ROOT
from harness.possum_project import POSSUM_PROJECT

TEXT = (ROOT / "README.md").read_text()
CODE = [code for _, code in re.findall(r"(`+)(.+?)\1", TEXT, re.DOTALL)]
HEADINGS = re.findall(r"^(#+) (.+)$", re.sub(r"^```.*?^```$", "", TEXT, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
LINKS = re.findall(r'(?:\]\(|src=")([^)"\s]+)', TEXT)


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return "#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_command_is_a_target_of_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    contributing = re.findall("`(.+?)`", (ROOT / ".github" / "CONTRIBUTING.md").read_text())
    named = {target for code in CODE + contributing for target in re.findall(r"\bmake ([a-z-]+)", code)}

    assert {"run", "stop", "status", "clean", "test"} <= targets
    assert len(named) > 10
    assert named <= targets


def test_every_link_inside_the_project_leads_somewhere():
    inside = {link for link in LINKS if not link.startswith("http")}
    anchors = {anchor(heading) for _, heading in HEADINGS}

    assert len(inside) > 10
    assert {link for link in inside if link not in anchors and not (ROOT / link).exists()} == set()


def test_every_path_is_there():
    paths = {
        path for code in CODE for path in re.findall(r"(?<![\w/])(?:dags|include|plugins|tests|\.\w+)/[\w./*]*", code)
    }
    # What git ignores is created by use, such as .venv/. The image doesn't have the stack without Docker.
    absent = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line.startswith("/")]
    if not (ROOT / "include" / "local_stack").exists():
        absent.append("include/local_stack")
    named = {path for path in paths if not path.startswith(tuple(absent))}

    assert len(named) > 10
    # The possums' files are at least in the tests, if someone has made the project their own.
    folders = (ROOT, POSSUM_PROJECT)
    assert {path for path in named if not any(list(folder.glob(path.strip("/"))) for folder in folders)} == set()


def test_the_table_of_contents_has_every_chapter():
    contents = re.findall(r"^- \[(.+)\]\((#.+)\)$", TEXT, re.MULTILINE)

    assert contents == [(heading, anchor(heading)) for level, heading in HEADINGS if level == "##"]


def test_what_is_to_be_made_yours_stands_in_the_config(readme, project_config):
    rows = re.findall(r"^\|.*\|$", readme("Make it yours"), re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)]

    assert len(names) > 20
    assert [name for name in names if not hasattr(project_config, name)] == []
