"""Every state of the explorers of lessons 00 to 03: a picture and a sentence of its own, whatever was drawn before."""

import pytest
from explorers import drive, same_from_anywhere

from entropic_edu.course import chapter

NAMES = [(number, name) for number in ("00", "01", "02", "03") for name in chapter(number).explorers]


@pytest.mark.parametrize(("number", "name"), NAMES)
def test_every_state_says_something_of_its_own_and_does_not_depend_on_what_was_drawn_before(number, name):
    make = chapter(number).explorers[name]
    explorer = make(0)
    drive(explorer)
    same_from_anywhere(explorer, lambda: make(0))
