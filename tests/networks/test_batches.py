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
    assert (parts[0][1] is made) == (rows >= 11)
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
    assert not made.of(1).whole or not own
    assert made.size == some.size == made.of(1).size == 11


@pytest.mark.parametrize("number", [1, 2, 11])
def test_the_ends_of_a_batch_are_two_samples_also_of_one(number):
    x = torch.arange(2 * number).reshape(number, 2)
    ends = Batch(x, 100 + x[:, 0]).ends
    assert (ends.own, ends.whole) == (False, False)
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


@pytest.mark.parametrize("rows", [None, 3])
@pytest.mark.parametrize("inputs", [(), (2,), (2, 3), (1, 2, 3)])
def test_a_drawn_batch_has_the_shape_of_the_data_whatever_their_dimensions(inputs, rows, generator):
    x = torch.randn(20, *inputs, generator=generator)
    model = nn.Sequential(nn.Flatten(1) if inputs else nn.Unflatten(0, (-1, 1)), nn.LazyLinear(3))
    model(x)
    land, lead = Network(model, x, torch.arange(20) % 3, label_noise=0.5), () if rows is None else (rows,)
    batches = [land.draw(7, generator, rows), *land.epoch(7, generator, rows)]
    for drawn, number in zip([*batches, land.draw(None, generator, rows)], [7, 7, 7, 20], strict=True):
        assert (drawn.x.shape, drawn.y.shape) == ((*lead, number, *inputs), (*lead, number))
        assert (drawn.own, drawn.whole, drawn.size) == (rows is not None, False, number)
        found = (drawn.x.reshape(-1, 1, math.prod(inputs)) == x.reshape(20, -1)).all(-1)
        assert found.any(-1).all()
        assert torch.equal(drawn.clean.flatten(), land.y[found.long().argmax(-1)])


def test_all_data_are_shared_by_walkers_where_there_is_no_label_noise(generator):
    x, y = torch.randn(20, 2, generator=generator), torch.arange(20) % 3
    drawn = Network(nn.Linear(2, 3), x, y).draw(None, generator, 4)
    assert (drawn.own, drawn.whole) == (False, False)
    assert torch.equal(drawn.x, x)


@pytest.mark.parametrize("rows", [None, 3])
def test_real_targets_are_jittered_by_as_much_as_asked_for_however_they_are_drawn(rows, generator):
    x, y = torch.randn(3000, 2, generator=generator), torch.randn(3000, 1, generator=generator)
    land = Network(nn.Linear(2, 1), x, y, loss="mse", label_noise=0.3)
    ways = [land.draw(size, generator, rows) for size in (2000, None)]
    for drawn in (*ways, next(land.epoch(2000, generator, rows)), next(land.epoch(None, generator, rows))):
        jitter = drawn.y - drawn.clean
        assert float(jitter.std()) == pytest.approx(0.3, rel=4 / math.sqrt(2 * jitter.numel()))


@pytest.mark.parametrize("rows", [None, 3])
@pytest.mark.parametrize("places", [(), (2,), (2, 3)])
def test_targets_averaged_over_label_noise_are_each_walker_s_own(places, rows, generator):
    x, y = torch.randn(12, 1, *places, generator=generator), torch.randint(3, (12, *places), generator=generator)
    model = {0: nn.Linear, 1: nn.Conv1d, 2: nn.Conv2d}[len(places)](1, 3, *([1] if places else []))
    land = Network(model, x, y, label_noise=0.3)
    drawn = land.draw(5, generator, rows)
    found = drawn.averaged(land.criterion, torch.float32)
    each = zip(found, drawn.clean, strict=True) if rows else [(found, drawn.clean)]
    for averaged, clean in each:
        expected = 0.7 * torch.nn.functional.one_hot(clean, 3).movedim(-1, 1) + 0.1
        torch.testing.assert_close(averaged, expected)


@pytest.mark.parametrize("rows", [None, 1, 3])
def test_an_epoch_draws_one_permutation_for_each_walker_and_nothing_else(rows, generator):
    x = torch.arange(20.0)[:, None]
    land = Network(nn.Linear(1, 3), x, torch.arange(20) % 3)
    twin = torch.Generator().set_state(generator.get_state())
    for _ in range(2):
        orders = [x[torch.randperm(20, generator=twin), 0] for _ in range(rows or 1)]
        batches = [batch.x[..., 0] for batch in land.epoch(5, generator, rows)]
        assert torch.equal(torch.cat(batches, -1), torch.stack(orders) if rows else orders[0])


def test_two_batches_of_the_same_samples_are_two():
    made = batch(True)
    assert made != replace(made)


@pytest.mark.parametrize("rows", [3, 11, 20])
def test_the_mean_over_parts_is_that_of_the_whole_and_of_one_part_nothing_is_copied(rows):
    made, theta, seen = batch(False), torch.ones(2, 4), []

    def compute(part):
        mean = part.y.float().mean()
        seen.append((mean * torch.tensor([1.0, 2.0]), mean.expand(2, 4)))
        return seen[-1]

    losses, gradients = found = mean_over(made.split(rows), compute, theta)
    assert (found is seen[0]) == (rows >= 11)
    torch.testing.assert_close(losses, torch.tensor([5.0, 10.0]))
    torch.testing.assert_close(gradients, 5 * theta)
    assert len(seen) == math.ceil(11 / rows)
