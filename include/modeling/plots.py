"""The figures. People read them: units on the axes, errors in words, never more marks than one can tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import matplotlib.image
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from include import config
from include.modeling.evaluation import Evaluation, errors

MARKS = 150  # rows along an axis
DOTS = 3_000  # dots in a scatter plot; more are binned
TRUE, PREDICTED, QUIET = "#1b4965", "#e07a1f", "#b8b8b8"
matplotlib.rcParams["text.parse_math"] = False  # a dollar sign in someone's label is no formula
PICTURE = config.INCLUDE / (config.PICTURE_FILE or "")
LABEL = f"{config.TARGET_LABEL} ({config.TARGET_UNIT})"


def predictions(predicted: pd.DataFrame, model: str, picture: Path = PICTURE) -> Figure:
    """Draws the columns `true` and `predicted` (in the target's unit) over the rows, in their order.

    Of many rows some are drawn, evenly spaced; the errors in the title are those of all. `picture` may be missing.
    """
    drawn = min(len(predicted), MARKS)
    some = predicted.iloc[np.linspace(0, len(predicted) - 1, drawn).astype(int)]
    figure = Figure(figsize=(11, 5.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    rows = range(len(some))
    axes.vlines(rows, some["true"], some["predicted"], color=QUIET, linewidth=1, zorder=1)
    axes.scatter(rows, some["true"], s=22, color=TRUE, label="true", zorder=2)
    axes.scatter(rows, some["predicted"], s=22, color=PREDICTED, marker="D", label="predicted", zorder=2)
    ticks = sorted({int(tick) for tick in axes.get_xticks() if 0 <= tick < len(some)})
    axes.set_xticks(ticks, [str(some.index[tick]) for tick in ticks])
    of_how_many = "" if drawn == len(predicted) else f" ({drawn} of {len(predicted):,} drawn)"
    axes.set_xlabel(f"{config.ROW}, by {predicted.index.name or 'number'}{of_how_many}")
    axes.set_ylabel(LABEL)
    found = errors(predicted["true"], predicted["predicted"])
    axes.set_title(
        f"{config.TARGET_LABEL.capitalize()}, true and predicted by {model}:\n"
        f"{in_words(found)}, but these {config.ROW}s were in its training data",
        loc="left",
    )
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.3 * (high - low))  # room for legend and picture above all marks
    axes.legend(loc="upper left", ncols=2, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    if picture.is_file():
        corner = axes.inset_axes((0.86, 0.76, 0.14, 0.24))
        corner.imshow(matplotlib.image.imread(picture))
        corner.axis("off")
    return figure


def out_of_fold(judged: Evaluation) -> Figure:
    """Draws what models predicted for rows that they had not seen: against the truth, and how far off they were.

    The errors in the title are the means over all folds, as in MLflow; the dots are those of the first repeat.
    """
    figure = Figure(figsize=(11, 5.2), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    true, predicted = judged.predictions["true"], judged.predictions["predicted"]
    _cloud(left, true, predicted)
    low, high = min(true.min(), predicted.min()), max(true.max(), predicted.max())
    left.plot([low, high], [low, high], color=QUIET, linewidth=1, zorder=1)
    left.set(xlabel=f"true {LABEL}", ylabel=f"predicted {LABEL}", aspect="equal")
    _cloud(right, predicted, true - predicted)
    right.axhline(0, color=QUIET, linewidth=1, zorder=1)
    right.set(xlabel=f"predicted {LABEL}", ylabel=f"residual, true - predicted ({config.TARGET_UNIT})")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(
        f"Each {config.ROW} predicted by a model that had not seen it: {in_words(judged.folds.mean())}\n{judged.plan}",
        x=0.01,
        ha="left",
    )
    return figure


def coefficients(weights: pd.DataFrame) -> Figure:
    """Draws the `coefficient` of each feature, the largest on top (at most 30 of them)."""
    shown = weights.head(30)[::-1]
    figure = Figure(figsize=(8, 1.6 + 0.25 * len(shown)), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.barh(shown.index.astype(str), shown["coefficient"], color=TRUE)
    axes.axvline(0, color=QUIET, linewidth=1)
    axes.set_xlabel(f"change of {config.TARGET_LABEL} ({config.TARGET_UNIT}) per standard deviation of the feature")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("Coefficients", loc="left")
    return figure


def in_words(found: Mapping[str, float] | pd.Series) -> str:
    """The errors `mae` and `rmse` as a phrase."""
    unit = config.TARGET_UNIT
    return f"off by {found['mae']:.2f} {unit} on average (RMSE {found['rmse']:.2f} {unit})"


def _cloud(axes: Axes, x: pd.Series, y: pd.Series) -> None:
    if len(x) > DOTS:
        axes.hexbin(x, y, gridsize=50, cmap="Blues", mincnt=1, linewidths=0, zorder=2)
    else:
        axes.scatter(x, y, s=18, color=PREDICTED, alpha=0.8, linewidths=0, zorder=2)
