"""Batches taken apart: the parts are the whole, each sample with its target, its share and its label before noise."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from entropic_edu import Network
from entropic_edu.networks.batches import Batch, mean_over


def batch(own, whole=False, clean=True):
    """Eleven samples, of each of three walkers where they have their ``own``; every number tells where it lies."""
    y = torch.arange(33).reshape(3, 11) if own else torch.arange(11)
    return Batch(y[..., None] + torch.tensor([0.0, 0.5]), y, own, whole, 100 + y if clean else None)


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("rows", [1, 4, 10, 11, 12])
def test_the_parts_of_a_batch_are_the_batch(rows, own, whole, clean):
    made = batch(own, whole, clean)
    parts = made.split(rows)
    sizes = [part.size for _, part in parts]
    assert sizes == [min(rows, 11)] * (11 // rows) + [11 % rows] * (rows < 11 and 11 % rows > 0) or sizes == [11]
    assert (sizes == [11]) == (rows >= 11)
    assert [share for share, _ in parts] == [size / 11 for size in sizes]
    for name in ("x", "y", "clean"):
        whole_of = getattr(made, name)
        each = [getattr(part, name) for _, part in parts]
        if whole_of is None:
            assert each == [None] * len(parts)
        else:
            assert torch.equal(torch.cat(each, int(own)), whole_of)
    assert {(part.own, part.whole) for _, part in parts} == {(own, whole)}


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("own", [True, False])
def test_walkers_see_their_own_samples_or_all_the_same(own, clean):
    made = batch(own, True, clean)
    some = made.among(slice(1, 3))
    assert (some.own, some.whole) == (own, True)
    for name in ("x", "y", "clean"):
        before, here = getattr(made, name), getattr(some, name)
        assert torch.equal(here, before[1:3] if own else before) if clean or name != "clean" else here is None
        for walker in range(3):
            one = getattr(made.of(walker), name)
            assert torch.equal(one, before[walker] if own else before) if clean or name != "clean" else one is None
    assert not made.of(1).own
    assert made.size == some.size == made.of(1).size == 11


@pytest.mark.parametrize("number", [1, 2, 11])
def test_the_ends_of_a_batch_are_two_samples_also_of_one(number):
    x = torch.arange(2 * number).reshape(number, 2)
    ends = Batch(x, 100 + x[:, 0]).ends
    assert torch.equal(ends.x, torch.stack([x[0], x[-1]]))
    assert ends.y.tolist() == [100, 98 + 2 * number]
    assert ends.size == 2


@pytest.mark.parametrize("rows", [None, 3])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_drawn_batch_holds_its_targets_before_label_noise_where_there_is_some(noise, rows, generator):
    x, y = torch.arange(60.0)[:, None], torch.arange(60) % 3
    land = Network(nn.Linear(1, 3), x, y, label_noise=noise)
    everything = land.draw(None, generator, rows)
    for drawn in (land.draw(40, generator, rows), next(land.epoch(40, generator, rows)), everything):
        before = drawn.x[..., 0].long() % 3
        if noise:
            assert torch.equal(drawn.clean, before)
            assert not torch.equal(drawn.y, before)
        else:
            assert drawn.clean is None
            assert torch.equal(drawn.y, before)


def test_two_batches_of_the_same_samples_are_two():
    made = batch(True)
    assert made != replace(made)


@pytest.mark.parametrize("rows", [3, 11, 20])
def test_the_mean_over_parts_is_that_of_the_whole_and_of_one_part_nothing_is_copied(rows):
    made, theta, seen = batch(False), torch.ones(2, 4), []

    def compute(part):
        seen.append(part)
        mean = part.y.float().mean()
        return mean * torch.tensor([1.0, 2.0]), mean.expand(2, 4)

    losses, gradients = mean_over(made.split(rows), compute, theta)
    torch.testing.assert_close(losses, torch.tensor([5.0, 10.0]))
    torch.testing.assert_close(gradients, 5 * theta)
    assert len(seen) == math.ceil(11 / rows)
