"""Makes the model that `include/config.py` names, and says what it has learnt."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import RegressorMixin

from include import config
from include.errors import ConfigurationError

TRIAL_ROWS = 1_000


@contextlib.contextmanager
def _refusals(model_class: str, hyper_parameters: Mapping[str, Any], hint: str = "") -> Iterator[None]:
    """Says which hyperparameters a regressor has refused, and why."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{model_class} doesn't accept the hyperparameters {dict(hyper_parameters)}: {str(error).rstrip('.')}. "
            f"{hint}Correct HYPER_PARAMETERS in include/config.py, or the run's hyper_parameters."
        ) from None


def make_model(model_class: str, hyper_parameters: Mapping[str, Any]) -> RegressorMixin:
    """An unfitted regressor of the class with this import path.

    Raises ConfigurationError where the class can't be imported, is no scikit-learn regressor, or can't be made with
    the hyperparameters. Most regressors look at these only when they are fitted: see `try_out`.
    """
    module, _, name = model_class.rpartition(".")
    try:
        regressor = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, TypeError, ValueError):
        raise ConfigurationError(
            f"There is no class {model_class!r}. Correct MODEL_CLASS in include/config.py."
        ) from None
    if not (isinstance(regressor, type) and issubclass(regressor, RegressorMixin)):
        raise ConfigurationError(
            f"{model_class} is no scikit-learn regressor. Correct MODEL_CLASS in include/config.py."
        )
    with _refusals(model_class, hyper_parameters, f"It takes {', '.join(inspect.signature(regressor).parameters)}. "):
        return regressor(**hyper_parameters)


def try_out(model_class: str, hyper_parameters: Mapping[str, Any], data: pd.DataFrame, target: str) -> None:
    """Fits a model to some of the rows that it shall be trained with: `data` has the features and the `target`.

    Raises ConfigurationError where `make_model` does, and for hyperparameters that don't go with these rows.
    """
    model = make_model(model_class, hyper_parameters)
    sample = data.sample(min(len(data), TRIAL_ROWS), random_state=config.SEED)
    try:
        model.fit(sample.drop(columns=target), sample[target])
    except (TypeError, ValueError):  # all rows may be enough for what a sample is too small for
        with _refusals(model_class, hyper_parameters):
            model.fit(data.drop(columns=target), data[target])


def coefficients(model: RegressorMixin, features: pd.Index) -> pd.DataFrame | None:
    """`coefficient` of each scaled feature (indexed by `feature`, largest first): the change in the target per standard
    deviation. None for a model without coefficients.
    """
    values = getattr(model, "coef_", None)
    if values is None or np.size(values) != len(features):
        return None
    table = pd.DataFrame({"coefficient": np.ravel(values)}, index=features.rename("feature"))
    return table.sort_values("coefficient", key=abs, ascending=False)
