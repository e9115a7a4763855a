"""Running out of memory: fewer samples at once, the same results, and words where nothing helps."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from entropic_edu import Network
from entropic_edu.networks import memory
from entropic_edu.networks.models import small_cnn
from entropic_edu.physics.curvature import hessian_vector_product

ROUND_OFF = {"rtol": 1e-10, "atol": 1e-12}  # float64 sums in another order


class Tight(nn.Module):
    """A model on a machine where at most ``room`` samples fit; it notes how many it was given."""

    def __init__(self, room=None, error=torch.OutOfMemoryError, norm=False):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4) if norm else nn.Tanh(), nn.Linear(4, 3)).double()
        self.room, self.error, self.tried = room, error, []

    def forward(self, x):
        self.tried.append(len(x))
        if self.room is not None and len(x) > self.room:
            raise self.error("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has a total of ...")
        return self.inner(x)


def data(generator, number=40):
    x = torch.randn(number, 5, generator=generator, dtype=torch.float64)
    return x, torch.randint(3, (number,), generator=generator)


def roomy_and_tight(generator, room, **settings):
    roomy, tight = Tight(), Tight(room, **settings)
    tight.inner.load_state_dict(roomy.inner.state_dict())
    x, y = data(generator)
    return tuple(Network(model, x, y, test=(x[:30], y[:30]), weight_decay=0.1) for model in (roomy, tight))


CALLS = {
    "loss": lambda land, theta, g: land.loss(theta),
    "gradient": lambda land, theta, g: land.gradient(theta),
    "gradient of a batch": lambda land, theta, g: land.gradient(theta, 30, g, shared=True),
    "gradients of batches": lambda land, theta, g: land.gradient(theta, 30, g),
    "accuracy": lambda land, theta, g: land.accuracy(theta, "test"),
    "product": lambda land, theta, g: hessian_vector_product(land, theta, theta),
}


def test_an_error_that_says_nothing_is_told_by_its_type(generator):
    class Silent(Tight):
        def forward(self, x):
            if self.room == 0:
                raise MemoryError
            return super().forward(x)

    land = Network(Silent(), *data(generator))
    land.engine.model.room = 0
    with pytest.raises(MemoryError, match=r"up to 1 samples at once.*\(MemoryError\)$"):
        land.loss(land.initial(generator))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, RuntimeError])
@pytest.mark.parametrize("call", CALLS)
def test_where_memory_runs_out_half_as_many_samples_give_the_same_result(call, error, generator):
    roomy, tight = roomy_and_tight(generator, 7, error=error)
    theta = torch.stack([roomy.initial(generator) for _ in range(2)])
    expected, found = (CALLS[call](land, theta, torch.Generator().manual_seed(1)) for land in (roomy, tight))
    torch.testing.assert_close(found, expected, **ROUND_OFF)
    assert 4 <= tight.samples_at_once <= 7  # of 40 or 30, halved until it is at most 7


def test_what_fitted_once_is_what_later_calls_begin_with(generator):
    _, land = roomy_and_tight(generator, 10)
    theta = land.initial(generator)
    land.loss(theta)
    land.engine.model.tried.clear()
    land.loss(theta)
    land.gradient(theta, 30, generator)
    assert max(land.engine.model.tried) == 10


def test_a_batch_that_fits_is_not_cut(generator):
    _, land = roomy_and_tight(generator, 40)
    land.engine.model.tried.clear()
    land.gradient(land.initial(generator), 30, generator)
    assert land.engine.model.tried == [30]


def test_a_single_sample_that_does_not_fit_is_a_memory_error_in_words(generator):
    _, land = roomy_and_tight(generator, 2)
    land.engine.model.room = 0
    words = r"ran out on cpu with up to 1 samples at once.* free; take a smaller model.*Tried to allocate 2.00 GiB\.\)$"
    with pytest.raises(MemoryError, match=words):
        land.loss(land.initial(generator))


def test_batch_norm_needs_its_samples_together(generator):
    x, y = data(generator)
    land = Network(Tight(norm=True), x, y, batch_norm="reestimate", statistics=30)
    land.engine.model.room = 20
    theta = land.initial(generator)
    words = (
        r"with up to 40 samples at once.*one keeps about .* bytes, so that about \d+ would fit; .*smaller statistics="
    )
    with pytest.raises(MemoryError, match=words):
        land.loss(theta)
    with pytest.raises(MemoryError, match=words.replace("40", "30")):
        land.gradient(theta, 25, generator)


@pytest.mark.parametrize(("free", "fit"), [(4.0, 1), (40.0, 10), (399.0, 99), (1.0, 1)])
def test_how_many_would_fit_is_a_quarter_of_what_is_free(free, fit, generator, monkeypatch):
    land = Network(Tight(norm=True), *data(generator), batch_norm="reestimate", statistics=30)
    land.engine.model.room, keeps = 0, land.bytes_per_sample
    monkeypatch.setattr(memory, "free_bytes", lambda device: int(free * keeps))
    with pytest.raises(MemoryError, match=rf"so that about {fit} would fit"):
        land.loss(land.initial(generator))


def test_other_errors_pass_as_they_are(generator):
    class Broken(Tight):
        def forward(self, x):
            if len(x) > 2:
                raise RuntimeError("the weights are upside down")
            return super().forward(x)

    land = Network(Broken(), *data(generator))
    with pytest.raises(RuntimeError, match="upside down"):
        land.loss(land.initial(generator))


def test_a_gradient_keeps_the_inputs_of_each_layer_that_has_weights_or_bends(generator):
    # Linear keeps its input, tanh its output, which is the next layer's input; cross-entropy the log-softmax.
    model = nn.Sequential(nn.Linear(50, 40), nn.Tanh(), nn.Linear(40, 30)).double()
    x, y = torch.randn(8, 50, generator=generator, dtype=torch.float64), torch.arange(8)
    land = Network(model, x, y, strategy="loop")
    assert land.bytes_per_sample == pytest.approx(8 * (50 + 40 + 30 + 1), abs=16)  # and the label, and a scalar weight


def test_an_estimate_grows_with_the_samples_and_not_with_the_weights(generator):
    x, y = torch.randn(4, 3, 32, 32, generator=generator), torch.arange(4)
    narrow, wide = (Network(small_cnn((c, 2 * c)), x, y).bytes_per_sample for c in (8, 16))
    assert 1.7 < wide / narrow < 2  # twice the activations on the same images; the weights are four times as many


@pytest.mark.parametrize(
    ("size", "words"),
    [(12, "12 bytes"), (999, "999 bytes"), (1000, "1 kB"), (1500, "1.5 kB"), (2.5e6, "2.5 MB"), (8e10, "80 GB")],
)
def test_sizes_are_written_as_people_do(size, words):
    assert memory.in_words(size) == words


def test_the_processor_has_free_memory_and_no_total_of_its_own():
    free = memory.free_bytes(torch.device("cpu"))
    assert free is None or free > 2**20
    assert memory.total_bytes(torch.device("cpu")) is None


def test_an_accelerator_takes_as_many_samples_as_an_eighth_of_its_memory_keeps():
    assert memory.rows(5, 8 * 1000 * 77, 77) == 1000
    assert memory.rows(5, 2**60, 77) == 8192
    assert memory.rows(5, 1, 77) == 16


def test_little_is_less_than_a_32nd_of_an_accelerator_s_memory_and_nothing_is_little_on_a_processor():
    assert memory.is_small(99, 3200)
    assert not memory.is_small(100, 3200)
    assert not memory.is_small(0, None)


@pytest.mark.parametrize(
    ("error", "so"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("no room"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), True),
        (RuntimeError("no rule for vmap"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_says_that_memory_ran_out_is_known_by_type_or_words(error, so):
    assert memory.ran_out(error) is so


def test_all_memory_is_at_least_what_is_free():
    everything, free = (memory.free_bytes(torch.device("cpu"), in_use) for in_use in (True, False))
    assert everything is free is None or everything >= free > 0
    assert memory.free_bytes(torch.device("meta")) is None


def test_of_a_processor_what_is_free_is_told_in_pages_unless_what_is_in_use_is_wanted_too(monkeypatch):
    cpu, pages = torch.device("cpu"), {"SC_PHYS_PAGES": 100, "SC_AVPHYS_PAGES": 30, "SC_PAGE_SIZE": 7}
    monkeypatch.setattr(memory.os, "sysconf", pages.get)
    assert (memory.free_bytes(cpu), memory.free_bytes(cpu, in_use_too=True)) == (210, 700)
    monkeypatch.setattr(memory.os, "sysconf_names", {"SC_PHYS_PAGES": 1})
    assert (memory.free_bytes(cpu), memory.free_bytes(cpu, in_use_too=True)) == (None, 700)
    monkeypatch.delattr(memory.os, "sysconf_names")  # as on Windows
    assert memory.free_bytes(cpu) is memory.free_bytes(cpu, in_use_too=True) is None


def test_of_an_accelerator_torch_tells_what_is_free_and_what_it_has_and_takes_back_what_it_holds(monkeypatch):
    released = []
    for name, stand_in in {
        "cuda.mem_get_info": lambda device: (30, 100),
        "cuda.get_device_properties": lambda device: SimpleNamespace(total_memory=100),
        "cuda.empty_cache": lambda: released.append("cuda"),
        "mps.recommended_max_memory": lambda: 77,
        "mps.empty_cache": lambda: released.append("mps"),
    }.items():
        monkeypatch.setattr(f"torch.{name}", stand_in)
    cuda, mps, cpu = map(torch.device, ("cuda", "mps", "cpu"))
    assert (memory.free_bytes(cuda), memory.free_bytes(cuda, in_use_too=True), memory.free_bytes(mps)) == (30, 30, None)
    assert [memory.total_bytes(device) for device in (cuda, mps, cpu)] == [100, 77, None]
    for device in (cuda, mps, cpu):
        memory.release(device)
    assert released == ["cuda", "mps"]


def test_a_processor_takes_what_stays_in_its_cache():
    assert memory.rows(3 * 32 * 32, None, 0) == 85
    assert (memory.rows(2**20, None, 0), memory.rows(5, None, 0)) == (64, 4096)
