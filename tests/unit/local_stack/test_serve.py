from __future__ import annotations

import json
import shlex

import pandas as pd
import pytest

serve = pytest.importorskip("include.local_stack.serve", reason="needs the stack without Docker")


def test_the_command_posts_the_first_row_whatever_its_labels():
    rows = pd.DataFrame({"site": [3, 4], "name": ["O'Hara's ölige \"Wiese\"", "x"], "age": [4.5, None]})

    program, address, *options, body = shlex.split(serve.curl("http://127.0.0.1:5002", rows))

    assert (program, address) == ("curl", "http://127.0.0.1:5002/invocations")
    assert options == ["-H", "Content-Type: application/json", "-d"]
    assert json.loads(body) == {"dataframe_records": [{"site": 3, "name": "O'Hara's ölige \"Wiese\"", "age": 4.5}]}
