"""How well a model predicts rows that it has not seen."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.inspection import permutation_importance
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import RepeatedKFold
from sklearn.pipeline import Pipeline

from include.errors import DataError
from include.modeling.features import make_transformer, usable_rows
from include.modeling.models import fit_and_predict, on_raw_rows, threads_for
from include.schema import Schema

log = logging.getLogger(__name__)
ROWS_FITTED = 100_000  # the most that a cross-validation may cost, counted over its repeats
IMPORTANCE_ROWS = 1_000  # that a fold predicts to measure the importance of a column


@dataclass(frozen=True)
class Plan:
    """A cross-validation that stays affordable: `repeats` times `folds` folds of `rows` rows, split by `seed`."""

    rows: int
    folds: int
    repeats: int
    seed: int

    @classmethod
    def of(cls, rows: int, *, folds: int, repeats: int, seed: int) -> Plan:
        """Plan a cross-validation of so many rows.

        Few rows are split again and again, since a single split says little about them. With more rows the repeats
        become fewer, and from `ROWS_FITTED` on a single repeat on a random sample of that many rows is enough: the
        error of the estimate falls with the square root of the rows.
        """
        affordable = max(1, ROWS_FITTED // rows)
        return cls(min(rows, ROWS_FITTED), folds, min(repeats, affordable), seed)

    def __str__(self) -> str:
        """Return the plan in words."""
        repeated = f", repeated {self.repeats} times," if self.repeats > 1 else ""
        return f"{self.folds}-fold cross-validation{repeated} on {self.rows:,} rows"


@dataclass(frozen=True)
class Evaluation:
    """The result of a cross-validation.

    Attributes:
        plan: How it was done.
        folds: A row per fold, with the columns `rmse`, `mae` (in the target's unit) and `r2`.
        predictions: A row per evaluated row, with its index: `true` and `predicted`, by the model of the first repeat
            that has not seen the row. (The mean over the repeats would be the prediction of many models, which is
            optimistic for a single one.)
        importances: By how much the RMSE rises, in the target's unit, when the values of a column are shuffled: its
            mean over the folds of the first repeat, `importance`, and its standard deviation, `std`. Index `column`,
            the most important first. None if `cross_validate` was not asked for them.
    """

    plan: Plan
    folds: pd.DataFrame
    predictions: pd.DataFrame
    importances: pd.DataFrame | None = None

    def metrics(self, prefix: str) -> dict[str, float]:
        """Return `<prefix>_rmse`, `_mae`, `_r2`: means over the folds; with `_std`, their standard deviations."""
        means, spreads = self.folds.mean(), self.folds.std()
        return {f"{prefix}_{name}": float(value) for name, value in means.items()} | {
            f"{prefix}_{name}_std": float(value) for name, value in spreads.items()
        }


def errors(true: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Return `rmse` and `mae` in the target's unit, and `r2`, the share of the variance that is explained."""
    return {
        "rmse": float(root_mean_squared_error(true, predicted)),
        "mae": float(mean_absolute_error(true, predicted)),
        "r2": float(r2_score(true, predicted)) if np.size(true) > 1 else float("nan"),
    }


def rows_to_evaluate(
    rows: pd.DataFrame, schema: Schema, folds: int, repeats: int, seed: int
) -> tuple[pd.DataFrame, Plan]:
    """Return the rows to evaluate models on, of very many a random sample, and the one plan to cross-validate them.

    Args:
        rows: What `rows.read_training_rows` returns.
        schema: What the rows look like.
        folds: Of each repeat.
        repeats: At most.
        seed: Of the splits and of the sample.
    """
    usable = usable_rows(rows, schema)
    plan = Plan.of(len(usable), folds=folds, repeats=repeats, seed=seed)
    return usable.sample(plan.rows, random_state=seed) if len(usable) > plan.rows else usable, plan


def evaluate(
    model: RegressorMixin, rows: pd.DataFrame, schema: Schema, plan: Plan, *, with_importances: bool = False
) -> Evaluation:
    """Cross-validate an unfitted regressor on raw rows, so that each fold's transformer learns from that fold alone.

    Args:
        model: The regressor.
        rows: What `rows_to_evaluate` returns.
        schema: What the rows look like.
        plan: See `cross_validate`, which has the other arguments and the errors, too.
        with_importances: See `cross_validate`.
    """
    log.info("Evaluating %s by %s", type(model).__name__, plan)
    estimator = on_raw_rows(make_transformer(schema, rows), model)
    return cross_validate(estimator, rows[schema.inputs], rows[schema.target], plan, with_importances=with_importances)


def baseline(rows: pd.DataFrame, target: pd.Series, plan: Plan) -> Evaluation:
    """Evaluate always predicting the mean of the rows that a model was fitted to."""
    return cross_validate(DummyRegressor(), rows, target, plan)


def cross_validate(
    estimator: RegressorMixin | Pipeline,
    rows: pd.DataFrame,
    target: pd.Series,
    plan: Plan,
    *,
    with_importances: bool = False,
) -> Evaluation:
    """Evaluate an unfitted estimator by repeated k-fold cross-validation.

    A clone is fitted in each fold, to the fold's training rows alone. With raw rows and an estimator that starts with
    the transformer (`models.on_raw_rows`) that holds for all that learns from data: the labels that become features,
    the means and scales, and, in models like RidgeCV, the regularization. The scores are those of scikit-learn's
    `cross_validate` with `RepeatedKFold`, which however would keep every fitted model to give the predictions, too.

    Args:
        estimator: A scikit-learn regressor, or a Pipeline that ends with one.
        rows: What it predicts from, without the target, and without gaps unless it takes them; unique index.
        target: The true values, with the same index.
        plan: Folds, repeats and seed.
        with_importances: Whether to measure the permutation importance of each column.

    Raises:
        ConfigurationError: See `models.fit_and_predict`.
    """
    true = target.to_numpy()
    scores, importances, out_of_fold = [], [], np.full(len(true), np.nan)
    splits = RepeatedKFold(n_splits=plan.folds, n_repeats=plan.repeats, random_state=plan.seed)
    with threads_for(len(rows)), warnings.catch_warnings():
        # A rare label is unknown in the fold that holds its rows out: nothing to be done, and said in every fold.
        warnings.filterwarnings("ignore", "Found unknown categories", UserWarning)
        for train, test in splits.split(rows):
            fitted, predicted = fit_and_predict(estimator, rows.iloc[train], true[train], rows.iloc[test])
            scores.append(errors(true[test], predicted))
            if len(scores) <= plan.folds:
                out_of_fold[test] = predicted
                if with_importances:
                    importances.append(permutation_importances(fitted, rows.iloc[test], true[test], plan.seed))
    predictions = pd.DataFrame({"true": true, "predicted": out_of_fold}, index=rows.index)
    return Evaluation(plan, pd.DataFrame(scores), predictions, _summary(importances) if importances else None)


def permutation_importances(
    fitted: RegressorMixin | Pipeline, rows: pd.DataFrame, true: ArrayLike, seed: int
) -> pd.Series:
    """Return by how much a model's RMSE on rows that it has not seen rises when a column is shuffled, for each column.

    About `IMPORTANCE_ROWS` rows are predicted per column: of many rows a sample; few rows are repeated as often as
    that, since to shuffle them together costs one prediction, and to shuffle them again and again costs many.
    """
    random = np.random.default_rng(seed)
    if len(rows) > IMPORTANCE_ROWS:
        chosen = random.choice(len(rows), IMPORTANCE_ROWS, replace=False)
    else:
        chosen = np.tile(np.arange(len(rows)), IMPORTANCE_ROWS // len(rows))
    with threads_for(len(chosen)):
        found = permutation_importance(
            fitted,
            rows.iloc[chosen].reset_index(drop=True),
            np.asarray(true)[chosen],
            scoring="neg_root_mean_squared_error",
            n_repeats=1,
            random_state=seed,
        )
    return pd.Series(found.importances_mean, index=rows.columns)


def _summary(importances: list[pd.Series]) -> pd.DataFrame:
    folds = pd.DataFrame(importances)
    table = pd.DataFrame({"importance": folds.mean(), "std": folds.std()}).rename_axis("column")
    return table.sort_values("importance", ascending=False)


def match_predictions(predicted: pd.DataFrame, target: pd.DataFrame) -> pd.DataFrame:
    """Match predictions with the true values by row number, not by position.

    Args:
        predicted: A single column, indexed by row number.
        target: A single column, indexed by row number; all its values may be missing.

    Returns:
        The columns `true`, if any is known, and `predicted`, with the index of `target`. The prediction of a row that
        could not be predicted is missing.

    Raises:
        DataError: There are predictions for other rows.
    """
    others = predicted.index.difference(target.index)
    if len(others) or not predicted.index.is_unique:
        raise DataError(
            f"The {len(predicted)} predictions are not for the {len(target)} rows with true values. Run train again."
        )
    true, values = target.iloc[:, 0], predicted.iloc[:, 0]
    table = pd.DataFrame({"true": true, "predicted": values.reindex(true.index)})
    return table.drop(columns="true") if true.isna().all() else table
