"""Checks: right answers, named slips, and a plain sentence for everything else that a learner may hand in."""

import contextlib
import dataclasses
import functools
import linecache
import math
import re
import statistics
import sys

import numpy as np
import pytest
import torch
from IPython.core.formatters import HTMLFormatter

from entropic_edu import models
from entropic_edu.course import Exercise
from entropic_edu.teaching.check import check
from entropic_edu.teaching.strings import text

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
    "form",
    [
        float,
        torch.tensor,
        np.float32,
        np.array,
        lambda v: torch.tensor([v]),
        lambda v: [v],
        lambda v: (torch.tensor(v, requires_grad=True),),
        str,
    ],
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


def test_a_tensor_of_few_digits_is_read():
    assert check("02", Exercise("rate", "2.2", truth=lambda: 0.25, wrong={}), torch.tensor(0.25).bfloat16()).right


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
    for other in (lambda *_: 7.0, right):  # the third case is right, too, or not
        verdict = check(
            "02", FORCE, lambda s, heat, rest=other: -heat * s if s > 0 else 7.0 if s < 0 else rest(s, heat)
        )
        assert verdict.slip is None
        assert verdict.passed == (other is right)
        assert ("It is right for" in verdict.message) == (other is right)


@pytest.mark.parametrize(
    "answer", [None, ..., lambda slope, heat: None, lambda slope, heat: ..., lambda slope, heat: unfinished()]
)
def test_an_untouched_stub_is_not_attempted(answer):
    verdict = check("02", FORCE, answer)
    assert not verdict.attempted
    assert not verdict.right
    assert verdict.passed == 0
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
    "a value where a function is wanted": (FORCE, 3.0, r"function of \(slope, heat\), but got a number"),
    "a result where a function is wanted": (FORCE, torch.ones(2), "of type Tensor"),
    "too few arguments": (FORCE, lambda slope: slope, r"called with \(slope, heat\)"),
    "too many arguments": (FORCE, lambda a, b, c: a, r"called with \(slope, heat\)"),
    "an exception": (FORCE, fails, r"ZeroDivisionError: .*, in line \d+: return slope / \(heat - heat\)"),
    "an exception without a reason": (FORCE, silent, "stopped with ValueError: no reason given, in line"),
    "an exception in a built-in": (FORCE, math.comb, "stopped with TypeError"),
    "a wrong shape": (FORCE, listed, r"wants one number, but got values of shape \(2,\)"),
    "a text": (FORCE, lambda slope, heat: "about three", 'the text "about three"'),
    "a truth value": (FORCE, lambda slope, heat: True, "of type bool"),
    "a complex number": (FORCE, lambda slope, heat: 1j, "of type complex"),
    "a complex tensor": (FORCE, lambda slope, heat: torch.tensor(1j), "of type Tensor"),
    "a mapping": (FORCE, lambda slope, heat: {"force": 1}, "of type dict"),
    "a function from a function": (FORCE, lambda slope, heat: right, "of type function"),
    "a ragged list": (FORCE, lambda slope, heat: [[1], [1, 2]], "of type list"),
    "nothing in one case": (FORCE, lambda s, heat: right(s, heat) if s > 0 else None, "nothing for slope = -3, heat"),
    "not a number": (FORCE, lambda slope, heat: math.nan, "The result is nan.*slope = 2, heat = 0.1"),
    "infinity": (FORCE, lambda slope, heat: -math.inf, "The result is -inf"),
    "infinity first": (VECTOR, lambda x: x * torch.tensor([0.0, -math.inf, math.nan])[: len(x)], "The result is -inf"),
    "a tensor of truth": (FORCE, lambda slope, heat: torch.tensor(True), "of type Tensor"),
    "a plain infinity": (RATE, math.inf, "The answer is inf"),
    "a function where a value is wanted": (RATE, right, "plain value, not a function"),
    "an unknown option": (KIND, "loss", '"largest eigenvalue", "trace"'),
    "a number where a text is wanted": (KIND, 3, '"largest eigenvalue", "trace"'),
    "a column in place of a vector": (VECTOR, lambda x: -2 * x[:, None], r"shape \(3,\), but got .* \(3, 1\)"),
    "one number in place of a vector": (VECTOR, lambda x: -2.0, r"values of shape \(3,\), but got"),
    "a long text": (FORCE, lambda slope, heat: "ab" * 20, f'the text "{"ab" * 20}"'),
    "a longer text": (FORCE, lambda slope, heat: "ab" * 20 + "c", f'the text "{"ab" * 20}…"'),
    "a vector too short": (VECTOR, lambda x: x.sum(), r"shape \(3,\), but got values of shape \(\)"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_an_answer_that_cannot_be_compared_gets_a_message_of_its_own(name):
    exercise, answer, message = UNFIT[name]
    verdict = check("02", exercise, answer)
    assert verdict.attempted
    assert verdict.passed == (name in ("nothing in one case", "a column in place of a vector"))
    assert not verdict.right
    assert re.search(message, verdict.message)
    assert f"exercise {exercise.number}" in verdict.message
    assert "Traceback" not in verdict.message


WAVE = Exercise(  # neither a factor nor an argument explains a wrong one
    "force", "2.1", truth=lambda x: math.sin(x) + 2, wrong={}, cases=[(1.0,), (2.0,), (4.0,)]
)
MISSED = {
    "too large": (lambda x: 9 + x**3, "about 3.5 times too large"),
    "too small": (lambda x: 0.2 + x**2 / 100, "about 14 times too small"),
    "zero": (lambda x: x - 1, "is zero"),
    "sign and size": (lambda x: -5 - x, "wrong sign, and the size differs"),
    "near, and not rounded": (lambda x: 2.9 + (x - 1) ** 2, "about 2.1 % off"),
}


@pytest.mark.parametrize(("answer", "how"), MISSED.values(), ids=MISSED)
def test_an_unknown_wrong_answer_is_told_how_it_differs_and_not_what_is_right(answer, how):
    verdict = check("02", WAVE, answer)
    assert verdict.slip is None
    assert verdict.named in ("", "argument")
    assert re.search(f"For x = 1 your function returns .*, which .*{how}", verdict.message)
    assert "round" not in verdict.message
    assert "2.84" not in verdict.message


def mean_square(slope, heat):
    return slope**2 / heat


QUOTIENT = Exercise("force", "2.1", truth=mean_square, wrong={}, cases=[(2.0, 0.1), (-3.0, 0.2), (1.5, 0.4)])
SUM = Exercise("force", "2.1", truth=lambda layer, rest, a: layer / a**2 + rest, wrong={}, cases=[(8.0, 4.0, 2.0)] * 2)
ERROR = Exercise("force", "2.1", truth=statistics.stdev, wrong={}, cases=[([1.0, 3.0, 7.0],), ([2.0, 3.0],)])
NAMED = {
    "a factor": (QUOTIENT, lambda s, h: 3 * s**2 / h, "Every result is 3 times the right one"),
    "a part": (QUOTIENT, lambda s, h: s**2 / h / 30, "Every result is 1/30 times"),
    "sign and factor": (QUOTIENT, lambda s, h: -2 * s**2 / h, "wrong sign and is 2 times as large"),
    "the sign": (QUOTIENT, lambda s, h: -(s**2) / h, "the right size and the wrong sign"),
    "percent": (QUOTIENT, lambda s, h: 100 * s**2 / h, "a share between 0 and 1 is wanted"),
    "rounding": (QUOTIENT, lambda s, h: round(s**2 / h, 1), "Every result is the right one, rounded"),
    "upside down": (QUOTIENT, lambda s, h: h / s**2, "upside down"),
    "a square": (QUOTIENT, lambda s, h: s**4 / h**2, "the right one to the power 2"),
    "an offset": (QUOTIENT, lambda s, h: s**2 / h + 3, "by the same amount, 3"),
    "arguments exchanged": (QUOTIENT, lambda s, h: h**2 / s, "right with slope and heat swapped"),
    "a missing argument": (QUOTIENT, lambda s, h: s**2, "not depend on heat; it should|the right one times heat"),
    "a power": (QUOTIENT, lambda s, h: s**2 / h**0.5, "the right one times the square root of heat"),
    "a power and a factor": (QUOTIENT, lambda s, h: 5 * s**2 / h**2, "the right one divided by heat, times 5"),
    "one argument": (QUOTIENT, lambda s, h: s**2 / (h + 1), "Look where heat enters: when only it changes"),
    "a term": (SUM, lambda layer, rest, a: layer / a**2 + rest**2, "Look where rest enters"),
    "a term left out": (SUM, lambda layer, rest, a: layer / a**2, "does not depend on rest"),
    "a term too many": (SUM, lambda layer, rest, a: layer / a**2 + rest + a, "Look where a enters"),
    "the population": (ERROR, statistics.pstdev, r"divide by n − 1"),
    "the number of values": (ERROR, lambda v: statistics.stdev(v) / len(v), "on the number of data alone"),
    "one end": (WAVE, lambda x: math.sin(x) + 2.5, "by the same amount, 0.5"),
    "an entry": (ERROR, lambda v: abs(v[1] - v[0]) / 2**0.5, "It is right for: data = .2.0, 3.0."),
}


@pytest.mark.parametrize(("exercise", "answer", "message"), NAMED.values(), ids=NAMED)
def test_a_slip_that_nobody_listed_is_found_by_trying(exercise, answer, message):
    verdict = check("02", exercise, answer)
    assert verdict.slip is None
    assert verdict.named
    assert re.search(message, verdict.message), verdict.message


OTHERS = {
    "check.inverse": lambda t: 1 / t,
    "check.inverse_sign": lambda t: -1 / t,
    "check.absolute": abs,
    "check.rest": lambda t: 1 - t,
    "check.logarithm": lambda t: math.log(abs(t)),
    "check.exponential": math.exp,
}


@pytest.mark.parametrize(("key", "other"), OTHERS.items(), ids=OTHERS)
def test_another_function_of_the_right_result_is_named(key, other):
    cases = [(-0.7,), (1.9,), (0.4,)] if key == "check.absolute" else [(0.7,), (1.9,), (0.4,)]
    exercise = Exercise("force", "2.1", truth=lambda x: x + 0.3 * x**3, wrong={}, cases=cases)
    verdict = check("02", exercise, lambda x: other(exercise.truth(x)))
    assert verdict.named == "whole"
    assert text(key, subject="").strip(" .") in verdict.message


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("factor", "named"),
    [(f, True) for f in (0.25, 0.5, 2, 4, 10, 0.1, 1000, 0.001)] + [(f, False) for f in (3, 0.75, 0.0)],
)
def test_of_a_single_number_only_a_factor_that_slips_often_make_is_named(factor, named, sign):
    rate = Exercise("rate", "2.2", truth=lambda: 0.37, wrong={})
    verdict = check("02", rate, sign * factor * 0.37)
    assert (verdict.named == "whole") == named
    assert ("wrong sign" in verdict.message) == (sign < 0 and factor > 0)


