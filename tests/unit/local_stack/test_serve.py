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


def test_the_address_is_that_of_the_model_for_raw_rows():
    tags = [
        {"key": "transformer", "value": "mlflow-artifacts:/t"},
        {"key": "serving_model", "value": "mlflow-artifacts:/s"},
    ]

    assert serve.serving_address({"name": "Tails", "version": "2", "tags": tags}) == "mlflow-artifacts:/s"


def test_a_version_from_before_there_was_one_says_what_to_do():
    with pytest.raises(stack.StackError, match=r"Version 2 of Tails, the champion, has no tag serving_model.*make run"):
        serve.serving_address({"name": "Tails", "version": "2"})
