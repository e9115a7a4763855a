"""Wrong answers that nobody listed, made by changing the solutions: none passes, and most are told what is wrong."""

import ast

import mutants
import pytest
from test_course import all_of

from entropic_edu import course


@pytest.mark.parametrize(("number", "exercise"), all_of("exercises"))
def test_a_changed_solution_never_passes_and_is_told_what_is_wrong(number, exercise):
    found, passing = mutants.wrong_answers(number, exercise)
    assert not passing, "\n".join(passing)
    named = [each for each in found if each.verdict.named]
    assert len(found) >= 5
    assert len(named) >= 0.8 * len(found), "\n\n".join(
        f"{each.change}\n{each.verdict.message}" for each in found if each not in named
    )


@pytest.mark.parametrize(("number", "exercise"), all_of("exercises"))
def test_the_solution_of_the_lesson_is_what_is_changed(number, exercise):
    before, statements, name = mutants.solution(number, exercise)
    assert mutants.check(number, exercise, mutants.run(before, statements, name)).right


def test_each_change_is_one_and_leaves_the_solution_as_it_was():
    tree = ast.parse("def f(a, b):\n    return 2 * a / b")
    written = ast.unparse(tree)
    changes = [change for change, _ in mutants.changed(tree.body)]
    assert {"def f(a, b):\n    return 2 * a * b", "def f(a, b):\n    return 3 * a / b"} <= set(changes)
    assert len(set(changes)) >= 10
    assert written not in changes
    assert ast.unparse(tree) == written


def test_a_mutant_that_passes_though_wrong_is_found():
    exercise = course.Exercise("f", "2.1", truth=lambda a: a * a, wrong={}, cases=[(2.0,)])
    assert mutants.differs(exercise, lambda a: a + a, exercise.truth)
    assert not mutants.differs(exercise, lambda a: a**2, exercise.truth)