HOW = [  # what came of 0.37, and what is said of it; no factor here is one that slips often make
    (1.0011, "is about 0.1 % off"),
    (1.0949, "is about 9.5 % off"),
    (1.105, "is about 1.1 times too large"),
    (0.905, "is about 9.5 % off"),
    (0.895, "is about 1.1 times too small"),
    (9.94, "is about 9.9 times too large"),
    (12.3, "is about 12 times too large"),
    (1 / 12.3, "is about 12 times too small"),
    (9876, "is about 9876 times too large"),
    (23456, "is about 2e+04 times too large"),
    (-0.992, "has the wrong sign; the size is right"),
    (-1.008, "has the wrong sign; the size is right"),
    (-0.985, "has the wrong sign, and the size differs too"),
    (-1.015, "has the wrong sign, and the size differs too"),
    (0.0, "is zero and should not be"),
]


@pytest.mark.parametrize(("ratio", "how"), HOW)
def test_how_far_an_answer_is_off_is_said_in_its_own_terms(ratio, how):
    verdict = check("02", Exercise("rate", "2.2", truth=lambda: 0.37, wrong={}), ratio * 0.37)
    assert verdict.message.endswith(f", which {how}.")
    assert not verdict.named


EDGES = [
    (0.9, "is about 1.1 times too small"),
    (1.1, "is about 1.1 times too large"),
    (-0.99, "has the wrong sign, and the size differs too"),
    (-1.01, "has the wrong sign, and the size differs too"),
    (10.4, "is about 10 times too large"),
    (9999.4, "is about 9999 times too large"),
    (1e4, "is about 1e+04 times too large"),
]


