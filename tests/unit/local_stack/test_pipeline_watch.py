"""What `make run` makes of Airflow's answers."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

pipeline = pytest.importorskip("include.local_stack.pipeline", reason="needs the stack without Docker")

SEEN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("edited", "current"), [([], True), (["dags/train.py"], False), (["include/config.py"], False)], ids=str
)
def test_an_error_that_was_mended_meanwhile_does_not_count(edited, current, tmp_path):
    for file in ("dags/train.py", "include/config.py"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).touch()
        moment = SEEN.timestamp() + (60 if file in edited else -60)
        os.utime(tmp_path / file, (moment, moment))

    assert pipeline.is_current({"filename": str(tmp_path / "dags/train.py"), "timestamp": SEEN.isoformat()}) is current
