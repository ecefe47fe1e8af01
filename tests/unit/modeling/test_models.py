from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_regression
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import SVR
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_info, threadpool_limits

from include.errors import ConfigurationError
from include.modeling.features import make_transformer
from include.modeling.models import (
    FEW_ROWS,
    TRIAL_ROWS,
    coefficients,
    fit_and_predict,
    make_model,
    on_raw_rows,
    threads_for,
    try_out,
)
from include.schema import Categorical, Numeric, Schema


def data(rows: int, features: int) -> tuple[pd.DataFrame, pd.Series]:
    """Features and a target greater than 0, as some regressors need it. The index is not a RangeIndex."""
    x, y = make_regression(rows, features, noise=1, random_state=0)
    index = pd.Index(range(7, rows + 7), name="id")
    return pd.DataFrame(x, index).add_prefix("x"), pd.Series(y - y.min() + 1, index, name="target")


@pytest.mark.parametrize(
    ("model_class", "hyper_parameters"),
    [
        ("sklearn.ensemble.RandomForestRegressor", {"n_estimators": 5, "max_depth": 3}),
        ("sklearn.linear_model.PoissonRegressor", {}),  # wants targets of 0 or more
        ("sklearn.linear_model.GammaRegressor", {}),  # wants targets above 0
        ("sklearn.compose.TransformedTargetRegressor", {}),
        # these depend on the number of features and of rows
        ("sklearn.cross_decomposition.PLSRegression", {"n_components": 25}),
        ("sklearn.linear_model.RANSACRegressor", {"min_samples": 150}),
    ],
)
def test_any_regressor_can_be_created_and_tried_out(model_class, hyper_parameters):
    model = make_model(model_class, hyper_parameters)

    assert type(model).__name__ == model_class.rpartition(".")[2]
    assert hyper_parameters.items() <= model.get_params().items()
    with pytest.raises(NotFittedError):
        check_is_fitted(model)
    try_out(model_class, hyper_parameters, *data(rows=200, features=30), seed=1)


@pytest.mark.parametrize(
    "model_class",
    ["sklearn.linear_model.RidgCV", "sklearn.linear.RidgeCV", "no_such_package.Model", "RidgeCV", "", ".", "..a.b"],
)
def test_a_class_that_does_not_exist_is_named(model_class):
    with pytest.raises(ConfigurationError) as error:
        make_model(model_class, {})

    assert str(error.value).startswith(f"{model_class} can't be imported: ")
    assert str(error.value).endswith("Correct MODEL_CLASS in include/config.py, or its module.")


@pytest.mark.parametrize(
    ("code", "words"),
    [("import lightgbm_", "No module named 'lightgbm_'"), ("class Votes(:", r"invalid syntax \(mine.py, line 1\)")],
    ids=["a missing package", "a syntax error"],
)
def test_an_error_in_the_module_of_a_class_is_named(code, words, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ConfigurationError, match=f"mine.Votes can't be imported: .*{words}"):
        make_model("mine.Votes", {})


@pytest.mark.parametrize(
    "model_class",
    [
        "sklearn.linear_model.LogisticRegression",
        "sklearn.preprocessing.StandardScaler",
        "sklearn.linear_model",
        "sklearn.metrics.r2_score",
        "collections.OrderedDict",
    ],
)
def test_a_class_that_is_not_a_regressor_is_named(model_class):
    with pytest.raises(ConfigurationError, match=f"^{model_class} is not a scikit-learn regressor. Correct MODEL_"):
        make_model(model_class, {})


def test_a_function_that_is_not_a_regressor_is_never_called(tmp_path):
    with pytest.raises(ConfigurationError):
        make_model("os.mkdir", {"path": str(tmp_path / "made")})

    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("model_class", "hyper_parameters", "words"),
    [
        ("sklearn.linear_model.RidgeCV", {"alphas": [-1]}, "alphas == -1, must be > 0"),
        ("sklearn.ensemble.RandomForestRegressor", {"n_estimators": 0}, "Got 0 instead"),
        ("sklearn.linear_model.MultiTaskLasso", {}, "mono-task"),
        ("sklearn.cross_decomposition.PLSRegression", {"n_components": 25}, "upper bound is 5"),
        ("sklearn.linear_model.RANSACRegressor", {"min_samples": 150}, "min_samples"),
    ],
)
def test_hyperparameters_that_a_fit_rejects_are_named_with_the_reason(model_class, hyper_parameters, words):
    with pytest.raises(ConfigurationError) as error:
        try_out(model_class, hyper_parameters, *data(rows=100, features=5), seed=1)

    message = str(error.value)
    name = model_class.rpartition(".")[2]
    assert message.startswith(f"{name} can't be trained on these rows: ")
    assert message.endswith(
        ". Correct HYPER_PARAMETERS in include/config.py, the run's hyper_parameters, or the class."
    )
    assert words in message


