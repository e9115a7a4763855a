"""Lesson 02: each picture beside the law that it is drawn with."""

import re

import pytest
import torch
from explorers import drive, run_code, same_from_anywhere

from entropic_edu.course.crowd import Crowd
from entropic_edu.course.flat_floor import CHAPTER
from entropic_edu.course.flat_floor.barrier import COOLED, barrier
from entropic_edu.course.flat_floor.common import CENTRES, expected
from entropic_edu.course.flat_floor.drain import drain
from entropic_edu.course.flat_floor.histogram import histogram


@pytest.fixture(scope="module", params=["drain", "histogram", "barrier"])
def explorer(request):
    return CHAPTER.explorers[request.param](0), CHAPTER.explorers[request.param]


def test_every_option_draws_and_says_something_of_its_own(explorer):
    drive(explorer[0])


def test_a_picture_does_not_depend_on_what_was_drawn_before(explorer):
    same_from_anywhere(explorer[0], lambda: explorer[1](0))


def figures(sentence, pattern):
    """The numbers of a sentence at the groups of a pattern."""
    return tuple(float(number) for number in re.search(pattern, sentence).groups())


@pytest.mark.parametrize("walls", ["tighten", "straight"])
def test_the_narrow_third_drains_only_where_walls_tighten(walls):
    explorer = drain(1)
    share, error, law = figures(explorer.draw(walls=walls, batch_size=4).sentence, r"(\d+) ± (\d+) % .* theory (\d+) %")
    assert abs(share - law) <= 3 * error + 2
    assert (law < 20) == (walls == "tighten")
    assert (law > 30) == (walls == "straight")


def test_without_noise_nobody_leaves_the_narrow_third():
    explorer = drain(1)
    for quiet in ({"noise": "off"}, {"batch_size": None}):
        sentence = explorer.draw(**quiet).sentence
        assert "no noise" in sentence
        start = run_code(explorer.code(**(explorer.values | quiet)))["release"]
        assert torch.equal(start.theta[0], start.theta[-1])


def test_a_settled_crowd_is_four_times_rarer_where_walls_are_sixteen_times_steeper():
    explorer = histogram(1)
    rarer, error, _, law = figures(explorer.run(), r"1/(\S+) \(± (\S+)\).*1/(\S+) for.*1/(\S+) after")
    assert law == pytest.approx(3.9, abs=0.05)  # bins of finite width at the end, where h is 1.05 and not 1
    assert abs(rarer - law) < 4 * error + 0.3  # ηh = 0.16 in the neck: up to 8 % rarer in ⟨x²⟩, 4 % in numbers
    assert error < 0.4


def test_cooling_closes_the_hill_and_not_the_pinch():
    found = {}
    for temperature in COOLED:
        sentence = barrier(1).draw(temperature=temperature).sentence
        found[temperature] = figures(sentence, r": (\d+) ± (\d+) % have passed the pinch, (\d+) ± (\d+) % the hill")
    hot, cold = found[0.18], found[0.045]
    assert abs(hot[0] - cold[0]) <= 3 * (hot[1] + cold[1])
    assert hot[2] - cold[2] > 3 * (hot[3] + cold[3])


def test_the_three_temperatures_of_the_barriers_take_equal_times_for_their_temperature():
    for temperature, (rate, batch) in COOLED.items():
        assert temperature == pytest.approx(rate * 6**2 / (2 * batch))
    assert len({round(temperature * rate, 9) for temperature, (rate, _) in COOLED.items()}) == 1


def test_a_pinned_twin_is_told_apart():
    explorer = drain(0)
    explorer.set(batch_size=256)
    explorer.pin()
    sentence = explorer.set(batch_size=4)
    assert sentence.endswith("%.")
    assert "The pinned run had the same draws, Batches of 256" in sentence or "batches of 256" in sentence


def test_one_crowd_says_that_it_can_lie():
    assert "One crowd can lie." in drain(0).draw(crowd="one").sentence


def test_the_theory_counts_every_walker():
    crowd = Crowd("Waist", {"noise_scale": 3.0, "end_curvature": 20.0}, start=None)
    steps = torch.arange(0, 481, 12)
    for noise in ("on", "off", "late"):
        rows = expected(crowd, steps, batch_size=4, learning_rate=0.04, noise=noise)
        assert rows.shape == (41, len(CENTRES))
        torch.testing.assert_close(rows.sum(1), torch.ones(41, dtype=torch.float64))
