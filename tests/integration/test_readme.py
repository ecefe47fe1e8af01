"""The README's lines of Python for a new animal, run as they are."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from include import config


@pytest.fixture
def alone():
    """The same by scikit-learn alone: from the CSV file to the prediction for raw measurements."""
    rows = pd.read_csv(config.INCLUDE / "possum.csv", index_col="case").dropna()
    labels = ["site", "Pop", "sex"]
    raw = pd.get_dummies(rows[[*config.COLUMNS]].drop(columns="taill"), columns=labels, dtype=float)
    scaler = StandardScaler().fit(raw)
    model = RidgeCV(alphas=[10 ** (-3 + 4 * i / 29) for i in range(30)]).fit(scaler.transform(raw), rows["taill"])

    def predict(animal: dict) -> float:
        encoded = pd.get_dummies(pd.DataFrame([animal]), columns=labels, dtype=float)
        return float(model.predict(scaler.transform(encoded.reindex(columns=raw.columns, fill_value=0)))[0])

    return predict


def test_the_lines_predict_what_scikit_learn_alone_predicts(readme_python, pipeline_runs, stack, alone):
    """With nothing but MLflow's address: neither the project nor S3 can be reached."""
    lines = readme_python("Predict for new animals")
    more = """
import json
print(json.dumps(animal))
strange = {**animal, "site": 99}
for frame in (pd.DataFrame([animal]), pd.DataFrame([animal])[[*animal][::-1]], pd.DataFrame([strange])):
    print(model.predict(frame)[0])
print(type(mlflow.sklearn.load_model(version.tags["transformer"])).__name__)
try:
    model.predict(pd.DataFrame([{**animal, "Pop": "vic"}]))
except Exception as error:
    print(error)
"""
    command, environment = [sys.executable, "-c", lines + more], {"MLFLOW_TRACKING_URI": stack.url("mlflow")}

    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    printed, animal, *others, transformer, rejection = done.stdout.splitlines()
    known = json.loads(animal)
    strange = known | {"site": 99}
    assert float(printed.strip("[]")) == pytest.approx(alone(known), abs=1e-4)
    assert 25 < alone(known) < 50
    assert [float(other) for other in others] == pytest.approx([alone(known), alone(known), alone(strange)], abs=1e-8)
    assert abs(alone(strange) - alone(known)) > 0.01
    assert transformer == "Pipeline"
    assert "column Pop: 'vic' is none of Vic, other" in rejection
