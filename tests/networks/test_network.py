import math
import pickle
import time

import pytest
import torch
import torch.nn.functional as F
from oracles import Residual, plain_loss_and_gradient, with_parameters
from torch import nn
from torch.nn.utils import parameters_to_vector

from entropic_edu import Network
from entropic_edu.networks import ways as timing
from entropic_edu.networks.batch_norm import NORMS
from entropic_edu.networks.batches import Batch
from entropic_edu.networks.crowd import StackCrowd
from entropic_edu.networks.models import normed_cnn
from entropic_edu.networks.modules import DROPOUTS, pooled_first
from entropic_edu.networks.ways import Choice

ROUND_OFF = {"rtol": 1e-10, "atol": 1e-12}  # float64 sums over a few hundred samples, in another order


def mlp(activation=nn.Tanh):
    return nn.Sequential(nn.Linear(5, 6), activation(), nn.Linear(6, 4), activation(), nn.Linear(4, 3)).double()


def conv():
    return nn.Sequential(
        nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)
    ).double()


def pictures():
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3)).double()


def many_pixels(channels):
    return nn.Sequential(nn.Conv2d(2, channels, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * channels, 3))


def data(generator, number=30, inputs=(5,)):
    x = torch.randn(number, *inputs, generator=generator, dtype=torch.float64)
    return x, torch.randint(3, (number,), generator=generator)


def starts(land, generator, number=3):
    return torch.stack([land.initial(generator) for _ in range(number)])


# --- the objective against the module itself -------------------------------------------------------------------


class Returning(nn.Module):
    """A model that returns what is made of the outputs of another."""

    def __init__(self, model, made):
        super().__init__()
        self.model, self.made = model, made

    def forward(self, x):
        return self.made(self.model(x))


@pytest.mark.parametrize(
    ("made", "outputs"),
    [
        (lambda z: z, None),
        (lambda z: {"logits": z}, None),
        (lambda z: (z, z.square()), lambda result: result[0]),
        (lambda z: torch.cat([z, z.square()], 1), lambda result: result[:, :3]),
    ],
    ids=["a tensor", "a mapping", "a chosen part of a tuple", "a chosen part of a tensor"],
)
def test_the_loss_sees_the_tensor_that_is_meant(made, outputs, generator):
    model, (x, y) = mlp(), data(generator)
    plain, land = Network(model, x, y), Network(Returning(model, made), x, y, outputs=outputs)
    theta = starts(plain, generator)
    torch.testing.assert_close(land.loss(theta), plain.loss(theta))
    torch.testing.assert_close(land.accuracy(theta), plain.accuracy(theta))


@pytest.mark.parametrize(
    ("make", "inputs"), [(mlp, (5,)), (lambda: Residual().double(), (5,)), (conv, (5,)), (pictures, (2, 6, 6))]
)
@pytest.mark.parametrize("weight_decay", [0.0, 0.03])
def test_loss_and_gradient_are_those_of_the_module_by_backward(make, inputs, weight_decay, generator):
    model, (x, y) = make(), data(generator, 530, inputs)
    land = Network(model, x, y, weight_decay=weight_decay)
    land.samples_at_once = 100  # so that the data come in several parts
    theta = starts(land, generator)
    losses, gradients = land.loss(theta), land.gradient(theta)
    assert (losses.shape, gradients.shape) == ((3,), (3, land.dim))
    for row, many_loss, many_gradient in zip(theta, losses, gradients, strict=True):
        loss, gradient = plain_loss_and_gradient(model, row, F.cross_entropy, x, y, weight_decay)
        torch.testing.assert_close(land.loss(row), loss, **ROUND_OFF)
        torch.testing.assert_close(land.gradient(row), gradient, **ROUND_OFF)
        torch.testing.assert_close(many_loss, loss, **ROUND_OFF)
        torch.testing.assert_close(many_gradient, gradient, **ROUND_OFF)


@pytest.mark.parametrize("frozen", [False, True])
def test_the_module_of_a_theta_is_the_model_in_its_own_mode(frozen, generator):
    model = nn.Sequential(mlp(), nn.Dropout(0.0))
    model.register_buffer("running", torch.zeros(2))
    land = Network(model, *data(generator), freeze_buffers=frozen)
    theta = starts(land, generator)[0]
    made = land.module(theta)
    assert {each.training for each in made.modules()} == {not frozen}
    assert torch.equal(made.running, model.running)
    assert torch.equal(parameters_to_vector(made.parameters()).detach(), theta)


def test_the_loss_of_the_data_comes_with_the_gradient_of_the_whole(generator):
    class Turned(Network):
        def gradient_on(self, theta, batch):
            return -2 * super().gradient_on(theta, batch)

    for kind, factor in ((Network, 1), (Turned, -2)):
        land = kind(mlp(), *data(generator), weight_decay=0.3)
        theta = starts(land, generator)
        for batch in (None, land.draw(8, generator, 3)):
            loss, gradient = land.data_loss_and_gradient_on(theta, batch)
            whole, slope = land.loss_and_gradient_on(theta, batch)
            torch.testing.assert_close(loss, whole - 0.15 * theta.square().sum(-1))
            torch.testing.assert_close(gradient, factor * slope)
    torch.testing.assert_close(land.data_loss_and_gradient_on(theta, None)[0], land.data_loss(theta))


def test_a_start_is_a_vector_or_what_holds_the_parameters(generator):
    land = Network(mlp(), *data(generator))
    theta = starts(land, generator)[0]
    assert land.vector(theta) is theta
    assert torch.equal(land.vector(land.module(theta)), theta)
    assert torch.equal(land.vector(land.module(theta).state_dict()), theta)


def test_what_has_no_scale_is_told_of_one_vector_and_of_many_alike(generator):
    model = nn.Sequential(nn.Linear(5, 4, bias=False), nn.LayerNorm(4, elementwise_affine=False), nn.Linear(4, 3))
    land = Network(model.double(), *data(generator))
    theta = starts(land, generator)
    assert land.scale_free(theta) == land.scale_free(theta[0]) != {}


def test_one_sample_is_data_enough_and_a_gradient_can_do_with_one_at_once(generator):
    x, y = data(generator, 1)
    land = Network(mlp(), x, y)
    theta = land.initial(generator)
    torch.testing.assert_close(land.loss(theta), F.cross_entropy(land.module(theta)(x), y).detach())
    assert [land.least_samples(size) for size in (None, 1)] == [1, 1]


