from __future__ import annotations

import json
import shlex

import pandas as pd
import pytest

serve = pytest.importorskip("include.local_stack.serve", reason="needs the stack without Docker")
stack = pytest.importorskip("include.local_stack.stack", reason="needs the stack without Docker")


def test_the_command_posts_the_first_row_whatever_its_labels():
    rows = pd.DataFrame({"site": [3, 4], "name": ["O'Hara's ölige \"Wiese\"", "x"], "age": [4.5, None]})

    program, address, *options, body = shlex.split(serve.curl("http://127.0.0.1:5002", rows))

    assert (program, address) == ("curl", "http://127.0.0.1:5002/invocations")
    assert options == ["-H", "Content-Type: application/json", "-d"]
    assert json.loads(body) == {"dataframe_records": [{"site": 3, "name": "O'Hara's ölige \"Wiese\"", "age": 4.5}]}


def test_the_model_for_raw_rows_is_served_and_a_version_without_one_says_what_to_do():
    version = {"name": "Tails", "version": "2"}
    tags = [{"key": "transformer", "value": "s3://a/t"}, {"key": "serving_model", "value": "s3://a/s"}]

    assert serve.serving_address(version | {"tags": tags}) == "s3://a/s"
    with pytest.raises(stack.StackError, match=r"Version 2 of Tails, the champion, has no tag serving_model.*make run"):
        serve.serving_address(version)
