"""What someone does who has just started the project, in their browser."""

from __future__ import annotations

import json
import os
import re
from urllib.parse import quote

import pandas as pd
import possums
import pytest

from include import config

expect = pytest.importorskip("playwright.sync_api", reason="needs Playwright: make test-browser").expect

DAGS = ("feature_eng", "train", "predict")
MODEL = "Reg_RidgeCV_possums"
STATES = ("queued", "success", "running", "failed")
ALPHAS = None if "SCREENSHOTS" in os.environ else [0.5, 5.5, 50.5]  # pictures show the default settings
pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]  # a pipeline run builds the prediction environment


@pytest.fixture(scope="module")
def airflow(stack, page):
    """Opens a page of Airflow's UI."""
    return lambda path: page.goto(f"{stack.url('airflow')}/{path}")


@pytest.fixture(scope="module")
def first_sight(airflow, page):
    """What the list of DAGs shows before anyone has triggered one: the title of each switch and circle, by its id."""
    airflow("home")
    expect(page.get_by_role("link", name="possum team")).to_have_count(3)
    expect(page.locator("a.label-info", has_text="possums")).to_have_count(3)
    found = {}
    for dag in DAGS:
        found[dag] = page.locator(f"#toggle-{dag}").is_checked()
        for state in STATES:
            circle = page.locator(f"#dag-run-{dag}-{state}")
            expect(circle).to_have_attribute("title", re.compile(r"\d"))
            found[f"{dag} {state}"] = circle.get_attribute("title")
    return found


@pytest.fixture(scope="module")
def triggered(first_sight, airflow, page, screenshot):
    """Triggers feature_eng by its form, with other hyperparameters, and waits until all three DAGs are green."""
    airflow("dags/feature_eng/trigger")
    if ALPHAS:
        write(page, {"alphas": ALPHAS})
    screenshot("trigger")
    page.get_by_role("button", name="Trigger", exact=True).click()
    expect(page).not_to_have_url(re.compile(r"/trigger"))
    airflow("home")
    for dag in DAGS:
        while page.locator(f"#dag-run-{dag}-success[title='success: 1']").count() == 0:
            expect(page.locator("circle[id^='dag-run-'][id$='-failed']:not([title='failed: 0'])")).to_have_count(0)
            page.reload()
            page.wait_for_timeout(3000)
    screenshot("dags")


@pytest.fixture(scope="module")
def button(stack, page, airflow, triggered):
    """Opens the page of a task, by default in the DAG's first run, and returns its button of this name."""

    def find(dag: str, task: str, name: str, run: int = 0):
        runs = page.request.get(f"{stack.url('airflow')}/api/v1/dags/{dag}/dagRuns").json()["dag_runs"]
        airflow(f"dags/{dag}/grid?dag_run_id={quote(runs[run]['dag_run_id'])}&task_id={task}")
        return page.get_by_role("link", name=name, exact=True)

    return find


@pytest.fixture(scope="module")
def press(page, button):
    """Presses a task's button, and returns the page that opens."""

    def press(dag: str, task: str, name: str, run: int = 0):
        with page.expect_popup() as opened:
            button(dag, task, name, run).click()
        return opened.value

    return press


def write(page, hyper_parameters: dict) -> None:
    """Types into the form's editor for JSON."""
    editor = page.locator(".CodeMirror").first
    editor.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(json.dumps(hyper_parameters, indent=4))


def test_the_dags_are_there_and_nothing_runs_by_itself(first_sight):
    not_one = {f"{dag} {state}": f"{state}: 0" for dag in DAGS for state in STATES}

    assert first_sight == not_one | dict.fromkeys(DAGS, True)


@pytest.mark.parametrize(
    ("dag", "words"),
    [
        ("feature_eng", ["possum.csv", "s3://data/possum.csv", "which starts the DAG train"]),
        ("train", ["cross-validates RidgeCV", MODEL, "which starts the DAG predict"]),
        ("predict", ["s3://data/possum_tail_length.csv", "include/plots/possum_tails.png"]),
    ],
)
def test_a_dag_says_what_it_does(dag, words, page, airflow):
    airflow(f"dags/{dag}/grid")

    page.get_by_text("DAG Docs").click()

    diagram = page.locator("pre", has_text="+->")
    for word in words:
        expect(diagram).to_contain_text(word)
    expect(diagram).not_to_contain_text("{")


def test_the_form_explains_and_rejects(page, airflow):
    airflow("dags/feature_eng/trigger")
    expect(page.locator("body")).to_contain_text("alphas: the strengths of regularisation")
    expect(page.locator("#element_data_file")).to_have_value("possum.csv")

    write(page, {"alphas": [-1]})
    page.get_by_role("button", name="Trigger", exact=True).click()

    expect(page.locator("body")).to_contain_text("-1 is less than or equal to the minimum of 0")


