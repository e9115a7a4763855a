"""What a check says of numbers that no listed slip explains: one law for each rule, and where the rule ends."""

import itertools
import math
import re
import statistics

import numpy as np
import pytest
import torch

from entropic_edu.teaching.check import Exercise, check
from entropic_edu.teaching.diagnose import changes


def told(truth, cases, answer, **settings):
    exercise = Exercise("asked", "2.1", truth=truth, wrong={}, cases=cases, **settings)
    verdict = check("02", exercise, answer)
    assert not verdict.right
    return verdict.message.partition("\n")[2], verdict.named


def product(a, b):
    return a * (1 + b) / 7


def cubic(x):
    return x + 0.3 * x**3


PAIRS = [(2.0, 0.1), (3.0, 0.2), (1.5, 0.4)]
ONES = [(0.7,), (1.9,), (0.4,)]
POWERS = (1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 1.5, -1.5, 3.0, -3.0)
WORDS = {0.5: "the square root of a", 1.0: "a", 1.5: "a^1.5", 2.0: "a^2", 3.0: "a^3"}

# --- one rule for all results -------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1, 5, -1])
@pytest.mark.parametrize("power", POWERS)
def test_a_power_of_an_argument_too_much_is_named(power, factor):
    said, _ = told(product, PAIRS, lambda a, b: factor * product(a, b) * a**power)
    times = "" if factor == 1 else f", times {factor}"
    assert said == f"Every result is the right one {'times' if power > 0 else 'divided by'} {WORDS[abs(power)]}{times}."


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
def test_no_power_is_named_where_all_is_very_small_or_large(size):
    cases = [(size * a, b) for a, b in PAIRS]
    said, _ = told(lambda a, b: a + size * b, cases, lambda a, b: a**2 / size + size * b**3)
    assert not re.search(r"the power|times a|divided by a", said)
    said, _ = told(lambda a, b: a * b, cases, lambda a, b: a * b**3)
    assert said == "Every result is the right one times b^2."


def test_a_power_is_named_behind_a_list_and_only_of_an_argument_that_can_be_changed():
    cases = [([1.0, 2.0, 4.0], 0.9), ([2.0, 3.0], 0.5)]
    said, _ = told(lambda v, a: v[0] * v[1] * a, cases, lambda v, a: v[0] * v[1] * a**3)
    assert said == "Every result is the right one times a^2."
    root = lambda a, b: math.sqrt(1 - a) * b  # noqa: E731
    assert "times a" not in told(root, [(0.9, 2.0), (0.8, 3.0)], lambda a, b: root(a, b) * a)[0]


@pytest.mark.parametrize("factor", [7, 1, -1])
@pytest.mark.parametrize("power", POWERS[2:])
def test_a_power_of_the_right_result_is_named_with_any_factor(power, factor):
    assert f"to the power {power:g}:" in told(cubic, ONES, lambda x: factor * cubic(x) ** power)[0]


RULES = {  # of numbers, and what is said of two
    "Every result is 3 times": lambda v: 3 * v,
    "to the power 2": lambda v: 7 * v**2,
    "by the same amount, 3": lambda v: v + 3,
    "in the wrong order": lambda v: np.flip(v) if len(v) > 1 else v + 1,
    "Every result is 1 divided by": lambda v: 1 / v,
    "Every result is the right one, rounded": np.round,
}


@pytest.mark.parametrize(("words", "rule"), RULES.items())
def test_two_results_show_a_rule_and_one_shows_no_more_than_itself(words, rule):
    for right in (np.array([4.7, 1.2]), np.array([4.7])):
        verdict = check("02", Exercise("asked", "2.1", truth=lambda right=right: right, wrong={}), rule(right))
        assert (words in verdict.message) == (len(right) == 2)


@pytest.mark.parametrize(("right", "given", "rounded"), [(2.5, 2.0, True), (2.4, 2.0, True), (0.6, 1.0, False)])
def test_what_rounding_moves_by_more_than_a_fifth_is_not_called_rounded(right, given, rounded):
    assert ("rounded" in told(lambda: right, [()], given)[0]) == rounded


