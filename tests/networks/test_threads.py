"""Small steps are computed on one thread: others would wait for it, on a busy machine most of the time."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import entropic_edu as ee
from entropic_edu import Network
from entropic_edu.networks.models import mlp, small_cnn


@pytest.mark.parametrize(
    ("model", "shape"),
    [(small_cnn((16, 32, 64)), (64, 3, 32, 32)), (mlp(64, 512, 512, 10), (2048, 64))],
    ids=["CNN", "MLP"],
)
def test_steps_of_less_than_two_billion_operations_are_computed_on_one_thread(model, shape, generator):
    land = Network(model, torch.randn(shape, generator=generator), torch.arange(shape[0]) % 10)
    most = max(n for n in (2**k for k in range(11)) if land.threads(n) == 1)
    assert land.threads(2 * most) is None  # torch's own
    assert land.threads(None) == land.threads(len(land.x))
    theta = land.initial(generator)
    with FlopCounterMode(display=False) as counter:
        land.gradient(theta, batch_size=most, generator=generator)
    assert 0.5e9 < counter.get_total_flops() < 3e9  # a step of some 15 ms: 2e9, to the next power of two


def test_a_verb_computes_small_steps_on_one_thread_and_gives_the_others_back(generator):
    land = Network(mlp(5, 4, 3), torch.randn(30, 5, generator=generator), torch.arange(30) % 3)
    seen, before = [], torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for _ in ee.stream.train(land, generator=generator, epochs=2, batch_size=10):
            seen.append(torch.get_num_threads())
        loss, land.loss = land.loss, lambda theta: seen.append(-torch.get_num_threads()) or loss(theta)
        ee.train(land, generator=generator, epochs=1, batch_size=10)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {2, -1}  # what runs between two snapshots has them all
