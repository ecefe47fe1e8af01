"""A model that takes gaps gets every row that has the target: in training, and when it is served."""

from __future__ import annotations

from dataclasses import replace

import mlflow
import numpy as np
import pandas as pd
import pytest
from airflow.models.dataset import DatasetEvent
from airflow.utils.session import create_session

from include import config
from include.tracking import logged_models
from include.tracking.training_run import reference

MODEL = "sklearn.ensemble.HistGradientBoostingRegressor"
CONF = {"hyper_parameters": {"max_iter": 20}}
ROWS = pd.read_csv(config.INCLUDE / "possum.csv", index_col="case")[[*config.COLUMNS]]


@pytest.fixture(scope="module")
def keep_gaps(pipeline_runs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "SCHEMA", replace(config.SCHEMA, keep_gaps=True))
        patch.setattr(config, "MODEL_CLASS", MODEL)
        yield


@pytest.fixture(scope="module")
def trained(keep_gaps, parse, run_dag, run_part, client):
    """The MLflow run of a model that was trained on rows with gaps."""
    dag = parse().dags["feature_eng"].partial_subset("build_features", include_downstream=False)
    features = run_dag(dag, run_conf=CONF)
    with create_session() as session:  # as save_data_to_s3 does, which however would replace the features in S3
        dataset_id = session.query(DatasetEvent.dataset_id).filter_by(source_dag_id="feature_eng").limit(1).scalar()
        session.add(DatasetEvent(dataset_id=dataset_id, source_dag_id="feature_eng", source_run_id=features.run_id))
    try:
        done = run_part("train", "train_model", CONF, model_class=MODEL)
    finally:
        with create_session() as session:  # so that no other test takes it for the newest successful run
            session.query(DatasetEvent).filter_by(source_run_id=features.run_id).delete()
    return client.get_run(done.get_task_instance("train_model").xcom_pull("train_model", key="run_id"))


def test_a_model_that_takes_gaps_is_trained_on_all_rows(trained, client, as_outsider):
    features_run = client.get_run(trained.data.tags["features_run"])

    assert features_run.data.params["rows"] == "104"
    assert features_run.data.params["rows_left_out"] == "0"
    assert features_run.data.params["rows_with_gaps"] == "3"
    assert "on 104 rows" in trained.data.tags["evaluation"]
    assert 0 < trained.data.metrics["cv_rmse"] < trained.data.metrics["baseline_rmse"]
    sample = reference(trained.info.run_id)
    assert sample[["age", "footlgth"]].isna().sum().tolist() == [2, 1]
    assert [name for name in sample if name.startswith("site")] == [f"site_{site}" for site in range(1, 8)]


def test_what_is_served_takes_gaps_too(trained, as_outsider):
    model = mlflow.pyfunc.load_model(f"runs:/{trained.info.run_id}/serving_model")
    on_features = mlflow.sklearn.load_model(f"runs:/{trained.info.run_id}/model")
    transformer = mlflow.sklearn.load_model(f"runs:/{trained.data.tags['features_run']}/transformer")
    raw = ROWS.drop(columns="taill").astype({"site": "float64"})

    predicted = model.predict(raw)

    assert np.allclose(predicted, on_features.predict(transformer.transform(raw)))
    animal = raw.head(1).assign(site=np.nan, sex=None, age=np.nan)
    assert np.isfinite(model.predict(animal)).all()
    with pytest.raises(mlflow.MlflowException, match=r"column hdlngth: 920\.0 is above 300"):
        model.predict(animal.assign(hdlngth=920.0))


@pytest.fixture
def version(trained, client, as_outsider):
    """A version of the registered model that takes gaps, for one test."""
    source = logged_models.of_run(trained).artifact_location
    created = client.create_model_version(config.REGISTERED_MODEL, source, trained.info.run_id)
    yield created.version
    client.delete_model_version(config.REGISTERED_MODEL, created.version)


def test_new_rows_with_gaps_are_each_predicted(version, run_dag, read_csv, client, tmp_path, monkeypatch):
    new = ROWS.drop(columns="taill").head(20).astype({"site": "Int64"})
    for place, column in enumerate(new):
        new.iloc[place, new.columns.get_loc(column)] = None
    new.iloc[len(new.columns)] = None  # a row of gaps
    new.to_csv(tmp_path / "gaps.csv")
    monkeypatch.setattr(config, "INCLUDE", tmp_path)

    run = run_dag("predict", run_conf={"data_file": "gaps.csv", "model": version})

    predictions = read_csv("predictions/gaps.csv")
    assert predictions["case"].tolist() == new.index.tolist()
    assert predictions["predicted"].between(30, 45).all()
    run_id = run.get_task_instance("compare_with_training").xcom_pull("compare_with_training", key="mlflow_run_id")
    tracked = client.get_run(run_id)
    assert tracked.data.tags["model_version"] == version
    assert 0 < tracked.data.metrics["drift_max"] < 1


def test_a_model_that_takes_no_gaps_leaves_out_rows_with_gaps_all_the_same(
    keep_gaps, run_dag, read_csv, tmp_path, monkeypatch
):
    new = ROWS.drop(columns="taill").head(5)
    new.iloc[0, new.columns.get_loc("age")] = None
    new.to_csv(tmp_path / "gaps.csv")
    monkeypatch.setattr(config, "INCLUDE", tmp_path)

    run_dag("predict", run_conf={"data_file": "gaps.csv", "model": "champion"})

    assert read_csv("predictions/gaps.csv")["predicted"].isna().tolist() == [True, False, False, False, False]