def test_data_for_tests_go_where_the_network_goes(generator):
    land = Network(mlp().float(), *(each[:20].float() if each.ndim > 1 else each[:20] for each in data(generator)))
    land.test = land.x[5:], land.y[5:]
    double = land.to(torch.float64)
    assert (double.test[0].dtype, double.test[1].dtype) == (torch.float64, torch.int64)
    assert torch.equal(double.test[0].float(), land.test[0])
    assert torch.equal(double.test[1], land.test[1])


class Single(nn.Module):
    """A model that makes constants in single precision."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, x):
        return self.layer(x).float() * torch.ones(3)


@pytest.mark.parametrize(("dtype", "own"), [(torch.float32, False), (torch.float64, False), (torch.float32, True)])
def test_a_network_is_precise_in_float64_unless_its_forward_pass_has_a_precision_of_its_own(dtype, own, generator):
    x, y = data(generator)
    model = Single() if own else mlp().to(dtype)
    land = Network(model, x.to(dtype), y)
    precise = land.precise()
    assert (precise is land) == (own or dtype == torch.float64)
    assert precise.dtype == (torch.float32 if own else torch.float64)


@pytest.mark.parametrize("make", [mlp, lambda: Residual().double()])
def test_squared_loss_takes_class_numbers_as_one_hot_rows(make, generator):
    model, (x, y) = make(), data(generator)
    land = Network(model, x, y, loss="mse")
    theta = land.initial(generator)
    rows = torch.eye(3, dtype=torch.float64)[y]
    loss, gradient = plain_loss_and_gradient(model, theta, nn.MSELoss(), x, rows)
    torch.testing.assert_close(land.loss(theta), loss, **ROUND_OFF)
    torch.testing.assert_close(land.gradient(theta), gradient, **ROUND_OFF)


@pytest.mark.parametrize("make", [mlp, lambda: Residual().double()])
def test_squared_loss_takes_real_targets(make, generator):
    model, (x, _) = make(), data(generator)
    y = torch.randn(30, 3, generator=generator, dtype=torch.float64)
    land = Network(model, x, y, loss="mse")
    theta = land.initial(generator)
    loss, gradient = plain_loss_and_gradient(model, theta, nn.MSELoss(), x, y)
    torch.testing.assert_close(land.loss(theta), loss, **ROUND_OFF)
    torch.testing.assert_close(land.gradient(theta), gradient, **ROUND_OFF)


def test_class_probabilities_are_targets_of_the_cross_entropy_too(generator):
    model, (x, _) = mlp(), data(generator)
    y = torch.rand(30, 3, generator=generator, dtype=torch.float64).softmax(1)
    land = Network(model, x, y)
    theta = land.initial(generator)
    loss, gradient = plain_loss_and_gradient(model, theta, F.cross_entropy, x, y)
    torch.testing.assert_close(land.loss(theta), loss, **ROUND_OFF)
    torch.testing.assert_close(land.gradient(theta), gradient, **ROUND_OFF)


def test_a_callable_is_a_loss(generator):
    model, (x, y) = mlp(), data(generator)

    def smoothed(outputs, targets):
        return F.cross_entropy(outputs, targets, label_smoothing=0.2)

    land = Network(model, x, y, loss=smoothed, weight_decay=0.01)
    theta = starts(land, generator)
    for row, many in zip(theta, land.gradient(theta), strict=True):
        loss, gradient = plain_loss_and_gradient(model, row, smoothed, x, y, 0.01)
        torch.testing.assert_close(land.loss(row), loss, **ROUND_OFF)
        torch.testing.assert_close(many, gradient, **ROUND_OFF)


def test_a_callable_that_bears_the_name_of_a_known_loss_still_gets_the_targets_as_they_came(generator):
    model, (x, y) = mlp(), data(generator)

    def mse(outputs, targets):
        return F.mse_loss(outputs[:, 0], targets.double())

    land = Network(model, x, y, loss=mse)
    theta = land.initial(generator)
    loss, _ = plain_loss_and_gradient(model, theta, mse, x, y)
    torch.testing.assert_close(land.loss(theta), loss, **ROUND_OFF)


@pytest.mark.parametrize("make", [mlp, lambda: Residual().double()])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_accuracy_counts_the_right_answers_of_either_split(make, loss, generator):
    model, (x, y), test = make(), data(generator, 40), data(generator, 17)
    land = Network(model, x, y, loss=loss, test=test)
    theta = starts(land, generator)
    for split, (inputs, classes) in (("train", (x, y)), ("test", test)):
        by_hand = []
        for row in theta:
            outputs = with_parameters(model, row)(inputs).tolist()
            right = sum(o.index(max(o)) == c for o, c in zip(outputs, classes.tolist(), strict=True))
            by_hand.append(right / len(inputs))
        assert land.accuracy(theta, split).tolist() == pytest.approx(by_hand)
        assert float(land.accuracy(theta[0], split)) == pytest.approx(by_hand[0])


def test_a_share_of_right_answers_of_the_users_own_is_taken_of_each_network_by_itself(generator):
    def near(outputs, targets):
        assert outputs.ndim == 2
        return (outputs - targets).abs().amax(1).lt(0.5).double().mean()

    x, _ = data(generator, 200)
    y = torch.randn(200, 3, generator=generator, dtype=torch.float64)
    land = Network(mlp(), x, y, loss="mse", accuracy=near, test=(x[:50], y[:50]))
    theta = starts(land, generator)
    for split, number in (("train", 200), ("test", 50)):
        expected = [near(with_parameters(land.model, row)(x[:number]), y[:number]) for row in theta]
        assert torch.equal(land.accuracy(theta, split), torch.stack(expected))
        assert torch.equal(land.accuracy(theta[1], split), expected[1])


def test_accuracy_is_known_of_the_data_that_there_are(generator):
    x, y = data(generator)
    assert Network(mlp(), x, y).splits == ("train",)
    assert Network(mlp(), x, y, test=(x, y)).splits == ("train", "test")
    assert Network(mlp(), x, x[:, :3], loss="mse", test=(x, x[:, :3])).splits == ()


def test_a_weighted_loss_is_divided_by_the_weights_of_the_training_targets_alone(generator):
    x, y = data(generator)
    loss = nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64))
    land = Network(mlp(), x, y, loss=loss, test=(x[:9], y[:9]))
    theta = land.initial(generator)
    torch.testing.assert_close(land.loss(theta), loss(land.module(theta)(x), y).detach(), **ROUND_OFF)


@pytest.mark.parametrize("make", [mlp, lambda: Residual().double(), pictures])
def test_products_with_the_hessian_hold_the_weight_decay_unless_it_is_left_out(make, generator):
    land = Network(make(), *data(generator, 20, (2, 6, 6) if make is pictures else (5,)), weight_decay=0.3)
    theta = starts(land, generator, 2)
    vector = torch.randn(theta.shape, generator=generator, dtype=torch.float64)
    for t, v, many in zip(theta, vector, land.hessian_vector_product(theta, vector), strict=True):
        product = torch.func.jvp(torch.func.grad(land.loss), (t,), (v,))[1]
        torch.testing.assert_close(many, product, **ROUND_OFF)
        torch.testing.assert_close(land.hessian_vector_product(theta=t, vector=v), product, **ROUND_OFF)
        torch.testing.assert_close(land.hessian_at(theta=t)(v), product, **ROUND_OFF)
        for bare in (
            land.hessian_vector_product(t, v, weight_decay=False), land.hessian_at(t, weight_decay=False)(v),
        ):  # fmt: skip
            torch.testing.assert_close(bare, product - 0.3 * v, **ROUND_OFF)


class Tight(Residual):
    """A model that cannot hold more than ``most`` samples at once."""

    most = 30

    def forward(self, x):
        if len(x) > self.most:
            raise torch.OutOfMemoryError("out of memory")
        return super().forward(x)


def test_products_with_the_hessian_take_fewer_samples_where_memory_runs_out(generator, monkeypatch):
    land = Network(Tight().double(), *data(generator))
    theta = starts(land, generator, 2)
    vector = torch.randn(theta.shape, generator=generator, dtype=torch.float64)
    expected = land.hessian_vector_product(theta, vector)
    for rows in (0, slice(None)):
        land.samples_at_once = 30
        monkeypatch.setattr(Tight, "most", 7)
        torch.testing.assert_close(land.hessian_vector_product(theta[rows], vector[rows]), expected[rows], **ROUND_OFF)
        assert land.samples_at_once == 7


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_the_trace_is_exact_where_it_can_be_and_else_the_mean_over_sixteen_probes(activation, generator):
    land = Network(mlp(activation), *data(generator))
    theta = land.initial(generator)
    exact = torch.autograd.functional.hessian(land.loss, theta).trace()
    found = land.trace(theta=theta, generator=seeded())
    if activation is nn.ReLU:
        torch.testing.assert_close(found.value, exact, **ROUND_OFF)
        assert float(found.error) == 0
    else:
        assert found.samples.shape == (16,)
        assert torch.equal(found.value, land.trace(theta, generator=seeded(), num_probes=16).value)
        assert abs(float(found.value - exact)) < 4 * float(found.error)


def test_data_and_model_may_be_named_and_settings_have_to_be(generator):
    x, y = data(generator)
    land = Network(model=mlp(), x=x, y=y)
    theta = land.initial(generator)
    calls = [
        lambda: Network(mlp(), x, y, "mse"),
        lambda: land.hessian_at(theta, False),
        lambda: land.hessian_vector_product(theta, theta, False),
        lambda: land.trace(theta, generator),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="positional argument"):
            call()


def test_weight_decay_is_a_part_of_loss_and_gradient_and_of_nothing_else(generator):
    x, y = data(generator)
    bare, land = Network(mlp(), x, y), Network(mlp(), x, y, weight_decay=0.2)
    theta = land.initial(generator)
    batch = land.draw(8, generator)
    torch.testing.assert_close(land.loss(theta) - bare.loss(theta), 0.1 * theta @ theta, **ROUND_OFF)
    torch.testing.assert_close(land.data_loss(theta), bare.loss(theta), **ROUND_OFF)
    for seen in (None, batch):
        decay = land.gradient_on(theta, seen) - bare.gradient_on(theta, seen)
        torch.testing.assert_close(decay, 0.2 * theta, **ROUND_OFF)


@pytest.mark.parametrize("weight_decay", [True, False])
@pytest.mark.parametrize("make", [mlp, lambda: Residual().double()])
def test_pieces_add_up_to_the_loss(make, weight_decay, generator):
    land = Network(make(), *data(generator, 5000 if make is mlp else 1100), weight_decay=0.1, statistics=None)
    land.samples_at_once = 500  # but of a stack, which takes 4096 of one network
    theta = land.initial(generator)
    whole = land.loss(theta) if weight_decay else land.data_loss(theta)
    pieces = land.pieces(weight_decay)
    assert len(pieces) == (2 if make is mlp else 3) + weight_decay
    torch.testing.assert_close(sum(piece(theta) for piece in pieces), whole, **ROUND_OFF)


# --- three ways to many gradients ------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU])
def test_stacked_vmap_and_loop_agree(activation, loss, own, generator):
    x, y = data(generator)
    model = mlp(activation)
    ways = [Network(model, x, y, loss=loss, weight_decay=0.01, strategy=way) for way in ("stacked", "vmap", "loop")]
    theta = starts(ways[0], generator, 4)
    batch = ways[0].draw(7, generator, 4 if own else None)
    stacked, vmap, loop = (land.gradient_on(theta, batch) for land in ways)
    torch.testing.assert_close(stacked, loop, **ROUND_OFF)
    torch.testing.assert_close(vmap, loop, **ROUND_OFF)
    criterion = F.cross_entropy if loss == "cross_entropy" else F.mse_loss
    for p, row in enumerate(theta):
        seen = (batch.x[p], batch.y[p]) if own else (batch.x, batch.y)
        plain = plain_loss_and_gradient(model, row, criterion, *seen, 0.01)[1]
        torch.testing.assert_close(loop[p], plain, **ROUND_OFF)


@pytest.mark.parametrize("make", [mlp, lambda: Residual().double()])
def test_loss_and_gradient_on_one_batch_are_those_of_its_samples(make, generator):
    model, (x, y) = make(), data(generator)
    land = Network(model, x, y, weight_decay=0.02)
    theta, batch = starts(land, generator), land.draw(9, generator)
    losses, gradients = land.loss_and_gradient_on(theta, batch)
    for row, loss, gradient in zip(theta, losses, gradients, strict=True):
        plain = plain_loss_and_gradient(model, row, F.cross_entropy, batch.x, batch.y, 0.02)
        torch.testing.assert_close((loss, gradient), plain, **ROUND_OFF)


class Counted(nn.Module):
    """A model that notes how many samples each of its calls was given; vmap calls it once for all networks."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.calls = inner, []

    def forward(self, x):
        self.calls.append(len(x))
        return self.inner(x)


