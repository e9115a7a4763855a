"""Checks: right answers, named slips, and a plain sentence for everything else that a learner may hand in."""

import math
import re

import numpy as np
import pytest
import torch
from IPython.core.formatters import HTMLFormatter

from entropic_edu.course import Exercise
from entropic_edu.teaching.check import check

WORDS = {
    f"02.exercise.{name}.{key}": said
    for name, slips in (("force", "sign half"), ("rate", "root"), ("kind", "trace"), ("vector", "sign"))
    for key, said in [("right", f"{name} is right."), *((f"wrong.{slip}", f"Slip {slip}.") for slip in slips.split())]
}
FORCE = Exercise(
    "force",
    "2.1",
    truth=lambda slope, heat: -0.5 * heat * slope,
    wrong={"sign": lambda slope, heat: 0.5 * heat * slope, "half": lambda slope, heat: -heat * slope},
    cases=[(2.0, 0.1), (-3.0, 0.2), (0.0, 0.4)],
)
RATE = Exercise("rate", "2.2", truth=lambda: 0.2, wrong={"root": lambda: 0.1})
KIND = Exercise("kind", "2.3", truth=lambda: "largest eigenvalue", wrong={"trace": lambda: "trace"})
VECTOR = Exercise(
    "vector",
    "2.4",
    truth=lambda x: -2 * x,
    wrong={"sign": lambda x: 2 * x},
    cases=[(torch.tensor([1.0, 2.0, 0.0]),), (torch.tensor([3.0]),)],
)


@pytest.fixture(autouse=True)
def _words(words):
    words(WORDS)


def right(slope, heat):
    return -0.5 * heat * slope


def test_a_right_function_passes_all_cases():
    verdict = check("02", FORCE, right)
    assert (verdict.exercise, verdict.passed, verdict.of, verdict.slip) == ("2.1", 3, 3, None)
    assert verdict.right
    assert repr(verdict) == verdict.message == "3 of 3 checks of exercise 2.1 passed.\nforce is right."


@pytest.mark.parametrize(
    "form", [float, torch.tensor, np.float32, np.array, lambda v: torch.tensor([v]), lambda v: [v], str]
)
def test_a_number_may_come_in_any_form(form):
    assert check("02", FORCE, lambda slope, heat: form(right(slope, heat))).right


@pytest.mark.parametrize("answer", [0.2, "0.2", "0,2", " 0.2 ", "2e-1", torch.tensor(0.2), np.array(0.2), [0.2]])
def test_a_plain_number_may_come_with_a_point_or_a_comma(answer):
    verdict = check("02", RATE, answer)
    assert verdict.right
    assert verdict.message.startswith("1 of 1 check of exercise 2.2 passed.")


def test_a_minus_and_thousands_are_read_as_they_are_printed():
    many = Exercise("rate", "2.2", truth=lambda: -1234.5, wrong={})
    assert check("02", many, "−1,234.5").right


def test_a_tensor_that_still_knows_its_gradient_is_read():
    assert check("02", RATE, torch.tensor(0.2, requires_grad=True)).right


def test_an_integer_answers_where_a_whole_number_is_right():
    whole = Exercise("rate", "2.2", truth=lambda: 16, wrong={})
    assert check("02", whole, torch.tensor(16)).right


@pytest.mark.parametrize("slip", ["sign", "half"])
def test_a_slip_is_named_when_it_agrees_in_all_cases(slip):
    verdict = check("02", FORCE, FORCE.wrong[slip])
    assert verdict.slip == slip
    assert f"Slip {slip}." in verdict.message
    assert verdict.message.startswith("1 of 3 checks of exercise 2.1 passed.")  # at no slope all are right
    assert not verdict.right


def test_an_answer_that_agrees_with_a_slip_in_one_case_only_is_not_called_that_slip():
    verdict = check("02", FORCE, lambda slope, heat: -heat * slope if slope > 0 else 7.0)
    assert verdict.slip is None


@pytest.mark.parametrize(
    "answer", [None, ..., lambda slope, heat: None, lambda slope, heat: ..., lambda slope, heat: unfinished()]
)
def test_an_untouched_stub_is_not_attempted(answer):
    verdict = check("02", FORCE, answer)
    assert not verdict.attempted
    assert not verdict.right
    assert verdict.message == "Exercise 2.1: not attempted yet."


def unfinished():
    raise NotImplementedError


@pytest.mark.parametrize("exercise", [RATE, KIND])
def test_an_untouched_plain_answer_is_not_attempted(exercise):
    assert not check("02", exercise, ...).attempted


def fails(slope, heat):
    return slope / (heat - heat)


def silent(slope, heat):
    raise ValueError


def listed(slope, heat):
    return [slope, heat]


