"""Creates the regressor that a configuration names, and says what it has learned."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import traceback
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin, clone
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import get_tags
from threadpoolctl import threadpool_limits

from include.errors import ConfigurationError

PROJECT = str(Path(__file__).parents[2])
TRIAL_ROWS = 1_000
FEW_ROWS = 10_000  # below this, threads wait for each other longer than they compute


def make_model(model_class: str, hyper_parameters: Mapping[str, Any]) -> RegressorMixin:
    """Create an unfitted regressor of the class with this import path.

    Most regressors check their hyperparameters only when they are fitted: see `try_out`.

    Raises:
        ConfigurationError: The class can't be imported, is not a scikit-learn regressor, or can't be created with the
            hyperparameters.
    """
    module, _, name = model_class.rpartition(".")
    try:
        regressor = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever a module of the user's own raises
        raise ConfigurationError(
            f"{model_class} can't be imported: {type(error).__name__}: {error}. Correct MODEL_CLASS in "
            "include/config.py, or its module."
        ) from error
    if not (isinstance(regressor, type) and issubclass(regressor, RegressorMixin)):
        raise ConfigurationError(
            f"{model_class} is not a scikit-learn regressor. Correct MODEL_CLASS in include/config.py."
        )
    try:
        return regressor(**hyper_parameters)
    except (TypeError, ValueError) as error:
        accepted = ", ".join(inspect.signature(regressor).parameters)
        raise ConfigurationError(
            f"{model_class} doesn't accept the hyperparameters {dict(hyper_parameters)}: {str(error).rstrip('.')}. "
            f"It accepts {accepted}. Correct HYPER_PARAMETERS in include/config.py, or the run's hyper_parameters."
        ) from None


def on_raw_rows(transformer: Pipeline, model: RegressorMixin) -> Pipeline:
    """Chain a transformer and a model into one unfitted regressor, to cross-validate on raw rows.

    Between the two, features are arrays without names: a DataFrame in each fold would take a third more time.
    """
    return make_pipeline(clone(transformer).set_output(transform="default"), clone(model))


def try_out(
    model_class: str, hyper_parameters: Mapping[str, Any], features: pd.DataFrame, target: pd.Series, seed: int
) -> RegressorMixin:
    """Create an unfitted regressor, and let it learn and predict some of the rows that it will be trained on.

    Raises:
        ConfigurationError: As `make_model` does, and for hyperparameters or gaps that these rows don't allow.
    """
    model = make_model(model_class, hyper_parameters)
    if features.isna().any(axis=None) and not get_tags(model).input_tags.allow_nan:
        raise ConfigurationError(
            f"{model_class} doesn't take gaps, and ROWS_WITH_GAPS in include/config.py is 'keep'. Set it to 'drop', or "
            "MODEL_CLASS to a regressor that takes them, such as sklearn.ensemble.HistGradientBoostingRegressor. "
            "(One of your own says so with allow_nan in __sklearn_tags__: docs/configuration.md.)"
        )
    sample = features.sample(min(len(features), TRIAL_ROWS), random_state=seed)
    try:
        with threads_for(len(sample)):
            fit_and_predict(model, sample, target.loc[sample.index], sample)
    except ConfigurationError:
        if len(sample) == len(features):
            raise
        # All rows may be enough where a sample is too small.
        with threads_for(len(features)):
            fit_and_predict(model, features, target, features)
    return model


def fit_and_predict(
    estimator: RegressorMixin | Pipeline, rows: pd.DataFrame, target: ArrayLike, new: pd.DataFrame
) -> tuple[RegressorMixin | Pipeline, NDArray[np.float64]]:
    """Fit a clone of a regressor to rows and their `target`. Return it, and what it predicts for the `new` rows.

    Raises:
        ConfigurationError: It raises an error, or does not predict one finite number for each row.
    """
    model = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    name = type(model).__name__
    try:
        fitted = clone(estimator).fit(rows, target)
        predicted = np.asarray(fitted.predict(new)).ravel()
    except (MemoryError, OSError, BrokenExecutor):  # of the machine, not of the model
        raise
    except Exception as error:  # of a class of the user's own, whatever it raises
        raise ConfigurationError(
            f"{name} can't be trained on these rows: {_reason(error)}. "
            "Correct HYPER_PARAMETERS in include/config.py, the run's hyper_parameters, or the class."
        ) from error
    if len(predicted) != len(new) or predicted.dtype.kind not in "buif" or not np.isfinite(predicted).all():
        raise ConfigurationError(
            f"{name} doesn't predict one finite number for each row. Correct HYPER_PARAMETERS or MODEL_CLASS in "
            "include/config.py, or the class."
        )
    return fitted, predicted


def _reason(error: Exception) -> str:
    """Return what is wrong; in code of the project, such as a class of one's own, with the place."""
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is the call above
    own = [frame for frame in frames if frame.filename.startswith(PROJECT) and "site-packages" not in frame.filename]
    if not own:
        return str(error).rstrip(".")
    return f"{type(error).__name__}: {error} ({own[-1].filename}, line {own[-1].lineno})"


def threads_for(rows: int) -> contextlib.AbstractContextManager[object]:
    """Limit BLAS and OpenMP to one thread while a model is fitted to few rows.

    Their threads wait for each other in busy loops: on a busy machine a fit of milliseconds takes seconds. Libraries
    that are loaded later are not limited.
    """
    limits: contextlib.AbstractContextManager[object] = threadpool_limits(1 if rows < FEW_ROWS else None)
    return limits


def coefficients(model: RegressorMixin, features: pd.Index) -> pd.DataFrame | None:
    """Return the `coefficient` of each scaled feature (index `feature`, largest first), or None if there are none.

    It is the change in the target per standard deviation of the feature.
    """
    values = getattr(model, "coef_", None)
    if values is None or np.size(values) != len(features):
        return None
    table = pd.DataFrame({"coefficient": np.ravel(values)}, index=features.rename("feature"))
    return table.sort_values("coefficient", key=abs, ascending=False)