@pytest.mark.parametrize(
    ("taken", "inner", "inputs", "rows", "size"),
    [
        ("vmap", lambda: nn.Linear(5, 62_500), (5,), 3, 8),  # 3,000,000 samples times parameters
        ("loop", lambda: nn.Linear(5, 62_500), (5,), 3, 9),  # more
        ("loop", lambda: nn.Linear(5, 3), (5,), 2, 8),  # few networks
        ("vmap", lambda: nn.Linear(5, 3), (5,), 3, 8),
        ("vmap", lambda: pictures().float(), (2, 6, 6), 3, 8),
        ("loop", lambda: pictures().float(), (2, 6, 6), 2, 8),
        ("vmap", lambda: many_pixels(300), (2, 6, 6), 3, 32),  # 1.25 MB that a gradient keeps
        ("loop", lambda: many_pixels(300), (2, 6, 6), 3, 33),  # more
    ],
)
def test_what_auto_takes_on_a_cpu_depends_on_shapes_alone(taken, inner, inputs, rows, size, generator):
    x, y = data(generator, 90, inputs)
    land = Network(Counted(inner()), x.float(), y)
    theta = torch.stack([land.initial(generator) for _ in range(rows)])
    for _ in range(2):  # in the first call vmap is tried
        land.engine.model.calls.clear()
        land.gradient_on(theta, land.draw(size, generator, rows))
    assert len(land.engine.model.calls) == (1 if taken == "vmap" else rows)


