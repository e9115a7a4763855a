"""Laws of all engines: which way they go, how many samples they take at once, and that parts add up to the whole."""

import copy
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from entropic_edu.networks import memory
from entropic_edu.networks.convolutions import ConvChain, Passes
from entropic_edu.networks.engine import Engine, StackEngine, anywhere
from entropic_edu.networks.engines import ConvEngine
from entropic_edu.networks.network import Network
from entropic_edu.networks.per_sample import gradient_covariance
from entropic_edu.networks.ways import HELD

ROUND_OFF = {"rtol": 1e-10, "atol": 1e-12}  # float64 sums in another order
NOISE = 0.3


class Counted(nn.Module):
    """A model that notes how many samples each of its calls was given, and whether networks were side by side."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.calls = inner, []

    def forward(self, x):
        self.calls.append((len(x), torch._C._functorch.maybe_current_level() is not None))
        return self.inner(x)


class Shift(nn.Module):
    """A model whose gradient needs nothing that forward computes."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(5, dtype=torch.float64))

    def forward(self, x):
        return x + self.bias


def dense():
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))


def tiling():
    return nn.Sequential(nn.Conv2d(2, 4, 3, stride=3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))


def overlapping():
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3))


KINDS = {  # the engine, its model, the shape of its inputs, and the strategy
    "stack": (StackEngine, dense, (5,), "auto"),
    "loop": (Engine, dense, (5,), "loop"),
    "vmap": (Engine, dense, (5,), "vmap"),
    "pictures": (ConvEngine, overlapping, (2, 6, 6), "auto"),
    "windows": (ConvEngine, tiling, (2, 6, 6), "auto"),
}


def landscape(kind, generator, number=12, **settings):
    expected, make, inputs, strategy = KINDS[kind]
    x = torch.randn(number, *inputs, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (number,), generator=generator)
    land = Network(make().double(), x, y, strategy=strategy, **settings)
    assert type(land.engine) is expected
    return land


def starts(land, generator, number=3):
    return torch.stack([land.initial(generator) for _ in range(number)])


@pytest.mark.parametrize("kind", KINDS)
def test_an_engine_is_equal_to_itself_alone_and_is_shown_without_its_data(kind, generator):
    engine = landscape(kind, generator).engine
    assert engine != copy.copy(engine)
    assert {engine: kind}[engine] == kind
    assert "tensor" not in repr(engine)


# --- which way is gone --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("strategy", "calls"), [("loop", 5 * [(7, False)]), ("vmap", [(7, True)])])
def test_many_gradients_go_the_way_that_is_asked_for_and_one_goes_alone(strategy, calls, generator):
    x, y = torch.randn(12, 5, generator=generator, dtype=torch.float64), torch.arange(12) % 3
    land = Network(Counted(dense()).double(), x, y, strategy=strategy)
    theta = starts(land, generator, 5)
    for thetas, noted in ((theta, calls), (theta[0], [(7, False)])):
        batch = land.draw(7, generator, None if thetas.ndim == 1 else 5)
        land.engine.model.calls.clear()
        land.gradient_on(thetas, batch)
        assert land.engine.model.calls == noted


def test_without_label_noise_the_loss_comes_from_the_pass_that_gives_the_gradient(generator):
    x, y = torch.randn(12, 5, generator=generator, dtype=torch.float64), torch.arange(12) % 3
    land = Network(Counted(dense()).double(), x, y, strategy="loop")
    theta, batch = starts(land, generator), land.draw(7, generator)
    land.engine.model.calls.clear()
    loss = land.engine.data_loss_and_gradient(theta, batch)[0]
    assert land.engine.model.calls == 3 * [(7, False)]
    assert torch.equal(loss, land.engine.loss_and_gradient(theta, batch)[0])


def test_one_gradient_goes_alone_whatever_the_choice_for_many(generator):
    x, y = torch.randn(12, 5, generator=generator, dtype=torch.float64), torch.arange(12) % 3
    land = Network(Counted(dense()).double(), x, y)
    land.engine.model.calls.clear()
    land.gradient(land.initial(generator))
    assert land.engine.model.calls == [(12, False)]