def test_tensors_exchanged_are_named():
    cases = [(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 0.7])), (torch.tensor([0.4, 2.0]), torch.tensor([3.0, 1.1]))]
    said, _ = told(lambda a, b: a**2 * b, cases, lambda a, b: a * b**2)
    assert said == "This would be right with a and b swapped."


def test_the_number_of_values_of_a_matrix_is_not_spoken_of():
    cases = [(torch.ones(2, 3), 2.0), (2 * torch.ones(3, 3), 0.5), (torch.ones(4, 3), 1.0)]
    said, _ = told(lambda m, a: m.sum() * a, cases, lambda m, a: m.sum() * a / len(m))
    assert "number of" not in said


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (0.75, "is 0.75 times the"),
        (1.25, "is 1.25 times the"),
        (1 / 3, "is 1/3 times the"),
        (-1 / 3, "wrong sign and is 1/3 times"),
        (-12.3, "wrong sign and is 12.3 times"),
        (100, "is 100 times .* not a percentage"),
        (0.01, "is a hundredth of the right one"),
        (-1, "right size and the wrong sign"),
    ],
)
@pytest.mark.parametrize("first", [0.0, 0.7])  # at 0, a factor shows nothing
def test_a_factor_is_said_as_people_write_it(factor, words, first):
    said, named = told(cubic, [(first,), *ONES], lambda x: factor * cubic(x))
    assert named == "whole"
    assert re.match(f"Every result (has the )?{words}", said)


@pytest.mark.parametrize(
    ("truth", "cases", "answer"),
    [
        (cubic, [(0.0,), *ONES], lambda x: 3 * cubic(x) if x else 5.0),  # three times, but not where it is 0
        (cubic, [(0.0,), *ONES], lambda x: cubic(x) if x else 5.0),
        (cubic, ONES, lambda x: 0.0),
        (cubic, ONES, lambda x: 3 / cubic(x)),
        (lambda x: 0.03 * x, ONES, lambda x: round(0.03 * x)),  # of which nothing is left
        (cubic, ONES, lambda x: cubic(x) + 0.05 * x),  # all are near, and none is rounded
        (lambda x: 0.0 * x, ONES, lambda x: x),
        (lambda: 0.314, [()], lambda: 0.3144),
    ],
    ids=["factor but at 0", "right but at 0", "zero", "over the right one", "rounded away", "near", "truth 0", "one"],
)
def test_what_holds_of_some_results_only_or_by_chance_is_not_said_of_all(truth, cases, answer):
    said, named = told(truth, cases, answer)
    assert named != "whole"
    for words in ("Every", "rounded", "order", "the right one"):
        assert words not in said


@pytest.mark.parametrize("decimals", range(8))
def test_rounded_results_are_named_down_to_millionths(decimals):
    size = 4 * 10.0**-decimals
    said, _ = told(lambda x: size * (x + 0.04), [(1.0,), (2.0,), (3.0,)], lambda x: round(size * (x + 0.04), decimals))
    assert ("Every result is the right one, rounded" in said) == (decimals < 7)


@pytest.mark.parametrize("factor", [2, -1, 100])
def test_a_single_answer_is_not_called_every_result(factor):
    said, named = told(lambda: 0.37, [()], factor * 0.37)
    assert (said.startswith("Your answer"), named) == (True, "whole")


def test_numbers_in_another_order_are_named():
    truth, cases = (lambda x: torch.stack([x, 3 * x, x.square()])), [(torch.tensor(0.7),), (torch.tensor(1.6),)]
    said, named = told(truth, cases, lambda x: truth(x).flip(0))
    assert (said, named) == ("These are the right numbers in the wrong order.", "whole")


