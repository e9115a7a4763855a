"""Per-sample passes of models as people bring them, against plain double backward passes in float64, sample by sample.

Nothing of the package computes the oracles: the Gauss-Newton trace is that of dense Jacobians and of the dense Hessian
of each sample's loss, gradients come one sample at a time, and the Hessian's trace from torch.autograd.functional.
"""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrizations

from entropic_edu.networks.engine import anywhere, precision
from entropic_edu.networks.inputs import one_tensor
from entropic_edu.networks.loss_checks import as_mean
from entropic_edu.networks.losses import NotConvexError
from entropic_edu.networks.models import small_cnn
from entropic_edu.networks.network import Network
from entropic_edu.networks.outputs import returning_tensor
from entropic_edu.networks.per_sample import (
    exact_trace,
    gauss_newton_trace,
    gradient_covariance,
    is_known_piecewise_linear,
    is_piecewise_linear,
    no_second_derivative,
)

EXACT = {"rtol": 1e-9, "atol": 1e-12}  # two float64 routes to one number


def normal(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def numbers(classes, *shape):
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(2))


class Of(nn.Module):
    """A module with these parts whose forward is a function (module, x)."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


class Cube(torch.autograd.Function):
    """A function with no rule for vmap."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, slope):
        return 3 * ctx.saved_tensors[0] ** 2 * slope


class ByNumPy(torch.autograd.Function):
    """A function with no rule for several vectors on its outputs at once."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, slope):
        return torch.from_numpy(2 * slope.numpy())


class Once(torch.autograd.Function):
    """A function without a second derivative."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slope):
        return 2 * ctx.saved_tensors[0] * slope


def attention():
    return nn.Sequential(nn.TransformerEncoderLayer(2, 1, 3, **ENCODER), nn.Flatten(), nn.Linear(6, 3))


def frozen(model, *names):
    for name in names:
        model.get_parameter(name).requires_grad_(False)
    return model


def mlp(activation=nn.ReLU, inputs=4, outputs=3):
    return nn.Sequential(nn.Linear(inputs, 5), activation(), nn.Linear(5, 4), activation(), nn.Linear(4, outputs))


def recurrent(kind, **parts):
    return Of(lambda m, x: m.head(m.body(m.first(x))[0][:, -1]), first=nn.Linear(2, 2), body=kind, **parts)


def shrinking():
    steps = [layer for _ in range(3) for layer in (nn.Conv2d(2, 2, 3, stride=2, padding=1), nn.ReLU())]
    return nn.Sequential(*steps, nn.Flatten(), nn.Linear(2, 3))


def stopped(m, x):
    with torch.no_grad():
        target = m.target(x)
    return m.layer(x) * target


def slope_by_input(m, x):
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(m.layer(x).sum(), x, create_graph=True)[0]


def tied(m, x):
    return F.linear(torch.tanh(m.body(m.embed(x).mean(1))), m.embed.weight)


def own_zeros(m, x):
    h = torch.zeros(len(x), 3, dtype=m.body.weight_ih.dtype)
    for t in range(x.shape[1]):
        h = m.body(x[:, t], h)
    return m.head(h)