@pytest.mark.parametrize(
    ("taken", "seconds"), [("vmap", {"loop": 0.02, "vmap": 0.002}), ("loop", {"loop": 0.002, "vmap": 0.02})]
)
def test_elsewhere_vmap_is_taken_where_a_timing_has_it_clearly_faster_and_each_shape_is_timed_once(
    taken, seconds, generator
):
    asked = []

    def by(way, theta, batch):
        asked.append(way)
        time.sleep(seconds[way])
        return theta, theta

    choice, theta = Choice(18, torch.device("meta"), 0), torch.zeros(3, 18)
    batch = Batch(*data(generator, 8))
    assert [choice(theta, batch, by, 0) for _ in range(3)] == [taken] * 3
    assert asked == ["loop"] * 4 + ["vmap"] * 4


PICTURES, OWN = (8, 3, 6, 6), (2, 8, 3, 6, 6)
TAKEN = [  # shape of x, own, parameters, bytes that groups may keep, bytes that are held, networks, what is taken
    ((8, 5), False, 18, 0, 0, 2, "loop"),
    ((8, 5), False, 18, 0, 0, 3, "vmap"),
    ((10, 5), False, 300_000, 0, 0, 3, "vmap"),
    ((10, 5), False, 300_001, 0, 0, 3, "loop"),
    ((3, 10, 5), True, 300_001, 0, 0, 3, "loop"),
    (PICTURES, False, 10**9, 0, 1_250_000, 3, "vmap"),
    (PICTURES, False, 18, 0, 1_250_001, 3, "loop"),
    (OWN, True, 10**9, 0, 1_250_000, 3, "vmap"),
    (PICTURES, False, 18, 100, 200, 2, "groups"),
    (PICTURES, False, 18, 100, 201, 2, "loop"),
    (OWN, True, 18, 100, 100, 2, "groups"),
    (OWN, True, 18, 100, 101, 2, "loop"),
    (OWN, True, 18, 100, 0, 1, "loop"),
    ((2, 3, 6, 6), True, 18, 100, 0, 2, "loop"),
]


@pytest.mark.parametrize(("shape", "own", "dim", "groups", "held", "networks", "taken"), TAKEN)
def test_on_a_cpu_the_sizes_alone_say_which_way_is_taken(shape, own, dim, groups, held, networks, taken):
    choice = Choice(dim, torch.device("cpu"), groups)
    batch = Batch(torch.zeros(shape), torch.zeros(shape[: 1 + own]), own)
    tried = []
    assert choice(torch.zeros(networks, 1), batch, lambda way, *_: tried.append(way), held) == taken
    assert tried == ["vmap"] * (taken == "vmap")  # which not every layer has a rule for


@pytest.mark.parametrize("clear", [1.35, 1.25])
def test_elsewhere_vmap_has_to_be_clearly_faster(clear, generator, monkeypatch):
    monkeypatch.setattr(timing, "_seconds", lambda call, where: {"loop": clear, "vmap": 1.0}[call.args[0]])
    by = lambda way, theta, batch: (theta, theta)  # noqa: E731
    taken = Choice(18, torch.device("meta"), 0)(torch.zeros(3, 18), Batch(*data(generator, 8)), by, 0)
    assert taken == ("vmap" if clear > 1.3 else "loop")


def test_however_much_a_sample_keeps_one_is_taken_at_a_time(generator):
    land = Network(normed_cnn((2, 4), 3, size=8).double(), *data(generator, 12, (3, 8, 8)))
    theta = starts(land, generator, 2)
    expected = land.gradient(theta)
    land.engine._bytes = 10**15
    assert land.engine.tiles
    assert land.engine.rows(theta) == 1
    torch.testing.assert_close(land.gradient(theta), expected, **ROUND_OFF)


class Tilted(Network):
    def gradient_on(self, theta, batch):
        return super().gradient_on(theta, batch) + 1


@pytest.mark.parametrize(
    ("kind", "make", "stacked"), [(Network, mlp, True), (Network, conv, False), (Tilted, mlp, False)]
)
def test_crowds_step_as_stacks_unless_a_subclass_changes_the_gradient(kind, make, stacked, generator):
    land = kind(make(), *data(generator))
    theta = starts(land, generator)
    crowd = land.crowd(theta)
    assert isinstance(crowd, StackCrowd) is stacked
    batch = land.draw(8, generator, len(theta))
    torch.testing.assert_close(crowd.vectors(crowd.gradient(batch)), land.gradient_on(theta, batch), **ROUND_OFF)


@pytest.mark.parametrize("label_noise", [0.0, 0.2])
@pytest.mark.parametrize("make", [mlp, conv])
def test_the_loss_comes_with_the_gradient_unless_targets_are_drawn_or_networks_are_stacked(
    make, label_noise, generator
):
    x, y = data(generator)
    land = Network(make(), x, y, label_noise=label_noise)
    assert land.gives_loss == (make is conv and not label_noise)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_model_without_a_batching_rule_goes_by_the_loop_wherever_it_is(device, generator):
    def by(way, theta, batch):
        if way == "vmap":
            raise RuntimeError("Batching rule not implemented for aten::gru.input")
        return theta, theta

    assert Choice(18, torch.device(device), 0)(torch.zeros(3, 18), Batch(*data(generator, 8)), by, 0) == "loop"