@pytest.mark.parametrize(
    ("model_class", "hyper_parameters", "words", "accepted"),
    [
        ("sklearn.linear_model.Ridge", {"alphabet": 1}, "'alphabet'", "alpha, fit_intercept, "),
        ("sklearn.ensemble.VotingRegressor", {}, "'estimators'", "estimators, weights, "),
    ],
    ids=["unknown", "missing"],
)
def test_hyperparameters_that_a_class_does_not_take_are_answered_with_those_that_it_takes(
    model_class, hyper_parameters, words, accepted
):
    with pytest.raises(ConfigurationError) as error:
        make_model(model_class, hyper_parameters)

    message = str(error.value)
    assert message.startswith(f"{model_class} doesn't accept the hyperparameters {hyper_parameters}: ")
    assert f"{words}. It accepts {accepted}" in message
    assert message.endswith(". Correct HYPER_PARAMETERS in include/config.py, or the run's hyper_parameters.")


class Mistaken(LinearRegression):
    """Has a mistake in its code."""

    def fit(self, X, y):
        return X.shapes


class Forgetful(LinearRegression):
    """Doesn't keep its parameter, as scikit-learn needs it to."""

    def __init__(self, depth: int = 1) -> None:
        super().__init__()


class Broken(LinearRegression):
    """Meets a full disk."""

    def fit(self, X, y):
        raise OSError("No space left on device")


class Odd(LinearRegression):
    """Predicts what is asked for."""

    def __init__(self, predicts: object = None) -> None:
        super().__init__()
        self.predicts = predicts

    def predict(self, X):
        return self.predicts


def test_a_mistake_in_a_class_of_ones_own_is_shown_with_its_place():
    place = rf"AttributeError: .*'shapes' \({re.escape(__file__)}, line \d+\)"
    with pytest.raises(ConfigurationError, match=rf"Mistaken can't be trained on these rows: {place}"):
        try_out(f"{__name__}.Mistaken", {}, *data(rows=20, features=3), seed=1)


def test_a_mistake_in_a_class_that_was_unpickled_by_value_is_shown_too():
    def fit(self, X, y):
        raise ValueError("no such rows")

    gone = type("Gone", (LinearRegression,), {"fit": fit, "__module__": "gone"})
    features, target = data(rows=20, features=3)

    with pytest.raises(ConfigurationError, match=r"Gone can't be trained on these rows: ValueError: no such rows \(/"):
        fit_and_predict(gone(), features, target, features)


def test_a_class_that_does_not_keep_its_parameters_is_named():
    with pytest.raises(ConfigurationError, match=r"Forgetful can't be trained on these rows: .* no attribute 'depth'"):
        try_out(f"{__name__}.Forgetful", {"depth": 2}, *data(rows=20, features=3), seed=1)


def test_an_error_of_the_machine_stays_one_that_is_retried():
    with pytest.raises(OSError, match="No space left"):
        try_out(f"{__name__}.Broken", {}, *data(rows=20, features=3), seed=1)


@pytest.mark.parametrize(
    "predicts",
    [[float("nan")] * 20, [float("inf")] * 20, ["1"] * 20, [1.0] * 19, [[1.0, 2.0]] * 20, [1j] * 20, None],
    ids=["gaps", "infinite", "text", "too few", "two for each row", "complex", "nothing"],
)
def test_predictions_that_are_not_a_number_for_each_row_are_no_fault_of_the_rows(predicts):
    with pytest.raises(ConfigurationError, match=r"^Odd doesn't predict one finite number for each row"):
        try_out(f"{__name__}.Odd", {"predicts": predicts}, *data(rows=20, features=3), seed=1)


