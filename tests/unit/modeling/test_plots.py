from __future__ import annotations

import io
import itertools
import time
from dataclasses import replace

import matplotlib.image
import numpy as np
import pandas as pd
import possums
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from include.modeling import drift, plots
from include.modeling.evaluation import Evaluation, Plan
from include.schema import Numeric, Schema

SIZES = [3, 104, 200_000]
SCHEMA = possums.SCHEMA


def table(rows: int) -> pd.DataFrame:
    """Tails of 30 to 42 cm, each predicted 1 cm too short."""
    true = np.random.default_rng(1).uniform(30, 42, size=rows)
    index = pd.RangeIndex(1, rows + 1, name="case")
    return pd.DataFrame({"true": true, "predicted": true - 1}, index=index)


def evaluation(rows: int) -> Evaluation:
    plan = Plan.of(rows, folds=5, repeats=10, seed=1)
    return Evaluation(plan, pd.DataFrame({"rmse": [1.5, 2.5], "mae": [1.0, 2.0], "r2": [0.5, 0.3]}), table(rows))


def draw(figure: Figure) -> np.ndarray:
    """The figure's pixels, without a warning (of a missing glyph, of a layout that doesn't work out)."""
    file = io.BytesIO()
    figure.savefig(file)
    file.seek(0)
    return matplotlib.image.imread(file)


def lines(figure: Figure) -> dict[str, list[list[float]]]:
    """The points of each line of the plot of the predictions, by its name in the legend."""
    return {line.get_label(): line.get_xydata().tolist() for line in figure.axes[0].lines}


def ticks(figure: Figure) -> dict[float, str]:
    return {label.get_position()[0]: label.get_text() for label in figure.axes[0].get_xticklabels()}


def dots(figure: Figure) -> int:
    """How many dots and hexagons are drawn."""
    return sum(len(collection.get_offsets()) for axes in figure.axes for collection in axes.collections)


@pytest.fixture(params=[True, False], ids=["with the picture", "without the picture"])
def picture(request, tmp_path):
    if not request.param:
        return None
    file = tmp_path / "possum.png"
    matplotlib.image.imsave(file, np.random.default_rng(2).uniform(size=(60, 80, 3)))
    return file


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rows", SIZES)
def test_predictions_of_few_and_many(rows, picture):
    began = time.process_time()
    figure = plots.predictions(table(rows), "possums, version 3", SCHEMA, picture)
    pixels = draw(figure)

    assert time.process_time() - began < 10
    assert pixels.min() < 0.5  # something is drawn
    assert len(figure.findobj(matplotlib.image.AxesImage)) == (picture is not None)
    assert {name: len(points) for name, points in lines(figure).items()} == dict.fromkeys(
        ["true", "predicted"], min(rows, 150)
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rows", SIZES)
def test_out_of_fold_of_few_and_many(rows):
    began = time.process_time()
    figure = plots.out_of_fold(evaluation(rows), SCHEMA)
    draw(figure)

    assert time.process_time() - began < 10
    assert 2 * min(rows, 50) <= dots(figure) < 6_000
    assert bool(figure.findobj(PolyCollection)) == (rows > 3_000)  # too many to tell apart


def test_the_plot_of_predictions_says_what_it_shows():
    figure = plots.predictions(table(104), "possums, version 3", SCHEMA)
    axes = figure.axes[0]

    assert axes.get_xlabel() == "animal, by case"
    assert axes.get_ylabel() == "tail length (cm)"
    assert axes.get_title(loc="left") == (
        "Tail length, true and predicted by possums, version 3:\n"
        "off by 1.00 cm on average (RMSE 1.00 cm), in-sample: it was trained on these animals"
    )
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["true", "predicted"]


@pytest.mark.parametrize("picture", [True], indirect=True)
def test_legend_and_picture_hide_neither_a_mark_nor_the_title(picture):
    figure = plots.predictions(table(104), "Reg_RidgeCV_possums, version 3", SCHEMA, picture)
    draw(figure)
    axes = figure.axes[0]

    highest = axes.transData.transform([0, table(104)["true"].max()])[1]
    legend, corner = axes.get_legend().get_window_extent(), axes.child_axes[0].get_window_extent()
    title = axes._left_title.get_window_extent()
    assert legend.y0 > highest
    assert corner.y0 > highest
    assert not corner.overlaps(title)
    assert not legend.overlaps(title)


@pytest.mark.parametrize("rows", [5, 104])
def test_the_marks_fill_the_axes(rows):
    figure = plots.predictions(table(rows), "a model", SCHEMA)

    low, high = figure.axes[0].get_ylim()
    drawn = table(rows)
    assert (drawn.max().max() - drawn.min().min()) / (high - low) > 0.9


def test_the_out_of_fold_plot_says_what_it_shows():
    figure = plots.out_of_fold(evaluation(104), SCHEMA)
    left, right = figure.axes

    assert (left.get_xlabel(), left.get_ylabel()) == ("true tail length (cm)", "predicted tail length (cm)")
    assert (right.get_xlabel(), right.get_ylabel()) == ("predicted tail length (cm)", "residual, true - predicted (cm)")
    assert figure.get_suptitle() == (
        "Each animal predicted by a model that had not seen it: off by 1.50 cm on average (RMSE 2.00 cm)\n"
        "5-fold cross-validation, repeated 10 times, on 104 rows"
    )


def test_true_and_predicted_of_an_animal_are_one_above_the_other():
    predicted = pd.DataFrame({"predicted": [31.0, 41.0], "true": [30.0, 40.0]}, index=pd.Index([9, 4], name="case"))

    figure = plots.predictions(predicted, "a model", SCHEMA)

    assert lines(figure) == {"true": [[0, 30], [1, 40]], "predicted": [[0, 31], [1, 41]]}
    assert ticks(figure) == {0: "9", 1: "4"}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(3, [1, 2, 3]), (104, [20, 40, 60, 80, 100]), (100_000, [*range(10_000, 100_001, 10_000)])],
    ids=str,
)
def test_ticks_stand_at_round_row_numbers(rows, expected):
    assert ticks(plots.predictions(table(rows), "a model", SCHEMA)) == {number: str(number) for number in expected}


