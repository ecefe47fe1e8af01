"""Makes the model that `include/config.py` names, and says what it has learnt."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import RegressorMixin
from sklearn.datasets import make_regression

from include.errors import ConfigurationError


def check(model_class: str, hyper_parameters: Mapping[str, Any]) -> None:
    """Raises ConfigurationError for a model that can't be made, before anything has been done for it."""
    make_model(model_class, hyper_parameters)


def make_model(model_class: str, hyper_parameters: Mapping[str, Any]) -> RegressorMixin:
    """An unfitted regressor of the class with this import path.

    Raises ConfigurationError where the class can't be imported, is no scikit-learn regressor, or doesn't accept the
    hyperparameters; a fit to a few random rows (with a positive target, as some regressors need it) tells.
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
    x, y = make_regression(n_samples=100, n_features=20, random_state=0)
    try:
        regressor(**hyper_parameters).fit(x, y - y.min() + 1)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{model_class} doesn't accept the hyperparameters {dict(hyper_parameters)}: {str(error).rstrip('.')}. "
            "Correct HYPER_PARAMETERS in include/config.py, or the run's hyper_parameters."
        ) from None
    return regressor(**hyper_parameters)


def coefficients(model: RegressorMixin, features: pd.Index) -> pd.DataFrame | None:
    """`coefficient` of each scaled feature (indexed by `feature`, largest first): the change in the target per standard
    deviation. None for a model without coefficients.
    """
    values = getattr(model, "coef_", None)
    if values is None or np.size(values) != len(features):
        return None
    table = pd.DataFrame({"coefficient": np.ravel(values)}, index=features.rename("feature"))
    return table.sort_values("coefficient", key=abs, ascending=False)