X, STEPS, PIXELS, TOKENS = normal(9, 4), normal(9, 3, 2), normal(9, 2, 4, 4), numbers(3, 9, 3)
Y = numbers(3, 9)
ENCODER = {"dropout": 0.0, "batch_first": True}
ROWS = {  # models with outputs (N, 3), for class numbers
    "frozen backbone": (lambda: frozen(mlp(), "0.weight", "0.bias", "2.weight", "2.bias"), X),
    "frozen in the middle": (lambda: frozen(mlp(), "2.weight", "2.bias"), X),
    "a frozen weight with its bias": (lambda: frozen(mlp(), "0.weight", "2.bias"), X),
    "a frozen backbone of convolutions": (lambda: frozen(shrinking(), "0.weight", "0.bias", "2.weight"), PIXELS),
    "a layer that is never used": (lambda: Of(lambda m, x: m.a(x), a=nn.Linear(4, 3), b=nn.Linear(2, 2)), X),
    "a layer by keyword": (lambda: Of(lambda m, x: m.a(input=torch.tanh(m.b(x))), a=nn.Linear(4, 3), b=nn.Linear(4, 4)),
                           X),
    "lstm": (lambda: recurrent(nn.LSTM(2, 3, batch_first=True), head=nn.Linear(3, 3)), STEPS),
    "lstm of two layers, both ways": (lambda: recurrent(
        nn.LSTM(2, 2, 2, batch_first=True, bidirectional=True), head=nn.Linear(4, 3)), STEPS),
    "gru": (lambda: recurrent(nn.GRU(2, 3, batch_first=True), head=nn.Linear(3, 3)), STEPS),
    "frozen gru": (lambda: frozen(recurrent(nn.GRU(2, 3, batch_first=True), head=nn.Linear(3, 3)),
                                  "body.weight_ih_l0", "body.bias_hh_l0"), STEPS),
    "a cell in a loop": (lambda: Of(own_zeros, body=nn.GRUCell(2, 3), head=nn.Linear(3, 3)), STEPS),
    "transformer encoder": (lambda: nn.Sequential(
        nn.Linear(2, 4), nn.TransformerEncoderLayer(4, 2, 5, **ENCODER), nn.Flatten(), nn.Linear(12, 3)), STEPS),
    "transformer encoder, norm first, gelu": (lambda: nn.Sequential(
        nn.TransformerEncoderLayer(2, 1, 3, norm_first=True, activation="gelu", **ENCODER), nn.Flatten(),
        nn.Linear(6, 3)), STEPS),
    "scaled attention": (lambda: Of(
        lambda m, x: m.head(F.scaled_dot_product_attention(m.q(x), m.k(x), x, is_causal=True).flatten(1)),
        q=nn.Linear(2, 2), k=nn.Linear(2, 2), head=nn.Linear(6, 3)), STEPS),
    "embedding": (lambda: Of(lambda m, x: m.head(torch.relu(m.embed(x)).flatten(1)), embed=nn.Embedding(3, 4),
                             head=nn.Linear(12, 3)), TOKENS),
    "tied weights": (lambda: Of(tied, embed=nn.Embedding(3, 4), body=nn.Linear(4, 4)), TOKENS),
    "convolutions down to a pixel": (shrinking, normal(9, 2, 8, 8)),
    "torch.vmap in forward": (lambda: Of(lambda m, x: torch.vmap(lambda row: m.a(row))(x), a=nn.Linear(4, 3)), X),
    "autograd.grad in forward": (lambda: Of(slope_by_input, layer=mlp(nn.Tanh, 3)), X[:, :3].contiguous()),
    "a function without a rule for vmap": (lambda: Of(
        lambda m, x: m.b(m.gain * Cube.apply(m.a(x))), a=nn.Linear(4, 4), b=nn.Linear(4, 3),
        gain=nn.Parameter(torch.ones(4))), X),
    "what depends on numbers": (lambda: Of(
        lambda m, x: m.b(m.gain * x) if float(x.sum()) != 0 else m.b(x), b=nn.Linear(4, 3),
        gain=nn.Parameter(torch.ones(4))), X),
    "parametrized weight norm": (lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 3))), X),
}  # fmt: skip
LOOPS = {
    "lstm", "lstm of two layers, both ways", "gru", "frozen gru", "autograd.grad in forward",
    "a cell in a loop", "a function without a rule for vmap", "what depends on numbers",
}  # fmt: skip


def plain_outputs(model, theta, x):
    """Outputs as a function of the trainable parameters, without the package."""
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    parts = theta.split([p.numel() for p in named.values()])
    return functional_call(model, {n: t.view_as(p) for (n, p), t in zip(named.items(), parts, strict=True)}, (x,))


def plain_numbers(model, theta, x, y, criterion):
    """Return tr H, Σ θᵢ² Hᵢᵢ, the same of Gauss-Newton, E|g|² and |E g|², sample by sample."""
    model = copy.deepcopy(model)
    with sdpa_kernel(SDPBackend.MATH):
        hessian = torch.autograd.functional.hessian(lambda t: criterion(plain_outputs(model, t, x), y), theta)
        newton, gradients = torch.zeros_like(hessian), []
        for one, target in zip(x.split(1), y.split(1), strict=True):
            z = plain_outputs(model, theta, one).detach()
            jacobian = torch.autograd.functional.jacobian(lambda t, one=one: plain_outputs(model, t, one), theta)
            jacobian = jacobian.reshape(z.numel(), -1)
            by_outputs = torch.autograd.functional.hessian(lambda z, y=target: criterion(z, y), z)
            newton += jacobian.T @ by_outputs.reshape(z.numel(), z.numel()) @ jacobian / len(x)
            slope = torch.autograd.functional.jacobian(lambda z, y=target: criterion(z, y), z)
            gradients.append(slope.flatten() @ jacobian)
    gradients = torch.stack(gradients)
    traces = [
        hessian.trace(),
        (hessian.diagonal() * theta**2).sum(),
        newton.trace(),
        (newton.diagonal() * theta**2).sum(),
    ]
    return *traces, gradients.square().sum(1).mean(), gradients.mean(0).square().sum()