def test_the_choice_gives_the_gradient_of_the_loop(generator):
    x, y = data(generator)
    model = Residual().double()
    auto, loop = Network(model, x, y), Network(model, x, y, strategy="loop")
    theta = starts(auto, generator)
    batch = auto.draw(8, generator, 3)
    torch.testing.assert_close(auto.gradient_on(theta, batch), loop.gradient_on(theta, batch), **ROUND_OFF)


def test_a_batch_of_pictures_may_be_cut_into_parts_that_stay_in_cache(generator):
    model, (x, y) = pictures(), data(generator, 90, (2, 6, 6))
    whole, parts = Network(model, x, y), Network(model, x, y)
    parts.samples_at_once = 32
    theta = starts(whole, generator)
    for rows in (None, 3):
        batch = whole.draw(70, generator, rows)
        assert [part.size for _, part in parts.engine.parts(batch)] == [32, 32, 6]
        torch.testing.assert_close(
            parts.loss_and_gradient_on(theta, batch), whole.loss_and_gradient_on(theta, batch), **ROUND_OFF
        )


@pytest.mark.parametrize(("activation", "moved"), [(nn.ReLU, True), (nn.GELU, False)])
def test_max_pooling_before_a_relu_changes_no_bit_and_only_inside(activation, moved, generator):
    model = nn.Sequential(nn.Conv2d(2, 3, 3), activation(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3)).double()
    x, y = data(generator, 30, (2, 6, 6))
    x[:, :, :3] = 1.0  # windows of equal pixels: ties
    land = Network(model, x, y)
    theta = land.initial(generator)
    assert (type(pooled_first(model)[1]) is nn.MaxPool2d) is moved
    for seen in (model, land.model, land.module(theta)):  # what a user looks at keeps its order
        assert [type(layer) for layer in seen[1:3]] == [activation, nn.MaxPool2d]
    plain = with_parameters(model, theta)
    loss = F.cross_entropy(plain(land.x), y)
    loss.backward()
    assert torch.equal(land.loss(theta), loss.detach())
    assert torch.equal(land.gradient(theta), torch.cat([p.grad.flatten() for p in plain.parameters()]))


def test_max_pooling_stays_where_a_module_may_look_between_the_layers(generator):
    class Tapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2))
            self.head = nn.Linear(48, 3)

        def forward(self, x):
            seen = self.features[1](self.features[0](x))  # before pooling
            return self.head(seen.flatten(1))

    x, y = data(generator, 20, (2, 6, 6))
    model = Tapped().double()
    land = Network(model, x, y)
    theta = land.initial(generator)
    assert torch.equal(land.loss(theta), F.cross_entropy(with_parameters(model, theta)(land.x), y).detach())


def test_parameters_that_a_loss_does_not_see_have_gradient_zero(generator):
    class Idle(nn.Sequential):
        def forward(self, x):
            return self[0](x)

    land = Network(Idle(nn.Linear(5, 3), nn.Linear(5, 3)).double(), *data(generator))
    theta = land.initial(generator)
    assert land.gradient(theta)[18:].tolist() == [0.0] * 18
    assert float(land.gradient(theta)[:18].norm()) > 0


# --- drawing ---------------------------------------------------------------------------------------------------


def seeded(number=3):
    return torch.Generator().manual_seed(number)


def test_batches_have_the_size_asked_for_and_none_is_all_data_in_order(generator):
    x, y = data(generator)
    land = Network(mlp(), x, y)
    one, many, whole = land.draw(7, generator), land.draw(7, generator, 4), land.draw(None, generator)
    assert (one.x.shape, one.y.shape, one.own) == ((7, 5), (7,), False)
    assert (many.x.shape, many.y.shape, many.own) == ((4, 7, 5), (4, 7), True)
    assert torch.equal(whole.x, x)
    assert torch.equal(whole.y, y)
    assert len({tuple(batch.flatten().tolist()) for batch in many.x}) == 4
    where = {tuple(sample): label for sample, label in zip(x.tolist(), y.tolist(), strict=True)}
    assert [where[tuple(sample)] for sample in one.x.tolist()] == one.y.tolist()


@pytest.mark.parametrize("rows", [None, 4])
def test_with_the_same_seed_a_smaller_batch_is_the_first_samples_of_a_larger_one(rows, generator):
    land = Network(mlp(), *data(generator))
    small, large = land.draw(5, seeded(), rows), land.draw(16, seeded(), rows)
    assert torch.equal(small.x, large.x[..., :5, :])
    assert torch.equal(small.y, large.y[..., :5])


def test_the_gradient_of_a_batch_is_unbiased(generator):
    land = Network(mlp(), *data(generator), weight_decay=0.1)
    theta = land.initial(generator)
    draws = land.gradient(theta.expand(4000, -1), 8, generator)
    error = draws.std(0) / math.sqrt(len(draws))
    assert float(((draws.mean(0) - land.gradient(theta)).abs() / error).max()) < 4  # standard errors


@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_the_covariance_of_the_gradient_is_that_of_the_samples_over_the_batch_size(batch_size, generator):
    model, (x, y) = mlp(), data(generator)
    land = Network(model, x, y)
    theta = land.initial(generator)
    each = [plain_loss_and_gradient(model, theta, F.cross_entropy, x[i : i + 1], y[i : i + 1])[1] for i in range(30)]
    expected = torch.cov(torch.stack(each).T, correction=0) / batch_size  # drawn with replacement: C/B, exactly
    found = torch.cov(land.gradient(theta.expand(4000, -1), batch_size, generator).T)
    top = torch.linalg.eigh(expected).eigenvectors[:, -1]
    # a variance from 4000 draws has a standard error of about sqrt(2 / 4000) = 2.2 %; four of them
    assert float(found.trace() / expected.trace()) == pytest.approx(1, abs=0.09)
    assert float(top @ found @ top / (top @ expected @ top)) == pytest.approx(1, abs=0.09)