@pytest.mark.parametrize(("answer", "how"), EDGES)
def test_what_is_said_of_how_far_an_answer_is_off_changes_at_round_numbers(answer, how):
    verdict = check("02", Exercise("rate", "2.2", truth=lambda: 1.0, wrong={}), answer)
    assert verdict.message.endswith(f"Your answer is {answer:.4g}, which {how}.")


def test_ten_times_is_said_without_decimals():
    cases = [(1.0,), (-2.0,), (0.3,)]
    verdict = check("02", Exercise("rate", "2.2", truth=lambda x: x, wrong={}, cases=cases), lambda x: 10 * x**4)
    assert "For x = 1 your function returns 10, which is about 10 times too large." in verdict.message


@pytest.mark.parametrize(("answer", "how"), [(0.1, "is too large"), (-0.1, "is too small")])
def test_where_zero_is_right_an_answer_lies_above_or_below(answer, how):
    assert how in check("02", Exercise("rate", "2.2", truth=lambda: 0.0, wrong={}), answer).message


@pytest.mark.parametrize(
    ("given", "fine"),
    [
        ([5.0, 0.0, -2.0], True),  # a quarter of each, and of the largest where it is 0
        ([5.001, 0.0, -2.0], False),
        ([4.0, 1.0, -2.5], True),
        ([4.0, -1.0, -1.5], True),
        ([4.0, 1.001, -2.0], False),
        ([4.0, 0.0, -2.501], False),
    ],
)
@pytest.mark.parametrize("size", [1.0, 2.0**-10])
def test_an_answer_is_right_up_to_its_tolerance_and_no_further(given, fine, size):
    row = Exercise("vector", "2.4", truth=lambda: [4.0 * size, 0.0, -2.0 * size], wrong={}, tolerance=0.25)
    assert check("02", row, [each * size for each in given]).right is fine