DEVIATIONS = [
    (statistics.stdev, statistics.pstdev, "divide by n − 1."),
    (statistics.variance, statistics.pvariance, "divide by n − 1."),
    (statistics.pstdev, statistics.stdev, "Divide by n, the number of values."),
    (statistics.pvariance, statistics.variance, "Divide by n, the number of values."),
]


@pytest.mark.parametrize(("right", "given", "words"), DEVIATIONS)
def test_n_in_place_of_n_less_one_is_named_in_either_direction(right, given, words):
    cases = [(2.0, [1.0, 3.0, 7.0]), (0.5, [2.0, 3.0])]
    said, _ = told(lambda scale, values: scale * right(values), cases, lambda s, values: s * given(values))
    assert said.startswith("Nearly")
    assert said.endswith(words)
    assert "number of values" in said


def test_a_factor_that_the_number_of_values_decides_is_named_also_where_there_is_one():
    cases = [(2.0, [1.0]), (0.5, [2.0, 3.0]), (0.7, [2.0, 3.0, 5.0])]
    said, _ = told(lambda scale, values: scale * sum(values), cases, lambda scale, v: scale * sum(v) / len(v))
    assert "depends on the number of values alone" in said


# --- one argument, one entry, one case ----------------------------------------------------------------------------

ARGUMENTS = {  # truth, cases, answer, what is said
    "two ignored": (
        lambda a, b, c: a * b + c, [(2.0, 3.0, 0.5), (1.0, 2.0, 0.7)], lambda a, b, c: c + 4,
        "does not depend on a and b; it should",
    ),
    "one too many": (
        lambda a, b: a + 0 * b, PAIRS, lambda a, b: a * b + a,
        "Your result depends on b; it should not",
    ),
    "two arguments": (
        lambda a, b, c: a * b * c, [(2.0, 3.0, 0.5), (1.0, 2.0, 0.7)], lambda a, b, c: c * (a + b + 1) ** 2,
        "Look where a and b enters",
    ),
    "an entry": (
        lambda v, a: v[0] * v[1] * v[2] * a, [([1.0, 2.0, 4.0], 3.0), ([3.0, 2.0, 5.0], 2.0)],
        lambda v, a: (v[0] + 1) * v[1] * v[2] * a, "Look where the first entry of v enters",
    ),
    "the other way": (
        lambda a, b, c: a * b * c, [(2.0, 3.0, 0.5), (1.0, 2.0, 0.7)], lambda a, b, c: 1 / a + 1 / b + 1 / c,
        "Your result shrinks as a grows. It should grow.\nYour result shrinks as b grows. It should grow.",
    ),
    "the first way": (
        lambda a: 1 / (1 + a), ONES, lambda a: 1 + a**2,
        "Your result grows with a. It should shrink.",
    ),
    "follows": (
        lambda a: max(a, 1.0) ** 2 / 7, ONES, lambda a: math.exp(a), "In one of the cases your result depends on a;",
    ),
    "stays": (
        math.exp, ONES, lambda a: max(a, 1.0) ** 2 / 7, "In one of the cases your result does not depend on x;",
    ),
    "large": (
        lambda a: a / (1 + a), ONES, lambda a: a / (2 + a), "For very large a your result is right",
    ),
    "small": (
        lambda a: a / (1 + a) / 30, ONES, lambda a: a / (1 + 2 * a) / 30, "For very small a your result is right",
    ),
    "some cases": (
        lambda a: a, [(1.0,), (-1.0,), (-2.0,)], lambda a: a if a > 0 else 3 * a,
        "Among the cases that are wrong: Every result is 3 times the right one",
    ),
    "behind one that bears no change": (
        lambda a, b: math.sqrt(1 - a) * b, [(0.9, 2.0), (0.8, 3.0)], lambda a, b: math.sqrt(1 - a) * (b + 1),
        "For very large b your result is right, but for very small b it is not",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("truth", "cases", "answer", "words"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_what_is_wrong_with_one_argument_is_found_by_changing_it(truth, cases, answer, words):
    said, named = told(truth, cases, answer)
    assert words in said
    assert named == "argument"


def test_of_arguments_that_act_the_other_way_two_are_told():
    truth, cases, answer, _ = ARGUMENTS["the other way"]
    assert len(told(truth, cases, answer)[0].splitlines()) == 3  # the first says by how much


ENDS = {  # truth, cases, answer, what is said
    "right at zero, too": (
        lambda a: a / (1 + a), [(0.0,), *ONES], lambda a: a / (2 + a),
        "Among the cases that are wrong: For very large a your result is right",
    ),
    "the first of two": (
        lambda a, b: a * b / (1 + a * b), [(0.7, 2.0), (1.9, 3.0)], lambda a, b: a * b / (2 + a * b),
        "For very large a your result is right",
    ),
    "behind a list": (
        lambda v, a: v[0] * a / (1 + v[0] * a), [([1.0], 0.5), ([3.0], 2.0)], lambda v, a: v[0] * a / (2 + v[0] * a),
        "For very large a your result is right",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("truth", "cases", "answer", "words"), ENDS.values(), ids=ENDS)
def test_the_end_at_which_a_result_is_right_is_found(truth, cases, answer, words):
    assert words in told(truth, cases, answer)[0]


def test_a_count_has_no_ends():
    assert "For very" not in told(lambda n: n / (1 + n), [(1,), (2,), (5,)], lambda n: n / (2 + n))[0]


def test_of_three_arguments_at_fault_none_is_named():
    cases = [(2.0, 3.0, 0.5, 1.5), (1.0, 2.0, 0.7, 0.3)]
    said, _ = told(lambda a, b, c, d: a * b * c * d, cases, lambda a, b, c, d: d * (a + b + c + 1) ** 2)
    assert "Look where" not in said


@pytest.mark.parametrize(
    ("count", "listed"), [(1, "0;"), (6, "0, 1, 2, 3, 4, 5;"), (7, "0, 1, 2, 3, 4, 5…;"), (8, "0, 1, 2, 3, 4, 5…;")]
)
@pytest.mark.parametrize("size", [1, 1e-10])
def test_wrong_entries_are_listed_up_to_six(count, listed, size):
    weights = size * torch.arange(1.0, 10.0, dtype=torch.float64)
    wrong = size * torch.where(torch.arange(9) < count, torch.arange(9) ** 2 + 2.5, 0)
    said, named = told(lambda x: x * weights, [(torch.tensor(2.0),)], lambda x: x * weights + wrong)
    assert f"{count} of 9 entries are wrong, at index {listed} the others are right" in said
    assert named == "entries"


def test_entries_are_listed_of_the_first_array_that_is_partly_wrong():
    truth, cases = (lambda x: torch.stack([x, 3 * x, x.square()])), [(torch.tensor(x),) for x in (1.0, 0.7, 1.6)]

    def given(x):
        return truth(x) + {1.0: 0.0, 0.7: 5.0, 1.6: torch.tensor([0.0, 2.5, 0.3])}[round(float(x), 4)]

    assert "2 of 3 entries are wrong, at index 1, 2;" in told(truth, cases, given)[0]


# --- whatever the truth bears -------------------------------------------------------------------------------------

NARROW = {
    "another shape": (lambda n: np.arange(1.0, n + 1), [(2,), (3,)], lambda n: np.arange(1.0, n + 1) ** 2 + 0.3),
    "no number": (lambda a: torch.log(2 - torch.tensor(a)), [(1.9,), (1.5,)], lambda a: a + 0.3),
    "an error": (lambda a, b: math.sqrt(a - b), [(2.0, 1.0), (3.0, 2.9)], lambda a, b: a + b**2),
    "a tensor and a number": (lambda v, a: v.sum() * a, [(torch.ones(2), 3.0)] * 2, lambda v, a: v[0] + a**2),
    "zero and below": (lambda a, b: a * b - 1, [(0.0, 1.0), (-2.0, 3.0)], lambda a, b: a**2 + b),
    "a truth value": (lambda a, up: a if up else -a, [(2.0, True), (3.0, False)], lambda a, up: a**2 + up),
    "zero": (lambda a, b: a * b - 1, [(0.0, 1.0), (2.0, 3.0)], lambda a, b: a**2 + b),
    "infinity": (lambda a: math.inf if a > 2 else a, [(1.0,), (1.5,), (3.0,)], lambda a: a**2 + 1),
}


@pytest.mark.parametrize(("truth", "cases", "answer"), NARROW.values(), ids=NARROW)
def test_an_exercise_that_bears_few_changes_is_checked_all_the_same(truth, cases, answer):
    said, named = told(truth, cases, answer)
    assert said.startswith(("For ", "2 of 2 entries", "1 of 2 entries"))
    assert named != "whole"


def test_changes_that_the_truth_does_not_bear_do_not_hide_a_factor():
    truth = lambda a: torch.log(2 - torch.tensor(a))  # noqa: E731
    assert "Every result is 3 times" in told(truth, [(1.9,), (1.5,)], lambda a: 3 * truth(a))[0]


VALUES = {  # a value, and how many changes of each of its entries are tried
    "number": (0.5, [1]),
    "negative": (-3.0, [1]),
    "zero": (0.0, [1]),
    "count": (3, [1]),
    "no count": (0, [1]),
    "list": ([1.0, 0.0, -2.0], [2, 2, 2]),
    "counts": ((4, 0), [2, 2]),
    "one": ([1.0], [2]),
    "eight": ([1.0] * 8, [2] * 8),
    "nine": ([1.0] * 9, [1] * 9),
    "sixteen": (np.ones(16), [1] * 16),
    "seventeen": (np.ones(17), []),
    "vector": (torch.tensor([1.0, 2.0]), [2, 2]),
    "zeros": ([0.0, 0.0], [2, 2]),
    "no counts": ([0, 0], [2, 2]),
    "ones": ([1, 1], [2, 2]),
    "a tensor of one": (torch.tensor(2.0), []),
    "three dimensions": (torch.ones(2, 2, 2), []),
    "matrix": (torch.ones(20, 16), [1] * 16),
    "wide": (torch.ones(2, 17), []),
    "row": (np.ones((3, 1)), [1]),
    "no columns": (torch.ones(2, 0), []),
    "truth value": (True, []),
    "truth values": ([True, False], []),
    "text": ("a", []),
    "nothing": ([], []),
}


@pytest.mark.parametrize(("value", "counts"), VALUES.values(), ids=VALUES)
def test_each_change_is_of_one_number_of_one_argument(value, counts):
    case = (2.5, value, 4)
    before = repr(value)
    every = [each for each in changes(("before", "tried", "after"), case) if each[1] == "tried"]
    assert [len(list(group)) for _, group in itertools.groupby(every, lambda each: where(each[2][1], value))] == counts
    for leaf, _, changed in every:
        assert type(changed[1]) in (type(value), list)
        assert (changed[0], changed[2]) == (2.5, 4)
        place = where(changed[1], value)
        assert (sizes(changed[1])[..., place] > sizes(value)[..., place]).all()
        last = "last" if place == len(counts) - 1 else "inner"
        assert leaf.startswith("tried" if np.ndim(value) == 0 else f"the {'first' if place == 0 else last} ")
    for _, group in itertools.groupby(every, lambda each: where(each[2][1], value)):
        if len(largest := list(group)[1:]):
            assert max(largest[0][2][1]) > sizes(value).max()
    assert repr(value) == before


def sizes(value):
    return np.abs(np.atleast_1d(value.tolist() if hasattr(value, "tolist") else value))


def where(changed, value):
    """The one entry, or column, that differs."""
    differ = sizes(changed) != sizes(value)
    differ = differ.any(0) if differ.ndim == 2 else differ
    (place,) = np.flatnonzero(differ)
    return int(place)
