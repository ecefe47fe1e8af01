from __future__ import annotations

import pytest

from include.errors import DataError
from include.orchestration import sources


def test_a_file_in_the_folder_is_read(tmp_path):
    (tmp_path / "mine.csv").write_bytes(b"a,b")

    file = sources.read("mine.csv", tmp_path)

    assert (file.address, file.content) == (str(tmp_path / "mine.csv"), b"a,b")


@pytest.mark.parametrize("name", ["nothing.csv", "."], ids=["no file", "a folder"])
def test_a_missing_file_is_a_data_error(name, tmp_path):
    with pytest.raises(DataError, match=r"is missing. Put the data there, or name another file"):
        sources.read(name, tmp_path)
