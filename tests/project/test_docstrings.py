"""Examples in docstrings run, and every public name has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest
import torch

import entropic_edu as ee

FINDER = doctest.DocTestFinder(exclude_empty=True)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def modules():
    yield ee
    for one in pkgutil.walk_packages(ee.__path__, f"{ee.__name__}."):
        yield importlib.import_module(one.name)


def examples():
    """Every docstring of the package with an example, once; ``ee`` and ``torch`` are imported for it."""
    for module in modules():
        for test in FINDER.find(module, globs={**vars(module), "ee": ee, "torch": torch}):
            if test.examples:
                yield test


def public():
    """The functions and classes of ``ee`` and of ``ee.valleys``, but for errors and for what a subclass must fill."""
    for place in (ee, ee.valleys):
        for name in place.__all__:
            thing = getattr(place, name)
            raised = inspect.isclass(thing) and issubclass(thing, Exception)
            if (inspect.isclass(thing) or inspect.isfunction(thing)) and not raised and not inspect.isabstract(thing):
                yield pytest.param(thing, id=f"{place.__name__}.{name}".removeprefix("entropic_edu."))


@pytest.mark.parametrize("test", list(examples()), ids=lambda test: test.name)
def test_an_example_gives_what_it_says(test, capsys):
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    assert runner.run(test).failed == 0, capsys.readouterr().out


@pytest.mark.parametrize("thing", list(public()))
def test_a_public_name_has_an_example(thing):
    assert ">>> " in (inspect.getdoc(thing) or ""), f"{thing.__name__} has no example; add one of 2 to 6 lines."
    assert ">>> " in thing.__doc__, f"{thing.__name__} has only the example of what it inherits from; add its own."