def test_an_epoch_visits_each_sample_once_and_drops_an_incomplete_batch(generator):
    x, y = data(generator, 20)
    land = Network(mlp(), x, y)
    batches = list(land.epoch(6, generator))
    seen = [tuple(sample) for batch in batches for sample in batch.x.tolist()]
    assert land.steps_per_epoch(6) == len(batches) == 3
    assert len(set(seen)) == len(seen) == 18
    assert seen[:5] != [tuple(sample) for sample in x[:5].tolist()]
    assert land.steps_per_epoch(None) == len(list(land.epoch(None, generator))) == 1


def test_walkers_side_by_side_have_a_shuffle_each(generator):
    x, y = data(generator, 20)
    batches = list(Network(mlp(), x, y).epoch(5, generator, 3))
    orders = [[tuple(sample) for batch in batches for sample in batch.x[walker].tolist()] for walker in range(3)]
    assert all(sorted(order) == sorted(map(tuple, x.tolist())) for order in orders)
    assert orders[0] != orders[1] != orders[2]


def test_a_subset_is_the_landscape_of_its_samples(generator):
    x, y = data(generator)
    index = torch.tensor([3, 17, 4])
    some, land = (
        Network(mlp(), x, y, weight_decay=0.1).subset(index),
        Network(mlp(), x[index], y[index], weight_decay=0.1),
    )
    theta = land.initial(generator)
    assert some.num_samples == 3
    assert torch.equal(some.loss(theta), land.loss(theta))
    assert torch.equal(some.gradient(theta), land.gradient(theta))
    assert torch.equal(some.draw(2, seeded()).x, land.draw(2, seeded()).x)


# --- label noise -----------------------------------------------------------------------------------------------


def test_label_noise_on_real_targets_has_the_variance_asked_for_and_leaves_the_objective_alone(generator):
    x, y = data(generator, 1000)
    model = mlp()
    quiet, noisy = Network(model, x, y, loss="mse"), Network(model, x, y, loss="mse", label_noise=0.3)
    jitter = noisy.draw(None, generator).y - quiet.y
    error = math.sqrt(2 / jitter.numel())  # relative, of a variance from so many normals
    assert float(jitter.var()) == pytest.approx(0.09, rel=4 * error)
    assert abs(float(jitter.mean())) < 4 * 0.3 / math.sqrt(jitter.numel())
    theta = noisy.initial(generator)
    assert torch.equal(noisy.loss(theta), quiet.loss(theta))
    assert torch.equal(noisy.gradient(theta), quiet.gradient(theta))


def test_each_walker_and_each_draw_has_its_own_jitter(generator):
    land = Network(mlp(), *data(generator), loss="mse", label_noise=0.3)
    one, two = land.draw(None, generator, 2), land.draw(None, generator, 2)
    assert one.own
    assert not torch.equal(one.y[0], one.y[1])
    assert not torch.equal(one.y, two.y)
    assert next(iter(land.epoch(None, generator))) is not None


def test_pure_label_noise_is_as_strong_as_in_a_batch(generator):
    x, y = data(generator, 1000)
    land = Network(mlp(), x, y, loss="mse", label_noise=0.3)
    batch = land.draw_labels(10, generator, 3)
    jitter = batch.y - land.y
    assert torch.equal(batch.x, x.expand(3, -1, -1))
    assert float(jitter.var()) == pytest.approx(0.09 * 1000 / 10, rel=4 * math.sqrt(2 / jitter.numel()))


def test_label_noise_on_classes_draws_the_class_anew_with_the_probability_asked_for(generator):
    x, y = data(generator, 4000)
    land = Network(mlp(), x, y, label_noise=0.4)
    drawn = land.draw(None, generator).y
    share = float((drawn != y).double().mean())
    expected = 0.4 * 2 / 3  # one in three draws hits the old class
    assert share == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 4000))
    counts = torch.bincount(drawn[drawn != y], minlength=3)
    assert len(counts) == 3
    assert int(counts.min()) > 200  # of about 356 each


# --- parameters and data ---------------------------------------------------------------------------------------


def test_a_start_leaves_the_global_stream_alone_and_is_the_same_with_the_same_seed(generator):
    land = Network(mlp(), *data(generator))
    before = torch.random.get_rng_state()
    one, two, other = land.initial(seeded(1)), land.initial(seeded(1)), land.initial(seeded(2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    first = land.unflatten(one)["0.weight"]
    # nn.Linear draws uniformly within 1/sqrt(inputs); the largest of 30 draws is near the edge
    assert 0.8 / math.sqrt(5) < float(first.abs().max()) <= 1 / math.sqrt(5)


def test_a_start_is_a_model_made_anew_from_a_seed_that_the_generator_draws(generator):
    # Recorded on purpose: what a seed gives is what results were made with.
    land = Network(mlp().float(), *data(generator))
    for number in range(10):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=seeded(number))))
            made = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))
        assert torch.equal(land.initial(seeded(number)), parameters_to_vector(made.parameters()).detach())


def test_a_network_is_told_by_its_class_and_the_layout_of_its_parameters(generator):
    # Recorded on purpose: roads and walks that are kept in files belong to networks of this signature.
    land = Network(mlp(), *data(generator))
    assert land.signature == "Sequential-a72a27dea954"
    assert Network(Returning(mlp(), lambda z: z), *data(generator)).signature.startswith("Returning-")


@pytest.mark.parametrize("frozen", [False, True])
def test_buffers_are_a_part_of_the_landscape_where_they_are_frozen(frozen, generator):
    def buffered(number):
        model = mlp()
        model.register_buffer("number", torch.tensor(float(number)))
        return model

    land, other = Network(buffered(1), *data(generator), freeze_buffers=frozen), buffered(2)
    if frozen:
        with pytest.raises(ValueError, match="number"):
            land.flatten(other)
    else:
        assert torch.equal(land.flatten(other), parameters_to_vector(other.parameters()).detach())


def test_nothing_of_a_network_uses_the_global_stream(generator):
    before = torch.random.get_rng_state()
    land = Network(Residual().double(), *data(generator))
    after_making_the_model = torch.random.get_rng_state()
    land.gradient(starts(land, generator), 4, generator)
    assert not torch.equal(before, after_making_the_model)  # torch's own constructors do use it
    assert torch.equal(after_making_the_model, torch.random.get_rng_state())


