"""A real Chromium in front of a stack of its own.

CHROMIUM names the browser, where it isn't found by itself. SCREENSHOTS names a folder for pictures of the pages.
"""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import pytest
from harness.stacks import PossumStack

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = (
    "There is no Chromium here. Debian, Ubuntu: apt install chromium. macOS: brew install --cask chromium. "
    "Or name one: make test-browser CHROMIUM=/path/to/chromium"
)
# What Airflow 2.11.0 and MLflow 3.17.0 themselves complain about on their pages, whatever the DAGs.
NOT_OURS = (
    "Cannot set properties of undefined (setting 'autocomplete')",  # Airflow's script for its search field
    "/ajax-api/2.0/mlflow/users/current",  # MLflow asks who is logged in, where nobody can log in
    "ResizeObserver loop completed with undelivered notifications",  # MLflow's pages, when they are slow to draw
)


@pytest.fixture(scope="session")
def chromium() -> str:
    if named := os.environ.get("CHROMIUM"):
        assert shutil.which(named), f"CHROMIUM is {named}, which can't be run"
        return named
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return found or pytest.skip(MISSING)


@pytest.fixture(scope="session")
def stack(chromium, tmp_path_factory):
    """All services, just started: nothing has run."""
    home = tmp_path_factory.mktemp("browser tests")
    stack = PossumStack(home)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def noted() -> list[str]:
    """What the pages complain about in the browser's console, or can't load."""
    return []


@pytest.fixture(autouse=True)
def _no_page_complains(noted):
    yield
    complaints = noted.copy()
    noted.clear()
    assert complaints == []


@pytest.fixture(scope="session")
def page(stack, chromium, noted):
    """The page of someone who has logged in to Airflow."""
    from playwright import sync_api

    def note(text: str) -> None:
        if not any(known in text for known in NOT_OURS):
            noted.append(text)

    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.set_default_timeout(60_000)
        sync_api.expect.set_options(timeout=60_000)
        # As if the user had closed MLflow's assistant, which opens on the first visit.
        closed = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
        context.add_init_script(f"if (location.protocol === 'http:') {closed}")
        context.on("weberror", lambda error: note(str(error.error)))
        context.on(
            "console",
            lambda message: note(f"{message.text} {message.location['url']}") if message.type == "error" else None,
        )
        context.on("response", lambda answer: note(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
        page = context.new_page()
        page.goto(stack.url("airflow"))
        page.fill("#username", "admin")
        page.fill("#password", "admin")
        page.click("input[type=submit]")
        page.wait_for_url("**/home")
        yield page
        browser.close()


@pytest.fixture(scope="session")
def screenshot(page):
    """Keeps a picture of a page, or a picture file, if pictures are asked for: in 256 colours, which take a third."""
    folder = os.environ.get("SCREENSHOTS")

    def take(name: str, of=page) -> None:
        if folder:
            from PIL import Image

            if not isinstance(of, Path):
                page.wait_for_timeout(1500)  # animations come to rest
                of = io.BytesIO(of.screenshot(animations="disabled"))
            Path(folder).mkdir(parents=True, exist_ok=True)
            Image.open(of).convert("RGB").quantize(256).save(Path(folder, f"{name}.png"), optimize=True)

    return take