def landscape(model, x, y, loss="cross_entropy", **options):
    torch.manual_seed(0)
    land = Network(model().double(), x, y, loss=loss, **options)
    general = land.outputs(land.flatten(land.model), land.x[:2]).ndim != 2
    if general:
        land.criterion = land.engine.criterion = land.criterion.general()
    theta = land.flatten(land.model)
    return land, theta + 0.1 * normal(len(theta), seed=3)


def hold(land, theta, criterion):
    """Hold all that one sample's passes give against the oracles."""
    trace, adaptive, newton, scaled, square, mean = plain_numbers(land.model, theta, land.x, land.y, criterion)
    torch.testing.assert_close(gauss_newton_trace(land, theta), newton, **EXACT)
    torch.testing.assert_close(gauss_newton_trace(land, theta, scale=theta), scaled, **EXACT)
    found = gradient_covariance(land, theta)
    torch.testing.assert_close(found.mean_square_norm, square, **EXACT)
    torch.testing.assert_close(found.trace, square - mean, **EXACT)
    linear = is_piecewise_linear(land, generator=torch.Generator().manual_seed(1))
    assert linear is is_known_piecewise_linear(land)
    if linear:
        torch.testing.assert_close(exact_trace(land, theta), trace, **EXACT)
        torch.testing.assert_close(exact_trace(land, theta, scale=theta), adaptive, **EXACT)
    else:
        assert not torch.isclose(trace, newton, rtol=1e-6)


def from_numpy():
    return Of(lambda m, x: m.b(ByNumPy.apply(m.a(x))), a=nn.Linear(4, 4), b=nn.Linear(4, 3))


@pytest.mark.parametrize("kind", ROWS)
def test_models_as_people_bring_them(kind):
    model, x = ROWS[kind]
    land, theta = landscape(model, x, Y, strategy="loop")
    hold(land, theta, F.cross_entropy)
    assert ("samples" in land.engine.facts.loops) is (kind in LOOPS)


def squeezed(**options):
    return Of(lambda m, x: m.layer(x)[:, 0], layer=mlp(outputs=1, **options))


def huber(z, y):
    return F.huber_loss(z, y, delta=0.3)


def next_token(z, y):
    return F.cross_entropy(z.flatten(0, 1), y.flatten())


def focal(z, y):
    right = torch.softmax(z, -1).gather(1, y[:, None])[:, 0]
    return ((1 - right) ** 2 * -right.log()).mean()


def positive(z, y):
    """A loss whose forward looks at numbers."""
    return F.mse_loss(z, y) if float(z.detach().min()) > -100 else z.sum()


LANGUAGE = {"embed": nn.Embedding(3, 4), "head": nn.Linear(4, 3)}
SHAPES = {  # other outputs, and losses on them
    "outputs (N,)": (squeezed, X, normal(9, seed=4), "mse", F.mse_loss),
    "outputs (N,) of a smooth model": (lambda: squeezed(activation=nn.Tanh), X, normal(9, seed=4), "mse", F.mse_loss),
    "outputs (N,), huber": (squeezed, X, normal(9, seed=4), huber, huber),
    "outputs (N,), two labels": (squeezed, X, numbers(2, 9).double(), nn.BCEWithLogitsLoss(),
                                 F.binary_cross_entropy_with_logits),
    "a class for each pixel": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 1)), PIXELS,
        numbers(3, 9, 4, 4), "cross_entropy", F.cross_entropy),
    "weights of classes for each pixel": (
        lambda: nn.Conv2d(2, 3, 3, padding=1), PIXELS, normal(9, 3, 4, 4, seed=5).softmax(1), "cross_entropy",
        F.cross_entropy),
    "a number for each pixel": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 1)), PIXELS,
        normal(9, 2, 4, 4, seed=5), "mse", F.mse_loss),
    "a language model": (lambda: Of(lambda m, x: m.head(torch.tanh(m.embed(x))), **LANGUAGE), TOKENS,
                         TOKENS.roll(-1, 1), next_token, next_token),
    "a recurrent language model": (
        lambda: Of(lambda m, x: m.head(m.body(m.embed(x))[0]), body=nn.LSTM(4, 4, batch_first=True), **LANGUAGE),
        TOKENS, TOKENS.roll(-1, 1), next_token, next_token),
    "labels of each step": (lambda: Of(lambda m, x: m.head(m.embed(x)).mT, **LANGUAGE), TOKENS, TOKENS.roll(-1, 1),
                            "cross_entropy", F.cross_entropy),
    "a loss that looks at numbers": (mlp, X, normal(9, 3, seed=4), positive, F.mse_loss),
    "a loss of torch.nn": (mlp, X, Y, *2 * [nn.CrossEntropyLoss(label_smoothing=0.1)]),
}  # fmt: skip


