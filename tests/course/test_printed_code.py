"""What explorers print is made of public names: ``ee``, the recordings and their recipes."""

import re

import pytest
import torch
from explorers import every_state

from entropic_edu.course import MODULES, chapter

PUBLIC = re.compile(r"entropic_edu(\.recorded(\.[a-z]\w*)?)?")


@pytest.mark.parametrize("number", MODULES)
def test_printed_code_imports_public_names_only(number):
    for name, make in chapter(number).explorers.items():
        explorer = make(0)
        for state in every_state(explorer):
            for module in re.findall(r"(?:from|import) (entropic_edu\S*)", explorer.code(**state)):
                assert PUBLIC.fullmatch(module), f"{name}: {module}"


@pytest.mark.parametrize(("number", "exercise"), [("05", "5.1")])
def test_round_off_at_the_thirds_judges_no_answer(number, exercise):
    # With a point at 1/3 or 2/3 it would matter how a learner compares, and in which precision.
    (asked,) = [each for each in chapter(number).exercises if each.number == exercise]
    for position, *_ in asked.cases:
        for where in (position, position.float()):
            strict, loose = (where > 1 / 3) & (where < 2 / 3), (where >= 1 / 3) & (where <= 2 / 3)
            assert torch.equal(strict, loose)
            assert torch.equal(loose, (position * 3 > 1.01) & (position * 3 < 1.99))
