"""The names that others rely on."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from include import config
from include.schema import Categorical, Numeric


def test_the_default_alphas_are_those_of_logspace():
    np.testing.assert_allclose(config.HYPER_PARAMETERS["alphas"], np.logspace(-3, 1, num=30), rtol=1e-12)


def test_hyperparameters_survive_json():
    assert json.loads(json.dumps(config.HYPER_PARAMETERS)) == config.HYPER_PARAMETERS


def test_names():
    assert (config.DATA_BUCKET, config.ARTIFACT_BUCKET) == ("data", "mlflowdatapossums")
    assert (config.MLFLOW_CONNECTION, config.AWS_CONNECTION) == ("mlflow_default", "aws_conn")
    assert config.EXPERIMENT == "Possum_tails"
    assert config.REGISTERED_MODEL == "Reg_RidgeCV_possums"
    assert config.MODEL_TAGS == {"model_type": "regression", "data": "possum"}
    assert config.STAGE == "Staging"
    assert config.MODEL_CLASS == "sklearn.linear_model.RidgeCV"
    assert (config.FEATURES_DATASET, config.MODEL_DATASET) == ("s3://data_possum.csv", "model_trained")
    assert (config.FEATURES_FILE, config.PREDICTIONS_FILE) == ("possum.csv", "possum_tail_length.csv")


def test_columns():
    def names(kind):
        return {name for name, column in config.COLUMNS.items() if isinstance(column, kind)}

    assert config.TARGET == "taill"
    assert names(Categorical) == {"site", "Pop", "sex"}
    assert names(Numeric) == {"age", "hdlngth", "skullw", "totlngth", "footlgth", "taill"}
    assert config.ROW_NUMBER == "case"


def test_files():
    assert (config.INCLUDE / config.DATA_FILE).is_file()
    assert (config.INCLUDE / config.PICTURE_FILE).is_file()
    assert (config.PLOTS / config.PLOT_FILE).relative_to(config.INCLUDE).as_posix() == "plots/possum_tails.png"


@pytest.mark.parametrize(
    ("url", "bucket"),
    [(None, "localxcom"), ("s3://localxcom", "localxcom"), ("s3://mine/xcom/", "mine")],
    ids=["not set", "the default", "with a folder"],
)
def test_the_xcom_bucket_is_that_of_the_xcom_backend(url, bucket):
    name = "AIRFLOW__ASTRO_SDK__XCOM_STORAGE_URL"
    environment = {key: value for key, value in os.environ.items() if key != name} | ({name: url} if url else {})

    printed = subprocess.check_output(
        [sys.executable, "-c", "from include import config; print(config.XCOM_BUCKET)"],
        env=environment,
        cwd=config.INCLUDE.parent,
        text=True,
    )

    assert printed.strip() == bucket