def test_weighted_losses_of_torch_and_ignored_classes():
    for model, x, y in ((mlp, X, Y), SHAPES["a class for each pixel"][:3]):
        weight = torch.tensor([1.0, 9.0, 0.25], dtype=torch.float64)
        for criterion in (nn.CrossEntropyLoss(weight, ignore_index=2), nn.CrossEntropyLoss(weight, ignore_index=-100)):
            loss = as_mean(criterion, y)
            hold(*landscape(model, x, y, loss), loss)


def test_several_inputs_and_outputs_in_a_dict():
    torch.manual_seed(0)
    forward = lambda m, x: {"hidden": x[0], "logits": m.b(torch.tanh(m.a(x[0])) * x[1])}  # noqa: E731
    model, (index,) = one_tensor(Of(forward, a=nn.Linear(4, 4), b=nn.Linear(4, 3)), (X, X.flip(0).relu()))
    hold(*landscape(lambda: returning_tensor(model), index, Y), F.cross_entropy)


@pytest.mark.parametrize("kind", SHAPES)
def test_outputs_of_any_shape(kind):
    model, x, y, loss, criterion = SHAPES[kind]
    hold(*landscape(model, x, y, loss), criterion)


def test_rows_that_cannot_pass_at_once_pass_one_by_one_and_it_is_found_out_once(monkeypatch):
    land, theta = landscape(from_numpy, X, Y)
    plain = landscape(lambda: Of(lambda m, x: m.b(2 * m.a(x)), a=nn.Linear(4, 4), b=nn.Linear(4, 3)), X, Y)[0]
    torch.testing.assert_close(gauss_newton_trace(land, theta), gauss_newton_trace(plain, theta), **EXACT)
    assert land.engine.facts.loops == {"rows"}
    grad, batched = torch.autograd.grad, []
    monkeypatch.setattr(
        torch.autograd, "grad", lambda *a, **k: batched.append("is_grads_batched" in k) or grad(*a, **k)
    )
    gauss_newton_trace(land, theta)
    assert batched
    assert not any(batched)


def test_samples_that_cannot_pass_side_by_side_are_found_out_once(monkeypatch):
    land, theta = landscape(*ROWS["lstm"], Y)
    before = gradient_covariance(land, theta)
    monkeypatch.setattr(torch, "vmap", None)
    assert torch.equal(gradient_covariance(land.subset(torch.arange(9)), theta).trace, before.trace)


def test_an_operation_without_a_second_derivative_is_not_called_piecewise_linear():
    land, _ = landscape(lambda: Of(lambda m, x: m.b(Once.apply(m.a(x))), a=nn.Linear(4, 4), b=nn.Linear(4, 3)), X, Y)
    assert not is_known_piecewise_linear(land)
    assert "differentiable only once" in no_second_derivative(land)
    assert no_second_derivative(landscape(attention, STEPS, Y)[0]) == ""


class Squared(torch.autograd.Function):
    """x², whose slope may have no derivative, in words or in one precision."""

    @staticmethod
    def forward(ctx, x, words, only):
        ctx.save_for_backward(x)
        ctx.words, ctx.only = words, only
        return x.square()

    @staticmethod
    def backward(ctx, slope):
        return Slope.apply(slope, *ctx.saved_tensors, ctx.words, ctx.only), None, None


class Slope(torch.autograd.Function):
    @staticmethod
    def forward(ctx, slope, x, words, only):
        ctx.save_for_backward(slope, x)
        ctx.words, ctx.only = words, only
        return 2 * x * slope

    @staticmethod
    def backward(ctx, by):
        slope, x = ctx.saved_tensors
        if ctx.only in (None, x.dtype):
            raise RuntimeError(*ctx.words)
        return 2 * x * by, 2 * slope * by, None, None