@pytest.mark.parametrize(("given", "fine"), [(0.25, True), (-0.25, True), (0.251, False)])
def test_where_all_is_zero_the_tolerance_is_a_difference(given, fine):
    assert check("02", Exercise("rate", "2.2", truth=lambda: 0.0, wrong={}, tolerance=0.25), given).right is fine


NAN = "Is something divided by zero, or is a logarithm or root taken of a number that has none?"
SAID = {
    "one number": (0.123456, "x = 0.1235"),
    "a count": (12, "x = 12"),
    "a word": ("flat", 'x = "flat"'),
    "numbers": (torch.tensor([1.0, 0.5] * 3), "x = [1, 0.5, 1, 0.5, 1, 0.5]"),
    "many numbers": (torch.ones(7), "x = values of shape (7,)"),
    "a matrix": (np.ones((2, 3)), "x = values of shape (2, 3)"),
    "a tensor of one": (torch.tensor(0.123456), "x = 0.1235"),
    "a function": (math.sin, "x = sin"),
    "a list": ([1.0, 2.0], "x = [1.0, 2.0]"),
}


@pytest.mark.parametrize(("value", "said"), SAID.values(), ids=SAID)
def test_what_went_in_is_said_as_it_was(value, said):
    exercise = Exercise("rate", "2.2", truth=lambda x: 0.37, wrong={}, cases=[(value,)])
    assert check("02", exercise, lambda x: math.nan).message.endswith(f"these values: {said}. {NAN}")


def test_of_a_vector_the_entry_that_is_furthest_off_is_told():
    row = Exercise("vector", "2.4", truth=lambda x: x * torch.tensor([100.0, 2.0, 3.0]), wrong={}, cases=[(2.0,)])
    verdict = check("02", row, lambda x: torch.tensor([x**2 + 197, x**3 + 12, x]))
    assert "returns 20 at index 1, which is about 5.0 times too large" in verdict.message
    assert "Every" not in verdict.message


