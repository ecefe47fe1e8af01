"""Predicts in the model's environment, which knows nothing of this project: MODEL FOLDER [ESTIMATOR].

Reads `rows.parquet` in FOLDER and writes `predictions.parquet`, with the column `prediction` and the same index.
"""

import pickle
import sys
from pathlib import Path

import pandas as pd

model, folder, *estimator = sys.argv[1:]
rows = pd.read_parquet(Path(folder, "rows.parquet"))
if estimator:
    predicted = pickle.loads(Path(*estimator).read_bytes()).predict(rows)  # noqa: S301 (as MLflow does)
else:
    from mlflow import pyfunc

    predicted = pyfunc.load_model(model, suppress_warnings=True).predict(rows)
column = pd.DataFrame(predicted).iloc[:, 0]  # of an array, a list, a Series or a DataFrame
column.rename("prediction").set_axis(rows.index).to_frame().to_parquet(Path(folder, "predictions.parquet"))