UNFIT = {
    "a value where a function is wanted": (FORCE, 3.0, r"function of \(slope, heat\); what came is a number"),
    "a result where a function is wanted": (FORCE, torch.ones(2), "of the type Tensor"),
    "too few arguments": (FORCE, lambda slope: slope, r"called with \(slope, heat\)"),
    "too many arguments": (FORCE, lambda a, b, c: a, r"called with \(slope, heat\)"),
    "an exception": (FORCE, fails, r"ZeroDivisionError: .*, in line \d+: return slope / \(heat - heat\)"),
    "an exception without a reason": (FORCE, silent, "stopped with ValueError: no reason given, in line"),
    "an exception in a built-in": (FORCE, math.comb, "stopped with TypeError"),
    "a wrong shape": (FORCE, listed, r"Wanted: one number\. What came: values of shape \(2,\)"),
    "a text": (FORCE, lambda slope, heat: "about three", 'the text "about three"'),
    "a truth value": (FORCE, lambda slope, heat: True, "of the type bool"),
    "a complex number": (FORCE, lambda slope, heat: 1j, "of the type complex"),
    "a complex tensor": (FORCE, lambda slope, heat: torch.tensor(1j), "of the type Tensor"),
    "a mapping": (FORCE, lambda slope, heat: {"force": 1}, "of the type dict"),
    "a function from a function": (FORCE, lambda slope, heat: right, "of the type function"),
    "a ragged list": (FORCE, lambda slope, heat: [[1], [1, 2]], "of the type list"),
    "nothing in one case": (FORCE, lambda s, heat: right(s, heat) if s > 0 else None, "nothing for slope = -3, heat"),
    "not a number": (FORCE, lambda slope, heat: math.nan, "The result is nan.*slope = 2, heat = 0.1"),
    "infinity": (FORCE, lambda slope, heat: -math.inf, "The result is -inf"),
    "a plain infinity": (RATE, math.inf, "The answer is inf"),
    "a function where a value is wanted": (RATE, right, "plain value, not a function"),
    "an unknown option": (KIND, "loss", '"largest eigenvalue", "trace"'),
    "a number where a text is wanted": (KIND, 3, '"largest eigenvalue", "trace"'),
    "a vector too short": (VECTOR, lambda x: x.sum(), r"shape \(3,\)\. What came: values of shape \(\)"),
}


@pytest.mark.parametrize(("exercise", "answer", "message"), UNFIT.values(), ids=UNFIT)
def test_an_answer_that_cannot_be_compared_gets_a_message_of_its_own(exercise, answer, message):
    verdict = check("02", exercise, answer)
    assert verdict.attempted
    assert not verdict.right
    assert re.search(message, verdict.message)
    assert f"exercise {exercise.number}" in verdict.message
    assert "Traceback" not in verdict.message


MISSED = {
    "too large": (lambda s, heat: 2.6 * right(s, heat), "about 2.6 times too large"),
    "too small": (lambda s, heat: right(s, heat) / 30, "about 30 times too small"),
    "far too large": (lambda s, heat: 1e7 * right(s, heat), r"about 1e\+07 times too large"),
    "zero": (lambda s, heat: 0.0, "is zero"),
    "sign and size": (lambda s, heat: -3 * right(s, heat), "wrong sign, and the size differs"),
    "sign of one case": (lambda s, heat: abs(right(s, heat)), "wrong sign; the size is right"),
    "rounded": (lambda s, heat: 1.02 * right(s, heat), "about 2.0 % off"),
}


@pytest.mark.parametrize(("answer", "how"), MISSED.values(), ids=MISSED)
def test_an_unknown_wrong_answer_is_told_how_it_differs_and_not_what_is_right(answer, how):
    verdict = check("02", FORCE, answer)
    assert verdict.slip is None
    assert re.search(f"For slope = 2, heat = 0.1 your function returns .*, which .*{how}", verdict.message)
    assert f"{right(2.0, 0.1):g}" not in verdict.message.partition("which")[2]


def test_an_offset_shows_only_where_the_truth_is_zero():
    verdict = check("02", FORCE, lambda slope, heat: right(slope, heat) or 0.3)
    assert "slope = 0, heat = 0.4 your function returns 0.3, which is too large" in verdict.message
    assert verdict.passed == 2


def test_round_off_at_a_zero_is_no_mistake():
    assert check("02", FORCE, lambda slope, heat: right(slope, heat) + 1e-12).right


def test_a_plain_value_is_told_how_it_differs():
    assert "Your answer is 0.4, which is about 2.0 times too large" in check("02", RATE, 0.4).message


def test_a_wrong_option_is_a_named_slip_whatever_its_spelling():
    assert check("02", KIND, "  Largest   Eigenvalue ").right
    assert check("02", KIND, "Trace").slip == "trace"


def test_functions_get_tensors_in_float64_that_they_may_change():
    seen = []

    def changes(x):
        seen.append(x.dtype)
        return x.mul_(-2)

    assert check("02", VECTOR, changes).right
    assert check("02", VECTOR, changes).right
    assert set(seen) == {torch.float64}


def test_of_a_vector_the_worst_entry_is_told():
    verdict = check("02", VECTOR, lambda x: -2 * x + torch.arange(len(x)))
    assert "For x = [1, 2, 0] your function returns 2 at index 2, which is too large" in verdict.message
    assert check("02", VECTOR, VECTOR.wrong["sign"]).slip == "sign"


def test_a_learner_who_stops_an_endless_function_is_not_caught():
    def stopped(slope, heat):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("02", FORCE, stopped)


@pytest.mark.parametrize(
    ("answer", "said"), [(right, "✓ Passed"), (lambda s, h: s, "✗ Not yet"), (None, "○ Not attempted")]
)
def test_the_box_says_by_symbol_and_word_what_its_colour_says(answer, said):
    assert said in HTMLFormatter()(check("02", FORCE, answer))


def test_what_the_learner_wrote_cannot_become_part_of_the_page():
    box = HTMLFormatter()(check("02", FORCE, lambda slope, heat: "<script>"))
    assert "<script>" not in box
    assert "&lt;script&gt;" in box