@pytest.mark.parametrize(
    ("words", "said"), [(("no slope of a slope\nat line 7",), "no slope of a slope"), ((), "RuntimeError")]
)
def test_why_there_is_no_second_derivative_is_told_in_one_line(words, said):
    land, _ = landscape(lambda: Of(lambda m, x: Squared.apply(m.a(x), words, None), a=nn.Linear(4, 3)), X, Y)
    assert no_second_derivative(land) == said
    assert not is_known_piecewise_linear(land)


def test_where_the_look_in_double_precision_has_no_second_derivative_nothing_is_called_piecewise_linear():
    words, double = ("not in double precision",), torch.float64
    model = Of(lambda m, x: m.b(torch.relu(m.a(x))) + 0 * Squared.apply(m.a(x)[:, :3], words, double),
               a=nn.Linear(4, 4), b=nn.Linear(4, 3))  # fmt: skip
    single = Network(model, X.float(), Y)
    assert no_second_derivative(single) == ""
    assert not is_piecewise_linear(single, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("strategy", ["auto", "loop"])
def test_a_model_of_one_tensor_of_parameters_and_one_of_two_samples_have_their_traces(strategy):
    for x, y in ((X, Y), (X[:2], Y[:2])):
        land, theta = landscape(lambda: nn.Sequential(nn.Linear(4, 3, bias=False)), x, y, strategy=strategy)
        hold(land, theta, F.cross_entropy)


def test_what_is_known_with_fixed_statistics_is_not_taken_for_re_estimated_ones():
    land, theta = landscape(lambda: nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3)), X, Y, batch_norm="reestimate")
    fixed = copy.copy(land)
    fixed.engine = land.engine.with_statistics_of(theta)
    assert is_known_piecewise_linear(fixed)
    assert not is_known_piecewise_linear(land)


def test_a_loss_without_a_second_derivative_says_so():
    land, theta = landscape(mlp, X, normal(9, 3, seed=4), lambda z, y: Once.apply(z - y).mean())
    assert "differentiable only once" in no_second_derivative(land)
    with pytest.raises(ValueError, match="has no second derivative by the outputs"):
        gauss_newton_trace(land, theta)
    square, mean = plain_numbers(land.model, theta, land.x, land.y, F.mse_loss)[-2:]
    torch.testing.assert_close(gradient_covariance(land, theta).trace, square - mean, **EXACT)


@pytest.mark.parametrize("make", [
    lambda: Of(lambda m, x: m.layer(x @ torch.eye(4)), layer=nn.Linear(4, 3)),
    lambda: Of(lambda m, x: torch.zeros(len(x), 3).index_copy(1, torch.arange(3), m.layer(x).float()),
               layer=nn.Linear(4, 3)),
], ids=["a matrix", "a buffer that is filled"])  # fmt: skip
def test_constants_made_in_forward_keep_the_models_precision(make):
    torch.manual_seed(0)
    land = Network(make(), X.float(), Y)
    plain = Network(nn.Sequential(land.model.layer).double(), X, Y)
    assert precision(land.engine) == anywhere(land.engine, torch.Generator())[1].dtype == torch.float32
    assert precision(plain.engine) == torch.float64
    assert land.engine.sound_layers == {"layer"}
    theta = land.flatten(land.model)
    found = gauss_newton_trace(land, theta), exact_trace(land, theta), gradient_covariance(land, theta).trace
    wanted = exact_trace(plain, theta.double()), gradient_covariance(plain, theta.double()).trace
    torch.testing.assert_close(torch.stack(found).double(), torch.stack([wanted[0], *wanted]), rtol=1e-5, atol=0)
    smooth = Network(nn.Sequential(make(), nn.Tanh()), X.float(), Y)
    assert not is_known_piecewise_linear(smooth)


def test_what_autograd_cannot_follow_is_refused_at_the_door():
    def detached(m, x):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(m.layer(x).sum(), x)[0]

    with pytest.raises(ValueError, match="no gradient of the loss by the parameters, or it is not how the loss"):
        landscape(lambda: Of(detached, layer=mlp(nn.Tanh, 3)), X[:, :3].contiguous(), Y)
    with pytest.raises(ValueError, match=r"Take out what stops or replaces it: torch.no_grad"):
        landscape(lambda: Of(stopped, layer=nn.Linear(4, 3), target=nn.Linear(4, 3)), X, Y)