@pytest.mark.parametrize("strategy", ["auto", "loop", "vmap"])
def test_pictures_are_groups_of_one_convolution_only_where_the_way_is_chosen(strategy, generator, monkeypatch):
    x, y = torch.randn(12, 2, 6, 6, generator=generator, dtype=torch.float64), torch.arange(12) % 3
    land = Network(overlapping().double(), x, y, strategy=strategy)
    gradient, seen = ConvChain.gradient, []
    monkeypatch.setattr(ConvChain, "gradient", lambda *given: seen.append(len(given[1])) or gradient(*given))
    land.gradient_on(starts(land, generator), land.draw(5, generator))
    assert seen == ([3] if strategy == "auto" else [])


@pytest.mark.parametrize(("kind", "most"), [("pictures", HELD), ("windows", 10**15)])
def test_networks_are_groups_up_to_what_their_gradients_keep_and_on_windows_always(kind, most, generator):
    land = landscape(kind, generator)
    theta, batch = starts(land, generator), land.draw(1, generator, 3)
    for keeps in (most, most + 1):
        land.engine.forget()
        land.engine._bytes = keeps
        land.gradient_on(theta, batch)
        assert list(land.engine.choice.made.values()) == ["groups" if keeps == most or kind == "windows" else "loop"]


class Accelerator(SimpleNamespace):
    """A device on which small steps are recorded and replayed; here the recorder calls what it is given."""

    def __init__(self, total, monkeypatch):
        super().__init__(type="cuda", kept=[])
        monkeypatch.setattr(Engine, "device", self)
        monkeypatch.setattr(memory, "total_bytes", lambda device: total)

    def record(self, key, compute, inputs):
        self.kept.append(key)
        return compute(*inputs)


@pytest.mark.parametrize("case", ["small", "large", "batch norm", "processor"])
def test_what_is_recorded_and_replayed_is_small_and_on_an_accelerator(case, generator, monkeypatch):
    if case == "batch norm":
        x, y = torch.randn(12, 5, generator=generator, dtype=torch.float64), torch.arange(12) % 3
        model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)).double()
        land = Network(model, x, y, batch_norm="reestimate", strategy="loop")
    else:
        land = landscape("loop", generator)
    theta, batch = starts(land, generator, 2), land.draw(6, generator)
    expected, land.engine._bytes = land.engine.loss_and_gradient(theta, batch), 100
    needed = 32 * (2 * 6 * 100)  # networks, samples, bytes: less than a 32nd is little
    device = Accelerator(needed + (0 if case == "large" else 32), monkeypatch)
    device.type = "cpu" if case == "processor" else "cuda"
    land.engine.replays = device.record
    torch.testing.assert_close(land.engine.loss_and_gradient(theta, batch), expected)
    assert len(device.kept) == (case == "small")


# --- how much is computed at once ---------------------------------------------------------------------------------


def test_an_accelerator_takes_what_an_eighth_of_its_memory_keeps_for_gradients(generator, monkeypatch):
    land = landscape("loop", generator)
    land.engine._bytes = 77
    Accelerator(8 * 1000 * 77, monkeypatch)
    assert land.samples_at_once == 1000
    land.samples_at_once = 20
    assert land.engine.rows(starts(land, generator)) == 20


@pytest.mark.parametrize("kind", KINDS)
def test_all_data_come_in_parts_and_a_drawn_batch_of_vectors_whole(kind, generator):
    land = landscape(kind, generator, 70)
    land.samples_at_once = 64
    every, drawn = (
        [part.size for _, part in land.engine.parts(batch)] for batch in (land._whole, land.draw(70, generator))
    )
    if kind == "stack":
        assert land.engine.rows() >= 4096
        assert [part.size for _, part in land.engine.parts(land._whole, torch.zeros(64, land.dim))] == [64, 6]
    else:
        assert every == [64, 6]
    assert drawn == ([64, 6] if land.x.ndim == 4 or kind in ("loop", "vmap") else [70])


