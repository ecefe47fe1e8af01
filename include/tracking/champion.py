"""The champion: the version of the registered model that others load by this alias."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from tempfile import TemporaryDirectory

import mlflow.artifacts
import mlflow.sklearn
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from sklearn.base import RegressorMixin, clone

from include.errors import ConfigurationError
from include.modeling.promotion import Champion, Decision, decide
from include.tracking import runs
from include.tracking.serving_model import check_python

log = logging.getLogger(__name__)


class LoadError(Exception):
    """A version that can't be unpickled with the packages that are installed here."""


def promote(
    version: ModelVersion,
    evaluate: Callable[[RegressorMixin], float],
    tolerance: float,
    max_error_rise: float,
    unit: str,
) -> Decision:
    """Give a version the alias `champion` or `challenger`, and tag it with the reason.

    `evaluate` cross-validates an unfitted regressor on the data that the version was trained on and returns its RMSE in
    `unit`. `include.modeling.promotion.decide` has the rules.

    MLflow can't move an alias on the condition that nobody else has moved it. So the present champion is looked up
    again right before the alias is set, and once more after it; when another promotion was faster, this one starts
    over and compares the version with the new champion. One case is left: a process that stops between looking and
    setting until another has set the alias and looked again. It replaces a champion that it was not compared with.
    """
    client = MlflowClient()
    run = client.get_run(str(version.run_id))
    name, number, metrics = version.name, version.version, run.data.metrics
    while True:
        champion = _champion(client, name)
        if champion == number:
            decision = Decision("champion", "it is the champion already")
            break
        present = None
        if champion is not None:
            present = _on_new_data(client, champion, version, run, evaluate)
        decision = decide(
            metrics["cv_rmse"],
            metrics["baseline_rmse"],
            present,
            tolerance=tolerance,
            max_error_rise=max_error_rise,
            unit=unit,
        )
        client.set_model_version_tag(name, number, "promotion", f"{decision.alias}: {decision.reason}")
        if _champion(client, name) == champion:
            client.set_registered_model_alias(name, decision.alias, number)
            if decision.alias == "challenger" or _champion(client, name) == number:
                break
        log.info("Another version became champion in the meantime: comparing version %s again", number)
    if decision.alias == "champion" and "challenger" in version.aliases:
        client.delete_registered_model_alias(name, "challenger")
    log.info("Version %s of %s is %s: %s", number, name, decision.alias, decision.reason)
    return decision


def _champion(client: MlflowClient, name: str) -> str | None:
    """Return the number of the version that is champion now."""
    return client.get_registered_model(name).aliases.get("champion")


def _on_new_data(
    client: MlflowClient, number: str, version: ModelVersion, run: Run, evaluate: Callable[[RegressorMixin], float]
) -> Champion:
    """Evaluate the champion, version `number`, on the data of `version`, which was trained in `run`."""
    champion = client.get_model_version(version.name, number)
    champion_run = _training_run(client, champion)
    if champion_run and _are_same(champion_run.data.tags, run.data.tags):
        error: float | None = run.data.metrics["cv_rmse"]
    else:
        error = _evaluated(champion, version, evaluate)
    promoted_error = champion_run.data.metrics.get("cv_rmse") if champion_run else None
    return Champion(error, promoted_error, is_newer=int(number) > int(version.version))


def _are_same(tags: Mapping[str, str], others: Mapping[str, str]) -> bool:
    """Return whether two training runs would compute the very same on the same data."""
    return "recipe" in tags and all(tags.get(name) == others.get(name) for name in ("recipe", *runs.SAME_CODE))


def _training_run(client: MlflowClient, version: ModelVersion) -> Run | None:
    """Return the run that the version comes from; None if it has none, or one that was removed from MLflow.

    MLflow still returns a run that was deleted in its UI, until `mlflow gc` removes it.
    """
    try:
        return client.get_run(version.run_id) if version.run_id else None
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _evaluated(
    champion: ModelVersion, version: ModelVersion, evaluate: Callable[[RegressorMixin], float]
) -> float | None:
    """Evaluate the champion's class and hyperparameters; None if that is impossible on the data of `version`."""
    try:
        model, features = _load(champion)
    except LoadError:
        log.warning("The champion, version %s, can't be loaded here", champion.version, exc_info=True)
        return None
    new_features = _features(version)
    if features != new_features:
        gone, added = sorted(features - new_features), sorted(new_features - features)
        log.info("Features of the champion alone: %s; of the new version alone: %s", gone, added)
        return None
    try:
        return evaluate(clone(model))
    except ConfigurationError as error:
        log.warning("The champion, version %s, can't be evaluated on the new data: %s", champion.version, error)
        return None


def _load(version: ModelVersion) -> tuple[RegressorMixin, set[str]]:
    """Return a version's regressor, and its features."""
    with TemporaryDirectory() as folder:
        path = mlflow.artifacts.download_artifacts(_address(version), dst_path=folder)
        try:
            check_python(path)
            return mlflow.sklearn.load_model(path), _features_in(path)
        except Exception as error:  # whatever unpickling meets: a class that is gone, another version of a package
            raise LoadError from error


def _features(version: ModelVersion) -> set[str]:
    with TemporaryDirectory() as folder:
        return _features_in(mlflow.artifacts.download_artifacts(f"{_address(version)}/MLmodel", dst_path=folder))


def _features_in(path: str) -> set[str]:
    """Return the features in a model's signature: not every regressor knows their names."""
    return set(Model.load(path).signature.inputs.input_names())


def _address(version: ModelVersion) -> str:
    return f"models:/{version.name}/{version.version}"
