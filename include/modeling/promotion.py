"""Decides which alias a new model version gets: `champion` or `challenger`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import joblib
from sklearn.base import RegressorMixin, clone

from include.modeling.amounts import amount


@dataclass(frozen=True)
class Decision:
    """The alias that a version gets (`champion` or `challenger`), and the reason in words."""

    alias: str
    reason: str


@dataclass(frozen=True)
class Champion:
    """The present champion, as far as a new version is compared with it.

    Attributes:
        error: Cross-validated RMSE of its class and hyperparameters on the data of the new version; None if it was
            trained on other features or can't be evaluated there, so that the two can't be compared.
        promoted_error: Cross-validated RMSE of its own training, with which it was promoted; None if that is not known.
        is_newer: Whether it is a newer version than the one that is compared with it.
    """

    error: float | None
    promoted_error: float | None
    is_newer: bool = False


def decide(
    error: float,
    baseline: float,
    champion: Champion | None,
    *,
    tolerance: float,
    max_error_rise: float,
    unit: str,
) -> Decision:
    """Decide on a version by its cross-validated RMSE, `error`, in `unit`.

    The version becomes champion if all of this is true:
    (a) Its error is below `baseline`, the error of always predicting the mean.
    (b) On the same data its error is at most `1 + tolerance` times the champion's. So a tie goes to the newer version,
        which was trained on newer data; one that is older than the champion has to be better by as much.
    (c) Its error is at most `1 + max_error_rise` times what the champion had when it was promoted. (b) alone would let
        an unchanged model pass on data that got worse, since there both get worse.

    Where there is no champion, (a) alone decides.
    """
    own = f"RMSE {amount(error, unit)}"
    if not error < baseline:
        reason = f"{own}, not better than always predicting the mean ({amount(baseline, unit)})"
        if champion is None:
            reason += ". There is no champion until a version is: the alias leads nowhere"
        return Decision("challenger", reason)
    if champion is None:
        mean = f"always predicting the mean: {amount(baseline, unit)}"
        return Decision("champion", f"{own}; there was no champion ({mean})")
    if champion.error is None:
        by_hand = "To let this version take over, give it the alias champion in the MLflow UI"
        return Decision(
            "challenger",
            f"{own}, which can't be compared: the present champion was trained on other features, or can't be "
            f"evaluated on these data (see the log). {by_hand}",
        )

    compared_with = f"the present champion's {amount(champion.error, unit)} on the same data"
    factor = 1 + tolerance
    if champion.is_newer and not error < champion.error / factor:
        reason = f"{own}, not {_percent(tolerance)} better than {compared_with}, as an older version has to be"
        return Decision("challenger", reason)
    if not error <= champion.error * factor:
        return Decision("challenger", f"{own}, more than {_percent(tolerance)} above {compared_with}")

    promoted = champion.promoted_error
    if promoted is not None and not error <= promoted * (1 + max_error_rise):
        return Decision(
            "challenger",
            f"{own}, more than {_percent(max_error_rise)} above the {amount(promoted, unit)} that the present "
            "champion had when it was promoted: the data got worse, or other rows are used than then. If that is "
            "right, give this version the alias champion in the MLflow UI",
        )

    if amount(error, unit) == amount(champion.error, unit):
        return Decision("champion", f"{own}, as good as {compared_with}, and newer")
    if error < champion.error:
        return Decision("champion", f"{own}, better than {compared_with}")
    return Decision("champion", f"{own}, at most {_percent(tolerance)} above {compared_with}, and newer")


def recipe(regressor: RegressorMixin, features: Iterable[str]) -> str:
    """Return a fingerprint of a regressor's class and hyperparameters and of the names of its features.

    On the same data and with the same code, regressors of one recipe have the same cross-validated error.
    """
    fingerprint: str = joblib.hash((clone(regressor), list(features)))
    return fingerprint


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
