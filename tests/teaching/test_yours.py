"""A learner's function in an explorer: theirs while it gives what fits, the library's from then on."""

import re
import sys

import pytest
import torch

from entropic_edu.teaching.yours import Yours

X = torch.tensor([1.0, 2.0])


def double(x):
    return x + x


def endless(x):
    while True:
        x = x + 1


def prints(x):
    print(2 * x)


def half_written(x):
    return 2 * ... * x


def stops(x):
    return 2 * x / 0 if len(x) > 9 else [][1]


def test_a_function_that_fits_is_used_and_cannot_change_what_it_got():
    def tripled(x):
        x *= 3
        return x

    x = X.clone()
    theirs = Yours(tripled, double)
    assert theirs(x).tolist() == [3.0, 6.0]
    assert (x.tolist(), theirs.note, theirs.whose) == ([1.0, 2.0], "Made by your function.", "Made by your function.")


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (endless, "stopped after 0.3 seconds. Is there a loop that never ends[?], in line [0-9]+:"),
        (stops, "stopped with IndexError: list index out of range, in line [0-9]+: return 2 [*] x / 0 if"),
        (prints, "returns nothing. Is a return missing?"),
        (half_written, "not written yet."),
        (lambda x: ..., "not written yet."),
        (lambda x: [..., 1], "not written yet."),
        (lambda x: x[:1], re.escape("This exercise wants values of shape (2,), but got values of shape (1,).")),
        (lambda x: x / 0, "must be a finite number"),
        (lambda x: "much", "This exercise wants a number, but got the text"),
    ],
)
def test_any_other_is_told_once_and_the_library_stands_in_from_then_on(function, told):
    tracer, theirs = sys.gettrace(), Yours(function, double, seconds=0.3)
    assert theirs(X).tolist() == [2.0, 4.0]
    assert re.search(told, theirs.note)
    assert theirs.note.endswith("The library's stands in.")
    assert theirs(torch.tensor([3.0, 4.0])).tolist() == [6.0, 8.0]
    assert sys.gettrace() is tracer


def test_a_function_that_stopped_once_is_not_asked_again():
    asked = []

    def stops_at_first(x):
        asked.append(x)
        return 5 * x if len(asked) > 1 else [][1]

    theirs = Yours(stops_at_first, double)
    assert [theirs(X).tolist() for _ in range(2)] == [[2.0, 4.0]] * 2
    assert len(asked) == 1


def test_a_value_keeps_the_precision_of_the_library():
    assert Yours(lambda x: [float(each) * 2 for each in x], double)(X).dtype == torch.float32
    assert Yours(None, lambda x: [1, 2])(X).dtype == torch.float64


def test_without_a_function_there_is_no_note():
    theirs = Yours(None, double)
    assert (theirs(X).tolist(), theirs.note) == ([2.0, 4.0], "")
