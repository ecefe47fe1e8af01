"""How well a model predicts rows that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin, clone
from sklearn.dummy import DummyRegressor
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import RepeatedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from include import config
from include.errors import ConfigurationError

ROWS_FITTED = 100_000  # that a cross-validation may cost, counted over its repeats


@dataclass(frozen=True)
class Plan:
    """A cross-validation that stays affordable: `repeats` times `folds` folds of `rows` rows.

    Few rows are split again and again, since a single split says little about them. With more rows the repeats become
    fewer, and from `ROWS_FITTED` on one pass over a random sample of that many rows is enough: the error of the
    estimate falls with the square root of the rows.
    """

    rows: int
    folds: int
    repeats: int

    @classmethod
    def of(cls, rows: int) -> Plan:
        repeats = min(config.REPEATS, max(1, ROWS_FITTED // rows))
        return cls(min(rows, ROWS_FITTED), config.FOLDS, repeats)

    def __str__(self) -> str:
        repeated = f", repeated {self.repeats} times," if self.repeats > 1 else ""
        return f"{self.folds}-fold cross-validation{repeated} on {self.rows:,} rows"


@dataclass(frozen=True)
class Evaluation:
    """What a cross-validation found.

    `folds` has a row per fold and the columns `rmse`, `mae` (in the target's unit) and `r2`. `predictions` has a row
    per evaluated row, with its index: `true` and `predicted`, by the model of the first repeat that has not seen it.
    (The mean over the repeats would be the prediction of many models, and flatter the single one.)
    """

    plan: Plan
    folds: pd.DataFrame
    predictions: pd.DataFrame

    def metrics(self, prefix: str) -> dict[str, float]:
        """`<prefix>_rmse`, `_mae`, `_r2`: means over the folds; with `_std`, their standard deviations."""
        means, spreads = self.folds.mean(), self.folds.std()
        return {f"{prefix}_{name}": float(value) for name, value in means.items()} | {
            f"{prefix}_{name}_std": float(value) for name, value in spreads.items()
        }


def errors(true: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """`rmse` and `mae` in the target's unit, and `r2`, the share of the variance that is explained."""
    return {
        "rmse": float(root_mean_squared_error(true, predicted)),
        "mae": float(mean_absolute_error(true, predicted)),
        "r2": float(r2_score(true, predicted)),
    }


def cross_validate(model: RegressorMixin, features: pd.DataFrame, target: pd.Series) -> Evaluation:
    """Evaluates an unfitted model by repeated k-fold cross-validation with a fixed seed.

    Everything that learns from data happens inside each fold: the scaling and, in models like RidgeCV, the choice of
    the regularisation. The features come scaled with the means of all rows, those of the test fold included. Scaling
    them again with the means of the training fold alone undoes that: scaling is affine, so what comes out is the same
    as if the raw features had been scaled inside the fold.

    Raises ConfigurationError for a model that these rows can't train, or that predicts what is no number.
    """
    plan = Plan.of(len(features))
    if len(features) > plan.rows:
        features = features.sample(plan.rows, random_state=config.SEED)
        target = target.loc[features.index]
    x, y = features.to_numpy(), target.to_numpy()
    splits = RepeatedKFold(n_splits=plan.folds, n_repeats=plan.repeats, random_state=config.SEED)
    scores, out_of_fold = [], np.full(len(y), np.nan)
    for train, test in splits.split(x):
        try:
            fitted = make_pipeline(StandardScaler(), clone(model)).fit(x[train], y[train])
            predicted = np.asarray(fitted.predict(x[test])).ravel()
            scores.append(errors(y[test], predicted))
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{model} can't be trained on these rows: {str(error).rstrip('.')}. "
                "Correct HYPER_PARAMETERS in include/config.py, or the run's hyper_parameters."
            ) from error
        if len(scores) <= plan.folds:
            out_of_fold[test] = predicted
    predictions = pd.DataFrame({"true": y, "predicted": out_of_fold}, index=features.index)
    return Evaluation(plan, pd.DataFrame(scores), predictions)


def baseline(features: pd.DataFrame, target: pd.Series) -> Evaluation:
    """The same for a model that always predicts the mean of the rows it was fitted to."""
    return cross_validate(DummyRegressor(), features, target)
