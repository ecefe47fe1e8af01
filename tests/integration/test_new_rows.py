"""Predictions for new rows: the form of `predict` with a data file."""

from __future__ import annotations

import hashlib
import logging

import numpy as np
import pandas as pd
import possums
import pytest

from include import config

MODEL = "Reg_RidgeCV_possums"
TEN = pd.read_csv(possums.CSV).sample(10, random_state=4)  # 10 animals in an order of their own, no gaps


@pytest.fixture
def include(tmp_path, monkeypatch):
    """The folder that the data files of a test are in."""
    monkeypatch.setattr(config, "INCLUDE", tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def predict(run_dag, read_csv, pipeline_runs, tmp_path_factory):
    """Run `predict` for a file with these rows; return the run and the predictions."""

    def predict(rows: pd.DataFrame, model: str = "champion"):
        folder = tmp_path_factory.mktemp("include")
        rows.to_csv(folder / "new animals.csv", index=False)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(config, "INCLUDE", folder)
            run = run_dag("predict", run_conf={"data_file": "new animals.csv", "model": model})
        return run, read_csv("predictions/new animals.csv")

    return predict


@pytest.fixture(scope="module")
def predicted(predict, plots, s3):
    """The run and the predictions for ten animals, and whether it left alone what belongs to the run without a file."""

    def without_a_file() -> tuple[bytes, int]:
        table = s3.get_object(Bucket="data", Key="possum_tail_length.csv")["Body"].read()
        return table, (plots / "possum_tails.png").stat().st_mtime_ns

    before = without_a_file()
    return *predict(TEN), before == without_a_file()


def test_rows_of_the_training_get_the_predictions_of_the_pipeline(predicted, read_csv):
    pipeline = read_csv("possum_tail_length.csv").set_index("case")

    _, predictions, _ = predicted

    assert list(predictions.columns) == ["case", "true", "predicted"]
    assert predictions["case"].tolist() == TEN["case"].tolist()  # one line per row, in the order of the file
    assert predictions["true"].tolist() == TEN["taill"].tolist()
    np.testing.assert_allclose(predictions["predicted"], pipeline.loc[TEN["case"], "predicted"])


def test_the_run_without_a_file_and_its_plot_are_left_alone(predicted):
    _, _, left_alone = predicted

    assert left_alone


def test_the_run_in_mlflow_has_file_version_errors_drift_and_plots(predicted, tracked, client, as_outsider):
    run, predictions, _ = predicted

    found = tracked(run)
    assert found.info.run_name == "Predictions"
    assert found.data.tags["data_file"] == "new animals.csv"
    assert found.data.tags["file_digest"] == hashlib.sha256(TEN.to_csv(index=False).encode()).hexdigest()[:16]
    assert found.data.tags["pipeline_run"] == run.run_id
    for task_id in ("compare_with_training", "plot_predictions"):
        page = run.get_task_instance(task_id).xcom_pull(task_id, key="mlflow_run_page")
        assert page == f"experiments/{found.info.experiment_id}/runs/{found.info.run_id}"
    assert (found.data.tags["model_name"], found.data.tags["model_version"]) == (MODEL, "2")
    assert found.data.tags["model_aliases"] == "champion"
    rmse = ((predictions["true"] - predictions["predicted"]) ** 2).mean() ** 0.5
    assert found.data.metrics["rmse"] == pytest.approx(rmse)
    assert found.data.metrics["drifted_features"] == 0
    files = {file.path for folder in (None, "plots") for file in client.list_artifacts(found.info.run_id, folder)}
    assert {"drift.csv", "plots/predictions.png"} <= files
    assert "drift.png" not in files  # no feature has drifted


def test_rows_without_the_target_are_predicted_without_errors_by_the_version_on_the_form(predict, tracked):
    run, predictions = predict(TEN.drop(columns="taill"), "1")

    assert list(predictions.columns) == ["case", "predicted"]
    assert predictions["predicted"].between(30, 45).all()
    assert "rmse" not in tracked(run).data.metrics
    assert tracked(run).data.tags["model_version"] == "1"


def test_a_gap_costs_its_row_the_prediction_and_a_label_or_a_unit_that_is_new_is_a_warning(
    predict, tracked, client, as_outsider, caplog
):
    gap = TEN["age"].where(TEN["case"] != TEN["case"].iloc[3])
    inches = TEN["totlngth"] / 2.54

    with caplog.at_level(logging.WARNING):
        run, predictions = predict(TEN.assign(age=gap, site=[8, 8, *TEN["site"].iloc[2:]], totlngth=inches))

    assert predictions["case"].tolist() == TEN["case"].tolist()
    assert predictions["predicted"].isna().tolist() == [row == 3 for row in range(10)]
    assert predictions["true"].notna().all()
    warnings = [record.getMessage() for record in caplog.records if "has not seen" in record.getMessage()]
    assert warnings == ["Column site: the model has not seen '8' (2 rows)"]
    assert "Features that have drifted from the training data: totlngth" in caplog.text
    found = tracked(run)
    assert found.data.metrics["drifted_features"] == 1
    assert "drift.png" in {file.path for file in client.list_artifacts(found.info.run_id)}


def test_drift_fails_the_run_if_the_configuration_says_so(include, run_dag, pipeline_runs, s3, monkeypatch, caplog):
    monkeypatch.setattr(config, "FAIL_ON_DRIFT", True)
    TEN.assign(totlngth=TEN["totlngth"] / 2.54).to_csv(include / "inches.csv", index=False)

    with caplog.at_level(logging.ERROR):
        run_dag("predict", state="failed", run_conf={"data_file": "inches.csv"})

    assert "Features have drifted from the training data: totlngth. Check their units" in caplog.text
    assert "Contents" not in s3.list_objects_v2(Bucket="data", Prefix="predictions/inches.csv")


def test_a_single_row_that_can_be_predicted_has_an_error_but_no_r2(predict, tracked):
    two = TEN.head(2).assign(age=[None, 4])

    run, predictions = predict(two, "staging")

    assert predictions["predicted"].isna().tolist() == [True, False]
    assert "rmse" in tracked(run).data.metrics  # of the one row that could be predicted
    assert "r2" not in tracked(run).data.metrics
    assert tracked(run).data.tags["model_version"] == "2"  # the stage on the form, in small letters


def test_bad_rows_are_one_clear_error_and_leave_no_trace(fails, include):
    (include / "bad.csv").write_text(possums.cell("sex", "x"))

    assert "line 5, column sex: 'x' is none of f, m" in fails("predict", data_file="bad.csv")


def test_a_version_that_does_not_exist_is_an_error_that_names_those_that_do(fails, include):
    (include / "good.csv").write_text(possums.TEXT)

    log = fails("predict", data_file="good.csv", model="best")

    assert "has no version 'best'. There are: champion, Archived, Staging, 2, 1." in log
