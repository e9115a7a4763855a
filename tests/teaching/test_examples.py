"""The examples in the docstrings of figures, teaching and course run, quickly and without a warning."""

import doctest
import importlib

import pytest

pytest.importorskip("ipywidgets", reason="lessons need ipywidgets")


@pytest.mark.parametrize(
    "name",
    ["figures", "figures.plots", "teaching.check", "teaching.explorer", "teaching.strings", "course.lesson"],
)
def test_the_examples_give_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.setenv("ENTROPIC_EDU_HOME", str(tmp_path))
    monkeypatch.delenv("ENTROPIC_EDU_ANSWERS", raising=False)
    ran = doctest.testmod(importlib.import_module(f"entropic_edu.{name}"))
    assert ran.attempted > 0
    assert ran.failed == 0
