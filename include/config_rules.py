"""Which values the settings in `include/config.py` may have. It checks itself with them when it is imported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import combinations
from typing import Any

from croniter import croniter
from jsonschema import Draft4Validator, FormatChecker, ValidationError, validate, validators
from jsonschema.exceptions import SchemaError

from include.errors import ConfigurationError

# A name in include/, s3://bucket/key or https://host/path, CSV or Parquet.
DATA_FILE_PATTERN = r"^(?:\w[\w .-]*|s3://[^/\s]+/[^\s?#]+|https://[^/\s@]+/[^\s?#]+)\.(?:csv|parquet)$(?!\n)"
DATA_FILE_WORDS = (
    "the name of a file in include/ (letters, digits, spaces, '_', '.', '-'; no folder), s3://bucket/key, or "
    "https://host/path on a host of DATA_HOSTS; with .csv or .parquet at the end"
)
NAME = {"type": "string", "pattern": r"\S", "description": "text that is not empty"}
HOSTS = "names of hosts in parentheses, such as ('data.example.org',)"
BUCKET = "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
BUCKET_WORDS = "3 to 63 lowercase letters, digits, '.' and '-', with a letter or digit at both ends"
S3_URL = {
    "type": "string",
    "pattern": rf"^s3://{BUCKET}(/\S+)?\Z",
    "description": f"s3://bucket or s3://bucket/prefix; the name of a bucket is {BUCKET_WORDS}",
}
DATASET = {
    "type": "string",
    "pattern": r"^(?!(?i:airflow):)(?=.*\S)[ -~]+\Z",
    "description": "text in ASCII that is not empty and does not start with 'airflow:'",
}
NEW_PREDICTIONS = "predictions"  # the folder of the predictions for new rows, in the bucket of the data
CSV_OBJECT = {
    "type": "string",
    "pattern": rf"^(?!{NEW_PREDICTIONS}/)[^/\s].*\.csv\Z",
    "description": f"the name of an object that ends in .csv, but not in {NEW_PREDICTIONS}/, which is for new rows",
}
TEXT = {"type": "string", "description": "text"}
NAMES = [
    *("ROW", "TARGET_LABEL", "TARGET_UNIT", "OWNER"),
    *("EXPERIMENT", "MLFLOW_CONNECTION", "AWS_CONNECTION"),
]
# JSON Schema for each setting, of draft 4, for which 5.0 is not an integer. The description ends "It has to be ...".
PRESETS = ("@once", "@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
RULES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(NAMES, NAME),
    "MODEL_CLASS": NAME | {"description": "the name of a class as text, such as 'sklearn.linear_model.RidgeCV'"},
    "REGISTERED_MODEL": {
        "type": "string",
        "pattern": r"^(?=.*\S)[^/:']+$",
        "description": "text that is not empty, without '/', ':' and apostrophes",
    },
    "DATA_FILE": {
        "type": "string",
        "pattern": DATA_FILE_PATTERN,
        "description": DATA_FILE_WORDS,
    },
    "DATA_BUCKET": {
        "type": "string",
        "pattern": rf"^{BUCKET}\Z",
        "description": f"the name of a bucket, without a prefix: {BUCKET_WORDS}",
    },
    **dict.fromkeys(("ARTIFACTS_URL", "XCOM_URL"), S3_URL),
    **dict.fromkeys(("FEATURES_FILE", "PREDICTIONS_FILE"), CSV_OBJECT),
    "ROWS_WITH_GAPS": {"enum": ["drop", "keep"], "description": '"drop" or "keep"'},
    "FOLDS": {"type": "integer", "minimum": 2, "description": "an integer from 2 on"},
    "REPEATS": {"type": "integer", "minimum": 1, "description": "an integer from 1 on"},
    "SEED": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1, "description": "an integer from 0 to 2**32 - 1"},
    "TOLERANCE": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "description": "a share from 0 to 1, such as 0.02 for 2%",
    },
    "MAX_ERROR_RISE": {
        "type": "number",
        "minimum": 0,
        "exclusiveMinimum": True,
        "description": "a share greater than 0, such as 0.25 for 25%",
    },
    "DATA_HOSTS": {"type": "array", "items": {"type": "string", "pattern": r"^[\w.-]+$"}, "description": HOSTS},
    "SCHEDULE": {
        "type": ["null", "string"],
        "pattern": r"^(?!(?i:airflow):)[ -~]*\Z",
        "description": "None, a cron expression or a Dataset's URI, in ASCII, which does not start with 'airflow:'",
    },
    "FAIL_ON_DRIFT": {"type": "boolean", "description": "True or False"},
    "TASK_MINUTES": {"type": "number", "minimum": 1, "description": "a number of minutes from 1 on"},
    **dict.fromkeys(("FEATURES_DATASET", "MODEL_DATASET"), DATASET),
    **dict.fromkeys(("INTENDED_USE", "LIMITS"), TEXT),
    "STAGE": {"type": "string", "pattern": r"^(?i:staging|production)\Z", "description": '"Staging" or "Production"'},
    "MODEL_TAGS": {
        "type": "object",
        "additionalProperties": TEXT,
        "description": "a dictionary of text, such as {'data': 'flats'}",
    },
    "PREDICTION_PACKAGES": {
        "type": "array",
        "items": NAME,
        "description": "names of packages in parentheses, such as ('boto3',)",
    },
    "HYPER_PARAMETERS": {"type": "object", "description": "a dictionary of arguments, by name"},
    "HYPER_PARAMETER_RULES": {
        "type": "object",
        "additionalProperties": {"type": "object"},
        "description": "a dictionary of JSON Schemas, by hyperparameter",
    },
    "TAGS": {
        "type": "list",
        "items": {"type": "string", "minLength": 1, "maxLength": 100},
        "description": "a list of text, such as ['rents'], of at most 100 characters each",
    },
    "FAILURE_CALLBACKS": {
        "type": "list",
        "items": {"type": "callable"},
        "description": "a list of functions or Airflow notifiers",
    },
    "PICTURE_FILE": {
        "type": ["null", "string"],
        "pattern": r"\.(?i:png|jpg|jpeg|gif|webp)\Z",
        "description": "None or the name of a picture in include/ that ends in .png, .jpg, .jpeg, .gif or .webp",
    },
    "PLOT_FILE": {
        "type": "string",
        "pattern": r"^(?!out_of_fold\.png\Z)[^/\\]+\.(?i:png|jpg|jpeg|pdf|svg)\Z",
        "description": "the name of a file, without a folder, that ends in .png, .jpg, .jpeg, .pdf or .svg; not "
        "out_of_fold.png, which is the other plot",
    },
}
# JSON has no tuples and no functions.
TYPES = Draft4Validator.TYPE_CHECKER.redefine_many(
    {
        "array": lambda _, value: isinstance(value, list | tuple),
        "list": lambda _, value: isinstance(value, list),
        "callable": lambda _, value: callable(value),
    }
)
Validator = validators.extend(Draft4Validator, type_checker=TYPES)


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for the first setting that is missing or has a value that it can't have. Names it."""
    for name, rule in RULES.items():
        if name not in settings:
            raise ConfigurationError(
                f"{name} is missing in include/config.py. Add it. It has to be {rule['description']}."
            )
        if not Validator(rule).is_valid(settings[name]):
            raise ConfigurationError(
                f"{name} in include/config.py is {settings[name]!r}. It has to be {rule['description']}."
            )
    if settings["PREDICTIONS_FILE"] == settings["FEATURES_FILE"]:
        raise ConfigurationError(
            f"PREDICTIONS_FILE in include/config.py is {settings['PREDICTIONS_FILE']!r}. It has to be another object "
            "than FEATURES_FILE: the predictions would overwrite the features."
        )
    if settings["PICTURE"] and not settings["PICTURE"].is_file():
        raise ConfigurationError(
            f"PICTURE_FILE in include/config.py is {settings['PICTURE_FILE']!r}, but include/ has no such file. Put "
            "the picture there, or set PICTURE_FILE to None."
        )
    check_schedule(settings["SCHEDULE"])
    check_datasets({name: settings[name] for name in ("FEATURES_DATASET", "MODEL_DATASET", "SCHEDULE")})
    check_hyper_parameters(settings["HYPER_PARAMETERS"], settings["HYPER_PARAMETER_RULES"])