def test_a_function_that_prints_is_told_to_return(capsys):
    def shows(slope, heat):
        print(right(slope, heat))

    verdict = check("02", FORCE, shows)
    assert verdict.attempted
    assert "Write return instead of print." in verdict.message
    assert capsys.readouterr().out.split() == [str(right(*case)) for case in FORCE.cases]


def test_what_a_right_function_prints_is_seen_once(capsys):
    def shows(slope, heat):
        print("here")
        return 3 * right(slope, heat)

    check("02", FORCE, shows)
    assert capsys.readouterr().out == "here\n" * 3  # not when the check tries other values


def test_a_function_that_works_and_returns_nothing_is_told_so():
    def forgets(slope, heat):
        force = slope * heat  # noqa: F841

    assert "Is a return missing?" in check("02", FORCE, forgets).message


def test_an_ellipsis_left_in_a_function_is_pointed_at():
    def half(slope, heat):
        noise = ...
        return slope * noise

    verdict = check("02", FORCE, half)
    assert not verdict.attempted
    assert re.search(r"not finished yet.*in line \d+: return slope \* noise", verdict.message)


def test_an_endless_loop_is_stopped_and_told(monkeypatch):
    def endless(slope, heat):
        while True:
            heat += 1
            with contextlib.suppress(Exception):
                heat / 0

    monkeypatch.setattr("entropic_edu.teaching.calls.LONGEST", 0.5)
    trace = sys.gettrace()
    verdict = check("02", FORCE, endless)
    assert re.search(r"stopped after 0.5 seconds. Is there a loop that never ends\?, in line \d+", verdict.message)
    assert sys.gettrace() is trace


@pytest.mark.parametrize("position", range(3))
def test_of_cases_one_that_never_ends_ends_them_all(position, monkeypatch):
    met = []

    def endless(slope, heat):
        met.append(slope)
        while len(met) == position + 1:
            heat += 1
        return right(slope, heat)

    monkeypatch.setattr("entropic_edu.teaching.calls.LONGEST", 0.1)
    verdict = check("02", FORCE, endless)
    assert re.search(r"stopped after 0.1 seconds.*, in line \d+: (heat \+= 1|while len)", verdict.message)
    assert (verdict.passed, len(met)) == (0, position + 1)


@pytest.mark.parametrize("position", range(3))
def test_one_case_that_fails_costs_only_itself(position):
    slopes = [slope for slope, _ in FORCE.cases]
    verdict = check("02", FORCE, lambda slope, heat: right(slope, heat) + 0 / (slope - slopes[position]))
    said = [f"slope = {slope:g}, heat = {heat:g}" for slope, heat in FORCE.cases]
    del said[position]
    assert verdict.passed == 2
    assert "ZeroDivisionError" in verdict.message
    assert f"It is right for: {'; '.join(said)}." in verdict.message


exec(compile("def helped(value):\n    return value / 0\n", "helper.py", "exec"), helper := {})


def divided(slope):
    return 1 / (slope - slope)


def calls_deeper(slope, heat):
    return divided(slope)


def calls_helper(slope, heat):
    return helper["helped"](slope)


def calls_library(slope, heat):
    return statistics.stdev([slope])


def calls_package(slope, heat):
    return models.mlp(slope)


PLACES = {  # what fails, and the line that is told
    "deeper": (calls_deeper, "return 1 / (slope - slope)"),
    "in a helper": (calls_helper, 'return helper["helped"](slope)'),
    "in a library": (calls_library, "return statistics.stdev([slope])"),
    "in this package": (calls_package, "return models.mlp(slope)"),
}


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("name", PLACES)
def test_an_error_is_told_with_the_last_line_that_the_learner_wrote(name, wrapped):
    answer, line = PLACES[name]
    said = check("02", FORCE, functools.partial(answer) if wrapped else answer).message
    assert ", in line " in said
    if not (wrapped and name == "in a helper"):  # whose file nobody knows
        number, told = re.search(r", in line (\d+): (.*)", said).groups()
        assert linecache.getline(__file__, int(number)).strip() == told == line


