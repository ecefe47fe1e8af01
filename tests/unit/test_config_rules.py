"""A wrong value in include/config.py is rejected when it is imported, by the name of the setting and with the cure."""

from __future__ import annotations

import re

import pytest
from harness import ROOT

from include import config
from include.config_rules import RULES as SETTINGS
from include.config_rules import check_hyper_parameters, check_settings
from include.errors import ConfigurationError

RULES = {"alphas": {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 1}}
GOOD = {name: getattr(config, name) for name in (*SETTINGS, "PICTURE")}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATA_FILE", "s3://acme/rows/tails.parquet"),
        ("DATA_FILE", "https://data.example.org/tails.csv"),
        ("DATA_FILE", "Höhe_2-b.csv"),
        ("DATA_HOSTS", ("data.example.org",)),
        ("SCHEDULE", "0 6 * * *"),
        ("SCHEDULE", "@daily"),
        ("SCHEDULE", "s3://acme/rows.csv"),
        ("TOLERANCE", 0),
        ("MAX_ERROR_RISE", 1.5),
        ("PREDICTION_PACKAGES", ["boto3", "s3fs[boto3]"]),
        ("PREDICTION_PACKAGES", ()),
        ("MODEL_TAGS", {}),
        ("TAGS", []),
        ("FAILURE_CALLBACKS", [print]),
        ("PICTURE", None),
        ("SEED", 0),
        ("LIMITS", ""),
        ("FEATURES_DATASET", "features of tails"),
        ("STAGE", "Production"),
        ("PLOT_FILE", "My tails.JPG"),
        ("ARTIFACTS_URL", "s3://acme-models.eu/Tails/2026_b"),
        ("FEATURES_FILE", "rents/my features.csv"),
    ],
)
def test_a_value_that_can_be_used_is_accepted(name, value):
    check_settings(GOOD | {name: value})


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        ("DATA_FILE", " tails.csv", "a file in include/"),
        ("DATA_FILE", "tails (1).csv", "letters, digits"),
        ("DATA_FILE", "http://data.example.org/tails.csv", "https://host/path"),
        ("DATA_FILE", "https://me:secret@data.example.org/tails.csv", "https://host/path"),
        ("DATA_FILE", "file:///etc/passwd.csv", "https://host/path"),
        ("DATA_HOSTS", ("https://data.example.org",), "names of hosts"),
        ("SCHEDULE", "every morning", "a cron expression such as"),
        ("SCHEDULE", config.FEATURES_DATASET, "another Dataset than FEATURES_DATASET: the DAGs would start each other"),
        ("SCHEDULE", f"{config.FEATURES_DATASET.upper()}/", "another Dataset than FEATURES_DATASET"),
        ("SCHEDULE", "airflow://rows", "'airflow:'"),
        ("MODEL_DATASET", config.FEATURES_DATASET, "another Dataset than FEATURES_DATASET"),
        ("DATA_FILE", "mine/tails.csv", "no folder"),
        ("DATA_FILE", "tails.CSV", ".csv or .parquet at the end"),
        ("DATA_FILE", None, "a file in include/"),
        ("MODEL_CLASS", int, "the name of a class as text"),
        ("DATA_BUCKET", "acme/data", "without a prefix"),
        ("ARTIFACTS_URL", "acme", "s3://bucket"),
        ("XCOM_URL", "s3:///xcom", "s3://bucket"),
        ("DATA_BUCKET", "acme_data", "lowercase letters"),
        ("ARTIFACTS_URL", "s3://mlflow_Rents", "lowercase letters"),
        ("ROWS_WITH_GAPS", "fill", '"drop" or "keep"'),
        ("FOLDS", 1, "an integer from 2 on"),
        ("FOLDS", 5.0, "an integer from 2 on"),
        ("REPEATS", 0, "an integer from 1 on"),
        ("SEED", -1, "an integer from 0"),
        ("TOLERANCE", -0.02, "a share from 0 to 1"),
        ("TOLERANCE", 2, "such as 0.02"),
        ("MAX_ERROR_RISE", "25%", "such as 0.25"),
        ("MAX_ERROR_RISE", 0, "greater than 0"),
        ("TASK_MINUTES", 0, "from 1 on"),
        ("ROW", "", "text that is not empty"),
        ("REGISTERED_MODEL", None, "text that is not empty"),
        ("REGISTERED_MODEL", "Car/price:x", "without '/', ':'"),
        ("REGISTERED_MODEL", "Ann's rents", "apostrophes"),
        ("FEATURES_FILE", "rents.parquet", "ends in .csv"),
        ("FEATURES_FILE", "/rents.csv", "the name of an object"),
        ("PREDICTIONS_FILE", "rents", "ends in .csv"),
        ("PREDICTIONS_FILE", "predictions/rents.csv", "not in predictions/"),
        ("PREDICTIONS_FILE", config.FEATURES_FILE, "another object than FEATURES_FILE"),
        ("SCHEDULE", "s3://daten/ä.csv", "in ASCII"),
        ("FEATURES_DATASET", "daten ä", "in ASCII"),
        ("MODEL_DATASET", "", "not empty"),
        ("INTENDED_USE", None, "text"),
        ("STAGE", "Test", '"Staging" or "Production"'),
        ("MODEL_TAGS", ["flats"], "a dictionary of text"),
        ("MODEL_TAGS", {"rooms": 3}, "a dictionary of text"),
        ("PREDICTION_PACKAGES", "boto3", "in parentheses, such as ('boto3',)"),
        ("HYPER_PARAMETERS", None, "a dictionary"),
        ("HYPER_PARAMETER_RULES", {"alphas": "positive"}, "a dictionary of JSON Schemas"),
        ("TAGS", "rents", "a list of text"),
        ("TAGS", ("rents",), "a list of text"),
        ("TAGS", ["r" * 101], "at most 100 characters"),
        ("FAILURE_CALLBACKS", "mail", "a list of functions"),
        ("FAILURE_CALLBACKS", ["mail"], "a list of functions"),
        ("PICTURE_FILE", 5, "None or the name of a picture"),
        ("PICTURE_FILE", "possum.csv", "ends in .png, .jpg"),
        ("PLOT_FILE", "rents.doc", ".png, .jpg"),
        ("PLOT_FILE", "plots/rents.png", "without a folder"),
        ("PLOT_FILE", "out_of_fold.png", "the other plot"),
    ],
)
def test_a_wrong_value_is_rejected(name, value, cure):
    with pytest.raises(ConfigurationError) as error:
        check_settings(GOOD | {name: value})

    assert str(error.value).startswith(f"{name} in include/config.py is {value!r}. It has to be ")
    assert cure in str(error.value)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_is_missing_is_named(name):
    with pytest.raises(ConfigurationError, match=rf"^{name} is missing in include/config\.py\. Add it\. It has to be "):
        check_settings({setting: value for setting, value in GOOD.items() if setting != name})


