"""How the Astro CLI reads a file of variables."""

from __future__ import annotations


def line_by_line(text: str) -> dict[str, str]:
    """The plainest reader: a name, an equals sign, a value. The Astro CLI does this where there is no Docker."""
    lines = [line.strip() for line in text.splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
