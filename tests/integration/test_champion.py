"""Who becomes champion, with real models in the real MLflow."""

from __future__ import annotations

import multiprocessing
import re
import time
import uuid

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from sklearn.linear_model import Ridge

from include import config
from include.modeling.evaluation import Plan, cross_validate
from include.modeling.features import make_transformer
from include.modeling.models import on_raw_rows
from include.schema import Numeric, Schema
from include.tracking import registry

random = np.random.default_rng(5)
FEATURES = pd.DataFrame(random.normal(size=(60, 3)), columns=["a", "b", "c"])
DATA = FEATURES.assign(y=3 * FEATURES["a"] + 2 * FEATURES["b"] + random.normal(size=60))
GOOD, BIT_WORSE, WORSE, BAD = 0.1, 2.0, 5.0, 1000.0  # alphas: the errors are 1.188, 1.195, 1.230 and 3.561
PLAN = Plan.of(len(DATA), folds=config.FOLDS, repeats=config.REPEATS, seed=config.SEED)


def schema_of(data: pd.DataFrame) -> Schema:
    return Schema(dict.fromkeys(data.columns, Numeric()), target="y", target_label="y", target_unit="cm")


@pytest.fixture(scope="module")
def experiment_id(client, s3):
    if config.ARTIFACT_BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=config.ARTIFACT_BUCKET)
    return client.create_experiment("Promotion", f"s3://{config.ARTIFACT_BUCKET}/promotion")


@pytest.fixture
def train(client, as_outsider, experiment_id):
    """Trains a Ridge of this alpha and makes a version of it, as the pipeline does."""
    name = f"promotion-{uuid.uuid4().hex}"
    client.create_registered_model(name)

    def train(alpha: float, data: pd.DataFrame = DATA):
        features, target = data.drop(columns="y"), data["y"]
        model = Ridge(alpha).fit(features, target)
        with mlflow.start_run(experiment_id=experiment_id) as run:
            estimator = on_raw_rows(make_transformer(schema_of(data)), Ridge(alpha))
            mlflow.log_metrics(cross_validate(estimator, features, target, PLAN).metrics("cv"))
            logged = mlflow.sklearn.log_model(
                model, name="model", pip_requirements=["scikit-learn"], serialization_format="cloudpickle"
            )
        source = client.get_logged_model(logged.model_id).artifact_location
        return client.create_model_version(name, source, run.info.run_id)

    return train


@pytest.fixture
def aliases(client):
    """Which version has which alias."""
    return lambda version: dict(sorted(client.get_registered_model(version.name).aliases.items()))


@pytest.fixture
def reason(client):
    """What a version says about its promotion."""
    return lambda version: client.get_model_version(version.name, version.version).tags["promotion"]


def promote(version, data: pd.DataFrame = DATA) -> str:
    features = list(data.columns.drop("y"))
    return registry.promote(version.run_id, features, data, schema_of(data), version.name).alias


def test_the_first_one(train, aliases, reason):
    only = train(BAD)

    assert promote(only) == "champion"
    assert aliases(only) == {"champion": "1"}
    assert re.fullmatch(r"champion: there was no champion; its error is 3\.561 cm", reason(only))


@pytest.mark.parametrize(
    ("champion", "new", "alias", "words"),
    [
        (BAD, GOOD, "champion", "its error of 1.188 cm is within 3.632 cm (the champion's 3.561 cm and 2%)"),
        (GOOD, BIT_WORSE, "champion", "its error of 1.195 cm is within 1.211 cm (the champion's 1.188 cm and 2%)"),
        (GOOD, WORSE, "challenger", "its error of 1.230 cm is above 1.211 cm (the champion's 1.188 cm and 2%)"),
        (GOOD, GOOD, "champion", "its error of 1.188 cm is within 1.211 cm (the champion's 1.188 cm and 2%)"),
    ],
    ids=["better", "worse within the tolerance", "worse beyond it", "tie"],
)
def test_the_second_one(champion, new, alias, words, train, aliases, reason, caplog):
    promote(train(champion))
    second = train(new)

    with caplog.at_level("INFO"):
        assert promote(second) == alias

    assert aliases(second) == {"champion": "1"} | {alias: "2"}
    assert reason(second) == f"{alias}: {words}"
    assert f"Version 2 becomes {alias}: {words}" in caplog.text