def test_a_picture_that_is_missing_is_rejected(tmp_path):
    picture = {"PICTURE_FILE": "tail.jpeg", "PICTURE": tmp_path / "tail.jpeg"}

    with pytest.raises(ConfigurationError) as error:
        check_settings(GOOD | picture)

    assert str(error.value) == (
        "PICTURE_FILE in include/config.py is 'tail.jpeg', but include/ has no such file. Put the picture there, or "
        "set PICTURE_FILE to None."
    )
    picture["PICTURE"].touch()
    check_settings(GOOD | picture)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"alphas": [0.1, 0]}, "breaks its rule at alphas[1]: 0 is less than or equal to the minimum of 0"),
        ({"alphas": []}, "breaks its rule at alphas: [] "),
        ({"alphas": 1}, "breaks its rule at alphas: 1 is not of type 'array'"),
        ([1], "breaks its rule at its top: [1] is not of type 'object'"),
        ({"alphas": {1}}, "is not valid JSON"),
        ({"alphas": [float("nan")]}, "is not valid JSON"),
    ],
)
def test_hyperparameters_that_break_their_rule_are_rejected(value, words):
    with pytest.raises(ConfigurationError, match=re.escape(words)) as error:
        check_hyper_parameters(value, RULES)

    assert str(error.value).startswith("HYPER_PARAMETERS in include/config.py")


def test_a_rule_that_is_not_json_schema_is_rejected():
    with pytest.raises(
        ConfigurationError, match=r"^HYPER_PARAMETER_RULES in include/config.py is not valid JSON Schema"
    ):
        check_hyper_parameters({"alphas": 1}, {"alphas": {"type": "numbre"}})


def test_a_rule_for_a_hyperparameter_that_does_not_exist_is_rejected():
    with pytest.raises(ConfigurationError, match=r"^HYPER_PARAMETER_RULES .* has a rule for 'alpha', which"):
        check_hyper_parameters({"alphas": [1]}, {"alpha": {"type": "array"}})


def test_the_configuration_checks_itself_when_it_is_imported():
    path = ROOT / "include" / "config.py"
    text = re.sub(r"(?m)^FOLDS = .*$", "FOLDS = 1", path.read_text())

    with pytest.raises(ConfigurationError, match=r"^FOLDS in include/config\.py is 1\. It has to be an integer from 2"):
        exec(text, {"__file__": str(path)})  # noqa: S102
