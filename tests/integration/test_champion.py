"""Who becomes champion, with real models in the real MLflow."""

from __future__ import annotations

import uuid

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from sklearn.base import RegressorMixin
from sklearn.linear_model import Ridge

from include import config
from include.errors import ConfigurationError, DataError
from include.modeling import evaluation, promotion
from include.tracking import champion, registry

RANDOM = np.random.default_rng(5)
FEATURES = pd.DataFrame(RANDOM.normal(size=(60, 3)), columns=["a", "b", "c"])
DATA = FEATURES.assign(y=3 * FEATURES["a"] + 2 * FEATURES["b"] + RANDOM.normal(size=60))
SHUFFLED = DATA.assign(y=np.random.default_rng(3).permutation(DATA["y"]))
NOISY = DATA.assign(y=DATA["y"] + np.random.default_rng(6).normal(size=60))
EASY = FEATURES.assign(y=FEATURES["a"])
REORDERED = DATA[["c", "b", "a", "y"]]
OTHER_FEATURES = DATA.rename(columns={"c": "d"})
GOOD, BIT_WORSE, WORSE, BAD = 0.1, 2.0, 5.0, 1000.0  # alphas: the errors are 1.188, 1.199, 1.244 and 3.575
PLAN = evaluation.Plan.of(len(DATA), folds=5, repeats=10, seed=1995)


def cv_rmse(model: RegressorMixin, data: pd.DataFrame = DATA) -> float:
    return evaluation.cross_validate(model, data.drop(columns="y"), data["y"], PLAN).metrics("cv")["cv_rmse"]


def promote(version, evaluate=cv_rmse) -> str:
    settings = {"tolerance": 0.02, "max_error_rise": 0.25, "unit": "cm"}
    return champion.promote(registry.model_version(version.run_id, version.name), evaluate, **settings).alias


def never(model: RegressorMixin) -> float:
    raise AssertionError("needs no computation")


@pytest.fixture(scope="module")
def experiment_id(client, s3):
    if config.ARTIFACT_BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=config.ARTIFACT_BUCKET)
    return client.create_experiment("Promotion", f"s3://{config.ARTIFACT_BUCKET}/promotion")


@pytest.fixture(scope="module")
def fit(client, experiment_id):
    """Fit a Ridge of this alpha to one of the tables above and log it, once for all tests. Return where it is, and what
    the pipeline notes of it in its run.
    """
    fitted = {}

    def fit(alpha: float, data: pd.DataFrame) -> tuple[str, dict[str, float], str]:
        key = alpha, id(data)
        if key not in fitted:
            features, target = data.drop(columns="y"), data["y"]
            evaluated = evaluation.cross_validate(Ridge(alpha=alpha), features, target, PLAN)
            metrics = evaluated.metrics("cv") | evaluation.baseline(features, target, PLAN).metrics("baseline")
            with mlflow.start_run(experiment_id=experiment_id):
                logged = mlflow.sklearn.log_model(
                    Ridge(alpha=alpha).fit(features.to_numpy(), target),  # as regressors that know no names
                    name="model",
                    signature=infer_signature(features),
                    pip_requirements=["scikit-learn"],
                    serialization_format="cloudpickle",
                )
            source = client.get_logged_model(logged.model_id).artifact_location
            fitted[key] = source, metrics, promotion.recipe(Ridge(alpha=alpha), features.columns)
        return fitted[key]

    return fit


@pytest.fixture
def train(client, as_outsider, experiment_id, fit):
    """Create a version of such a Ridge, with a run of its own, as the pipeline does."""
    name = f"promotion-{uuid.uuid4().hex}"
    client.create_registered_model(name)

    def train(alpha: float, data: pd.DataFrame = DATA):
        source, metrics, recipe = fit(alpha, data)
        with mlflow.start_run(experiment_id=experiment_id) as run:
            mlflow.set_tag("recipe", recipe)
            mlflow.log_metrics(metrics)
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


def test_the_first_version_becomes_champion_if_it_is_better_than_the_mean(train, aliases, reason, caplog):
    only = train(GOOD)

    with caplog.at_level("INFO"):
        assert promote(only, never) == "champion"

    assert aliases(only) == {"champion": "1"}
    assert reason(only).startswith("champion: RMSE 1.19 cm; there was no champion (always predicting the mean: 3.")
    assert reason(only).removeprefix("champion: ") in caplog.text


