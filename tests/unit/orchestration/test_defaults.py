from __future__ import annotations

import pytest
from airflow.exceptions import ParamValidationError

from include import config
from include.orchestration import defaults


@pytest.fixture(params=[defaults.data_file, defaults.new_data_file], ids=["feature_eng", "predict"])
def form(request, monkeypatch):
    """The field of a form, where tasks may call two hosts: one of DATA_HOSTS, and that of DATA_FILE."""
    monkeypatch.setattr(config, "DATA_HOSTS", ("data.example.org",))
    monkeypatch.setattr(config, "DATA_FILE", "https://rows.example.org/tails.csv")
    return request.param


@pytest.mark.parametrize(
    "data_file",
    [
        "https://data.example.org/new.csv",
        "https://data.example.org:443/a/new.parquet",
        "https://rows.example.org/new.csv",
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
