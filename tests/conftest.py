"""What every test may use: a seeded generator, and one Chromium. One thread, so that tests do not slow each other."""

import importlib.util
import os
import shutil
import time

import pytest
import torch

torch.set_num_threads(1)
LONGEST = ("test_lessons.py", "test_lessons_in_lab.py")  # a worker takes a whole file
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 120_000  # ms
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_runtest_setup(item):
    """Begin nothing that takes minutes past a moment that is set, in seconds since 1970: .ci/run has an end."""
    until = float(os.environ.get("ENTROPIC_EDU_UNTIL", "inf"))
    if item.get_closest_marker("soak") and time.time() > until:
        pytest.skip("no time is left for it; make soak, without ENTROPIC_EDU_UNTIL, runs all")


def pytest_collection_modifyitems(items):
    """Put first what takes longest, so that no worker is left with it, and skip what takes minutes unless asked for."""
    if not os.environ.get("ENTROPIC_EDU_SOAK"):
        items.sort(key=lambda item: item.path.name not in LONGEST)
        for item in items:
            if item.get_closest_marker("soak"):
                item.add_marker(pytest.mark.skip(reason="takes minutes; set ENTROPIC_EDU_SOAK=1, or run make soak"))


@pytest.fixture
def words(monkeypatch):
    """Put entries into the English catalogue while a test runs: ``words({"02.question.where.ask": "Where?"})``."""
    from entropic_edu.teaching.strings import catalogue

    def put(entries):
        for key, entry in entries.items():
            monkeypatch.setitem(catalogue("en"), key, entry)

    return put


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def missing() -> str | None:
    """Return why there can be no browser tests, or None."""
    if importlib.util.find_spec("playwright") is None:
        return "Playwright is not installed; pip install playwright"
    if not any(map(shutil.which, BROWSERS)):
        return "no Chromium found; apt-get install chromium"
    return None


def patient(make):
    """Let what is made wait long: a busy machine is no fault, and what never comes fails all the same."""

    def made(**settings):
        page = make(**settings)
        page.set_default_timeout(PATIENCE)
        return page

    return made


@pytest.fixture(scope="session")
def browser():
    """The one Chromium: Playwright starts once in a process. Without it a test is skipped, or fails where CI asks."""
    reason = missing()
    if reason and os.environ.get("ENTROPIC_EDU_NEED_BROWSER"):
        pytest.fail(f"ENTROPIC_EDU_NEED_BROWSER is set, but {reason}")
    if reason:
        pytest.skip(f"browser tests skipped: {reason}")
    from playwright.sync_api import sync_playwright

    path = next(found for name in BROWSERS if (found := shutil.which(name)))
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        running.new_context, running.new_page = patient(running.new_context), patient(running.new_page)
        yield running
        running.close()