@pytest.mark.parametrize("make", [mlp, lambda: Residual().double()])
def test_flat_vector_and_module_are_the_same_parameters(make, generator):
    model = make()
    land = Network(model, *data(generator))
    theta = torch.randn(land.dim, generator=generator, dtype=torch.float64)
    assert torch.equal(land.flatten(land.module(theta)), theta)
    assert torch.equal(land.flatten(with_parameters(model, theta)), theta)
    parts = land.unflatten(torch.stack([theta, -theta]))
    assert {name: part.shape[1:] for name, part in parts.items()} == {n: p.shape for n, p in model.named_parameters()}
    for name, parameter in with_parameters(model, theta).named_parameters():
        assert torch.equal(parts[name][0], parameter)
        assert torch.equal(parts[name][1], -parameter)


def test_the_users_model_is_copied_and_frozen_parameters_are_no_part_of_theta(generator):
    model, (x, y) = mlp().eval(), data(generator)
    model[0].weight.requires_grad_(False)
    before = {name: p.clone() for name, p in model.state_dict().items()}
    land = Network(model, x, y)
    assert land.dim == sum(p.numel() for p in model.parameters()) - 30
    theta = land.initial(generator)
    land.gradient(theta)
    assert not model.training
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())
    assert torch.equal(land.module(theta)[0].weight, before["0.weight"])
    torch.testing.assert_close(land.loss(theta), F.cross_entropy(land.module(theta)(x), y), **ROUND_OFF)


def test_a_network_in_float64_is_the_same_function_with_more_digits(generator):
    x, y = data(generator)
    single = Network(mlp().float(), x, y, test=(x, y))
    double = single.to(torch.float64)
    theta = single.initial(generator)
    assert single.loss(theta).dtype == torch.float32
    assert double.dtype == double.x.dtype == double.loss(theta.double()).dtype == torch.float64
    plain, gradient = plain_loss_and_gradient(mlp(), theta.double(), F.cross_entropy, single.x.double(), y)
    torch.testing.assert_close(double.loss(theta.double()), plain, **ROUND_OFF)
    torch.testing.assert_close(double.gradient(theta.double()), gradient, **ROUND_OFF)
    torch.testing.assert_close(single.loss(theta).double(), plain, rtol=1e-5, atol=0)  # float32
    assert single.x.dtype == torch.float32


@pytest.mark.parametrize("make", [mlp, lambda: Residual().double()])
def test_a_network_goes_to_another_process_with_its_data_once(make, generator):
    land = Network(make(), *data(generator, 4000))
    theta, sent = land.initial(generator), pickle.dumps(land)
    assert torch.equal(pickle.loads(sent).gradient(theta), land.gradient(theta))
    assert len(sent) < 1.2 * (land.x.nbytes + land.y.nbytes)


# --- what a landscape cannot be made of ------------------------------------------------------------------------


class Counting(nn.Module):
    """Scales its outputs by how often it was called."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(5, 3).double()
        self.register_buffer("calls", torch.ones(()))

    def forward(self, x):
        self.calls += 1
        return self.linear(x) * self.calls


class Shaky(nn.Module):
    """Adds noise to its inputs, in no known layer."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(5, 3).double()

    def forward(self, x):
        return self.linear(x + torch.randn_like(x))


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda: nn.BatchNorm1d(6), r"batch norm in \['1'\].*reestimate.*GroupNorm, or pass freeze_buffers=True"),
        (lambda: nn.Dropout(0.5), r"dropout in \['1'\].*set p=0, or pass freeze_buffers=True"),
        (lambda: nn.RReLU(), r"outputs of two equal calls differ.*freeze_buffers=True"),
    ],
)
def test_layers_that_make_the_loss_depend_on_more_than_theta_are_refused_unless_frozen(layer, words, generator):
    model, (x, y) = nn.Sequential(nn.Linear(5, 6), layer(), nn.Tanh(), nn.Linear(6, 3)).double(), data(generator)
    if isinstance(model[1], nn.BatchNorm1d):
        model[1].running_mean.normal_(generator=generator)
    with pytest.raises(ValueError, match=words):
        Network(model, x, y)
    land = Network(model, x, y, freeze_buffers=True)
    theta = land.initial(generator)
    with torch.no_grad():
        evaluated = F.cross_entropy(with_parameters(model, theta).eval()(x), y)
    torch.testing.assert_close(land.loss(theta), evaluated, **ROUND_OFF)
    assert torch.equal(land.gradient(theta), land.gradient(theta))


def test_every_batch_norm_and_dropout_that_torch_has_is_known():
    lazy = {name for name in dir(nn) if name.startswith("Lazy")}  # they become others at their first call
    norms = {getattr(nn, name) for name in dir(nn) if "BatchNorm" in name and name not in lazy}
    drops = {getattr(nn, name) for name in dir(nn) if "Dropout" in name}
    assert norms == set(NORMS)
    assert drops == set(DROPOUTS)


def test_a_dropout_that_drops_nothing_is_fine(generator):
    land = Network(nn.Sequential(nn.Linear(5, 3), nn.Dropout(0.0)).double(), *data(generator))
    assert land.dim == 18


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda z: z - z.mean(0), "output for a sample depends on the other samples that come with it"),
        (lambda z: z.mean(), r"a row for each sample by itself; two samples gave \(\)"),
        (lambda z: z[:1], r"a row for each sample by itself; two samples gave \(1, 3\)"),
        (lambda z: torch.cat([z, z]), r"a row for each sample by itself; two samples gave \(4, 3\)"),
    ],
    ids=["less their mean", "a number", "one row", "rows twice"],
)
def test_outputs_that_are_no_rows_of_samples_by_themselves_are_refused(made, words, generator):
    with pytest.raises(ValueError, match=words):
        Network(Returning(mlp(), made), *data(generator))


def test_one_number_for_each_sample_is_a_row(generator):
    x, y = data(generator)

    def squares(outputs, targets):
        return (outputs - targets).square().mean()

    land = Network(Returning(mlp(), lambda z: z[:, 0]), x, y, loss=squares)
    theta = land.initial(generator)
    torch.testing.assert_close(land.loss(theta), squares(land.module(theta)(x), y).detach(), **ROUND_OFF)


