"""The project as someone's template: another CSV and an edited include/config.py. The checks pass, and nothing of the
possums is left in what the DAGs create.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from harness import ROOT
from harness.clone import plain_environment, use_what_is_installed_here
from sklearn.datasets import load_diabetes

from include.local_stack import stack

OURS = re.compile(r"possums?|\btaill?s?\b|\banimals?\b|\bridge|\balphas\b|brushtail|\bcm\b|hdlngth", re.IGNORECASE)

# What the user writes into include/config.py, in place of what is there, in addition to the README's forest.
EDITS = {
    "DATA_FILE": "diabetes.csv",
    "ROW": "patient",
    "ROW_NUMBER": None,
    "TARGET": "progression",
    "TARGET_LABEL": "progression of the disease",
    "TARGET_UNIT": "points",
    "EXPERIMENT": "Diabetes",
    "REGISTERED_MODEL": "Progression_of_diabetes",
    "MODEL_TAGS": {"model_type": "regression", "data": "diabetes"},
    "INTENDED_USE": "Shows that the project takes other data.",
    "LIMITS": "442 patients, measured in the 1980s.",
    "DATA_BUCKET": "clinic",
    "ARTIFACTS_URL": "s3://clinicmodels",
    "FEATURES_FILE": "diabetes_features.csv",
    "PREDICTIONS_FILE": "diabetes_predictions.csv",
    "FEATURES_DATASET": "s3://clinic/diabetes_features.csv",
    "MODEL_DATASET": "diabetes_model_trained",
    "TAGS": ["diabetes"],
    "OWNER": "clinic",
    "PLOT_FILE": "diabetes.png",
    "PICTURE_FILE": None,
}
COLUMNS = """{
    "age": Numeric(0, 120),
    "sex": Categorical(("woman", "man")),
    "clinic": Categorical(),
    "bmi": Numeric(10, 70),
    "bp": Numeric(),
    "s5": Numeric(),
    TARGET: Numeric(0, 1000),
}"""

# Runs in the copy, with the copy's own code: starts the services and runs the three DAGs, as Airflow's workers would.
RUN = """
import json, os, sys
from pathlib import Path
from include.local_stack.stack import Stack, free_ports

stack = Stack(Path(sys.argv[1]), ports=free_ports())
stack.start("postgres", "s3", "mlflow")
stack.prepare_airflow()
os.environ.update(stack.environment())

from airflow.models import DagBag
from airflow.serialization.serialized_objects import SerializedDAG

bag = DagBag(include_examples=False)
assert bag.import_errors == {}, bag.import_errors
bag.sync_to_db()
Path(sys.argv[1], "dags.json").write_text(json.dumps([SerializedDAG.to_dict(dag) for dag in bag.dags.values()]))
for dag_id in ("feature_eng", "train", "predict"):
    assert bag.dags[dag_id].test().state == "success", dag_id
new = {"data_file": "new_patients.csv", "model": "champion"}
again = DagBag(include_examples=False)  # as a worker reads it for each task: a run renders its templates in place
assert again.dags["predict"].test(run_conf=new).state == "success"
"""
# Runs with MLflow's address alone, as in the README.
LOAD = """
import json, sys
import mlflow, pandas as pd

version = mlflow.MlflowClient().get_model_version_by_alias("Progression_of_diabetes", "champion")
model = mlflow.sklearn.load_model(version.tags["serving_model"])
print(json.dumps(list(model.predict(pd.read_csv(sys.argv[1])))))
"""


def assigned(code: str) -> dict:
    """The names and values of lines of Python that assign."""
    targets = {line: getattr(line, "target", None) or line.targets[0] for line in ast.parse(code).body}
    return {target.id: ast.literal_eval(line.value) for line, target in targets.items()}


def edited(config: str, edits: dict) -> str:
    for name, value in edits.items():
        config, count = re.subn(rf"(?ms)^({name}(?:: [^=]+)?) = .*?(?=^[^\s}}]|\Z)", rf"\1 = {value!r}\n", config)
        assert count == 1, name
    return re.sub(r"(?ms)^(COLUMNS.*?) = \{.*?^\}", rf"\1 = {COLUMNS}", config)


@pytest.fixture(scope="module")
def mine(tmp_path_factory, readme_python):
    """A copy of the project, made to someone's own."""
    copy = tmp_path_factory.mktemp("mine") / "project"
    for name in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines():
        if not name.startswith("include/possum."):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    use_what_is_installed_here(copy)
    config = copy / "include" / "config.py"
    config.write_text(edited(config.read_text(), EDITS | assigned(readme_python("Make it yours"))))
    subprocess.run([copy / ".venv/bin/ruff", "format", "-q", config], cwd=copy, check=True)  # as an editor does

    frame = load_diabetes(as_frame=True, scaled=False).frame.rename(columns={"target": "progression"})
    frame["sex"] = frame["sex"].map({1: "woman", 2: "man"})
    frame["clinic"] = np.array(["north", "south", "harbour"])[np.arange(len(frame)) % 3]
    gaps = np.random.default_rng(7)
    for column in ("age", "sex", "clinic", "bmi"):
        frame.loc[gaps.choice(len(frame), 5, replace=False), column] = None
    frame.to_csv(copy / "include" / "diabetes.csv", index=False)
    frame.dropna().head(5).drop(columns="progression").to_csv(copy / "include" / "new_patients.csv", index=False)
    return copy


