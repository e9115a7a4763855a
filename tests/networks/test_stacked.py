import pytest
import torch
from torch import nn

from entropic_edu.networks.network import Network
from entropic_edu.networks.per_sample import gauss_newton_trace
from entropic_edu.networks.stacked import Stack
from entropic_edu.physics.curvature import hessian_vector_product

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch's own, at its first jvp

ACTIVATIONS = [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU]


def chain(activation, loss, generator, *, bias=True, norm=False, last=None, number=70, weight_decay=0.0):
    layers = []
    for inputs, outputs in ((5, 6), (6, 4)):
        normed = [nn.LayerNorm(outputs, eps=0.1, elementwise_affine=False)] if norm else []
        layers += [nn.Linear(inputs, outputs, bias=bias), *normed, activation()]
    model = nn.Sequential(*layers, nn.Linear(4, 3), *([last()] if last else [])).double()
    x = torch.randn(number, 5, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (number,), generator=generator)
    return Network(model, x, y, loss=loss, weight_decay=weight_decay)


def by_autograd(land, theta, vector):
    """Reverse over reverse through the module itself."""

    def loss(t):
        outputs = torch.func.functional_call(land.model, land.unflatten(t), (land.x,))
        criterion = nn.functional.mse_loss if land.loss_name == "mse" else nn.functional.cross_entropy
        return criterion(outputs, land.y) + 0.5 * land.weight_decay * t.square().sum()

    return torch.func.grad(lambda t: torch.func.grad(loss)(t) @ vector)(theta)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("bias", "norm"), [(True, False), (False, False), (False, True), (True, True)])
def test_the_hand_written_product_equals_reverse_over_reverse_autograd(activation, loss, bias, norm, generator):
    land = chain(activation, loss, generator, bias=bias, norm=norm, weight_decay=0.01)
    assert land.stacks
    theta = torch.stack([land.initial(generator) for _ in range(3)])
    vector = torch.randn(theta.shape, generator=generator, dtype=theta.dtype)
    one_each = hessian_vector_product(land, theta, vector)
    shared = hessian_vector_product(land, theta[0], vector)
    for t, v, row, same in zip(theta, vector, one_each, shared, strict=True):
        # float64 round-off of sums over 70 samples
        torch.testing.assert_close(row, by_autograd(land, t, v), rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(same, by_autograd(land, theta[0], v), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_activation_on_the_last_layer_is_differentiated_too(activation, generator):
    land = chain(activation, "mse", generator, last=activation)
    theta = land.initial(generator)
    vector = torch.randn(land.dim, generator=generator, dtype=theta.dtype)
    found = hessian_vector_product(land, theta, vector)
    torch.testing.assert_close(found, by_autograd(land, theta, vector), rtol=1e-12, atol=1e-13)


def test_many_vectors_and_samples_are_taken_in_chunks_that_add_up(generator):
    # 70 vectors are three chunks of vectors, 300 samples several chunks of samples
    land = chain(nn.Tanh, "cross_entropy", generator, number=300)
    theta = land.initial(generator)
    vector = torch.randn(70, land.dim, generator=generator, dtype=theta.dtype)
    many = hessian_vector_product(land, theta.expand(70, -1), vector)
    torch.testing.assert_close(many, hessian_vector_product(land, theta, vector), rtol=1e-12, atol=1e-13)
    dense = torch.func.hessian(land.loss)(theta)
    torch.testing.assert_close(many, vector @ dense, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU])
def test_products_of_many_vectors_at_one_theta_in_single_precision_are_those_in_double(activation, generator):
    # kernels of single precision take other shapes than those of double
    x, y = torch.randn(300, 8, generator=generator), torch.randint(3, (300,), generator=generator)
    model = nn.Sequential(nn.Linear(8, 64), activation(), nn.Linear(64, 64), activation(), nn.Linear(64, 3))
    land = Network(model, x, y)
    theta, vectors = land.initial(generator), torch.randn(20, land.dim, generator=generator)
    exact = hessian_vector_product(land.to(torch.float64), theta.double(), vectors.double())
    torch.testing.assert_close(hessian_vector_product(land, theta, vectors).double(), exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_outputs_and_gradients_equal_those_of_the_module(activation, norm, generator):
    land = chain(activation, "cross_entropy", generator, norm=norm)
    theta = torch.stack([land.initial(generator) for _ in range(2)])
    for row, outputs, gradient in zip(theta, land.outputs(theta, land.x), land.gradient(theta), strict=True):
        module = land.module(row)
        loss = nn.functional.cross_entropy(module(land.x), land.y)
        parts = torch.autograd.grad(loss, list(module.parameters()))
        torch.testing.assert_close(outputs, module(land.x), rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(gradient, torch.cat([p.flatten() for p in parts]), rtol=1e-12, atol=1e-13)


def test_what_is_not_a_chain_of_linear_layers_does_not_stack():
    shared = nn.Linear(4, 4)
    assert Stack.of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())) is None
    assert Stack.of(nn.Sequential(shared, nn.Tanh(), shared)) is None
    assert Stack.of(nn.Sequential(nn.Linear(4, 4), nn.GELU(approximate="tanh"))) is None
    assert Stack.of(nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))) is not None
    plain = {"elementwise_affine": False}
    assert Stack.of(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4, **plain), nn.ReLU())) is not None
    for norm in (nn.LayerNorm(4), nn.LayerNorm((3, 4), **plain)):  # one with parameters, one over samples of a sequence
        assert Stack.of(nn.Sequential(nn.Linear(4, 4), norm)) is None
    for layers in ((nn.ReLU(), nn.LayerNorm(4, **plain)), (nn.LayerNorm(4, **plain), nn.LayerNorm(4, **plain))):
        assert Stack.of(nn.Sequential(nn.Linear(4, 4), *layers)) is None


