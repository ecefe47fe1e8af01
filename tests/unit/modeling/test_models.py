from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_regression
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import SVR

from include import config
from include.errors import ConfigurationError
from include.modeling.models import TRIAL_ROWS, coefficients, make_model, try_out


def data(rows: int, features: int) -> pd.DataFrame:
    """Features and a `target` greater than 0, as some regressors need it. The index is no RangeIndex."""
    x, y = make_regression(rows, features, noise=1, random_state=0)
    frame = pd.DataFrame(x, columns=[f"x{n}" for n in range(features)])
    return frame.assign(target=y - y.min() + 1).set_index(pd.Index(range(7, rows + 7), name="id"))


def test_the_default_model():
    model = make_model(config.MODEL_CLASS, config.HYPER_PARAMETERS)

    assert isinstance(model, RidgeCV)
    np.testing.assert_allclose(model.alphas, np.logspace(-3, 1, num=30))


def test_the_model_is_not_fitted():
    assert not hasattr(make_model("sklearn.linear_model.Ridge", {"alpha": 2}), "coef_")


@pytest.mark.parametrize(
    ("model_class", "hyper_parameters"),
    [
        ("sklearn.ensemble.RandomForestRegressor", {"n_estimators": 5, "max_depth": 3}),
        ("sklearn.linear_model.LinearRegression", {}),
        ("sklearn.neighbors.KNeighborsRegressor", {"n_neighbors": 7}),
        ("sklearn.ensemble.HistGradientBoostingRegressor", {"max_iter": 5}),
        ("sklearn.linear_model.PoissonRegressor", {}),  # wants targets of 0 or more
        ("sklearn.linear_model.GammaRegressor", {}),  # wants targets above 0
        ("sklearn.compose.TransformedTargetRegressor", {}),
        # these depend on the number of features and of rows
        ("sklearn.cross_decomposition.PLSRegression", {"n_components": 25}),
        ("sklearn.linear_model.OrthogonalMatchingPursuit", {"n_nonzero_coefs": 25}),
        ("sklearn.ensemble.HistGradientBoostingRegressor", {"monotonic_cst": [0] * 30, "max_iter": 5}),
        ("sklearn.linear_model.RANSACRegressor", {"min_samples": 150}),
    ],
)
def test_other_regressors(model_class, hyper_parameters):
    model = make_model(model_class, hyper_parameters)

    assert type(model).__name__ == model_class.rpartition(".")[2]
    assert hyper_parameters.items() <= model.get_params().items()
    try_out(model_class, hyper_parameters, data(rows=200, features=30), "target")


@pytest.mark.parametrize(
    "model_class",
    ["sklearn.linear_model.RidgCV", "sklearn.linear.RidgeCV", "no_such_package.Model", "RidgeCV", "", ".", "..a.b"],
)
def test_no_such_class(model_class):
    with pytest.raises(ConfigurationError) as error:
        make_model(model_class, {})

    assert str(error.value) == f"There is no class {model_class!r}. Correct MODEL_CLASS in include/config.py."


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
def test_no_regressor(model_class):
    with pytest.raises(ConfigurationError) as error:
        make_model(model_class, {})

    assert str(error.value) == f"{model_class} is no scikit-learn regressor. Correct MODEL_CLASS in include/config.py."


def test_what_is_no_regressor_is_not_called(tmp_path):
    with pytest.raises(ConfigurationError):
        make_model("os.mkdir", {"path": str(tmp_path / "made")})

    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("model_class", "hyper_parameters", "words"),
    [
        ("sklearn.linear_model.RidgeCV", {"alphabet": [1]}, "'alphabet'"),
        ("sklearn.linear_model.RidgeCV", {"alphas": [-1]}, "alphas == -1, must be > 0"),
        ("sklearn.linear_model.RidgeCV", {"alphas": "all"}, "Got 'all' instead"),
        ("sklearn.linear_model.Ridge", {"alpha": None}, "Got None instead"),
        ("sklearn.ensemble.RandomForestRegressor", {"n_estimators": 0}, "Got 0 instead"),
        ("sklearn.ensemble.VotingRegressor", {}, "'estimators'"),
        ("sklearn.linear_model.MultiTaskLasso", {}, "mono-task"),
        ("sklearn.cross_decomposition.PLSRegression", {"n_components": 25}, "upper bound is 5"),
        ("sklearn.linear_model.OrthogonalMatchingPursuit", {"n_nonzero_coefs": 25}, "number of atoms"),
        ("sklearn.ensemble.HistGradientBoostingRegressor", {"monotonic_cst": [0] * 13}, "13"),
        ("sklearn.linear_model.RANSACRegressor", {"min_samples": 150}, "min_samples"),
    ],
)
def test_hyperparameters_that_it_does_not_accept(model_class, hyper_parameters, words):
    with pytest.raises(ConfigurationError) as error:
        try_out(model_class, hyper_parameters, data(rows=100, features=5), "target")

    message = str(error.value)
    assert message.startswith(f"{model_class} doesn't accept the hyperparameters {hyper_parameters}: ")
    assert message.endswith(". Correct HYPER_PARAMETERS in include/config.py, or the run's hyper_parameters.")
    assert words in message


def test_hyperparameters_that_it_cannot_be_made_with():
    refused = r"doesn't accept the hyperparameters {'alphabet': 1}: .*'alphabet'. It takes alpha, fit_intercept, "
    with pytest.raises(ConfigurationError, match=refused):
        make_model("sklearn.linear_model.Ridge", {"alphabet": 1})


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
def test_how_many_rows_are_tried(rows, at_least, fits):
    Counting.fitted_to.clear()

    try_out(f"{__name__}.Counting", {"at_least": at_least}, data(rows, features=3), "target")

    assert Counting.fitted_to == fits


@pytest.fixture
def rows() -> pd.DataFrame:
    return pd.DataFrame({"a": [0.0, 1.0, 0.0, 1.0], "b": [0.0, 0.0, 1.0, 1.0]})


def test_coefficients_by_hand(rows):
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
def test_no_coefficients(model, rows):
    assert coefficients(model.fit(rows, rows["a"]), rows.columns) is None
