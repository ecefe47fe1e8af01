"""How Docker and the Astro CLI read a file of variables, as far as their rules differ."""

from __future__ import annotations


def docker_env_file(text: str) -> dict[str, str]:
    """`docker create --env-file`, which `astro dev pytest` and `parse` use: nothing is quoted, trimmed or substituted.

    Raises ValueError where Docker rejects the file. A name without a value would be taken from the shell.
    """
    found = {}
    for line in text.split("\n"):
        if not line.lstrip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.lstrip().partition("=")
        if not name or any(letter.isspace() for letter in name):
            raise ValueError(f"no name of a variable: {name!r}")
        if equals:
            found[name] = value
    return found


def line_by_line(text: str) -> dict[str, str]:
    """The plainest reader: a name, an equals sign, a value. The Astro CLI does this where there is no Docker."""
    lines = [line.strip() for line in text.splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
