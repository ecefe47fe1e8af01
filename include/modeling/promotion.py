"""Decides whether a new model takes the place of the champion."""

from __future__ import annotations

from dataclasses import dataclass

from include import config


@dataclass(frozen=True)
class Decision:
    """Which alias the new version gets (`champion` or `challenger`), and why."""

    alias: str
    reason: str


def decide(
    new: float,
    champion: float | None,
    older: bool = False,
    tolerance: float = config.TOLERANCE,
    unit: str = config.TARGET_UNIT,
) -> Decision:
    """Compares cross-validated errors (RMSE, in `unit`) of a model and of the champion, on the same data.

    The model becomes champion if its error is at most `1 + tolerance` times the champion's: a tie goes to the newer
    model, which has seen the newer data. For the same reason one that is `older` than the champion has to be better by
    as much. `champion` is None where there is none.
    """
    if champion is None:
        return Decision("champion", f"there was no champion; its error is {new:.3f} {unit}")
    limit = champion / (1 + tolerance) if older else champion * (1 + tolerance)
    alias, verdict = ("champion", "within") if new <= limit else ("challenger", "above")
    allowed = f"{limit:.3f} {unit} (the champion's {champion:.3f} {unit} {'less' if older else 'and'} {tolerance:.0%})"
    return Decision(alias, f"its error of {new:.3f} {unit} is {verdict} {allowed}")
