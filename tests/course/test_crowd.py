"""A crowd's code makes the crowd's numbers; the same seed makes twins."""

import pytest
import torch
from explorers import run_code

from entropic_edu.course.crowd import Crowd

SMALL = {"steps": 40, "walkers": 16, "records": 4}


@pytest.mark.parametrize("start", [0.3, None])
@pytest.mark.parametrize("batch_size", [4, None])
def test_the_code_makes_the_same_numbers(start, batch_size):
    crowd = Crowd("Waist", {"noise_scale": 3.0}, start=start, **SMALL)
    turned = {"batch_size": batch_size, "learning_rate": 0.02}
    release = run_code(crowd.code(5, **turned))["release"]
    assert torch.equal(release.theta, crowd.run(5, **turned).theta)


def test_the_stream_ends_in_the_same_release():
    crowd = Crowd("Waist", **SMALL)
    *_, last = crowd.stream(5, batch_size=4, learning_rate=0.02)
    assert torch.equal(last.result.theta, crowd.run(5, batch_size=4, learning_rate=0.02).theta)


def test_an_even_crowd_fills_the_floor_alike_in_each_of_the_eight():
    crowd = Crowd("Waist", start=None, **SMALL)
    y = crowd.run(0, batch_size=None, learning_rate=0.02).theta[0, :, 1]
    torch.testing.assert_close(y, torch.tensor([-0.5, 0.5]).repeat(8))


def test_a_trough_at_two_batch_sizes_is_one_walk_at_two_sizes():
    # on ½hx² the walk is linear in the kicks, and twins share these: exactly √(16/64)
    crowd = Crowd("Waist", {"g_wide": 2.0, "g_narrow": 2.0}, **SMALL)
    wide, narrow = (crowd.run(0, batch_size=b, learning_rate=0.1).theta[..., 0] for b in (16, 64))
    torch.testing.assert_close(narrow, 0.5 * wide)


def test_the_last_releases_are_kept_by_all_that_was_turned():
    crowd = Crowd("Waist", **SMALL)
    turned = {"batch_size": 4, "learning_rate": 0.02}
    first = crowd.run(5, **turned)
    assert crowd.run(5, **turned) is first
    others = [
        crowd.run(6, **turned),
        crowd.run(5, **turned | {"batch_size": None}),
        Crowd("Waist", **SMALL).run(5, **turned),
    ]
    assert all(other is not first for other in others)
    assert torch.equal(others[-1].theta, first.theta)
