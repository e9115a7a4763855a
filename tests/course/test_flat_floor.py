"""Lesson 02: each picture beside the law that it is drawn with."""

import re

import pytest

from entropic_edu.course.flat_floor.histogram import histogram


def figures(sentence, pattern):
    """The numbers of a sentence at the groups of a pattern."""
    return tuple(float(number) for number in re.search(pattern, sentence).groups())


def test_a_settled_crowd_is_four_times_rarer_where_walls_are_sixteen_times_steeper():
    explorer = histogram(1)
    rarer, error, _, law = figures(explorer.run(), r"1/(\S+) \(± (\S+)\).*1/(\S+) for.*1/(\S+) after")
    assert law == pytest.approx(3.9, abs=0.05)  # bins of finite width at the end, where h is 1.05 and not 1
    assert abs(rarer - law) < 4 * error + 0.3  # ηh = 0.16 in the neck: up to 8 % rarer in ⟨x²⟩, 4 % in numbers
    assert error < 0.4