@pytest.fixture(scope="module")
def checks(mine):
    """`make test-fast` and `make lint` in the copy, at work while the DAGs run, and the files that they print to."""
    with contextlib.ExitStack() as end:
        started = {}
        for target in ("test-fast", "lint"):
            printed = mine.parent / f"{target}.txt"
            file = end.enter_context(printed.open("w"))
            process = subprocess.Popen(["make", target], cwd=mine, env=plain_environment(), stdout=file, stderr=file)
            end.callback(process.wait)
            started[target] = process, printed
        yield started


@pytest.fixture(scope="module")
def ran(mine, checks):
    """The services after a run of the pipeline and of predict for new patients, and what the runs have printed."""
    home = mine.parent / "home"
    services = stack.Stack(home)
    try:
        command = [sys.executable, "-c", RUN, str(home)]
        variables = plain_environment() | {"PYTHONPATH": str(mine)}
        done = subprocess.run(command, cwd=mine, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        services = stack.Stack(home)  # with the ports that it has been given
        yield services, done.stdout + done.stderr
    finally:
        services.stop()


@pytest.fixture(scope="module")
def made(ran, mine):
    """All that the runs have created, by where it stands: names, texts and logs."""
    services, printed = ran
    return {
        "log": printed,
        "DAGs": (services.home / "dags.json").read_text(),
        **objects(services.s3()),
        **tracked(services.url("mlflow")),
        **{f"plots/{plot.name}": "" for plot in (mine / "include" / "plots").iterdir()},
    }


def objects(s3) -> dict[str, str]:
    found = {}
    for bucket in s3.list_buckets()["Buckets"]:
        for item in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", []):
            body = s3.get_object(Bucket=bucket["Name"], Key=item["Key"])["Body"].read()
            found[f"s3://{bucket['Name']}/{item['Key']}"] = body.decode("latin-1")
    return found


def table(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))


def tracked(url: str) -> dict[str, str]:
    from mlflow import MlflowClient

    client = MlflowClient(url)
    experiments = client.search_experiments()
    runs = client.search_runs([experiment.experiment_id for experiment in experiments])
    return {
        "experiments": str([dict(experiment) for experiment in experiments]),
        **{f"run {run.info.run_name}": str(run.to_dictionary()) for run in runs},
        "registered models": str([dict(model) for model in client.search_registered_models()]),
        "versions": str([dict(version) for version in client.search_model_versions()]),
    }


@pytest.mark.parametrize("target", ["test-fast", "lint"])
def test_the_checks_pass(target, checks):
    process, printed = checks[target]

    assert process.wait() == 0, printed.read_text()[-5000:]


def test_it_makes_what_the_config_says(made):
    assert {"run Scaler", "run RandomForestRegressor", "run Predictions", "plots/diabetes.png"} <= set(made)
    assert "Progression_of_diabetes" in made["registered models"]
    assert "predicts the progression of the disease of one patient in points" in made["versions"]
    assert "n_estimators" in made["DAGs"]
    assert list(table(made["s3://clinic/diabetes_predictions.csv"])) == ["patient", "true", "predicted"]
    assert any(key.startswith("s3://clinicmodels/") for key in made)


def test_rows_with_gaps_are_left_out_and_labels_encoded(made):
    features = table(made["s3://clinic/diabetes_features.csv"])

    assert 420 < len(features) < 442
    assert {"sex_man", "sex_woman", "clinic_harbour", "clinic_north", "bmi"} <= set(features)


def test_the_forest_is_better_than_the_mean(made):
    found = dict(re.findall(r"'((?:cv|baseline)_rmse)': ([\d.]+)", made["run RandomForestRegressor"]))

    assert float(found["cv_rmse"]) < 0.9 * float(found["baseline_rmse"])


def test_new_patients_are_predicted_from_a_file(made):
    predictions = table(made["s3://clinic/predictions/new_patients.csv"])

    assert list(predictions) == ["patient", "predicted"]
    assert predictions["patient"].tolist() == [1, 2, 3, 4, 5]
    assert predictions["predicted"].between(0, 1000).all()


def test_the_champion_takes_raw_rows_and_predicts_the_same(ran, made, mine, tmp_path):
    services, _ = ran
    variables = plain_environment() | {"MLFLOW_TRACKING_URI": services.url("mlflow")}
    command = [sys.executable, "-c", LOAD, mine / "include" / "new_patients.csv"]

    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    predictions = table(made["s3://clinic/predictions/new_patients.csv"])
    assert json.loads(done.stdout) == pytest.approx(predictions["predicted"].tolist())


def test_nothing_of_the_possums_is_left(made):
    def words(text: str) -> set[str]:
        return set(OURS.findall(text))

    texts = {place: text for place, text in made.items() if not place.endswith((".png", ".parquet", ".pkl"))}

    assert {place: found for place, text in texts.items() if (found := words(text))} == {}
    assert {place for place in made if OURS.search(place)} == set()