@pytest.mark.parametrize("kind", ["loop", "stack"])
def test_vectors_that_are_drawn_are_not_cut_to_stay_in_cache(kind, generator):
    land = landscape(kind, generator, 5000)
    batch = land.draw(5000, generator)
    assert [part.size for _, part in land.engine.parts(batch)] == [5000]
    assert [part.size for _, part in land.engine.parts(land._whole)] == [4096, 904]


@pytest.mark.parametrize(("shape", "drawn"), [((1, 64, 64), [64, 6]), ((4096,), [70])])
def test_pictures_that_are_drawn_are_cut_to_stay_in_cache(shape, drawn, generator):
    x, y = torch.randn(70, *shape, generator=generator), torch.arange(70) % 3
    land = Network(nn.Sequential(nn.Flatten(), nn.Linear(4096, 3)), x, y, strategy="loop")
    for batch, sizes in ((land._whole, [64, 6]), (land.draw(70, generator), drawn)):
        assert [part.size for _, part in land.engine.parts(batch)] == sizes


def normed():
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(48, 3)).double()


def test_batch_norm_cuts_all_data_to_what_gives_its_statistics_and_a_drawn_batch_not_at_all(generator):
    x, y = torch.randn(12, 2, 6, 6, generator=generator, dtype=torch.float64), torch.arange(12) % 3
    land = Network(normed(), x, y, batch_norm="reestimate", statistics=5)
    for batch, sizes in ((land._whole, [5, 5, 2]), (land.draw(9, generator), [9]), (land.draw(3, generator), [3])):
        assert [part.size for _, part in land.engine.parts(batch)] == sizes


def test_one_picture_is_enough_to_give_batch_norm_its_statistics(generator):
    x, y = torch.randn(1, 2, 6, 6, generator=generator, dtype=torch.float64), torch.zeros(1, dtype=torch.long)
    land = Network(normed(), x, y, batch_norm="reestimate")
    theta = land.initial(generator)
    wanted = F.cross_entropy(land.module(theta).train()(x), y).detach()
    torch.testing.assert_close(land.loss(theta), wanted, **ROUND_OFF)
    torch.testing.assert_close(land.engine.data_loss_and_gradient(theta, land._whole)[0], wanted, **ROUND_OFF)
    held = Network(land.module(theta), x, y, freeze_buffers=True).gradient(theta)  # as constants
    torch.testing.assert_close(gradient_covariance(land, theta).mean_square_norm, held.square().sum(), **ROUND_OFF)


@pytest.mark.parametrize("kind", KINDS)
def test_one_network_takes_as_many_samples_as_are_taken_without_one(kind, generator):
    land = landscape(kind, generator)
    theta = land.initial(generator).expand(300, -1)
    assert land.engine.rows(theta[0]) == land.engine.rows() == land.samples_at_once
    if kind == "stack":
        assert land.engine.rows(theta[:1]) == land.engine.rows()
        assert [land.engine.rows(theta[:n]) * n for n in (2, 4, 64)] == 3 * [land.engine.rows()]
        assert land.engine.rows(theta) == 64


def test_networks_on_windows_keep_sixteen_megabytes_together_and_others_do_not_mind(generator):
    for kind in ("windows", "pictures"):
        land = landscape(kind, generator)
        theta = starts(land, generator, 4)
        land.engine._bytes = 2**20
        assert [land.engine.rows(theta[:n]) for n in (1, 2, 4)] == (
            [16, 8, 4] if kind == "windows" else 3 * [land.engine.rows()]
        )