def test_a_kink_in_the_way_of_the_look_at_a_gradient_refuses_nothing():
    with torch.random.fork_rng():
        torch.manual_seed(35)  # a ReLU network that was refused by one look with steps of 1e-5
        model = small_cnn((4, 8, 8))
    x = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert Network(model, x, torch.arange(8) % 10).dim == sum(p.numel() for p in model.parameters())


def test_a_slope_that_turns_within_a_short_step_is_taken():
    class Wavy(nn.Linear):  # as deep networks with batch norm are at parameters drawn at random
        def forward(self, x):
            return super().forward(x) + torch.sin(1e8 * self.weight.sum(1)) / 1e8

    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    assert Network(Wavy(4, 3), x, torch.arange(8) % 3).dim == 15


def test_many_outputs_of_a_sample_have_no_exact_trace_but_a_covariance():
    def convolution():
        return nn.Conv2d(2, 10, 3, padding=1)

    land, theta = landscape(convolution, normal(3, 2, 8, 8), normal(3, 10, 8, 8, seed=4), "mse")
    assert not is_known_piecewise_linear(land)
    assert not is_piecewise_linear(land, generator=torch.Generator())
    for trace in (exact_trace, gauss_newton_trace):
        with pytest.raises(ValueError, match=r"of shape \(10, 8, 8\), more than 600; use hutchinson_trace"):
            trace(land, theta)
    square, mean = plain_numbers(land.model, theta, land.x, land.y, F.mse_loss)[-2:]
    torch.testing.assert_close(gradient_covariance(land, theta).trace, square - mean, **EXACT)


def test_as_many_outputs_as_may_be_have_an_exact_trace_and_one_more_has_none(monkeypatch):
    land, theta = landscape(*SHAPES["a number for each pixel"][:4])
    outputs = land.outputs(theta, land.x[:1])[0].numel()
    for most in (outputs, outputs - 1):
        monkeypatch.setattr("entropic_edu.networks.per_sample._MOST_OUTPUTS", most)
        if most == outputs:
            assert gauss_newton_trace(land, theta) > 0
            continue
        with pytest.raises(ValueError, match=rf"more than {most}; use hutchinson_trace"):
            gauss_newton_trace(land, theta)


def test_a_row_of_many_outputs_keeps_its_exact_trace():
    land, theta = landscape(lambda: nn.Sequential(nn.Linear(2, 601)), normal(3, 2), normal(3, 601, seed=4), "mse")
    assert is_known_piecewise_linear(land)
    expected = 2 / 601 * 601 * (land.x.square().sum(1).mean() + 1)
    torch.testing.assert_close(exact_trace(land, theta), expected, **EXACT)


def test_a_loss_that_is_not_convex_says_so_by_its_type():
    x = 3 * X
    land, theta = landscape(mlp, x, Y, focal)
    with pytest.raises(NotConvexError, match="'custom focal' is not convex"):
        exact_trace(land, 5 * theta)


def test_jitter_of_targets_of_any_shape_is_in_the_covariance_and_its_ratio():
    land, theta = landscape(*SHAPES["a number for each pixel"][:4], label_noise=0.7)
    quiet, _ = landscape(*SHAPES["a number for each pixel"][:4])
    ratio = 2 * 0.7**2 / 32
    assert land.criterion.label_ratio(land.y) == pytest.approx(ratio)
    added = gradient_covariance(land, theta).trace - gradient_covariance(quiet, theta).trace
    torch.testing.assert_close(added, ratio * gauss_newton_trace(quiet, theta), **EXACT)


def test_classes_drawn_anew_for_each_pixel_have_no_covariance():
    land, theta = landscape(*SHAPES["a class for each pixel"][:4], label_noise=0.1)
    with pytest.raises(ValueError, match=r"not for 'cross_entropy' .* shape \(9, 4, 4\); use label_noise=0"):
        gradient_covariance(land, theta)


@pytest.mark.parametrize(("activation", "expected"), [(nn.ReLU, True), (nn.GELU, False)])
def test_of_a_large_network_two_samples_tell_and_as_many_numbers_are_drawn(activation, expected, monkeypatch):
    land, _ = landscape(lambda: mlp(activation), X, Y, strategy="loop")
    states = []
    for large in (10**9, 0):
        monkeypatch.setattr("entropic_edu.networks.per_sample._LARGE", large)
        generator = torch.Generator().manual_seed(0)
        assert is_piecewise_linear(land, generator=generator) is expected
        states.append(generator.get_state())
    assert torch.equal(*states)
