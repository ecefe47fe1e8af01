"""The evaluation on data whose answer is known, and against scikit-learn alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from possums import FILE, SCHEMA
from sklearn.cross_decomposition import PLSRegression
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.model_selection import RepeatedKFold
from sklearn.model_selection import cross_validate as sklearn_cross_validate
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import SVR, LinearSVR

from include.errors import ConfigurationError
from include.modeling import evaluation
from include.modeling.evaluation import Plan, baseline, cross_validate, errors, evaluate, rows_to_evaluate
from include.modeling.features import complete_rows, make_transformer, usable_rows
from include.modeling.models import on_raw_rows
from include.modeling.rows import read_rows

RIDGE = RidgeCV(alphas=np.logspace(-3, 1, num=30))
SCORING = {"rmse": "neg_root_mean_squared_error", "mae": "neg_mean_absolute_error", "r2": "r2"}


def plan(rows: int, repeats: int = 1) -> Plan:
    return Plan.of(rows, folds=5, repeats=repeats, seed=1995)


@pytest.fixture(scope="module")
def possums() -> pd.DataFrame:
    return complete_rows(read_rows(FILE, SCHEMA))


@pytest.fixture
def random() -> np.random.Generator:
    """The same for each test, whichever ran before."""
    return np.random.default_rng(8)


def frame(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(values, index=pd.RangeIndex(1000, 1000 + len(values), name="id")).add_prefix("x")


def rmse(evaluated: evaluation.Evaluation) -> float:
    return evaluated.metrics("cv")["cv_rmse"]


def test_errors_by_hand():
    # off by 1, 0 and -2; the truth is off its mean, 3, by 2, 1 and 3
    assert errors([1, 2, 6], [2, 2, 4]) == pytest.approx({"rmse": (5 / 3) ** 0.5, "mae": 1, "r2": 1 - 5 / 14})


def test_metrics_are_means_and_standard_deviations_over_the_folds():
    folds = pd.DataFrame({"rmse": [1.0, 2.0, 6.0], "mae": [1.0, 1.0, 1.0], "r2": [0.0, 0.5, 1.0]})

    metrics = evaluation.Evaluation(Plan(30, 3, 1, 0), folds, pd.DataFrame()).metrics("cv")

    spread = {"cv_rmse_std": 7**0.5, "cv_mae_std": 0, "cv_r2_std": 0.5}
    assert metrics == pytest.approx({"cv_rmse": 3, "cv_mae": 1, "cv_r2": 0.5} | spread)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (104, Plan(104, 5, 10, 1995)),
        (10_000, Plan(10_000, 5, 10, 1995)),
        (40_000, Plan(40_000, 5, 2, 1995)),
        (100_000, Plan(100_000, 5, 1, 1995)),
        (1_000_000, Plan(100_000, 5, 1, 1995)),
    ],
)
def test_the_cross_validation_stays_affordable(rows, expected):
    assert plan(rows, repeats=10) == expected
    assert expected.rows * expected.repeats <= 100_000


def test_a_plan_in_words():
    assert str(Plan(104, 5, 10, 1995)) == "5-fold cross-validation, repeated 10 times, on 104 rows"
    assert str(Plan(100_000, 5, 1, 1995)) == "5-fold cross-validation on 100,000 rows"


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("model", [RIDGE, SVR(), None], ids=["RidgeCV", "SVR", "the mean"])
def test_the_scores_on_raw_rows_are_those_of_scikit_learn_alone(model, possums):
    """So nothing is learned from the rows that a fold holds out."""
    # given two sites that occur once: some folds train without them
    rows, target = possums.copy(), possums["taill"]
    rows.iloc[[3, 50], rows.columns.get_loc("site")] = ["98", "99"]
    raw, planned = rows[SCHEMA.inputs], plan(len(rows), repeats=10)

    evaluated = evaluate(model, rows, SCHEMA, planned) if model else baseline(raw, target, planned)

    alone = sklearn_cross_validate(
        on_raw_rows(make_transformer(SCHEMA, raw), model) if model else DummyRegressor(),
        raw,
        target,
        cv=RepeatedKFold(n_splits=5, n_repeats=10, random_state=1995),
        scoring=SCORING,
        return_estimator=True,
        return_indices=True,
    )
    scores = {"rmse": -alone["test_rmse"], "mae": -alone["test_mae"], "r2": alone["test_r2"]}
    pd.testing.assert_frame_equal(evaluated.folds, pd.DataFrame(scores), atol=1e-9)
    first_repeat = zip(alone["estimator"][:5], alone["indices"]["test"][:5], strict=True)
    out_of_fold = pd.concat(
        pd.Series(fitted.predict(raw.iloc[test]), raw.index[test]) for fitted, test in first_repeat
    ).sort_index()
    pd.testing.assert_series_equal(evaluated.predictions["predicted"], out_of_fold, check_names=False, atol=1e-9)
    pd.testing.assert_series_equal(evaluated.predictions["true"], target, check_names=False)


@pytest.mark.filterwarnings("error")
def test_labels_that_a_fold_has_not_seen_print_no_warnings(possums):
    raw = possums[SCHEMA.inputs].copy()
    raw.iloc[3, raw.columns.get_loc("site")] = "99"

    evaluate(RIDGE, raw.assign(taill=possums["taill"]), SCHEMA, plan(len(raw)))


def test_importances_are_by_how_much_shuffling_a_column_raises_the_error(random):
    # given y = 3a + b + noise: to shuffle a column of standard deviation 1 adds twice its squared weight to the MSE
    features = frame(random.normal(size=(5_000, 3)))
    target = 3 * features["x0"] + features["x1"] + random.normal(size=len(features))

    found = cross_validate(LinearRegression(), features, target, plan(len(features)), with_importances=True).importances

    assert list(found.index[:2]) == ["x0", "x1"]
    assert found.index.name == "column"
    assert found.loc["x0", "importance"] == pytest.approx((1 + 2 * 9) ** 0.5 - 1, abs=0.2)
    assert found.loc["x1", "importance"] == pytest.approx((1 + 2 * 1) ** 0.5 - 1, abs=0.1)
    assert found.loc["x2", "importance"] == pytest.approx(0, abs=0.02)
    assert (found["std"] < 0.4).all()


def test_importances_of_few_rows_are_those_of_many_permutations(possums):
    inputs, target = possums[SCHEMA.inputs], possums["taill"]
    fitted = on_raw_rows(make_transformer(SCHEMA, possums), RIDGE).fit(inputs.iloc[20:], target.iloc[20:])

    found = evaluation.permutation_importances(fitted, inputs.iloc[:20], target.iloc[:20], seed=1)

    alone = permutation_importance(
        fitted, inputs.iloc[:20], target.iloc[:20], scoring=SCORING["rmse"], n_repeats=50, random_state=1
    )
    assert found.to_numpy() == pytest.approx(alone.importances_mean, abs=0.1)


def test_importances_are_the_same_every_time_and_only_on_request(possums):
    first, second = (evaluate(RIDGE, possums, SCHEMA, plan(101), with_importances=True) for _ in range(2))

    pd.testing.assert_frame_equal(first.importances, second.importances)
    assert sorted(first.importances.index) == sorted(SCHEMA.inputs)
    assert first.importances.index[0] == "totlngth"
    assert evaluate(RIDGE, possums, SCHEMA, plan(101)).importances is None


def test_a_model_that_takes_gaps_is_evaluated_on_rows_with_gaps():
    schema = replace(SCHEMA, keep_gaps=True)
    rows = usable_rows(read_rows(FILE, schema), schema)
    model = HistGradientBoostingRegressor(max_iter=20)

    evaluated = evaluate(model, rows, schema, plan(len(rows)), with_importances=True)

    assert len(evaluated.predictions) == 104
    assert 1 < rmse(evaluated) < 2
    assert evaluated.importances.notna().all(axis=None)


def test_the_model_itself_stays_unfitted(possums):
    cross_validate(RIDGE, possums[["hdlngth"]], possums["taill"], plan(len(possums)))

    assert not hasattr(RIDGE, "coef_")


def test_of_many_rows_a_sample_is_evaluated(possums, monkeypatch):
    monkeypatch.setattr(evaluation, "ROWS_FITTED", 50)

    rows, planned = rows_to_evaluate(possums, SCHEMA, 5, 10, 1995)

    assert planned.rows == rows.index.nunique() == 50
    assert set(rows.index) != set(possums.index[:50])
    pd.testing.assert_frame_equal(rows, possums.loc[rows.index])


def test_of_few_rows_all_that_a_model_can_take_are_evaluated(possums):
    with_gap = possums.astype({"age": float}).copy()
    with_gap.iloc[3, with_gap.columns.get_loc("age")] = np.nan

    rows, planned = rows_to_evaluate(with_gap, SCHEMA, 5, 10, 1995)

    pd.testing.assert_frame_equal(rows, with_gap.dropna())
    assert planned == Plan(rows=len(possums) - 1, folds=5, repeats=10, seed=1995)


@pytest.mark.parametrize(
    "model",
    [
        RandomForestRegressor(n_estimators=5),
        LinearRegression(),
        KNeighborsRegressor(),
        HistGradientBoostingRegressor(max_iter=5),
        PLSRegression(n_components=1),
        DummyRegressor(),
        LinearSVR(max_iter=10_000),
        GaussianProcessRegressor(alpha=1, normalize_y=True, optimizer=None),
    ],
    ids=lambda model: type(model).__name__,
)
def test_any_regressor_can_be_evaluated(model, possums):
    evaluated = cross_validate(model, possums[["hdlngth", "totlngth"]], possums["taill"], plan(len(possums)))

    assert 1 < rmse(evaluated) < 3
    assert evaluated.predictions.index.equals(possums.index)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (KNeighborsRegressor(n_neighbors=90), "can't be trained on these rows: .*n_neighbors <= n_samples_fit"),
        (RidgeCV(alphas=[]), "doesn't predict one finite number for each row"),
    ],
    ids=["too few rows for it", "it predicts no numbers"],
)
def test_a_model_that_these_rows_cannot_train(model, words, possums):
    with pytest.raises(ConfigurationError, match=f"{words}.*Correct HYPER_PARAMETERS"):
        cross_validate(model, possums[["hdlngth"]], possums["taill"], plan(len(possums)))