def test_rows_that_were_left_out_move_no_other():
    rows = table(104).drop(index=[41, 44, 46])

    figure = plots.predictions(rows, "a model", SCHEMA)

    assert [x for x, _ in lines(figure)["true"]] == rows.index.tolist()
    assert ticks(figure)[60] == "60"


@pytest.mark.parametrize(
    "names", [[f"animal {n}" for n in range(60)], [n**3 for n in range(60)]], ids=["text", "scattered numbers"]
)
def test_rows_without_consecutive_numbers_stand_in_their_order(names):
    rows = table(60).set_axis(pd.Index(names, name="name"))

    figure = plots.predictions(rows, "a model", SCHEMA)

    assert [x for x, _ in lines(figure)["true"]] == [*range(60)]
    assert ticks(figure) == {place: str(names[place]) for place in range(0, 60, 10)}


def test_row_numbers_that_floats_would_merge_stand_in_their_order():
    first = 202611290000000001

    figure = plots.predictions(table(60).set_axis(pd.RangeIndex(first, first + 60)), "a model", SCHEMA)

    assert [x for x, _ in lines(figure)["true"]] == [*range(60)]
    assert ticks(figure)[20] == str(first + 20)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rows", [101, 121, 149])
def test_long_row_names_do_not_overlap(rows):
    names = [f"{n:08d}-0000-4000-8000-{n:012d}" for n in range(rows)]

    figure = plots.predictions(table(rows).set_axis(pd.Index(names, name="id")), "a model", SCHEMA)

    draw(figure)
    assert ticks(figure)[100] == "00000100-…0000000100"
    labels = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(labels))


def bars(draw, sizes: list[float], names: list[str]) -> Axes:
    """The axes of a plot with a bar for each of these sizes."""
    (axes,) = draw(pd.DataFrame({"coefficient": sizes, "importance": sizes, "std": 0.1}, index=names), SCHEMA).axes
    return axes