def check_schedule(schedule: str | None) -> None:
    """Raise ConfigurationError for a schedule that Airflow would not accept."""
    is_known = schedule is None or schedule in PRESETS or "://" in schedule or croniter.is_valid(schedule)
    if not is_known:
        raise ConfigurationError(
            f"SCHEDULE in include/config.py is {schedule!r}. It has to be None (started by hand), a cron expression "
            "such as '0 6 * * *', or a Dataset's URI such as 's3://bucket/rows.csv'."
        )


def check_datasets(uris: Mapping[str, str | None]) -> None:
    """Raise ConfigurationError if two settings name the same Dataset."""
    for (first, uri), (second, other) in combinations(uris.items(), 2):
        # To Airflow, s3://rows, S3://rows and s3://rows/ are one Dataset.
        if uri and other and uri.rstrip("/").lower() == other.rstrip("/").lower():
            raise ConfigurationError(
                f"{second} in include/config.py is {other!r}. It has to be another Dataset than {first}: the DAGs "
                "would start each other forever."
            )


def check_hyper_parameters(hyper_parameters: Mapping[str, Any], rules: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for hyperparameters that Airflow's trigger form would not accept."""
    try:
        json.dumps(hyper_parameters, allow_nan=False)
        validate(hyper_parameters, {"type": "object", "properties": rules}, format_checker=FormatChecker())
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"HYPER_PARAMETERS in include/config.py is not valid JSON: {error}. "
            "Use numbers, text, True, False, None, lists and dictionaries alone."
        ) from None
    except ValidationError as error:
        place = error.json_path.removeprefix("$").removeprefix(".")
        raise ConfigurationError(
            f"HYPER_PARAMETERS in include/config.py breaks its rule at {place or 'its top'}: {error.message}. "
            "Correct the value, or the rule in HYPER_PARAMETER_RULES."
        ) from None
    except SchemaError as error:
        raise ConfigurationError(
            f"HYPER_PARAMETER_RULES in include/config.py is not valid JSON Schema: {error.message}. Correct it."
        ) from None
    if unknown := sorted(rules.keys() - hyper_parameters.keys()):
        raise ConfigurationError(
            f"HYPER_PARAMETER_RULES in include/config.py has a rule for {', '.join(map(repr, unknown))}, which "
            "HYPER_PARAMETERS does not have. Correct the name, add the hyperparameter, or take the rule out."
        )