def test_the_first_version_is_a_challenger_if_it_is_not_better_than_the_mean(train, aliases, reason):
    only = train(GOOD, SHUFFLED)

    assert promote(only, never) == "challenger"
    assert aliases(only) == {"challenger": "1"}
    assert "not better than always predicting the mean" in reason(only)
    assert "There is no champion until a version is" in reason(only)


@pytest.mark.parametrize(
    ("present", "new", "alias", "words"),
    [
        (BAD, GOOD, "champion", "RMSE 1.19 cm, better than the present champion's 3.57 cm on the same data"),
        (GOOD, BIT_WORSE, "champion", "RMSE 1.20 cm, at most 2% above the present champion's 1.19 cm"),
        (GOOD, WORSE, "challenger", "RMSE 1.24 cm, more than 2% above the present champion's 1.19 cm"),
    ],
    ids=["better", "worse within the tolerance", "worse beyond it"],
)
def test_another_recipe_is_compared_on_the_same_data(present, new, alias, words, train, aliases, reason):
    promote(train(present))
    second = train(new)

    assert promote(second) == alias

    assert aliases(second) == {"champion": "1"} | {alias: "2"}
    assert reason(second).startswith(f"{alias}: {words}")


def test_the_same_recipe_needs_no_computation_and_the_newer_version_wins(train, reason):
    promote(train(GOOD))
    second = train(GOOD)

    assert promote(second, never) == "champion"
    assert "as good as the present champion's 1.19 cm on the same data, and newer" in reason(second)


def test_the_champion_is_evaluated_on_the_new_data(train):
    promote(train(BIT_WORSE, EASY))  # its error was next to nothing; on DATA it is 1.199
    evaluated = []

    promote(train(GOOD), lambda model: evaluated.append(model.alpha) or cv_rmse(model))

    assert evaluated == [BIT_WORSE]


def test_data_that_got_worse_do_not_replace_the_champion(train, aliases, reason):
    promote(train(GOOD))
    second = train(GOOD, NOISY)  # the same recipe: on the noisy data, the champion would be as bad

    assert promote(second) == "challenger"
    assert aliases(second) == {"challenger": "2", "champion": "1"}
    assert "more than 25% above the 1.19 cm that the present champion had when it was promoted" in reason(second)


def test_a_champion_that_a_person_chose_is_compared_by_the_error_of_its_run(train, client, reason):
    first = train(GOOD)
    client.set_registered_model_alias(first.name, "champion", first.version)
    second = train(GOOD, NOISY)

    assert promote(second) == "challenger"
    assert "more than 25% above the 1.19 cm" in reason(second)


@pytest.mark.parametrize("alpha", [GOOD, WORSE], ids=["champion", "challenger"])
def test_promoting_again_changes_nothing(alpha, train, aliases, reason, client):
    promote(train(GOOD))
    second = train(alpha)
    promote(second)
    before = aliases(second), reason(second)

    promote(second)

    assert (aliases(second), reason(second)) == before
    assert len(client.search_model_versions(f"name = '{second.name}'")) == 2


@pytest.mark.parametrize("older", [BAD, GOOD], ids=["worse", "tie"])
def test_an_older_version_does_not_replace_a_newer_champion(older, train, aliases):
    first, second = train(older), train(GOOD)
    promote(first)
    promote(second)

    assert promote(first) == "challenger"
    assert aliases(first) == {"challenger": "1", "champion": "2"}


def test_an_attempt_that_died_before_the_alias_is_finished_by_the_next_one(train, aliases, monkeypatch):
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
def test_a_deleted_champion_is_succeeded_by_a_challenger(what, train, aliases, reason, client):
    first = train(GOOD)
    promote(first)
    challenger = train(WORSE)
    promote(challenger)
    if what == "version":
        client.delete_model_version(first.name, first.version)
    else:
        client.delete_registered_model_alias(first.name, "champion")

    assert promote(challenger) == "champion"
    assert aliases(challenger) == {"champion": "2"}  # no challenger any more
    assert "there was no champion" in reason(challenger)


@pytest.mark.parametrize(
    ("is_removed", "alias"), [(False, "challenger"), (True, "champion")], ids=["deleted", "removed"]
)
def test_the_error_of_a_champions_run_counts_until_mlflow_has_removed_the_run(
    is_removed, alias, train, client, monkeypatch
):
    first = train(GOOD)
    promote(first)
    second = train(GOOD, NOISY)
    client.delete_run(first.run_id)
    if is_removed:  # as `mlflow gc` does
        get_run = mlflow.MlflowClient.get_run

        def found(self, run_id: str):
            if run_id == first.run_id:
                raise MlflowException("no such run", RESOURCE_DOES_NOT_EXIST)
            return get_run(self, run_id)

        monkeypatch.setattr(mlflow.MlflowClient, "get_run", found)

    assert promote(second, lambda model: cv_rmse(model, NOISY)) == alias


