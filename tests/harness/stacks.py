from __future__ import annotations

from pathlib import Path

from harness import ROOT
from harness.possum_project import PYTHON_VARIABLES
from include.local_stack.stack import Stack, free_ports


class PossumStack(Stack):
    """A stack on ports of its own, whose DAGs work with the possums, whatever `include/config.py` says."""

    def __init__(self, home: Path, variables: Path = ROOT / ".env_example", **ports: int) -> None:
        """Take the state's folder, the file of variables, and ports that are fixed already."""
        super().__init__(home, variables, free_ports() | ports)

    def environment(self) -> dict[str, str]:
        """Put the test project before the project itself on Python's path."""
        return super().environment() | PYTHON_VARIABLES
