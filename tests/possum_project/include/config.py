"""The possums' configuration, which the tests have in the place of `include/config.py`, with all of its names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from include.schema import Categorical, Column, Numeric, Schema

INCLUDE = Path(__file__).resolve().parent

# --- The data: one row per animal ---

DATA_FILE = "possum.csv"  # in include/; or s3://bucket/key, or https://host/path; CSV or Parquet
DATA_HOSTS: tuple[str, ...] = ()  # from which a form may take https addresses; the host of DATA_FILE always counts
ROW = "animal"  # what a row is, in the singular
ROW_NUMBER: str | None = "case"  # identifies a row, is no feature; None where the file has no such column
TARGET = "taill"
TARGET_LABEL = "tail length"
TARGET_UNIT = "cm"
COLUMNS: dict[str, Column] = {
    "site": Categorical(),  # where the animal was trapped, 1 to 7
    "Pop": Categorical(("Vic", "other")),  # Victoria; New South Wales or Queensland
    "sex": Categorical(("f", "m")),
    "age": Numeric(0, 30),  # years
    "hdlngth": Numeric(30, 300),  # head length, mm
    "skullw": Numeric(10, 200),  # skull width, mm
    "totlngth": Numeric(20, 200),  # total length, cm
    "footlgth": Numeric(10, 200),  # foot length, mm
    TARGET: Numeric(5, 100),  # tail length, cm
}
MAX_CATEGORIES = 100  # of one column: each becomes a feature
ROWS_WITH_GAPS = "drop"
SCHEMA = Schema(
    COLUMNS, TARGET, TARGET_LABEL, TARGET_UNIT, ROW, ROW_NUMBER, MAX_CATEGORIES, keep_gaps=ROWS_WITH_GAPS == "keep"
)

# --- The model ---

MODEL_CLASS = "sklearn.linear_model.RidgeCV"  # any scikit-learn regressor
MODEL_NAME = MODEL_CLASS.rpartition(".")[2]
HYPER_PARAMETERS: dict[str, Any] = {"alphas": [10 ** (-3 + 4 * i / 29) for i in range(30)]}
HYPER_PARAMETER_RULES: dict[str, dict[str, Any]] = {
    "alphas": {
        "description": "the strengths of regularisation to choose from, each greater than 0",
        "type": "array",
        "items": {"type": "number", "exclusiveMinimum": 0},
        "minItems": 1,
    }
}

PREDICTION_PACKAGES = ("boto3", "pandas", "pyarrow")

# --- The evaluation ---

FOLDS = 5
REPEATS = 10  # of the cross-validation; fewer when the rows are many (include/modeling/evaluation.py has the rule)
SEED = 1995
TOLERANCE = 0.02
MAX_ERROR_RISE = 0.25  # of the champion's error: a new model that is worse by no more than this takes its place

FAIL_ON_DRIFT = False  # True: predicting fails where a feature has drifted; else it only warns

# --- Names in MLflow ---

EXPERIMENT = "Possum_tails"
REGISTERED_MODEL = "Reg_RidgeCV_possums"
MODEL_TAGS = {"model_type": "regression", "data": "possum"}
STAGE = "Staging"
INTENDED_USE = "Shows how Airflow and MLflow work together. Estimates a possum's tail length from other measurements."
LIMITS = "104 mountain brushtail possums of one species, trapped at seven sites in Australia in the 1990s."

# --- Names in S3 ---

DATA_BUCKET = "data"
ARTIFACTS_URL = "s3://mlflowdatapossums"
XCOM_URL = "s3://localxcom"
ARTIFACT_BUCKET, XCOM_BUCKET = "mlflowdatapossums", "localxcom"
FEATURES_FILE = "possum.csv"
PREDICTIONS_FILE = "possum_tail_length.csv"

# --- Names in Airflow ---

MLFLOW_CONNECTION = "mlflow_default"
AWS_CONNECTION = "aws_conn"
FEATURES_DATASET = "s3://data_possum.csv"
MODEL_DATASET = "model_trained"
SCHEDULE: str | None = None  # of feature_eng: None (by hand), a cron expression, or a Dataset's URI
TASK_MINUTES = 15  # that a task may take
TAGS = ["possums"]
OWNER = "possum team"
FAILURE_CALLBACKS: list[Any] = []

# --- The plot ---

PLOTS = INCLUDE / "plots"
PLOT_FILE = "possum_tails.png"
PICTURE_FILE: str | None = "possum.jpeg"  # in include/, for the corner of the plot; None for no picture
PICTURE = INCLUDE / PICTURE_FILE if PICTURE_FILE else None
