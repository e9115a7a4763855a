"""Slips: wrong answers made from the code of a solution."""

import pytest

from entropic_edu.teaching.slips import solved

RATE = 3.0


def rule(x, y):
    """Return the answer."""
    return RATE * x - y


def test_a_slip_is_the_solution_with_some_words_changed():
    made = solved("1.1", rule, [], sign=("- y", "+ y"), both=("- y", "", "RATE", "2")).wrong
    assert {name: wrong(2.0, 1.0) for name, wrong in made.items()} == {"sign": 7.0, "both": 4.0}
    assert rule(2.0, 1.0) == 5.0


def test_a_slip_sees_what_the_solution_sees_and_leaves_its_module_alone():
    assert solved("1.1", rule, [], double=("RATE", "2 * RATE")).wrong["double"](1.0, 0.0) == 6.0
    assert rule.__globals__["rule"] is rule


@pytest.mark.parametrize("change", [("z", "x"), ("- y", "+ y", "q", "x")])
def test_words_that_the_solution_lacks_are_told(change):
    with pytest.raises(ValueError, match=r"Slip 'lost' changes '[zq]'.*rule"):
        solved("1.1", rule, [], lost=change)


def test_each_word_needs_its_change():
    with pytest.raises(ValueError, match=r"zip"):
        solved("1.1", rule, [], half=("- y",))
