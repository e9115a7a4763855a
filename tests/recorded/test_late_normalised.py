"""The late game of the normalised network: which barrier goes first, as lesson 07 tells it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from entropic_edu import recorded
from entropic_edu.recorded import late_normalised

LESSON = (Path(__file__).parents[2] / "lessons" / "src" / "07_late_game.py").read_text("utf-8")


def shares(quantity, k):
    """What is left of a barrier at step k, in per cent of k = 0: mean over the trunks and its error."""
    family = recorded.load("late_normalised")["family"]
    height = getattr(family, f"{quantity}_barrier").double()
    left = 100 * family.relative_to_first(height)[:, family.at.tolist().index(k)]
    return float(left.mean()), float(left.std() / len(left) ** 0.5)


@pytest.mark.parametrize(("quantity", "k"), [("loss", 15), ("trace", 15), ("loss", 30)])
def test_the_shares_in_the_lesson_are_those_of_the_recording(quantity, k):
    mean, error = shares(quantity, k)
    assert f"${mean:.0f} \\pm {error:.0f}$ %" in re.sub(r"\n#\s+", " ", LESSON)


def test_the_barrier_of_the_trace_goes_first_on_four_trunks_of_five_at_15_and_on_all_at_30():
    family = recorded.load("late_normalised")["family"]
    loss, trace = (family.relative_to_first(each.double()) for each in (family.loss_barrier, family.trace_barrier))
    assert len(loss) == 5
    assert (trace < loss).sum(0)[1:3].tolist() == [4, 5]


def test_the_families_of_single_trunks_become_one_with_the_trunks_in_order():
    family = recorded.load("late_normalised")["family"]
    curves = ("ends", "loss", "data_loss", "trace", "trace_error", "top_eigenvalue", "test_accuracy")

    def trunk(number):
        return {name: getattr(family, name)[number : number + 1] for name in curves}

    again = late_normalised.together([replace(family, **trunk(number)) for number in range(5)])
    assert all(torch.equal(getattr(again, name), getattr(family, name)) for name in curves)