def labels(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


@pytest.mark.parametrize(
    ("draw_bars", "label"),
    [
        (plots.coefficients, "change of tail length (cm) per standard deviation of the feature"),
        (plots.importances, "rise of the RMSE (cm) when the column is shuffled, on animals not seen"),
    ],
)
def test_the_first_bar_is_on_top(draw_bars, label):
    axes = bars(draw_bars, [-3, 2, 1], ["a", "b", "c"])

    assert labels(axes) == ["c", "b", "a"]
    assert [bar.get_width() for bar in axes.patches] == [1, 2, -3]
    assert axes.get_xlabel() == label


@pytest.mark.parametrize("draw_bars", [plots.coefficients, plots.importances])
def test_of_many_bars_the_first_thirty_are_drawn(draw_bars):
    axes = bars(draw_bars, [*range(200, 0, -1)], [f"x{n}" for n in range(200)])

    assert [bar.get_width() for bar in axes.patches] == list(range(171, 201))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("draw_bars", [plots.coefficients, plots.importances])
def test_long_names_of_columns_are_shortened_and_keep_a_bar_each(draw_bars):
    names = [f"How satisfied are you with {what} of the service? Very satisfied" for what in ("speed", "price")]

    axes = bars(draw_bars, [3, 2], names)

    draw(axes.figure)
    assert labels(axes) == ["How satisfied … Very satisfied"] * 2
    assert [bar.get_width() for bar in axes.patches] == [2, 3]


def test_residuals_are_what_was_predicted_too_short():
    figure = plots.out_of_fold(evaluation(3), SCHEMA)

    left, right = (
        next(dots.get_offsets() for dots in axes.collections if isinstance(dots, PathCollection))
        for axes in figure.axes
    )
    np.testing.assert_allclose(left, table(3)[["true", "predicted"]])
    np.testing.assert_allclose(right, np.column_stack([table(3)["predicted"], [1, 1, 1]]))


def test_of_many_animals_some_are_drawn_and_all_are_counted():
    many = table(200_000)
    many.iloc[1, 1] += 100_000  # one that isn't drawn

    figure = plots.predictions(many, "a model", SCHEMA)

    axes = figure.axes[0]
    assert axes.get_xlabel() == "animal, by case (150 of 200,000 drawn)"
    assert "off by 1.50 cm on average" in axes.get_title(loc="left")
    points = lines(figure)["true"]
    assert points[0] == [1, many["true"].iloc[0]]
    assert points[-1] == [200_000, many["true"].iloc[-1]]


def test_rows_without_numbers_have_their_name_alone_on_the_axis():
    schema = replace(SCHEMA, row_number=None)

    assert plots.predictions(table(3), "a model", schema).axes[0].get_xlabel() == "animal"


@pytest.mark.filterwarnings("error")
def test_labels_and_units_are_drawn_as_they_are():
    dollars = Schema({"size": Numeric(), "price": Numeric()}, "price", "price", r"US$ \frac$")
    labels = [r"US$ \frac$", "{{ site }}", "a\nb", "../x", "Höhe_ü"]
    weights = plots.coefficients(pd.DataFrame({"coefficient": range(5)}, index=labels), dollars)
    rows = plots.predictions(table(5).set_axis(pd.Index(labels, name="$x$")), r"a model of \$", dollars)

    for figure, words in ((weights, labels), (rows, labels), (plots.out_of_fold(evaluation(5), dollars), [])):
        draw(figure)
        drawn = {text.get_text() for text in figure.findobj(Text)}
        assert drawn >= set(words)
        assert r"(US$ \frac$)" in " ".join(drawn)


@pytest.mark.filterwarnings("error")
def test_new_predictions_are_drawn_against_the_true_values_if_these_are_known():
    figure = plots.new_predictions(table(5), "a model", SCHEMA, pd.Series([30.0, 40.0]))

    draw(figure)
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("true tail length (cm)", "predicted tail length (cm)")
    assert "RMSE" in axes.get_title(loc="left")


@pytest.mark.filterwarnings("error")
def test_new_predictions_without_true_values_are_drawn_next_to_the_training_target():
    figure = plots.new_predictions(table(5)[["predicted"]], "a model", SCHEMA, pd.Series([30.0, 40.0]))

    draw(figure)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["training data", "predicted rows"]
    assert "5 animals, true values unknown" in axes.get_title(loc="left")


def drifted(features: int) -> Figure:
    """The plot for ten features of 80 rows, the first of which have moved, the last of them furthest."""
    random = np.random.default_rng(5)
    reference, current = (pd.DataFrame(random.normal(size=(80, 10)), columns=list("abcdefghij")) for _ in range(2))
    current.iloc[:, :features] += [2 + place for place in range(features)]
    figure = plots.drift(drift.compare(reference, current, seed=1), reference, current)
    draw(figure)
    return figure


def panels(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left").partition("\n")[0] for axes in figure.axes]


def test_the_drift_plot_draws_the_distributions_of_what_has_drifted():
    figure = drifted(2)

    assert figure.get_suptitle() == "2 of 10 features drifted"
    assert panels(figure) == ["b", "a"]
    bars, outline = figure.axes[0].containers[0], figure.axes[0].patches[-1]
    assert sum(bar.get_height() for bar in bars) == pytest.approx(1)
    middle = sum(bar.get_height() * bar.get_center()[0] for bar in bars)
    assert middle == pytest.approx(0, abs=0.5)
    assert outline.get_xy()[:, 0].max() > 4
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["training data", "predicted rows"]


def test_the_drift_plot_has_nine_panels_at_most():
    figure = drifted(10)

    assert figure.get_suptitle() == "10 of 10 features drifted; the furthest 9:"
    assert len(figure.axes) == 9
    assert "a" not in panels(figure)


def test_the_drift_plot_says_how_many_gaps_there_are():
    reference = pd.DataFrame({"$age$": np.arange(100.0)})
    current = reference.mask(reference > 39)

    figure = plots.drift(drift.compare(reference, current, seed=1), reference, current)

    draw(figure)
    assert panels(figure) == ["$age$"]
    assert figure.axes[0].get_xlabel() == "gaps: 0% of the training data, now 60%"
