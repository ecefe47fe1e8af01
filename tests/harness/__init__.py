"""What the tests stand on: the test project, the stacks that they start, and servers that play a part."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Not so in the Astro image, which has an Airflow of its own.
STACK_IS_INSTALLED = (ROOT / "include" / "local_stack").is_dir() and find_spec("supervisor") is not None
NEED_THE_STACK = ("browser", "celery", "e2e", "endurance", "faults", "integration", "security")  # folders of tests
