"""Which computations are recorded as CUDA graphs and which are not; that replays are right is for tests/test_gpu.py."""

import pytest
import torch

import entropic_edu as ee
from entropic_edu.networks import graphs, memory
from entropic_edu.networks.devices import full_precision


@pytest.fixture
def recorded(monkeypatch):
    """What was recorded, with a stand-in for the recording itself, which needs a GPU."""
    made = []

    class Replay:
        def __init__(self, compute, inputs):
            made.append(tuple(each.shape for each in inputs))
            self.compute = compute

        def __call__(self, *inputs):
            return self.compute(*inputs)

    monkeypatch.setattr(graphs, "Replay", Replay)
    return made


def doubled(x):
    return (2 * x,)


def test_what_is_asked_for_once_is_computed_and_what_is_asked_for_again_is_recorded(recorded):
    replays, x = graphs.Replays(), torch.arange(3.0)
    for times in range(4):
        assert torch.equal(replays("a", doubled, (x,))[0], 2 * x)
        assert len(recorded) == min(times, 1)
    replays("b", doubled, (x,))
    assert len(recorded) == 1


def test_no_more_are_kept_than_allowed_and_the_oldest_goes(recorded):
    replays = graphs.Replays(most=2)
    for key in "abc":
        for _ in range(2):
            replays(key, doubled, (torch.ones(2),))
    assert list(replays.kept) == ["b", "c"]


def test_what_cannot_be_recorded_is_computed_each_time(monkeypatch):
    def refused(compute, inputs):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(graphs, "Replay", refused)
    replays, x = graphs.Replays(), torch.ones(2)
    for _ in range(3):
        assert torch.equal(replays("a", doubled, (x,))[0], 2 * x)
    assert replays.kept == {"a": None}


def test_a_network_on_a_cpu_records_nothing(recorded, generator):
    x, y = torch.randn(12, 3, 32, 32, generator=generator), torch.arange(12) % 10
    land = ee.Network(ee.models.small_cnn((2,)), x, y, strategy="loop")
    theta = torch.stack([land.initial(generator) for _ in range(2)])
    for _ in range(3):
        land.gradient(theta)
    assert recorded == []


def test_a_network_on_a_gpu_would_record_small_gradients_only(recorded, generator, monkeypatch):
    x, y = torch.randn(12, 3, 32, 32, generator=generator), torch.arange(12) % 10
    land = ee.Network(ee.models.small_cnn((2,)), x, y, strategy="loop")
    theta = torch.stack([land.initial(generator) for _ in range(2)])
    wanted = land.gradient(theta)
    monkeypatch.setattr(land, "_replayable", lambda samples: samples <= 24)
    for _ in range(3):
        assert torch.equal(land.gradient(theta), wanted)
    assert [shapes[:2] for shapes in recorded] == [((2, land.dim), (12, 3, 32, 32))]
    land._replayable = lambda samples: samples < 24
    land._replays = graphs.Replays()
    for _ in range(3):
        land.gradient(theta)
    assert len(recorded) == 1


def test_what_may_be_recorded_is_small_beside_the_memory_of_a_gpu(generator, monkeypatch):
    x, y = torch.randn(12, 3, 32, 32, generator=generator), torch.arange(12) % 10
    land = ee.Network(ee.models.small_cnn((2,)), x, y)
    assert not land._replayable(1)
    each = land.bytes_per_sample
    monkeypatch.setattr(land, "device", torch.device("cuda"))
    monkeypatch.setattr(memory, "total_bytes", lambda device: 3200 * each)  # of which a 32nd
    assert land._replayable(99)
    assert not land._replayable(100)


def test_what_is_recorded_is_given_up_where_memory_ran_out(generator, monkeypatch):
    x, y = torch.randn(12, 3, 32, 32, generator=generator), torch.arange(12) % 10
    land = ee.Network(ee.models.small_cnn((2,)), x, y)
    land._replays.seen.add("a")
    failing = iter([MemoryError("out of memory"), None])

    def compute():
        if (error := next(failing)) is not None:
            raise error
        return 7

    assert land._fitting(compute, 12) == 7
    assert land._replays.seen == set()


def test_full_precision_holds_inside_only_and_what_was_allowed_comes_back(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    with full_precision():
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.allow_tf32
