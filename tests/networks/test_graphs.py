"""Which computations are recorded as CUDA graphs and which are not; that replays are right is for tests/test_gpu.py."""

from contextlib import nullcontext

import pytest
import torch

import entropic_edu as ee
from entropic_edu.networks import graphs, memory
from entropic_edu.networks.devices import full_precision


class Recorder:
    """Stands in for the recording itself, which needs a GPU; notes what was recorded."""

    def __init__(self, refuses=False):
        self.made, self.refuses = [], refuses

    def __call__(self, compute, inputs):
        if self.refuses:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.made.append(tuple(each.shape for each in inputs))
        return compute


def doubled(x):
    return (2 * x,)


def test_what_is_asked_for_once_is_computed_and_what_is_asked_for_again_is_recorded():
    record = Recorder()
    replays, x = graphs.Replays(record=record), torch.arange(3.0)
    for times in range(4):
        assert torch.equal(replays("a", doubled, (x,))[0], 2 * x)
        assert len(record.made) == min(times, 1)
    replays("b", doubled, (x,))
    assert len(record.made) == 1


def test_no_more_are_kept_than_allowed_and_the_oldest_goes():
    replays = graphs.Replays(most=2, record=Recorder())
    for key in "abc":
        for _ in range(2):
            replays(key, doubled, (torch.ones(2),))
    assert list(replays.recorded) == ["b", "c"]


def test_eight_are_kept_unless_told_otherwise():
    replays = graphs.Replays(record=Recorder())
    for key in range(10):
        for _ in range(2):
            replays(key, doubled, (torch.ones(2),))
    assert list(replays.recorded) == list(range(2, 10))


class Stream:
    def wait_stream(self, other):
        assert isinstance(other, Stream)


class Graph:
    """Stands in for a CUDA graph: computes again, into the same tensors, what was computed while it was recorded."""

    def replay(self):
        for output, fresh in zip(self.outputs, self.compute(*self.inputs), strict=True):
            output.copy_(fresh)


@pytest.mark.parametrize("number", [1, 2])
def test_a_recording_follows_warm_calls_and_replays_into_tensors_of_its_own(number, monkeypatch):
    for name, stand_in in {
        "device": nullcontext,
        "stream": nullcontext,
        "graph": nullcontext,
        "Stream": Stream,
        "current_stream": Stream,
        "CUDAGraph": Graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    calls = []

    def compute(*inputs):
        calls.append(inputs)
        return sum(inputs), inputs[0] ** 2

    given = tuple(torch.arange(3.0) + i for i in range(number))
    replay = graphs.Replay(compute, given)
    assert len(calls) > 2  # the last is recorded, and kernels are chosen before
    replay.graph.compute, replay.graph.inputs, replay.graph.outputs = compute, calls[-1], replay.outputs
    first = replay(*given)
    kept = [each.clone() for each in first]
    others = tuple(each + 10 for each in given)
    for found, inputs in ((replay(*others), others), (first, given)):
        assert torch.equal(found[0], sum(inputs))
        assert torch.equal(found[1], inputs[0] ** 2)
    assert all(map(torch.equal, first, kept))  # a later replay leaves what an earlier one gave
    assert all(map(torch.equal, given, (torch.arange(3.0) + i for i in range(number))))


def test_what_cannot_be_recorded_is_computed_each_time():
    replays, x = graphs.Replays(record=Recorder(refuses=True)), torch.ones(2)
    for _ in range(3):
        assert torch.equal(replays("a", doubled, (x,))[0], 2 * x)
    assert replays.recorded == {"a": None}


def pictures(generator):
    x, y = torch.randn(12, 3, 32, 32, generator=generator), torch.arange(12) % 10
    return ee.Network(ee.models.small_cnn((2,)), x, y, strategy="loop")


def test_a_network_on_a_cpu_records_nothing(generator):
    land = pictures(generator)
    theta = torch.stack([land.initial(generator) for _ in range(2)])
    for _ in range(3):
        land.gradient(theta)
    assert land.engine.replays.seen == set()


def test_what_may_be_recorded_is_small_beside_the_memory_of_a_gpu():
    assert memory.is_small(99, 3200)  # of which a 32nd
    assert not memory.is_small(100, 3200)
    assert not memory.is_small(1, None)  # no GPU


def test_what_is_recorded_is_given_up_where_memory_ran_out(generator):
    land = pictures(generator)
    land.engine.replays("a", doubled, (torch.ones(2),))
    failing = iter([MemoryError("out of memory"), None])

    def compute():
        if (error := next(failing)) is not None:
            raise error
        return 7

    assert land.engine.fitting(compute, 12) == 7
    assert land.engine.replays.seen == set()


def test_full_precision_holds_inside_only_and_what_was_allowed_comes_back(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    with full_precision():
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.allow_tf32