class Counting(LinearRegression):
    """Keeps how many rows each fit had."""

    fitted_to: list[int] = []

    def __init__(self, at_least: int = 0) -> None:
        super().__init__()
        self.at_least = at_least

    def fit(self, X, y):
        self.fitted_to.append(len(X))
        if len(X) < self.at_least:
            raise ValueError("too few rows")
        return super().fit(X, y)


@pytest.mark.parametrize(
    ("rows", "at_least", "fits"),
    [(104, 0, [104]), (2 * TRIAL_ROWS, 0, [TRIAL_ROWS]), (2 * TRIAL_ROWS, 1500, [TRIAL_ROWS, 2 * TRIAL_ROWS])],
    ids=["few rows", "a sample of many", "more than a sample has"],
)
def test_a_sample_is_tried_first_and_all_rows_where_it_is_too_small(rows, at_least, fits):
    Counting.fitted_to.clear()

    try_out(f"{__name__}.Counting", {"at_least": at_least}, *data(rows, features=3), seed=1)

    assert Counting.fitted_to == fits


@pytest.fixture
def rows() -> pd.DataFrame:
    return pd.DataFrame({"a": [0.0, 1.0, 0.0, 1.0], "b": [0.0, 0.0, 1.0, 1.0]})


def test_coefficients_are_those_of_the_straight_line_largest_first(rows):
    model = LinearRegression().fit(rows, 7 + 3 * rows["a"] - 5 * rows["b"])

    table = coefficients(model, rows.columns)

    assert table.index.name == "feature"
    assert list(table.index) == ["b", "a"]
    assert table["coefficient"].to_dict() == pytest.approx({"a": 3, "b": -5})


def test_coefficients_of_a_two_dimensional_fit(rows):
    model = Ridge(alpha=0).fit(rows, 3 * rows[["a"]])

    assert coefficients(model, rows.columns)["coefficient"].to_dict() == pytest.approx({"a": 3, "b": 0})


@pytest.mark.parametrize(
    "model",
    [RandomForestRegressor(5), KNeighborsRegressor(1), HistGradientBoostingRegressor(max_iter=1), SVR()],
    ids=lambda model: type(model).__name__,
)
def test_a_model_without_coefficients_gives_none(model, rows):
    assert coefficients(model.fit(rows, rows["a"]), rows.columns) is None


@pytest.fixture
def threads() -> Iterator[Callable[[], list[int]]]:
    """How many threads each of BLAS and OpenMP may start; several, also on a machine with one core."""
    with threadpool_limits(3):
        yield lambda: [pool["num_threads"] for pool in threadpool_info()]


def test_few_rows_are_fitted_by_one_thread_and_many_by_all(threads):
    before = threads()

    with threads_for(FEW_ROWS - 1):
        assert set(threads()) == {1}
    with threads_for(FEW_ROWS):
        assert threads() == before
    assert threads() == before
    assert max(before) > 1


def test_an_error_in_the_fit_gives_the_threads_back(threads):
    before = threads()

    with pytest.raises(ZeroDivisionError), threads_for(10):
        _ = 1 / 0

    assert threads() == before


def test_raw_rows_are_predicted_as_by_transformer_and_model_one_after_the_other():
    schema = Schema({"colour": Categorical(), "width": Numeric(), "y": Numeric()}, "y", "height", "m")
    rows = pd.DataFrame({"colour": ["red", "blue", "red"], "width": [1.0, 2.0, 6.0]})
    target = pd.Series([10.0, 20.0, 60.0])
    transformer, model = make_transformer(schema, rows), Ridge()
    features = transformer.fit_transform(rows)
    model.fit(features, target)

    chained = on_raw_rows(transformer, model)

    with pytest.raises(NotFittedError):
        chained.predict(rows)
    np.testing.assert_allclose(chained.fit(rows, target).predict(rows), model.predict(features))
    assert isinstance(transformer.transform(rows), pd.DataFrame)  # as before


def test_a_model_that_takes_no_gaps_is_named_before_it_is_trained_on_some():
    features, target = pd.DataFrame({"x": [1.0, np.nan, 3.0]}), pd.Series([1.0, 2.0, 3.0])

    with pytest.raises(ConfigurationError, match=r"RidgeCV doesn't take gaps, and ROWS_WITH_GAPS .* 'drop'"):
        try_out("sklearn.linear_model.RidgeCV", {}, features, target, seed=1)
    try_out("sklearn.ensemble.HistGradientBoostingRegressor", {"max_iter": 2}, features, target, seed=1)