def test_many_networks_of_a_stack_are_computed_in_blocks_that_are_what_each_is_alone(generator):
    land = landscape("stack", generator, 2000)
    theta = starts(land, generator, 5)  # two at once
    for batch in (land.draw(1500, generator, 5), land.draw(1500, generator)):
        losses, gradients = land.engine.loss_and_gradient(theta, batch)
        for p, row in enumerate(theta):
            loss, gradient = land.engine.loss_and_gradient(row, batch.of(p))
            torch.testing.assert_close((losses[p], gradients[p]), (loss, gradient), **ROUND_OFF)


@pytest.mark.parametrize("number", [1, 3])
def test_loss_and_gradient_on_all_data_are_the_loss_to_the_bit_and_the_gradient(number, generator):
    land = landscape("stack", generator, 5000)
    theta = starts(land, generator, number)
    for thetas in (theta, theta[0]):
        loss, gradient = land.engine.loss_and_gradient(thetas, land._whole)
        assert torch.equal(loss, land.data_loss(thetas))
        torch.testing.assert_close(gradient, land.gradient(thetas), **ROUND_OFF)


def test_a_gradient_that_keeps_nothing_counts_as_one_byte_for_each_sample(generator):
    x, y = torch.randn(12, 5, generator=generator, dtype=torch.float64), torch.arange(12) % 3
    assert Network(Shift(), x, y, loss=lambda z, y: z.mean()).bytes_per_sample == 1


def test_a_stack_that_does_not_fit_is_not_tried_with_fewer_samples(generator, monkeypatch):
    land = landscape("stack", generator)
    tried = []

    def full(self, theta, x, own):
        tried.append(len(x))
        assert len(tried) == 1
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr("entropic_edu.networks.stacked.Stack.inputs", full)
    with pytest.raises(MemoryError, match=r"with up to 12 samples at once.*take a smaller model"):
        land.gradient(starts(land, generator))


@pytest.mark.parametrize("samples_at_once", [30, 20])
def test_what_products_share_is_kept_up_to_a_gigabyte_of_all_parts(samples_at_once, generator, monkeypatch):
    land = landscape("pictures", generator, 30)
    land.samples_at_once = samples_at_once
    theta = land.initial(generator)
    passes, made = ConvChain.passes, []
    monkeypatch.setattr(ConvChain, "passes", lambda *given: made.append(len(given[2])) or passes(*given))
    parts = {30: [30], 20: [20, 10]}[samples_at_once]
    for excess in (0, 1):  # of 2**30 bytes, which parts of 30 samples share
        monkeypatch.setattr(Passes, "bytes", property(lambda self, e=excess: len(self.outputs[0]) * 2**30 // 30 + e))
        times = land.hessian_at(theta)
        made.clear()
        one, two = times(theta), times(theta)
        assert torch.equal(one, two)
        assert made == parts * (1 + excess)


# --- label noise ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_that_comes_with_a_gradient_is_averaged_over_label_noise(kind, own, cut, generator):
    land = landscape(kind, generator, 40, label_noise=NOISE)
    theta, batch = starts(land, generator), land.draw(10, generator, 3 if own else None)
    if cut:  # into parts of 8 samples, which on pictures are too many for groups, and of 2, which are not
        land.samples_at_once, land.engine._bytes = 8, HELD // 3
    for thetas in (theta, theta[:1], theta[0]):
        some = batch.of(0) if thetas.ndim == 1 else batch.among(slice(len(thetas)))
        losses, gradients = land.engine.data_loss_and_gradient(thetas, some)
        torch.testing.assert_close(gradients, land.engine.gradient(thetas, some), **ROUND_OFF)
        for p, row in enumerate(thetas.reshape(-1, land.dim)):
            one = batch.of(p)
            wanted = F.cross_entropy(land.module(row)(one.x), one.clean, label_smoothing=NOISE)
            torch.testing.assert_close(losses.reshape(-1)[p], wanted.detach(), **ROUND_OFF)


def test_a_probe_of_a_model_lies_near_its_own_parameters(generator):
    land = landscape("loop", generator)
    away = anywhere(land.engine, generator)[1] - land.flatten(land.model)
    assert 0.05 < float(away.square().mean().sqrt()) < 0.15
