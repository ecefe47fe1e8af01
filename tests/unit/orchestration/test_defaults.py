from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.exceptions import ParamValidationError

from include import config
from include.errors import ConfigurationError
from include.orchestration import defaults


@pytest.fixture(params=[defaults.data_file, defaults.new_data_file], ids=["feature_eng", "predict"])
def form(request, monkeypatch):
    """The field of a form, where tasks may call two hosts: one of DATA_HOSTS, and that of DATA_FILE."""
    monkeypatch.setattr(config, "DATA_HOSTS", ("data.example.org",))
    monkeypatch.setattr(config, "DATA_FILE", "https://Rows.example.org/tails.csv")
    return request.param


@pytest.mark.parametrize(
    "data_file",
    [
        "https://data.example.org/new.csv",
        "https://data.example.org:443/a/new.parquet",
        "https://rows.example.org/new.csv",
        "https://Rows.Example.org/new.csv",
        "s3://data/new.csv",
        "new.csv",
    ],
)
def test_a_form_takes_a_file_that_a_task_may_read(form, data_file):
    assert form().resolve(data_file) == data_file


@pytest.mark.parametrize(
    "data_file",
    [
        "https://elsewhere.example.org/new.csv",
        "https://data.example.org.evil.org/new.csv",
        "https://dataXexample.org/new.csv",
        "https://data.example.org:8443/new.csv",
        "https://169.254.169.254/new.csv",
    ],
)
def test_a_form_rejects_another_host_and_names_the_allowed_ones(form, data_file):
    with pytest.raises(ParamValidationError, match="does not match"):
        form().resolve(data_file)

    assert "(hosts now: data.example.org, rows.example.org)" in form().description


def test_without_hosts_a_form_takes_no_https_address():
    with pytest.raises(ParamValidationError, match="does not match"):
        defaults.new_data_file().resolve("https://data.example.org/new.csv")

    assert "(hosts now: none)" in defaults.new_data_file().description


def test_the_form_describes_the_hyperparameters_whose_rules_have_a_description(monkeypatch):
    rules = {"alphas": {"type": "array"}, "cv": {"description": "the folds", "type": "integer"}}
    monkeypatch.setattr(config, "HYPER_PARAMETER_RULES", rules)

    assert defaults.hyper_parameters().description.endswith(", as JSON. cv: the folds.")


@pytest.mark.parametrize("conf", [None, {}, {"data_file": "new.csv"}], ids=["by a Dataset", "by hand", "a param"])
def test_a_run_has_its_params(conf):
    assert defaults.run_params(context(conf)) == {"data_file": "possum.csv"}


def test_a_run_that_was_triggered_with_an_unknown_param_is_rejected():
    with pytest.raises(ConfigurationError) as error:
        defaults.run_params(context({"data_file": "new.csv", "datafile": "new.csv"}))

    assert str(error.value) == (
        "This run was triggered with 'datafile', but the params of feature_eng are data_file, hyper_parameters. "
        "Correct the name, and trigger it again."
    )


def context(conf: dict | None) -> dict:
    dag = SimpleNamespace(dag_id="feature_eng", params={"data_file": "possum.csv", "hyper_parameters": {}})
    return {"dag": dag, "dag_run": SimpleNamespace(conf=conf), "params": {"data_file": "possum.csv"}}