def frozen(layer):
    return layer.requires_grad_(False)


def hooked(layer):
    layer.register_forward_hook(lambda *_: None)
    return layer


CHAINS = {  # layers, and whether they stack
    "one layer": ([nn.Linear(4, 2)], True),
    "identities": ([nn.Identity(), nn.Linear(4, 4), nn.Identity(), nn.ReLU(), nn.Identity()], True),
    "two activations": ([nn.Linear(4, 4), nn.ReLU(), nn.Tanh()], False),
    "an activation first": ([nn.ReLU(), nn.Linear(4, 2)], False),
    "a norm first": ([nn.LayerNorm(4, elementwise_affine=False), nn.Linear(4, 2)], False),
    "nothing": ([nn.Flatten()], False),
    "flattened within": ([nn.Linear(4, 4), nn.Flatten(), nn.Linear(4, 2)], False),
    "flattened from elsewhere": ([nn.Flatten(2), nn.Linear(4, 2)], False),
    "flattened up to": ([nn.Flatten(1, 2), nn.Linear(4, 2)], False),
    "a part frozen": ([nn.Linear(4, 4), nn.ReLU(), frozen(nn.Linear(4, 2))], False),
    "hooks": ([nn.Linear(4, 4), hooked(nn.ReLU()), nn.Linear(4, 2)], False),
    "nested": ([nn.Sequential(nn.Linear(4, 4), nn.GELU()), nn.Linear(4, 2)], True),
    "a norm of more": ([nn.Linear(4, 4), nn.LayerNorm((2, 4), elementwise_affine=False)], False),
    "a norm after its activation": ([nn.Linear(4, 4), nn.ReLU(), nn.LayerNorm(4, elementwise_affine=False)], False),
    "another activation": ([nn.Linear(4, 4), nn.SiLU()], False),
}


@pytest.mark.parametrize(("layers", "so"), CHAINS.values(), ids=CHAINS)
def test_a_chain_stacks_only_if_it_computes_what_the_module_does(layers, so):
    model = nn.Sequential(*layers)
    stack = Stack.of(model)
    assert (stack is not None) is so
    if stack is not None:
        theta = nn.utils.parameters_to_vector(model.parameters()).detach()
        x = torch.linspace(-1, 1, 12).reshape(3, 4)
        torch.testing.assert_close(stack.outputs(theta[None], x)[0], model(x))


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("layers", ["three layers with norms", "one layer", "parts of the samples"])
def test_per_sample_squares_are_those_of_dense_jacobians(layers, scaled, generator, monkeypatch):
    if layers == "parts of the samples":
        monkeypatch.setattr("entropic_edu.networks.stacked._CACHED", 1)  # 16 of 70
    if layers == "one layer":
        x, y = torch.randn(20, 5, generator=generator, dtype=torch.float64), torch.arange(20) % 3
        land = Network(nn.Linear(5, 3).double(), x, y)
    else:
        land = chain(nn.Tanh, "cross_entropy", generator, norm=True, bias=True)
    theta = torch.stack([land.initial(generator) for _ in range(2)])
    scale = theta if scaled else torch.ones_like(theta)
    found = gauss_newton_trace(land, theta, scale=scale if scaled else None)
    for row, s, trace in zip(theta, scale, found, strict=True):
        jacobian = torch.func.jacrev(lambda t: land.outputs(t, land.x))(row)  # (N, C, D)
        p = torch.softmax(land.outputs(row, land.x), -1)
        curved = torch.diag_embed(p) - p[:, :, None] * p[:, None]
        expected = torch.einsum("ncd,nce,ned,d->", jacobian, curved, jacobian, s.square()) / len(land.x)
        torch.testing.assert_close(trace, expected, rtol=1e-11, atol=0)