@pytest.mark.parametrize(
    ("dag", "last"), [("feature_eng", "save_data_to_s3"), ("train", "choose_champion"), ("predict", "save_predictions")]
)
def test_the_graph_is_readable(dag, last, triggered, page, airflow, screenshot):
    airflow(f"dags/{dag}/grid?tab=graph")

    nodes = page.locator(".react-flow__node")
    expect(nodes.filter(has_text=last)).to_be_visible()
    expect(nodes.filter(has_text="Dataset").first).to_be_visible()
    expect(nodes.filter(has_text="list_existing_experiments")).to_have_count(0)  # the groups are folded
    expect(nodes.filter(has_text="create_model_version")).to_have_count(0)
    if dag == "feature_eng":
        screenshot("graph")


def test_a_button_leads_to_the_models_run(press):
    run = press("train", "train_model", "MLflow run")

    expect(run.get_by_role("heading", name="RidgeCV")).to_be_visible()
    if ALPHAS:
        expect(run.locator("body")).to_contain_text(str(ALPHAS))  # those of the form
    expect(run.locator("body")).to_contain_text("cv_rmse")
    expect(run.locator("body")).to_contain_text("The other runs of the same pipeline run")
    run.close()


def test_a_button_leads_to_the_experiment_with_its_three_runs(press, screenshot):
    task = "prepare_mlflow_experiment.get_current_experiment_id"
    experiment = press("feature_eng", task, "MLflow experiment")

    for run in ("Scaler", "RidgeCV", "Predictions"):
        expect(experiment.get_by_role("link", name=run, exact=True).first).to_be_visible()
    expect(experiment.locator("body")).to_contain_text("Predicts the tail length of one animal")
    screenshot("mlflow_runs", experiment)
    experiment.close()


def test_from_the_registered_model_to_its_plot(press, screenshot):
    version = press("train", "register_model.create_model_version", "Model version")
    expect(version.get_by_role("heading", name="Version 1")).to_be_visible()
    for words in ("predicts the tail length of one animal in cm", "champion", "Staging", "always predicting the mean"):
        expect(version.locator("body")).to_contain_text(words)
    screenshot("mlflow_version", version)

    version.get_by_role("link", name=MODEL).first.click()
    expect(version.locator("body")).to_contain_text("Serve it over HTTP: make serve")
    version.go_back()
    version.get_by_role("link", name="RidgeCV", exact=True).click()
    version.get_by_role("tab", name="Artifacts").click()
    version.get_by_text("plots", exact=True).click()
    version.get_by_text("possum_tails.png").click()

    plot = version.locator("img[src^='blob:'], img[src*='get-artifact']").first
    expect(plot).to_be_visible()
    assert plot.evaluate("picture => picture.naturalWidth") > 1000
    screenshot("mlflow_plot", version)
    version.close()


@pytest.mark.parametrize(("picture", "file"), [("plot", config.PLOT_FILE), ("out_of_fold", "out_of_fold.png")])
def test_the_plots_are_on_disk(picture, file, triggered, screenshot):
    assert (config.PLOTS / file).is_file()
    screenshot(picture, config.PLOTS / file)


@pytest.mark.parametrize(
    ("dag", "task", "columns"),
    [("feature_eng", "save_data_to_s3", '"site_1",'), ("predict", "save_predictions", '"case","true","predicted"')],
)
def test_a_button_leads_to_what_was_saved(dag, task, columns, button, page):
    address = button(dag, task, "S3 object").get_attribute("href")

    saved = page.request.get(address)

    assert saved.ok
    assert saved.text().startswith(columns)
    assert len(saved.text().splitlines()) == 102


@pytest.fixture
def new_animals():
    """A file with the first three possums, without their tails, in the folder of the stack's configuration."""
    path = config.INCLUDE / "new animals.csv"
    pd.read_csv(possums.CSV).head(3).drop(columns="taill").to_csv(path, index=False)
    yield path.name
    path.unlink()


@pytest.mark.skipif(not ALPHAS, reason="the pictures show one run of each DAG")
def test_new_animals_are_predicted_by_the_form(triggered, new_animals, page, airflow, button, press):
    airflow("dags/predict/trigger")
    expect(page.locator("#element_model")).to_have_value("champion")

    page.fill("#element_data_file", new_animals)
    page.fill("#element_model", "Staging")
    page.get_by_role("button", name="Trigger", exact=True).click()

    expect(page).not_to_have_url(re.compile(r"/trigger"))
    airflow("home")
    while page.locator("#dag-run-predict-success[title='success: 2']").count() == 0:
        expect(page.locator("#dag-run-predict-failed")).to_have_attribute("title", "failed: 0")
        page.reload()
        page.wait_for_timeout(3000)
    saved = page.request.get(button("predict", "save_predictions", "S3 object", -1).get_attribute("href"))
    header, *rows = saved.text().splitlines()
    assert header == '"case","predicted"'
    assert [30 < float(row.split(",")[1]) < 45 for row in rows] == [True] * 3
    run = press("predict", "compare_with_training", "MLflow run", -1)
    expect(run.get_by_role("heading", name="Predictions")).to_be_visible()
    for words in (f"the animals of {new_animals}", "Staging", "drifted_features"):
        expect(run.locator("body")).to_contain_text(words)
    run.close()