def test_the_champion_is_evaluated_on_the_new_data_too(train, aliases):
    easy = FEATURES.assign(y=FEATURES["a"])
    promote(train(GOOD, easy), easy)  # its logged error is next to nothing; on DATA it is 1.188

    assert promote(train(GOOD)) == "champion"


@pytest.mark.parametrize("alpha", [GOOD, WORSE])
def test_again(alpha, train, aliases, reason, client):
    promote(train(GOOD))
    second = train(alpha)
    promote(second)
    before = aliases(second), reason(second)

    promote(second)

    assert (aliases(second), reason(second)) == before
    assert len(client.search_model_versions(f"name = '{second.name}'")) == 2


@pytest.mark.parametrize("older", [BAD, GOOD], ids=["worse", "tie"])
def test_an_older_one_that_is_promoted_again_does_not_come_back(older, train, aliases):
    first, second = train(older), train(GOOD)
    promote(first)
    promote(second)

    assert promote(first) == "challenger"
    assert aliases(first) == {"challenger": "1", "champion": "2"}


def test_an_attempt_that_died_halfway_is_finished(train, aliases, monkeypatch):
    promote(train(GOOD))
    second = train(GOOD)

    with monkeypatch.context() as patch:
        patch.setattr("mlflow.MlflowClient.set_registered_model_alias", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            promote(second)

    assert aliases(second) == {"champion": "1"}
    promote(second)
    assert aliases(second) == {"champion": "2"}


@pytest.mark.parametrize("what", ["version", "alias"])
def test_a_deleted_champion(what, train, aliases, client):
    first = train(GOOD)
    promote(first)
    challenger = train(WORSE)
    promote(challenger)
    if what == "version":
        client.delete_model_version(first.name, first.version)
    else:
        client.delete_registered_model_alias(first.name, "champion")

    assert promote(challenger) == "champion"
    assert aliases(challenger) == {"champion": "2"}  # and no challenger any more


def test_a_champion_trained_on_other_columns(train, aliases, reason):
    promote(train(GOOD, DATA.rename(columns={"c": "d"})), DATA.rename(columns={"c": "d"}))
    second = train(GOOD)

    assert promote(second) == "challenger"
    assert aliases(second) == {"challenger": "2", "champion": "1"}
    for words in ("cannot be compared", "version 1", "other features (a, b, d)", "give it the alias in the MLflow UI"):
        assert words in reason(second)


def promote_slowly(version) -> None:
    """In a process of its own. The newer the version, the longer it takes."""
    compare, seconds = registry._compare, 3 * (int(version.version) - 1)
    registry._compare = lambda *arguments: time.sleep(seconds) or compare(*arguments)
    promote(version)


def test_two_at_a_time_leave_one_champion(train, aliases, client):
    promote(train(BAD))
    rivals = [train(GOOD), train(WORSE)]  # both better than the champion

    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(promote_slowly, rivals)

    assert aliases(rivals[0])["champion"] == "2"  # whoever came first; the worse one ends last
    assert aliases(rivals[0]).get("challenger") in (None, "3")
    assert all("promoting" not in client.get_model_version(rival.name, rival.version).tags for rival in rivals)


def test_what_a_killed_process_left_stops_nobody(train, aliases, client):
    killed, second = train(BAD), train(GOOD)
    client.set_model_version_tag(killed.name, killed.version, "promoting", str(time.time() - 3600))

    assert promote(second) == "champion"


def test_a_version_that_is_missing(client, as_outsider, experiment_id):
    run = client.create_run(experiment_id)

    with pytest.raises(Exception, match="No version of Reg_RidgeCV_possums was made of run") as error:
        registry.promote(run.info.run_id, ["a", "b", "c"], DATA, schema_of(DATA))

    assert not isinstance(error.value, MlflowException)