class Rows(nn.Module):
    """A model that wants the numbers of a picture in the order in which they came."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(72, 3)

    def forward(self, x):
        return self.layer(x.view(len(x), -1))


@pytest.mark.parametrize(("make", "last"), [(pictures, True), (lambda: Rows().double(), False)])
def test_pictures_lie_channels_last_on_a_cpu_where_the_model_can_take_them(make, last, generator):
    land = Network(make(), *data(generator, 10, (2, 6, 6)), test=data(generator, 4, (2, 6, 6)))
    for x in (land.x, land.test[0]):
        assert x.is_contiguous(memory_format=torch.channels_last) is last
        assert x.is_contiguous() is not last


@pytest.mark.parametrize(("model", "words"), [(Counting, r"buffers that change: \['calls'\]"), (Shaky, "calls differ")])
def test_any_other_model_that_changes_from_call_to_call_is_refused(model, words, generator):
    with pytest.raises(ValueError, match=words):
        Network(model(), *data(generator))


def test_frozen_batch_norm_is_the_same_for_one_vector_and_for_many(generator):
    model = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)).double()
    x, y = data(generator)
    ways = [Network(model, x, y, freeze_buffers=True, strategy=way) for way in ("loop", "vmap")]
    theta = starts(ways[0], generator)
    batch = ways[0].draw(7, generator)
    torch.testing.assert_close(ways[0].gradient_on(theta, batch), ways[1].gradient_on(theta, batch), **ROUND_OFF)


def spoiled(x, where):
    x = x.clone()
    x[where] = float("nan")
    return x


BAD_DATA = {
    "NaN inputs": (lambda x, y: (spoiled(x, [2, 5]), y), {}, "training inputs hold NaN or infinity in 2 of 30 samples"),
    "NaN targets": (lambda x, y: (x, spoiled(x[:, :3], 4)), {"loss": "mse"}, "targets hold NaN or infinity in 1 of 30"),
    "NaN one-column targets": (lambda x, y: (x, spoiled(x[:, 0], 4)), {"loss": "mse"}, "targets hold NaN .* 1 of 30"),
    "label too large": (lambda x, y: (x, y + 1), {}, "class numbers 0 to 2 .* 3 outputs; got 1 to 3"),
    "negative label": (lambda x, y: (x, y - 1), {}, "class numbers 0 to 2 .* got -1 to 1"),
    "mse label": (lambda x, y: (x, y + 1), {"loss": "mse"}, "class numbers 0 to 2"),
    "labels in a column": (lambda x, y: (x, y[:, None]), {}, r"of shape \(30, 1\)"),
    "float labels": (lambda x, y: (x, y.double()), {}, "integer type, got torch.float64; use y.long()"),
    "lengths": (lambda x, y: (x, y[:-1]), {}, "one target for each input, got 30 inputs, 29 targets"),
    "no data": (lambda x, y: (x[:0], y[:0]), {}, "one target for each input, got 0 inputs"),
    "mse shape": (lambda x, y: (x, x[:, :2]), {"loss": "mse"}, r"outputs' shape \(N, 3\), got \(30, 2\)"),
    "mse vector": (lambda x, y: (x, x[:, 0]), {"loss": "mse"}, r"got \(30,\); for one output use y\[:, None\]"),
    "unknown loss": (lambda x, y: (x, y), {"loss": "hinge"}, 'loss must be "cross_entropy", "mse" or .* \'hinge\''),
    "negative decay": (
        lambda x, y: (x, y),
        {"weight_decay": -1.0},
        "weight_decay must be finite .* got -1.0",
    ),
    "infinite decay": (lambda x, y: (x, y), {"weight_decay": math.inf}, "weight_decay must be finite .* got inf"),
    "no decay": (lambda x, y: (x, y), {"weight_decay": math.nan}, "weight_decay must be finite .* got nan"),
    "decay in words": (lambda x, y: (x, y), {"weight_decay": "0.1"}, "weight_decay must be finite .* got '0.1'"),
    "negative noise": (lambda x, y: (x, y), {"label_noise": -0.1}, "label_noise must be finite and not negative"),
    "noise above one": (lambda x, y: (x, y), {"label_noise": 1.5}, "label_noise is a probability .* got 1.5"),
    "bad test data": (lambda x, y: (x, y), {"test": "labels"}, "test labels must be class numbers 0 to 2"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_and_settings_are_refused_in_words(case, generator):
    spoil, settings, words = BAD_DATA[case]
    x, y = data(generator)
    y[:3] = torch.arange(3)  # so that each class occurs
    if "test" in settings:
        settings = {"test": (x, y + 2)}
    with pytest.raises(ValueError, match=words):
        Network(mlp(), *spoil(x, y), **settings)


def test_the_stacked_way_is_refused_where_layers_do_not_stack(generator):
    x, y = data(generator)
    words = 'strategy="stacked" needs an nn.Sequential of Linear layers'
    with pytest.raises(ValueError, match=f"{words}.*got Residual"):
        Network(Residual().double(), x, y, strategy="stacked")
    with pytest.raises(ValueError, match=words):
        Network(mlp(), x, y, loss=lambda outputs, targets: F.cross_entropy(outputs, targets), strategy="stacked")
    with pytest.raises(ValueError, match="no trainable parameters"):
        Network(nn.Flatten(), x, y)


def test_calls_with_the_wrong_size_are_refused_in_words(generator):
    land = Network(mlp(), *data(generator))
    theta = land.initial(generator)
    for call in (land.loss, land.gradient, land.accuracy, land.unflatten):
        with pytest.raises(ValueError, match=rf"takes theta of shape \({land.dim},\).*got \({land.dim - 1},\)"):
            call(theta[:-1])
    with pytest.raises(ValueError, match=rf"got \(2, 2, {land.dim}\)"):
        land.loss(theta.expand(2, 2, -1))
    with pytest.raises(ValueError, match="needs a generator; pass generator="):
        land.gradient(theta, 4)
    for size in (31, 0):
        with pytest.raises(ValueError, match=f"takes 1 to 30 of the 30 training samples, got batch_size={size}"):
            land.gradient(theta, size, generator)
        with pytest.raises(ValueError, match="pass batch_size=None for all of them"):
            list(land.epoch(size, generator))
    with pytest.raises(ValueError, match=r"no test data; pass test=\(x, y\)"):
        land.accuracy(theta, "test")


def test_a_model_that_cannot_be_reset_has_no_random_start(generator):
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(5, 3, dtype=torch.float64))

        def forward(self, x):
            return x @ self.weight

    land = Network(Bare(), *data(generator))
    with pytest.raises(ValueError, match=r"reset_parameters.*pass start=theta"):
        land.initial(generator)


def test_real_targets_have_no_accuracy(generator):
    x, y = torch.randn(12, 4, generator=generator), torch.randn(12, 1, generator=generator)
    land = Network(nn.Linear(4, 1), x, y, loss="mse")
    assert land.scoring is None
    with pytest.raises(ValueError, match=r"Accuracy needs class targets, and these are of shape \(12, 1\)"):
        land.accuracy(land.initial(generator))
