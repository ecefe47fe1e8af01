"""What two pipeline runs leave, seen with plain clients of S3 and MLflow."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import mlflow
import numpy as np
import pandas as pd
import possums
import pytest
import sklearn
from airflow.models import RenderedTaskInstanceFields, XCom
from airflow.utils.session import create_session
from matplotlib import image
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import RepeatedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sqlalchemy import func

from include import config
from include.tracking.runs import digest

MODEL = "Reg_RidgeCV_possums"
COMPLETE = pd.read_csv(possums.CSV, index_col="case")[[*config.COLUMNS]].dropna()


@pytest.fixture(scope="module")
def experiment(client, pipeline_runs):
    return client.get_experiment_by_name("Possum_tails")


@pytest.fixture(scope="module")
def runs(client, experiment, pipeline_runs):
    """The runs of both pipeline runs by name, the newest first."""
    ours = {run.run_id for one in pipeline_runs for run in one.values()}
    found = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])
    # Other tests run some of these tasks again, later.
    finished = max(run.end_date.timestamp() for one in pipeline_runs for run in one.values()) * 1000
    found = [r for r in found if r.data.tags.get("airflow_run_id") in ours and r.info.start_time <= finished]
    return {name: [run for run in found if run.info.run_name == name] for name in ("Scaler", "RidgeCV", "Predictions")}


@pytest.fixture(scope="module")
def versions(client, pipeline_runs):
    return {number: client.get_model_version(MODEL, number) for number in ("1", "2")}


def test_no_task_needed_a_second_try(pipeline_runs):
    tasks = [task for one in pipeline_runs for run in one.values() for task in run.get_task_instances()]

    assert [task.task_id for task in tasks if task.try_number > 1] == []


def test_no_row_of_data_is_in_the_metadata_database(pipeline_runs):
    ours = [run.run_id for one in pipeline_runs for run in one.values()]

    with create_session() as session:
        size = func.length(XCom.value)
        xcoms = session.query(XCom.task_id, XCom.key, size).filter(XCom.run_id.in_(ours)).all()
        arguments = session.query(RenderedTaskInstanceFields).filter(RenderedTaskInstanceFields.run_id.in_(ours)).all()

    # A column of 101 numbers takes 1,900 characters; the model's card and tags, which go to the registry, take more.
    for task_id, key, size in xcoms:
        assert size < (5000 if task_id.startswith(("train_model", "register_model.")) else 1000), (task_id, key)
    assert len(xcoms) > 50
    assert max(len(str(value)) for task in arguments for value in task.rendered_fields.values()) < 250


def test_the_saved_features_are_scaled_and_hold_the_target(read_csv, pipeline_runs):
    saved = read_csv("possum.csv")

    assert saved["taill"].tolist() == COMPLETE["taill"].tolist()
    features = saved.drop(columns="taill")
    assert "case" not in features
    lengths = COMPLETE["totlngth"]
    assert np.allclose(features["totlngth"], (lengths - lengths.mean()) / lengths.std(ddof=0))


def test_each_pipeline_run_leaves_one_run_of_each_kind(runs):
    assert {name: len(found) for name, found in runs.items()} == {"Scaler": 2, "RidgeCV": 2, "Predictions": 2}
    for name in runs:
        assert [run.info.status for run in runs[name]] == ["FINISHED", "FINISHED"]


def test_the_runs_of_a_pipeline_run_are_findable_together(client, experiment, pipeline_runs):
    together = f"tags.pipeline_run = '{pipeline_runs[0]['feature_eng'].run_id}'"

    found = client.search_runs([experiment.experiment_id], together)

    assert sorted(run.info.run_name for run in found) == ["Predictions", "RidgeCV", "Scaler"]


def test_every_run_links_to_its_task_in_airflow(runs, pipeline_runs, stack):
    tasks = {
        "Scaler": ("feature_eng", "build_features"),
        "RidgeCV": ("train", "train_model"),
        "Predictions": ("predict", "compare_with_training"),
    }

    for name, (dag_id, task_id) in tasks.items():
        run_id = quote(pipeline_runs[1][dag_id].run_id)
        grid = f"http://localhost:{stack.ports['airflow']}/dags/{dag_id}/grid?dag_run_id={run_id}&task_id={task_id}&"
        assert f"[{dag_id}.{task_id}]({grid}" in runs[name][0].data.tags["mlflow.note.content"]


def test_the_feature_run_has_its_data_and_what_the_scaler_learned(runs, client, as_outsider, tmp_path):
    run = runs["Scaler"][0]
    scaling = pd.read_csv(client.download_artifacts(run.info.run_id, "scaling.csv", tmp_path), index_col="feature")

    assert run.data.params["categorical_columns"] == "site, Pop, sex"
    assert run.data.params["rows"] == "101"
    assert scaling.loc["totlngth", "mean"] == pytest.approx(COMPLETE["totlngth"].mean())
    assert scaling.loc["totlngth", "scale"] == pytest.approx(COMPLETE["totlngth"].std(ddof=0))
    assert run.data.metrics == {}
    data = run.inputs.dataset_inputs[0].dataset
    assert json.loads(data.source)["uri"].endswith("include/possum.csv")
    assert json.loads(data.profile)["num_rows"] == 101


def test_the_metrics_are_those_of_scikit_learn_alone(runs):
    logged = runs["RidgeCV"][0].data.metrics
    encoded = pd.get_dummies(COMPLETE, columns=["site", "Pop", "sex"], dtype=float)
    model = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-3, 1, num=30)))
    folds = RepeatedKFold(n_splits=5, n_repeats=10, random_state=1995)
    scoring = {"rmse": "neg_root_mean_squared_error", "mae": "neg_mean_absolute_error", "r2": "r2"}

    for prefix, regressor in (("cv", model), ("baseline", DummyRegressor())):
        scores = cross_validate(regressor, encoded.drop(columns="taill"), encoded["taill"], cv=folds, scoring=scoring)
        for name in scoring:
            expected = np.abs(scores[f"test_{name}"]) if name != "r2" else scores["test_r2"]
            assert logged[f"{prefix}_{name}"] == pytest.approx(expected.mean(), abs=1e-6)
            assert logged[f"{prefix}_{name}_std"] == pytest.approx(expected.std(ddof=1), abs=1e-6)
    others = {name for name in logged if not name.startswith(("cv_", "baseline_"))}
    of_autolog = ("mean_absolute_error", "mean_squared_error", "r2_score", "root_mean_squared_error", "score")
    assert others == {"alpha", *(f"training_{name}" for name in of_autolog)}


def test_one_walks_from_version_to_run_to_data_and_back(client, as_outsider, s3, versions, runs, pipeline_runs):
    version, trained, scaler = versions["2"], runs["RidgeCV"][0], runs["Scaler"][0]

    # from the version to its run, to the data that it was trained on, and to the file that this came from
    assert version.run_id == trained.info.run_id
    data = trained.inputs.dataset_inputs[0].dataset
    bucket, _, key = json.loads(data.source)["uri"].removeprefix("s3://").partition("/")
    features = pd.read_parquet(io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))
    assert features["taill"].tolist() == COMPLETE["taill"].tolist()
    assert data.digest == digest(features)[:8]
    assert trained.data.tags["features_run"] == scaler.info.run_id
    assert trained.data.tags["airflow_run_id"] == pipeline_runs[1]["train"].run_id
    assert pipeline_runs[1]["feature_eng"].run_id in trained.data.tags["dataset_event"]

    # from the run to what was made of it
    outputs = [client.get_logged_model(output.model_id) for output in trained.outputs.model_outputs]
    logged = {output.name: output for output in outputs}
    assert sorted(logged) == ["model", "serving_model"]
    assert version.source == logged["model"].artifact_location
    assert json.loads(logged["model"].tags["mlflow.modelVersions"]) == [{"name": MODEL, "version": 2}]
    assert [v.version for v in client.search_model_versions(f"run_id = '{trained.info.run_id}'")] == ["2"]
    assert client.get_logged_model(scaler.outputs.model_outputs[0].model_id).source_run_id == scaler.info.run_id

    # the version says the same
    assert version.tags["pipeline_run"] == trained.data.tags["pipeline_run"] == pipeline_runs[1]["feature_eng"].run_id


def test_a_version_has_only_tags_that_a_person_reads(versions):
    names = {"promotion", "pipeline_run", "data_file", "transformer", "serving_model"}

    assert set(versions["2"].tags) == names
    assert versions["2"].tags["data_file"] == "possum.csv"


def test_everything_that_the_model_depends_on_is_in_one_file(runs, as_outsider):
    run = runs["RidgeCV"][0]

    lineage = mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/lineage.json")

    assert {name: run.data.tags[name] for name in lineage if name != "model"} | {"model": lineage["model"]} == lineage
    assert {"inputs", "data_digest", "code_digest", "features_run", "recipe", "dataset_event"} <= set(lineage)
    assert f"scikit-learn {sklearn.__version__}, pandas {pd.__version__}" in lineage["versions"]
    assert type(mlflow.sklearn.load_model(lineage["model"])) is RidgeCV


def test_the_commit_of_the_code_is_named_where_there_is_one(runs):
    asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=config.INCLUDE, capture_output=True, text=True)
    if asked.returncode:
        pytest.skip("this is no git repository")

    assert runs["RidgeCV"][0].data.tags["mlflow.source.git.commit"] == asked.stdout.strip()


def test_the_training_run_holds_tables_and_plots(as_outsider, client, runs):
    run_id = runs["RidgeCV"][0].info.run_id

    tables = {"coefficients.csv", "importances.csv", "out_of_fold_predictions.csv", "lineage.json"}
    assert {file.path for file in client.list_artifacts(run_id)} >= tables
    assert {file.path for file in client.list_artifacts(run_id, "plots")} == {
        "plots/coefficients.png",
        "plots/importances.png",
        "plots/out_of_fold.png",
        "plots/possum_tails.png",
    }


def test_the_importances_are_of_the_columns_that_people_measure(as_outsider, client, runs, tmp_path):
    run_id = runs["RidgeCV"][0].info.run_id

    table = pd.read_csv(client.download_artifacts(run_id, "importances.csv", tmp_path), index_col="column")

    assert sorted(table.index) == sorted(COMPLETE.columns.drop("taill"))
    assert table["importance"].is_monotonic_decreasing
    assert table["importance"].idxmax() == "totlngth"


def test_the_logged_model_says_what_it_takes_and_needs(as_outsider, versions):
    info = mlflow.models.get_model_info(f"models:/{MODEL}/2")
    folder = mlflow.artifacts.download_artifacts(f"models:/{MODEL}/2")
    lines = Path(folder, "requirements.txt").read_text().split()

    assert info.signature.inputs.input_names()[-1] == "footlgth"
    assert info.saved_input_example_info
    assert all("==" in line for line in lines)
    assert {"boto3", "mlflow-skinny", "pandas", "pyarrow", "scikit-learn"} <= {line.split("==")[0] for line in lines}
    assert "mlflow" not in {line.split("==")[0] for line in lines}


def test_the_newer_version_is_in_staging_and_champion(client, versions):
    assert [versions[number].current_stage for number in ("1", "2")] == ["Archived", "Staging"]
    assert versions["2"].aliases == ["champion"]  # a tie goes to the newer one
    assert versions["1"].aliases == []
    assert versions["1"].tags["promotion"].startswith("champion: RMSE 1.20 cm; there was no champion")
    assert "as good as the present champion's" in versions["2"].tags["promotion"]
    assert client.get_registered_model(MODEL).tags == {"model_type": "regression", "data": "possum"}


def test_the_version_reads_as_a_model_card(versions):
    for words in ("101 animals from possum.csv", f"**Intended use:** {config.INTENDED_USE}"):
        assert words in versions["2"].description


def test_any_client_loads_the_registered_model(outside, versions):
    program = f"""