@pytest.mark.parametrize("tag", ["recipe", "code_digest", "versions"])
def test_a_champion_of_another_recipe_or_code_is_evaluated_on_the_data_of_the_version(tag, train, client):
    first = train(GOOD)
    promote(first)
    client.set_tag(first.run_id, tag, "another")
    evaluated = []

    assert promote(train(GOOD), lambda model: evaluated.append(model.alpha) or cv_rmse(model)) == "champion"
    assert evaluated == [GOOD]


def test_a_champion_with_other_features_stays_until_a_person_decides(train, aliases, reason):
    promote(train(GOOD, OTHER_FEATURES))
    second = train(GOOD)

    assert promote(second) == "challenger"
    assert aliases(second) == {"challenger": "2", "champion": "1"}
    assert "the present champion was trained on other features" in reason(second)
    assert "give it the alias champion in the MLflow UI" in reason(second).replace("give this version", "give it")


def test_the_order_of_the_features_does_not_matter(train):
    promote(train(BAD, REORDERED))

    assert promote(train(GOOD)) == "champion"


def test_a_champion_that_these_rows_cannot_train_stays_until_a_person_decides(train, aliases, reason, caplog):
    promote(train(GOOD))
    second = train(WORSE)

    def rejected(model: RegressorMixin) -> float:
        raise ConfigurationError(f"{model} can't be trained on these rows: Input X contains NaN.")

    assert promote(second, rejected) == "challenger"
    assert aliases(second) == {"challenger": "2", "champion": "1"}
    assert "or can't be evaluated on these data (see the log)" in reason(second)
    assert "The champion, version 1, can't be evaluated on the new data: Ridge(alpha=0.1) can't be" in caplog.text


def test_a_champion_that_cannot_be_unpickled_stays_until_a_person_decides(train, aliases, s3, caplog):
    first, second = train(0.123), train(WORSE)
    promote(first)
    bucket, _, folder = first.source.removeprefix("s3://").partition("/")
    s3.put_object(Bucket=bucket, Key=f"{folder}/model.pkl", Body=b"cuninstalled\nRegressor\n.")

    assert promote(second, never) == "challenger"
    assert aliases(second) == {"challenger": "2", "champion": "1"}
    assert "The champion, version 1, can't be loaded here" in caplog.text
    assert "No module named 'uninstalled'" in caplog.text


def test_a_version_that_lost_the_race_is_compared_with_the_winner(train, aliases, reason):
    promote(train(BAD))
    winner, loser = train(GOOD), train(WORSE)

    def overtaken(model: RegressorMixin) -> float:
        if aliases(winner)["champion"] == "1":
            promote(winner)
        return cv_rmse(model)

    assert promote(loser, overtaken) == "challenger"
    assert aliases(loser) == {"challenger": "3", "champion": "2"}
    assert "above the present champion's 1.19 cm" in reason(loser)


def test_a_promotion_that_is_overwritten_is_repeated(train, aliases, monkeypatch):
    """The other process looked before this one set the alias, and sets it right afterwards."""
    promote(train(BAD))
    overwriting, better = train(WORSE), train(GOOD)
    set_alias, compared_with = mlflow.MlflowClient.set_registered_model_alias, []

    def set_and_be_overwritten(self, name: str, alias: str, version: str) -> None:
        set_alias(self, name, alias, version)
        if len(compared_with) == 1:
            set_alias(self, name, alias, overwriting.version)

    def evaluate(model: RegressorMixin) -> float:
        compared_with.append(model.alpha)
        return cv_rmse(model)

    monkeypatch.setattr(mlflow.MlflowClient, "set_registered_model_alias", set_and_be_overwritten)

    assert promote(better, evaluate) == "champion"
    assert compared_with == [BAD, WORSE]
    assert aliases(better) == {"champion": better.version}


def test_a_run_without_a_version_of_the_model_is_an_error(train):
    with pytest.raises(DataError, match="has no version of nobody"):
        registry.model_version(train(GOOD).run_id, "nobody")
