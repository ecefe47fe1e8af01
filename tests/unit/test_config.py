"""The project's own `include/config.py`, whatever data it is about. All other tests have the possums' configuration."""

from __future__ import annotations

import json

import pytest

from include import config as possums


def test_the_files_that_it_names_are_there(project_config):
    assert "://" in project_config.DATA_FILE or (project_config.INCLUDE / project_config.DATA_FILE).is_file()
    if project_config.PICTURE_FILE:
        assert (project_config.INCLUDE / project_config.PICTURE_FILE).is_file()


def test_hyperparameters_survive_json(project_config):
    assert json.loads(json.dumps(project_config.HYPER_PARAMETERS)) == project_config.HYPER_PARAMETERS


def test_the_possums_configuration_has_every_name_that_the_projects_has(project_config):
    names = {name for name in vars(project_config) if name.isupper()}

    assert names - set(vars(possums)) == set(), "Add them to tests/possum_project/include/config.py, too."


@pytest.mark.parametrize(
    ("url", "bucket"),
    [("s3://localxcom", "localxcom"), ("s3://mine/xcom/", "mine")],
    ids=["the default", "with a folder"],
)
def test_the_xcom_bucket_is_that_of_the_xcom_backend(url, bucket, load_project_config, monkeypatch):
    monkeypatch.setenv("AIRFLOW__ASTRO_SDK__XCOM_STORAGE_URL", url)

    assert bucket == load_project_config().XCOM_BUCKET