def test_an_iterator_that_ends_in_a_function_is_told_like_any_error():
    def bare(slope, heat):
        return next(iter([]))

    assert re.search(r"stopped with StopIteration.*, in line \d+: return next", check("02", FORCE, bare).message)


def test_a_loop_that_is_stopped_while_it_handles_an_error_leaves_none_behind(monkeypatch):
    def endless(slope, heat):
        while True:
            with contextlib.suppress(Exception):
                heat / 0

    monkeypatch.setattr("entropic_edu.teaching.calls.LONGEST", 0.02)
    for _ in range(30):  # one in four is stopped as it leaves "with"
        assert "stopped after 0.02 seconds" in check("02", FORCE, endless).message
        with pytest.raises(ValueError, match="another") as later:
            raise ValueError("another")
        assert later.value.__context__ is None


def test_another_right_answer_counts():
    also = dataclasses.replace(RATE, also=(lambda: 0.3,))
    assert check("02", also, 0.3).right
    assert not check("02", RATE, 0.3).right


TABLE = Exercise(
    "kind",
    "2.3",
    truth=lambda case: {"A": "flat", "B": "steep", "C": "flat"}[case],
    wrong={"trace": lambda case: "flat"},
    cases=[("A",), ("B",), ("C",)],
)


def test_a_dictionary_is_an_answer():
    assert check("02", TABLE, {"A": "flat", "b": "Steep", "C": "flat"}).right
    verdict = check("02", TABLE, {"A": "flat", "B": "steep", "C": "steep"})
    assert (verdict.passed, verdict.named) == (2, "entries")
    assert verdict.message.endswith("Right: A, B.\nNot right: C.")


@pytest.mark.parametrize("open_", [None, ...])
def test_a_table_filled_one_by_one_is_told_what_is_right_and_what_is_open(open_):
    verdict = check("02", TABLE, {"A": "flat", "B": open_, "C": "round"})
    assert (verdict.passed, verdict.of) == (1, 3)
    assert verdict.message.endswith('Right: A.\nStill open: B.\nNot one of "flat", "steep": C.')
    assert not check("02", TABLE, {"A": open_, "B": open_, "C": open_}).attempted


def test_a_table_may_have_any_keys_and_questions_of_two_words():
    by_number = dataclasses.replace(TABLE, truth=lambda case: "flat" if case else "steep", cases=[(0,), (1,)])
    assert check("02", by_number, {0: "flat", 1: "steep"}).message.endswith("\nNot right: 0, 1.")
    two = dataclasses.replace(TABLE, truth=lambda case, side: case, wrong={}, cases=[("flat", "left"), ("steep", "a")])
    assert check("02", two, lambda case, side: "flat").message.endswith(
        'Right: "flat", "left".\nNot right: "steep", "a".'
    )


def test_a_slip_may_be_of_another_kind_than_the_truth():
    numbers = dataclasses.replace(KIND, wrong={"trace": lambda: 3.0})
    assert check("02", numbers, "largest eigenvalue").right
    words = dataclasses.replace(RATE, wrong={"root": lambda: "a root"})
    assert check("02", words, 0.2).right
    assert check("02", words, 0.7).slip is None


def test_a_slip_in_one_of_the_cases_is_named_with_those_that_are_right():
    verdict = check("02", FORCE, lambda slope, heat: abs(right(slope, heat)))
    assert verdict.slip == "sign"
    assert "It is right for: slope = -3, heat = 0.2" in verdict.message


def test_percent_is_read_as_a_share():
    assert check("02", RATE, "20 %").right
    assert "not a percentage" in check("02", RATE, 20).message


def test_round_off_at_a_zero_is_no_mistake():
    assert check("02", FORCE, lambda slope, heat: right(slope, heat) + 1e-12).right


def test_a_plain_value_is_told_how_it_differs():
    assert "Your answer is 0.7, which is about 3.5 times too large" in check("02", RATE, 0.7).message


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