import mlflow
for uri in ("models:/{MODEL}/Staging", "models:/{MODEL}@champion", "models:/{MODEL}/1"):
    print(mlflow.pyfunc.load_model(uri).metadata.run_id)
"""

    loaded = subprocess.run([sys.executable, "-c", program], env=outside, capture_output=True, text=True)

    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.split() == [versions[number].run_id for number in ("2", "2", "1")]


def test_the_predictions_are_those_of_the_model_for_each_animal(read_csv, as_outsider, versions):
    saved = read_csv("possum_tail_length.csv").set_index("case")
    transformer = mlflow.sklearn.load_model(versions["2"].tags["transformer"])
    model = mlflow.sklearn.load_model(f"models:/{MODEL}@champion")

    expected = model.predict(transformer.transform(COMPLETE.drop(columns="taill")))

    assert saved.index.tolist() == COMPLETE.index.tolist()
    assert saved["true"].tolist() == COMPLETE["taill"].tolist()
    assert np.allclose(saved["predicted"], expected)


def test_the_plots_are_on_disk_and_in_mlflow(as_outsider, client, runs, plots, tmp_path):
    logged = client.download_artifacts(runs["RidgeCV"][0].info.run_id, "plots/possum_tails.png", tmp_path)

    for plot in (plots / "possum_tails.png", plots / "out_of_fold.png", logged):
        pixels = image.imread(plot)
        assert pixels.shape[0] > 400
        assert pixels.std() > 0.1  # not an empty page


def test_the_predictions_run_says_what_predicted_and_how_well(runs):
    run, trained = runs["Predictions"][0], runs["RidgeCV"][0]

    assert run.data.tags["model_name"] == MODEL
    assert run.data.tags["model_version"] == "2"
    assert run.data.tags["model_aliases"] == "champion"
    assert run.data.tags["training_run"] == trained.info.run_id
    assert run.data.metrics["in_sample_rmse"] == pytest.approx(trained.data.metrics["training_root_mean_squared_error"])
    assert run.data.metrics["in_sample_rmse"] < trained.data.metrics["cv_rmse"]
    assert run.data.metrics["drifted_features"] == 0
    assert run.data.metrics["drift_max"] == 0


def test_every_button_to_a_run_or_version_in_mlflow_has_its_page(dags, pipeline_runs):
    pages = {"MLflow run": r"experiments/\d+/runs/\w+", "Model version": rf"models/{MODEL}/versions/2"}
    tasks = [(run, task) for dag_id, run in pipeline_runs[1].items() for task in dags[dag_id].tasks]
    buttons = [(run, task.task_id, link) for run, task in tasks for link in task.operator_extra_links]

    for run, task_id, link in buttons:
        if link.name in pages:
            page = run.get_task_instance(task_id).xcom_pull(task_id, key=link.key)
            assert re.fullmatch(pages[link.name], page), task_id
