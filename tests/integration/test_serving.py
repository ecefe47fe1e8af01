"""The model to serve takes raw rows: over HTTP from what `make serve` starts, and in Python without this project."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys

import mlflow
import numpy as np
import pandas as pd
import psutil
import pytest
import requests
from harness import ROOT
from harness.possum_project import PYTHON_VARIABLES
from possums import ANIMAL

from include import config
from include.local_stack.serve import serve
from include.local_stack.services import StackError
from include.local_stack.stack import free_port

MODEL = "Reg_RidgeCV_possums"
RAW = pd.read_csv(config.INCLUDE / "possum.csv", index_col="case")[[*config.COLUMNS]].dropna().drop(columns="taill")


@pytest.fixture(scope="module")
def champion(client, pipeline_runs):
    return client.get_model_version_by_alias(MODEL, "champion")


@pytest.fixture(scope="module")
def predicted(read_csv, pipeline_runs) -> pd.Series:
    """What the pipeline itself predicted for each animal."""
    return read_csv("possum_tail_length.csv").set_index("case")["predicted"]


@pytest.fixture(scope="module")
def server(stack, pipeline_runs):
    """The process that `make serve` starts, and its address, as soon as it answers."""
    program = f"""
from pathlib import Path
from include.local_stack.serve import serve
from include.local_stack.stack import Stack
serve(Stack(Path({str(stack.home)!r}), ports={stack.ports!r}), {MODEL!r})
"""
    port = free_port()
    variables = PYTHON_VARIABLES | {"SERVE_PORT": str(port), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", program]
    process = subprocess.Popen(command, env=variables, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert any("Ctrl-C" in line for line in process.stdout)
        wait_for(address := f"http://127.0.0.1:{port}")
        yield process, address
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)


@pytest.fixture
def post(server):
    _, address = server

    def post(*rows: dict) -> requests.Response:
        return requests.post(f"{address}/invocations", json={"dataframe_records": rows}, timeout=30)

    return post


def wait_for(address: str) -> None:
    session = requests.Session()
    retries = requests.adapters.Retry(connect=10, backoff_factor=0.1)
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retries))
    assert session.get(f"{address}/ping", timeout=30).ok


def test_the_server_predicts_what_the_pipeline_predicted(post, predicted):
    rows = json.loads(RAW.to_json(orient="records"))

    answer = post(*rows)

    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == pytest.approx(predicted.loc[RAW.index].tolist(), abs=1e-9)


def test_whole_numbers_do_as_well_as_decimals_and_order_does_not_matter(post):
    decimals = ANIMAL | {name: float(ANIMAL[name]) for name in config.SCHEMA.numeric}
    turned = {name: ANIMAL[name] for name in [*ANIMAL][::-1]}

    first, *others = (post(row).json()["predictions"] for row in (ANIMAL, decimals, turned))

    assert others == [first, first]
    assert 25 < first[0] < 50


@pytest.mark.parametrize("site", [3, 3.0, "3", "3.0"])
def test_a_label_may_be_a_number_or_text(site, post):
    rows = ANIMAL | {"site": site}, ANIMAL | {"site": "north"}

    assert post(*rows).json()["predictions"][:1] == predictions(post, 3)


@pytest.mark.parametrize("site", [99, 3.5, "north"])
def test_an_unknown_label_counts_as_none_of_the_known_ones(site, post):
    assert predictions(post, site) == predictions(post, "nowhere")


@pytest.mark.parametrize("site", [3, 3.0, "3"])
def test_in_python_a_label_may_be_a_number_or_text(site, champion, as_outsider, post):
    model = mlflow.pyfunc.load_model(champion.tags["serving_model"])

    found = model.predict(pd.DataFrame([ANIMAL | {"site": site}]).astype(dict.fromkeys(config.SCHEMA.numeric, float)))

    assert found.tolist() == pytest.approx(predictions(post, 3))


def predictions(post, site: object) -> list[float]:
    return post(ANIMAL | {"site": site}).json()["predictions"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"age": None}, "row 2, column age: the value is missing"),
        ({"hdlngth": "92,5"}, "column hdlngth to type 'float64'"),
        ({"Pop": "vic"}, "row 2, column Pop: 'vic' is none of Vic, other"),
    ],
    ids=str,
)
def test_a_wrong_value_is_answered_with_400_and_its_column(change, words, post):
    answer = post(ANIMAL, ANIMAL | change)

    assert answer.status_code == 400, answer.text
    assert words in answer.json()["message"]


def test_a_missing_column_is_answered_with_400_and_its_name(post):
    answer = post({name: value for name, value in ANIMAL.items() if name != "skullw"})

    assert answer.status_code == 400, answer.text
    assert "skullw" in answer.json()["message"]


def test_the_server_listens_on_loopback_alone(server):
    process, _ = server

    listening = [c for c in psutil.Process(process.pid).net_connections() if c.status == psutil.CONN_LISTEN]

    assert {c.laddr.ip for c in listening} == {"127.0.0.1"}
    assert psutil.Process(process.pid).children() == []


def test_the_description_of_the_registered_model_loads_it(client, as_outsider, predicted):
    line = re.search(r"`(mlflow.*?)`", client.get_registered_model(MODEL).description)[1]

    model = eval(line)  # noqa: S307 (our own text)

    assert np.allclose(model.predict(RAW), predicted.loc[RAW.index])


def test_the_model_says_what_it_takes(champion, as_outsider):
    info = mlflow.models.get_model_info(champion.tags["serving_model"])

    assert info.signature.inputs.input_names() == config.SCHEMA.inputs
    assert info.saved_input_example_info


def test_a_taken_port_is_named_with_its_variable(stack, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("SERVE_PORT", str(port))

        with pytest.raises(
            StackError, match=rf"Port {port}, for the model, is taken.*make serve SERVE_PORT={port + 1}"
        ):
            serve(stack, MODEL)


@pytest.fixture
def nothing_to_serve(stack, monkeypatch):
    """What `make serve` says of a registered model that it can't serve."""
    monkeypatch.setenv("SERVE_PORT", str(free_port()))
    monkeypatch.setattr(os, "environ", os.environ.copy())  # which serve changes

    def refused(name: str) -> str:
        with pytest.raises(StackError) as error:
            serve(stack, name)
        return str(error.value)

    return refused


def test_without_a_champion_there_is_nothing_to_serve(nothing_to_serve):
    assert re.search(r"nobody has no champion.*nobody not found.*make run", nothing_to_serve("nobody"))


def test_a_champion_without_a_model_for_raw_rows_is_not_served(nothing_to_serve, client, champion):
    client.create_registered_model("by_hand")
    version = client.create_model_version("by_hand", champion.source, champion.run_id)
    client.set_registered_model_alias("by_hand", "champion", version.version)

    said = nothing_to_serve("by_hand")

    client.delete_registered_model("by_hand")
    assert re.search(r"Version 1 of by_hand, the champion, has no tag serving_model.*make run", said)


def test_what_the_shell_has_for_mlflow_and_aws_does_not_count(nothing_to_serve):
    os.environ |= {"AWS_PROFILE": "mine", "MLFLOW_TRACKING_TOKEN": "secret"}

    nothing_to_serve("nobody")

    assert not {"AWS_PROFILE", "MLFLOW_TRACKING_TOKEN"} & os.environ.keys()
