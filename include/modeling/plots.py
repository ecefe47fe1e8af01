"""The figures. People read them: units on the axes, errors in words, never more marks than one can tell apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from include.modeling.amounts import amount
from include.modeling.evaluation import Evaluation, errors
from include.schema import Schema

MARKS = 150  # rows along an axis
DOTS = 3_000  # dots in a scatter plot; more are binned
TRUE, PREDICTED, QUIET = "#1b4965", "#e07a1f", "#b8b8b8"
LINE: dict[str, Any] = {"color": QUIET, "linewidth": 1, "zorder": 3}
CELLS = ListedColormap(matplotlib.colormaps["Blues"](np.linspace(0.3, 1, 256)))  # a single row is to be seen, too
TRAINING: dict[str, Any] = {"color": QUIET, "label": "training data"}
NEW: dict[str, Any] = {"color": PREDICTED, "label": "predicted rows", "histtype": "step", "linewidth": 1.5}


def predictions(predicted: pd.DataFrame, model: str, schema: Schema, picture: Path | None = None) -> Figure:
    """Draw the columns `true` and `predicted` (in the target's unit) over the rows, in their order.

    Of many rows some are drawn, evenly spaced; the errors in the title are those of all rows.

    Args:
        predicted: The in-sample predictions, indexed by row number.
        model: The model's name, for the title.
        schema: The words for the target, its unit and a row.
        picture: An image for the corner, if there is to be one.
    """
    drawn = min(len(predicted), MARKS)
    selected = np.linspace(0, len(predicted) - 1, drawn).astype(int)
    some = predicted.iloc[selected]
    figure = Figure(figsize=(11, 5.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    places = _row_axis(axes, predicted.index)[selected]
    axes.plot(places, some["true"], color=TRUE, marker="o", markersize=4, linewidth=1, label="true")
    axes.plot(places, some["predicted"], color=PREDICTED, marker="D", markersize=4, linewidth=1, label="predicted")
    axes.margins(x=0.02)
    of_how_many = "" if drawn == len(predicted) else f" ({drawn} of {len(predicted):,} drawn)"
    by = f", by {schema.row_number}" if schema.row_number else ""
    axes.set_xlabel(f"{schema.row}{by}{of_how_many}")
    axes.set_ylabel(f"{schema.target_label} ({schema.target_unit})")
    found = in_words(errors(predicted["true"], predicted["predicted"]), schema.target_unit)
    axes.set_title(
        f"{schema.target_label.capitalize()}, true and predicted by {model}:\n"
        f"{found}, in-sample: it was trained on these {schema.row}s",
        loc="left",
        y=1.0,  # not above the picture, but to the left of it
        pad=26,  # room for the legend, which hides no mark there
    )
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.99), ncols=2, frameon=False)
    axes.grid(axis="y", color=QUIET, linewidth=0.5, alpha=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    if picture:
        corner = axes.inset_axes((0.87, 1.005, 0.13, 0.2), anchor="SE")
        corner.imshow(matplotlib.image.imread(picture))
        corner.axis("off")
    return _without_math(figure)


def out_of_fold(evaluation: Evaluation, schema: Schema) -> Figure:
    """Draw the out-of-fold predictions against the true values, and their residuals.

    The errors in the title are the means over all folds, as in MLflow; the dots are those of the first repeat.
    """
    figure = Figure(figsize=(11, 5.2), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    label, unit = f"{schema.target_label} ({schema.target_unit})", schema.target_unit
    true, predicted = evaluation.predictions["true"], evaluation.predictions["predicted"]
    _scatter(left, true, predicted)
    low, high = min(true.min(), predicted.min()), max(true.max(), predicted.max())
    left.plot([low, high], [low, high], **LINE)
    left.set(xlabel=f"true {label}", ylabel=f"predicted {label}", aspect="equal")
    _scatter(right, predicted, true - predicted)
    right.axhline(0, **LINE)
    right.set(xlabel=f"predicted {label}", ylabel=f"residual, true - predicted ({unit})")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(
        f"Each {schema.row} predicted by a model that had not seen it: {in_words(evaluation.folds.mean(), unit)}\n"
        f"{evaluation.plan}",
        x=0.01,
        ha="left",
    )
    return _without_math(figure)


def coefficients(weights: pd.DataFrame, schema: Schema) -> Figure:
    """Draw the `coefficient` of each feature, the largest on top (at most 30 of them)."""
    label = f"change of {schema.target_label} ({schema.target_unit}) per standard deviation of the feature"
    return _bars(weights["coefficient"], None, "Coefficients", label)


def importances(table: pd.DataFrame, schema: Schema) -> Figure:
    """Draw the `importance` of each column with its `std`, the most important on top (at most 30 of them)."""
    label = f"rise of the RMSE ({schema.target_unit}) when the column is shuffled, on {schema.row}s not seen"
    return _bars(table["importance"], table["std"], "Permutation importances", label)


def _bars(values: pd.Series, spreads: pd.Series | None, title: str, label: str) -> Figure:
    shown = values.head(30)[::-1]
    figure = Figure(figsize=(8, 1.6 + 0.25 * len(shown)), dpi=120, layout="constrained")
    axes = figure.subplots()
    error_bars = None if spreads is None else spreads[shown.index]
    axes.barh(range(len(shown)), shown, xerr=error_bars, color=TRUE, ecolor=QUIET)
    axes.set_yticks(range(len(shown)), [_shortened(str(name)) for name in shown.index])
    axes.axvline(0, color=QUIET, linewidth=1)
    axes.set_xlabel(label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, loc="left")
    return _without_math(figure)


def new_predictions(table: pd.DataFrame, model: str, schema: Schema, training_target: pd.Series) -> Figure:
    """Draw predictions for new rows: against the true values, or next to the distribution of the training target.

    Args:
        table: The column `predicted` and, where it is known, `true`, in the target's unit.
        model: The model's name, for the title.
        schema: The words for the target, its unit and a row.
        training_target: Values of the target that the model was trained on.
    """
    figure = Figure(figsize=(8, 5.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    label = f"{schema.target_label} ({schema.target_unit})"
    known = table.dropna()
    if "true" in known and len(known):
        _scatter(axes, known["true"], known["predicted"])
        ends = [known.to_numpy().min(), known.to_numpy().max()]
        axes.plot(ends, ends, **LINE)
        axes.set(xlabel=f"true {label}", ylabel=f"predicted {label}")
        found = in_words(errors(known["true"], known["predicted"]), schema.target_unit)
    else:
        predicted = table["predicted"].dropna()
        _distributions(axes, training_target, predicted)
        axes.set(xlabel=label, ylabel=f"share of the {schema.row}s")
        axes.legend(frameon=False)
        found = f"{len(predicted):,} {schema.row}s, true values unknown"
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"{schema.target_label.capitalize()}, predicted by {model}:\n{found}", loc="left")
    return _without_math(figure)


def drift(table: pd.DataFrame, reference: pd.DataFrame, current: pd.DataFrame) -> Figure:
    """Draw the distributions of the features that have drifted, the furthest first (at most 9 of them).

    Args:
        table: What `drift.compare` returns. At least one feature has drifted.
        reference: The features of the training data.
        current: The features of the rows that were predicted.
    """
    drifted = table[table["drifted"]].sort_values("statistic", ascending=False)
    shown = drifted.head(9)
    rows, columns = math.ceil(len(shown) / 3), min(len(shown), 3)
    figure = Figure(figsize=(max(3.6 * columns, 8), 1.2 + 2.6 * rows), dpi=120, layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, (feature, distance) in zip(panels, shown["statistic"].items(), strict=False):
        _distributions(axes, reference[feature], current[feature])
        axes.set_title(f"{_shortened(str(feature))}\nKS distance {distance:.2f}", loc="left", fontsize="medium")
    for axes in panels[len(shown) :]:
        axes.remove()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False, fontsize="small")
    figure.supxlabel("the feature after scaling: standard deviations from its mean in the training data")
    figure.supylabel("share of the rows")
    furthest = "; the furthest 9:" if len(drifted) > len(shown) else ""
    title = f"{len(drifted)} of {len(table)} features drifted{furthest}"
    figure.suptitle(title, x=0.01, ha="left")
    return _without_math(figure)


def in_words(found: Mapping[str, float] | pd.Series, unit: str) -> str:
    """Return the errors `mae` and `rmse` as a phrase."""
    return f"off by {amount(found['mae'], unit)} on average (RMSE {amount(found['rmse'], unit)})"


def _distributions(axes: Axes, reference: pd.Series, current: pd.Series) -> None:
    """Draw two distributions as shares of all rows. Rows with a gap have no place on the axis: the label says so."""
    bins = np.histogram_bin_edges(pd.concat([reference, current]).dropna(), bins=20)
    for values, options in ((reference, TRAINING), (current, NEW)):
        known = values.dropna()
        axes.hist(known, list(bins), weights=np.full(len(known), 1 / len(values)), **options)
    gaps = [f"{values.isna().mean():.0%}" for values in (reference, current)]
    if gaps != ["0%", "0%"]:
        axes.set_xlabel(f"gaps: {gaps[0]} of the training data, now {gaps[1]}", fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)


def _shortened(text: str, width: int = 30) -> str:
    """Cut a long text in the middle: the end of a feature's name is its label."""
    half = width // 2
    return text if len(text) <= width else f"{text[: half - 1]}…{text[-half:]}"


def _row_axis(axes: Axes, rows: pd.Index) -> NDArray[Any]:
    """Label the x-axis with row numbers, and return the place of each row on it.

    Numbers that are nearly consecutive are places of their own, with ticks at round numbers. Any other rows, such as
    those with names or with scattered numbers, stand in their order, and some of them are labelled, fewer if the names
    are long.
    """
    consecutive = pd.api.types.is_integer_dtype(rows) and rows.is_monotonic_increasing
    if consecutive and rows[-1] - rows[0] < 2 * len(rows) and rows[-1] < 2**53:  # places are floats
        places, names = rows.to_numpy(), None
    else:
        places, names = np.arange(len(rows)), rows
    for most in (10, 4):
        candidates = MaxNLocator(most, steps=[1, 2, 5, 10], integer=True).tick_values(places[0], places[-1])
        ticks = [int(tick) for tick in candidates if places[0] <= tick <= places[-1]]
        labels = [_shortened(str(tick if names is None else names[tick]), 20) for tick in ticks]
        if all(len(label) <= 10 for label in labels):
            break
    axes.set_xticks(ticks, labels)
    return places


def _scatter(axes: Axes, x: pd.Series, y: pd.Series) -> None:
    if len(x) > DOTS:
        cells = axes.hexbin(x, y, gridsize=50, bins="log", cmap=CELLS, mincnt=1, linewidths=0, zorder=2)
        axes.figure.colorbar(cells, ax=axes, label="rows per cell", shrink=0.5, aspect=40, format="{x:,.0f}")
    else:
        axes.scatter(x, y, s=18, color=PREDICTED, alpha=0.8, linewidths=0, zorder=2)


def _without_math(figure: Figure) -> Figure:
    """Draw dollar signs as they are: one in a label is not a formula."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    return figure
