"""Where the rows come from."""

from __future__ import annotations

from pathlib import Path

from include.errors import DataError
from include.modeling.rows import DataFile


def read(data_file: str, folder: Path) -> DataFile:
    """Return a file with its content.

    Args:
        data_file: The name of a file in `folder`.
        folder: The project's `include/`.

    Raises:
        DataError: if there is no such file.
    """
    path = folder / data_file
    if not path.is_file():
        raise DataError(
            f"{path} is missing. Put the data there, or name another file (DATA_FILE in include/config.py)."
        )
    return DataFile(str(path), path.read_bytes())