def test_of_a_vector_the_wrong_entries_are_told():
    verdict = check("02", VECTOR, lambda x: -2 * x + torch.arange(len(x)))
    assert "2 of 3 entries are wrong, at index 1, 2; the others are right." in verdict.message
    assert check("02", VECTOR, VECTOR.wrong["sign"]).slip == "sign"


def test_a_learner_who_stops_an_endless_function_is_not_caught():
    def stopped(slope, heat):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("02", FORCE, stopped)


def refuses(*_):
    raise RuntimeError("not me")


def thrown(error):
    def throws(*_):
        raise error

    return throws


Mute = type("Mute", (Exception,), {"__str__": refuses})
Number = type("Number", (float,), {"__float__": refuses, "__eq__": refuses, "__hash__": None})
Thing = type(
    "Thing", (), dict.fromkeys(("__array__", "__eq__", "__len__", "__iter__", "__repr__", "__bool__"), refuses)
)
Word = type("Word", (str,), dict.fromkeys(("split", "strip", "lower", "__len__", "__eq__", "casefold"), refuses))
Table = type("Table", (dict,), dict.fromkeys(("items", "get", "__getitem__"), refuses))
Odd = type("Odd", (), {"__call__": refuses, "__signature__": property(refuses), "__wrapped__": property(refuses)})
CYCLE = []
CYCLE.append(CYCLE)
HOSTILE = {
    "exit()": thrown(SystemExit(3)),
    "an error of its own kind": thrown(BaseException("mine")),
    "a closed generator": thrown(GeneratorExit()),
    "an error that cannot be said": thrown(Mute()),
    "half a character in an error": thrown(ValueError("\ud800")),
    "a number beyond floats": lambda *_: 2**2000,
    "a tensor without numbers": lambda *_: torch.ones(2, device="meta"),
    "a sparse tensor": lambda *_: torch.eye(2).to_sparse(),
    "more than memory holds": lambda *_: np.broadcast_to(1.0, (10**14,)),
    "no end of calls": lambda *values: HOSTILE["no end of calls"](*values),
    "a number that is none": lambda *_: Number(3.0),
    "a thing that answers nothing": lambda *_: Thing(),
    "a text that answers nothing": lambda *_: Word("flat"),
    "half a character": lambda *_: "\ud800",
    "a list in itself": lambda *_: CYCLE,
    "an array of things": lambda *_: np.array([Thing]),
    "a table that answers nothing": Table(A="flat"),
    "a callable that answers nothing": Odd(),
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize(
    "exercise", [FORCE, VECTOR, TABLE, KIND, RATE], ids=["numbers", "vectors", "texts", "text", "value"]
)
def test_whatever_a_learner_returns_or_raises_the_check_says_something_and_passes_nothing(exercise, answer):
    verdict = check("02", exercise, answer)
    assert not verdict.right
    assert len(verdict.message.encode()) > 20
    assert "exercise" in verdict.message.lower()
    assert HTMLFormatter()(verdict).encode()


@pytest.mark.parametrize("change", [list.sort, list.clear, list.reverse, lambda xs: xs.append(7.0)])
def test_what_a_function_does_to_its_arguments_harms_no_later_case(change):
    first = Exercise(
        "force", "2.1", truth=lambda xs: xs[0], wrong={"sign": lambda xs: -xs[0]}, cases=[([3.0, 1.0],)] * 3
    )

    def spoils(xs):
        found = xs[0]
        change(xs)
        return found

    assert check("02", first, spoils).right
    assert first.cases[0] == ([3.0, 1.0],)


@pytest.mark.parametrize(
    ("answer", "said"), [(right, "✓ Passed"), (lambda s, h: s, "✗ Not yet"), (None, "○ Not attempted")]
)
def test_the_box_says_by_symbol_and_word_what_its_colour_says(answer, said):
    assert said in HTMLFormatter()(check("02", FORCE, answer))


def test_what_the_learner_wrote_cannot_become_part_of_the_page():
    box = HTMLFormatter()(check("02", FORCE, lambda slope, heat: "<script>"))
    assert "<script>" not in box
    assert "&lt;script&gt;" in box
