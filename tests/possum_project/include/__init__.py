"""The project's package `include`, with the possums' configuration and data in front of the project's own.

Python looks for a package's modules in the folders of its `__path__`, one after the other: it finds `config` here and
everything else in the project's `include/`. This folder's parent comes first on the path of the tests and of the
services that they start, so the tests pass whatever `include/config.py` says.
"""

from pathlib import Path

__path__.append(str(Path(__file__).resolve().parents[3] / "include"))
