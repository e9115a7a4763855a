import warnings

import pytest
import torch
from torch import nn

from entropic_edu import curvature
from entropic_edu.networks.network import Network
from entropic_edu.physics.curvature import (
    Estimate,
    _lanczos,
    curvature_along,
    dense_hessian,
    extreme_eigenvalues,
    hessian_vector_product,
    hutchinson_trace,
    spectral_density,
)
from entropic_edu.physics.landscape import Landscape

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # a dependency of curvlinops uses torch.jit.script
    from curvlinops import HessianLinearOperator

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch's own, at its first jvp

MODELS = {
    "tanh": lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)),
    "relu": lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)),
    "cnn": lambda: nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3)
    ),
}
LAMBDA = 0.03


class Quadratic(Landscape):
    """L(θ) = ½ θᵀAθ, whose Hessian is A everywhere."""

    def __init__(self, matrix):
        self.matrix, self.dim = matrix, len(matrix)

    def loss(self, theta):
        return 0.5 * ((theta @ self.matrix) * theta).sum(-1)

    def draw(self, batch_size, generator, rows=None):
        return None

    def gradient_on(self, theta, batch):
        return theta @ self.matrix

    def initial(self, generator):
        return torch.randn(self.dim, generator=generator, dtype=self.matrix.dtype)


def network(kind, generator, *, loss="cross_entropy", weight_decay=LAMBDA, number=80, strategy="auto"):
    shape = (1, 4, 4) if kind == "cnn" else (4,)
    x = torch.randn(number, *shape, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (number,), generator=generator)
    return Network(MODELS[kind]().double(), x, y, loss=loss, weight_decay=weight_decay, strategy=strategy)


def seeded(number=3):
    return torch.Generator().manual_seed(number)


def symmetric(eigenvalues, generator):
    """A matrix of known eigenvalues in a random basis."""
    values = torch.as_tensor(eigenvalues, dtype=torch.float64)
    basis, _ = torch.linalg.qr(torch.randn(len(values), len(values), generator=generator, dtype=torch.float64))
    return basis @ torch.diag(values) @ basis.T


@pytest.fixture(params=["tanh", "relu", "cnn"])
def land(request, generator):
    return network(request.param, generator)


@pytest.fixture
def theta(land, generator):
    return land.initial(generator)


@pytest.fixture
def hessian(land, theta):
    return torch.func.hessian(land.loss)(theta)


# --- products


def test_products_equal_a_dense_hessian_for_one_vector_and_for_many(land, theta, hessian, generator):
    vectors = torch.randn(9, land.dim, generator=generator, dtype=torch.float64)  # more than one chunk of probes
    close = {"rtol": 1e-11, "atol": 1e-13}  # float64 round-off
    torch.testing.assert_close(hessian_vector_product(land, theta, vectors), vectors @ hessian, **close)
    torch.testing.assert_close(hessian_vector_product(land, theta, vectors[0]), hessian @ vectors[0], **close)
    torch.testing.assert_close(dense_hessian(land, theta), hessian, **close)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("kind", list(MODELS))
def test_products_equal_those_of_curvlinops(kind, loss, generator):
    land = network(kind, generator, loss=loss, weight_decay=0.0)
    theta = land.initial(generator)
    model = land.module(theta)
    criterion = nn.CrossEntropyLoss() if loss == "cross_entropy" else nn.MSELoss()
    peer = HessianLinearOperator(model, criterion, list(model.parameters()), [(land.x, land.y)])
    vector = torch.randn(land.dim, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(hessian_vector_product(land, theta, vector), peer @ vector, rtol=1e-11, atol=1e-13)


def test_rows_of_thetas_give_what_a_loop_gives(land, generator):
    thetas = torch.stack([land.initial(generator) for _ in range(3)])
    vectors = torch.randn(thetas.shape, generator=generator, dtype=torch.float64)
    loop = torch.stack([hessian_vector_product(land, t, v) for t, v in zip(thetas, vectors, strict=True)])
    torch.testing.assert_close(hessian_vector_product(land, thetas, vectors), loop, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("vectors", [None, 3])
def test_weight_decay_shifts_the_product_by_exactly_lambda(land, theta, vectors, generator):
    shape = (land.dim,) if vectors is None else (vectors, land.dim)
    vector = torch.randn(shape, generator=generator, dtype=torch.float64)
    bare = hessian_vector_product(land, theta, vector, weight_decay=False)
    torch.testing.assert_close(hessian_vector_product(land, theta, vector) - bare, LAMBDA * vector)


def test_a_custom_loss_and_a_forced_strategy_take_the_generic_way(generator):
    def squared(outputs, targets):
        return (outputs.logsumexp(-1) - targets).square().mean()

    for land in (network("tanh", generator, loss=squared), network("tanh", generator, strategy="loop")):
        theta = land.initial(generator)
        torch.testing.assert_close(dense_hessian(land, theta), torch.func.hessian(land.loss)(theta))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.read = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 3)

    def forward(self, x):
        return self.read(self.attention(x, x, x, need_weights=False)[0].mean(1))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.memory, self.read = nn.GRU(4, 3, batch_first=True), nn.Linear(3, 3)

    def forward(self, x):
        return self.read(self.memory(x)[0][:, -1])


class Normalised(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.GroupNorm(2, 4), nn.PReLU(), nn.Linear(4, 3))

    def forward(self, x):
        return self.inner(x.mean(1))


@pytest.mark.parametrize("model", [Attention, Recurrent, Normalised])
@pytest.mark.parametrize("loss", ["cross_entropy", nn.functional.huber_loss])
def test_layers_and_losses_without_forward_derivatives_work_too(model, loss, generator):
    x = torch.randn(6, 5, 4, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (6,), generator=generator)
    y = y if loss == "cross_entropy" else nn.functional.one_hot(y, 3).double()
    land = Network(model().double(), x, y, loss=loss)
    theta, h = land.initial(generator), 1e-5
    vector = torch.randn(land.dim, generator=generator, dtype=torch.float64)
    difference = (land.gradient(theta + h * vector) - land.gradient(theta - h * vector)) / (2 * h)
    # the central difference is off by h²|v|³, about 1e-9 to 1e-8
    torch.testing.assert_close(hessian_vector_product(land, theta, vector), difference, rtol=0, atol=1e-7)


def test_gradients_are_not_tracked_and_arguments_are_not_changed(land, theta, generator):
    before, leaf = theta.clone(), theta.clone().requires_grad_()
    product = hessian_vector_product(land, leaf, torch.ones_like(theta))
    estimate = hutchinson_trace(land, leaf, generator=generator)
    ends = extreme_eigenvalues(land, leaf, generator=generator)
    assert not any(t.requires_grad for t in (product, estimate.value, ends.largest, ends.top_eigenvector))
    assert torch.equal(leaf.detach(), before)


# --- trace


def test_the_trace_from_a_whole_orthogonal_basis_of_probes_is_exact(land, theta, hessian):
    probes = land.dim**0.5 * torch.eye(land.dim, dtype=torch.float64)  # the mean of vvᵀ is I, exactly
    estimate = hutchinson_trace(land, theta, probes=probes)
    torch.testing.assert_close(estimate.value, hessian.trace(), rtol=1e-11, atol=0)
    assert estimate.samples.shape == (land.dim,)


def test_hutchinson_is_within_four_standard_errors(land, theta, hessian, generator):
    estimate = hutchinson_trace(land, theta, num_probes=200, generator=generator)
    assert abs(estimate.value - hessian.trace()) < 4 * estimate.error
    # the variance of one sign probe is twice the sum of squares off the diagonal; its sample is good to about 20 %
    off = hessian - torch.diag(hessian.diagonal())
    assert estimate.error == pytest.approx((2 * off.square().sum() / 200).sqrt().item(), rel=0.3)


def test_the_error_falls_with_the_square_root_of_the_probes(generator):
    land = Quadratic(symmetric(torch.linspace(-1, 3, 30), generator))
    theta = land.initial(generator)
    few, many = (
        torch.stack([hutchinson_trace(land, theta, num_probes=v, generator=generator).value for _ in range(80)])
        for v in (4, 64)
    )
    exact = land.matrix.trace()
    ratio = ((few - exact).square().mean() / (many - exact).square().mean()).sqrt()
    assert ratio == pytest.approx(4, rel=0.3)  # each spread is known to 1/√160 = 8 %


def test_weight_decay_adds_lambda_times_dim_to_the_trace(land, theta, generator):
    probes = 2.0 * torch.randint(2, (5, land.dim), generator=generator) - 1
    whole = hutchinson_trace(land, theta, probes=probes)
    bare = hutchinson_trace(land, theta, probes=probes, weight_decay=False)
    torch.testing.assert_close(whole.samples - bare.samples, torch.full((5,), LAMBDA * land.dim, dtype=torch.float64))


def test_the_adaptive_trace_is_blind_to_a_rescaling_that_the_raw_trace_sees(generator):
    land = network("relu", generator, weight_decay=0.0)
    theta = land.initial(generator)
    parts = {name: part.clone() for name, part in land.unflatten(theta).items()}
    for name, factor in (("0.weight", 10.0), ("0.bias", 10.0), ("2.weight", 0.1)):
        parts[name] *= factor
    rescaled = torch.cat([part.flatten() for part in parts.values()])
    torch.testing.assert_close(land.loss(rescaled), land.loss(theta))
    pair = torch.stack([theta, rescaled])
    raw = hutchinson_trace(land, pair, num_probes=50, generator=generator)
    adaptive = hutchinson_trace(land, pair, num_probes=50, generator=generator, scale=pair)
    assert (raw.value[1] / raw.value[0] - 1).abs() > 0.5
    torch.testing.assert_close(adaptive.samples[0], adaptive.samples[1], rtol=1e-9, atol=1e-12)
    exact = (theta.square() * torch.func.hessian(land.loss)(theta).diagonal()).sum()
    assert abs(adaptive.value[0] - exact) < 4 * adaptive.error[0]


def test_shared_probes_make_differences_sharper_than_values(land, theta, generator):
    pair = torch.stack([theta, theta + 0.01])
    estimate = hutchinson_trace(land, pair, num_probes=20, generator=generator)
    difference = Estimate.of(estimate.samples[1] - estimate.samples[0])
    assert difference.error < 0.2 * estimate.error.min()


def test_one_probe_admits_that_its_error_is_unknown(land, theta, generator):
    assert hutchinson_trace(land, theta, num_probes=1, generator=generator).error == torch.inf


def test_several_thetas_give_what_a_loop_gives_and_a_seed_gives_the_same_again(land, generator):
    thetas = torch.stack([land.initial(generator) for _ in range(3)])

    def seed():
        return torch.Generator().manual_seed(7)

    trace = hutchinson_trace(land, thetas, generator=seed())
    ends = extreme_eigenvalues(land, thetas, steps=10, tolerance=0.0, generator=seed())
    spectrum = spectral_density(land, thetas, generator=seed(), steps=6)
    assert torch.equal(trace.samples, hutchinson_trace(land, thetas, generator=seed()).samples)
    for p, t in enumerate(thetas):
        torch.testing.assert_close(trace.value[p], hutchinson_trace(land, t, generator=seed()).value)
        one = extreme_eigenvalues(land, t, steps=10, tolerance=0.0, generator=seed())
        torch.testing.assert_close(ends.largest[p], one.largest)
        torch.testing.assert_close(ends.smallest[p], one.smallest)
        torch.testing.assert_close(ends.top_eigenvector[p], one.top_eigenvector, rtol=1e-6, atol=1e-8)
        alone = spectral_density(land, t, generator=seed(), steps=6)
        torch.testing.assert_close(spectrum.nodes[p], alone.nodes)
    assert trace.value.shape == ends.largest.shape == (3,)
    assert spectrum.nodes.shape == spectrum.weights.shape == (3, 4, 6)


# --- both ends of the spectrum


def test_lanczos_finds_both_ends_of_a_networks_spectrum(land, theta, hessian, generator):
    ends = extreme_eigenvalues(land, theta, steps=land.dim, tolerance=1e-10, generator=generator)
    exact = torch.linalg.eigvalsh(hessian)
    assert ends.converged
    torch.testing.assert_close(ends.largest, exact[-1], rtol=1e-9, atol=0)
    torch.testing.assert_close(ends.smallest, exact[0], rtol=0, atol=1e-9 * exact[-1].item())
    x = ends.top_eigenvector
    torch.testing.assert_close(hessian @ x, ends.largest * x, rtol=0, atol=1e-8 * exact[-1].item())


def test_the_residual_bounds_hold_before_convergence(generator):
    land = Quadratic(symmetric([*torch.linspace(-2, 2, 60).tolist(), 5.0, -4.0], generator))
    ends = extreme_eigenvalues(land, land.initial(generator), steps=8, generator=generator)
    assert not ends.converged
    assert ends.steps == 8
    residual = (land.matrix @ ends.top_eigenvector - ends.largest * ends.top_eigenvector).norm()
    torch.testing.assert_close(residual, ends.largest_error)
    other = extreme_eigenvalues(Quadratic(-land.matrix), land.matrix[0], steps=8, generator=seeded())
    ends = extreme_eigenvalues(land, land.matrix[0], steps=8, generator=seeded())
    mirrored = (-other.smallest, -other.largest, other.smallest_error, other.largest_error)  # -H has the same two ends
    torch.testing.assert_close(mirrored, (ends.largest, ends.smallest, ends.largest_error, ends.smallest_error))
    assert abs(ends.largest - 5) <= ends.largest_error
    assert abs(ends.smallest + 4) <= ends.smallest_error


def test_a_most_negative_eigenvalue_of_larger_size_does_not_hide_the_largest(generator):
    land = Quadratic(symmetric([-10.0, *torch.linspace(-1, 1, 40).tolist(), 3.0], generator))
    ends = extreme_eigenvalues(land, land.initial(generator), generator=generator, tolerance=1e-8)
    assert ends.converged
    assert ends.largest.item() == pytest.approx(3, abs=1e-7)
    assert ends.smallest.item() == pytest.approx(-10, abs=1e-7)
    assert ends.steps < 30  # it stopped early


@pytest.mark.parametrize("eigenvalues", [[0.0] * 6, [2.0] * 6, [1.0, 1, 1, -3, -3, -3]])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_an_invariant_subspace_ends_the_iteration_without_harm(eigenvalues, dtype, generator):
    land = Quadratic(symmetric(eigenvalues, generator).to(dtype))
    theta = torch.stack([land.initial(generator)] * 2)
    ends = extreme_eigenvalues(land, theta, generator=generator)
    assert ends.steps == len(set(eigenvalues))  # and not a product more
    spectrum = spectral_density(land, theta, generator=generator)
    close = {"rtol": 0.0, "atol": 1e-12 if dtype == torch.float64 else 1e-5}
    assert ends.converged.all()
    torch.testing.assert_close(ends.largest, torch.full((2,), max(eigenvalues), dtype=dtype), **close)
    torch.testing.assert_close(ends.smallest, torch.full((2,), min(eigenvalues), dtype=dtype), **close)
    torch.testing.assert_close(spectrum.weights.sum(-1), torch.ones(2, 4, dtype=dtype))
    second = spectrum.trace_of(torch.square)
    assert second.value[0].item() == pytest.approx(sum(e * e for e in eigenvalues), rel=0.7)
    assert second.samples.isfinite().all()


def test_eigenvectors_made_of_equal_sizes_are_not_missed(generator):
    # On the floor of ½(uv - 1)² at u = v = 1 the eigenvectors are (1, 1) and (1, -1): a start of signs would miss one.
    land = Quadratic(torch.ones(2, 2, dtype=torch.float64))
    ends = extreme_eigenvalues(land, land.initial(generator), generator=generator)
    assert ends.largest.item() == pytest.approx(2, abs=1e-12)
    assert ends.smallest.item() == pytest.approx(0, abs=1e-12)


def test_a_finished_run_does_not_disturb_the_runs_beside_it(generator):
    # Rows with other spectra: scale 1 leaves A = I (finished after one step), the other row needs all 8.
    land = Quadratic(torch.eye(8, dtype=torch.float64))
    scale = torch.stack([torch.ones(8, dtype=torch.float64), torch.arange(1.0, 9, dtype=torch.float64)])
    ends = extreme_eigenvalues(land, torch.ones_like(scale), scale=scale, generator=generator, tolerance=1e-10)
    torch.testing.assert_close(ends.largest, torch.tensor([1.0, 64.0], dtype=torch.float64))
    torch.testing.assert_close(ends.smallest, torch.tensor([1.0, 1.0], dtype=torch.float64))


def test_thetas_whose_bases_would_not_fit_together_are_taken_in_turns(land, generator, monkeypatch):
    thetas = torch.stack([land.initial(generator) for _ in range(3)])
    together = extreme_eigenvalues(land, thetas, steps=8, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(curvature, "_BASIS", 1)
    in_turns = extreme_eigenvalues(land, thetas, steps=8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(in_turns.largest, together.largest, rtol=1e-3, atol=0)  # the default tolerance
    assert in_turns.top_eigenvector.shape == thetas.shape


def test_a_basis_stays_upright_over_many_products(generator):
    matrix = symmetric(torch.logspace(-9, 3, 60), generator)
    *_, last = _lanczos(lambda v: v @ matrix, torch.randn(2, 60, generator=generator, dtype=torch.float64), 50)
    upright = torch.eye(last.basis.shape[1], dtype=torch.float64)
    torch.testing.assert_close(last.basis @ last.basis.mT, upright.expand(2, -1, -1), rtol=0, atol=1e-13)


def test_each_theta_stops_once_it_has_converged(generator):
    spent = []

    class Counted(Quadratic):
        def hessian_vector_product(self, theta, vector, *, weight_decay=True):
            spent.append(theta.ndim)
            return super().hessian_vector_product(theta, vector, weight_decay=weight_decay)

    scale = torch.stack([torch.ones(8, dtype=torch.float64), torch.arange(1.0, 9, dtype=torch.float64)])
    land = Counted(torch.eye(8, dtype=torch.float64))
    ends = extreme_eigenvalues(land, torch.ones_like(scale), scale=scale, generator=generator, tolerance=1e-10)
    assert ends.steps == 8
    assert spent == [1] * (1 + 8)  # one for the first


# --- the whole spectrum


def test_the_spectral_density_has_the_moments_of_the_hessian(land, theta, hessian, generator):
    probes = 2.0 * torch.randint(2, (60, land.dim), generator=generator) - 1
    spectrum = spectral_density(land, theta, probes=probes, steps=8)
    # Gauss quadrature with 8 nodes is exact up to degree 15: trace and trace of the square are Hutchinson's own
    first, hutchinson = spectrum.trace_of(lambda nodes: nodes), hutchinson_trace(land, theta, probes=probes)
    torch.testing.assert_close(first.samples, hutchinson.samples, rtol=1e-9, atol=1e-9)
    second, squares = spectrum.trace_of(torch.square), (probes.double() @ hessian).square().sum(-1)
    torch.testing.assert_close(second.samples, squares, rtol=1e-9, atol=1e-9)
    assert abs(first.value - hessian.trace()) < 4 * first.error
    assert abs(second.value - hessian.square().sum()) < 4 * second.error


def test_the_density_is_the_blurred_histogram_of_the_eigenvalues(generator):
    values = torch.cat([torch.zeros(40), torch.ones(15), torch.full((5,), 4.0)]).double()
    land = Quadratic(symmetric(values, generator))
    spectrum = spectral_density(land, land.initial(generator), num_probes=200, generator=generator)
    grid = torch.linspace(-2, 6, 801, dtype=torch.float64)
    bells = [torch.distributions.Normal(place, 0.2) for place in grid]
    density = torch.stack([spectrum.trace_of(lambda h, b=b: b.log_prob(h).exp()).value for b in bells]) / land.dim
    assert torch.trapezoid(density, grid).item() == pytest.approx(1, abs=1e-6)
    exact = torch.distributions.Normal(values[:, None], 0.2).log_prob(grid).exp().mean(0)
    # each of the three shares has a standard error of at most √(2·⅔·⅓/(60·200)) = 0.006, against ⅔, ¼ and 1/12
    torch.testing.assert_close(density, exact, rtol=0, atol=4 * 0.006 / (0.2 * (2 * torch.pi) ** 0.5))


# --- along a direction


def test_curvature_along_an_eigenvector_is_its_eigenvalue(generator):
    land = network("tanh", generator)
    theta = land.initial(generator)
    values, vectors = torch.linalg.eigh(torch.func.hessian(land.loss)(theta))
    thetas = theta.expand(2, -1)
    found = curvature_along(land, thetas, 3 * vectors.T[[0, -1]], scale=1e-3)
    # the second difference is off by h²L⁗/12, about 1e-7, and by round-off, about 1e-9
    torch.testing.assert_close(found, values[[0, -1]], rtol=0, atol=1e-6)
    torch.testing.assert_close(curvature_along(land, theta, vectors[:, -1], scale=1e-3), found[1])
    torch.testing.assert_close(curvature_along(land, thetas, vectors[:, -1], scale=1e-3)[0], found[1])


def test_curvature_along_sees_the_kink_that_autograd_misses():
    # L = (relu(θx) - 1)² at θ = 0: slope 0 on the left, -2 on the right, so the second difference is -2/h + 1.
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU())
    land = Network(model, torch.ones(4, 1), torch.ones(4, 1), loss="mse")  # float32: copied to float64
    theta, h = torch.zeros(1), 0.01
    assert hessian_vector_product(land, theta, torch.ones(1)) == 0
    assert curvature_along(land, theta, torch.ones(1), scale=h).item() == pytest.approx(-2 / h + 1, rel=1e-9)


# --- errors


def test_errors_say_what_was_wanted(generator):
    land = network("tanh", generator)
    theta, vector = land.initial(generator), torch.ones(land.dim, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"takes theta of shape \(43,\)"):
        hessian_vector_product(land, theta[1:], vector)
    with pytest.raises(ValueError, match=r"vector must have shape \(43,\) or \(V, 43\), got \(42,\)"):
        hessian_vector_product(land, theta, vector[1:])
    with pytest.raises(ValueError, match=r"vector must have shape \(43,\) or \(V, 43\), got \(0, 43\)"):
        hessian_vector_product(land, theta, vector.expand(0, -1))
    assert hessian_vector_product(land, theta, vector[None]).shape == (1, 43)
    with pytest.raises(ValueError, match=r"\(2, 43\), one for each row of theta, got \(43,\)"):
        hessian_vector_product(land, theta.expand(2, -1), vector)
    with pytest.raises(ValueError, match="Random probes need generator="):
        hutchinson_trace(land, theta)
    with pytest.raises(ValueError, match="num_probes must be a whole number, at least 1; got 0"):
        hutchinson_trace(land, theta, num_probes=0, generator=generator)
    for probes in (vector, vector.expand(0, -1), vector[None, 1:]):
        with pytest.raises(ValueError, match=r"probes must have shape \(V, 43\)"):
            hutchinson_trace(land, theta, probes=probes)
    one = hutchinson_trace(land, theta, probes=vector[None])
    torch.testing.assert_close(one.value, vector @ hessian_vector_product(land, theta, vector))
    with pytest.raises(ValueError, match=r"scale must have shape \(43,\) or that of theta"):
        hutchinson_trace(land, theta, generator=generator, scale=vector[:2])
    with pytest.raises(ValueError, match="steps must be a whole number, at least 1; got 0"):
        extreme_eigenvalues(land, theta, steps=0, generator=generator)
    with pytest.raises(ValueError, match="step scale > 0, got 0"):
        curvature_along(land, theta, vector, scale=0)
    with pytest.raises(ValueError, match="direction has length zero"):
        curvature_along(land, theta, 0 * vector, scale=0.1)
    with pytest.raises(ValueError, match=r"direction must have shape \(43,\)"):
        curvature_along(land, theta, vector[1:], scale=0.1)
    with pytest.raises(ValueError, match="D <= 4000, got shape"):
        dense_hessian(Quadratic(torch.eye(4001)), torch.zeros(4001))
    with pytest.raises(ValueError, match=r"D <= 4000, got shape \(2, 43\)"):
        dense_hessian(land, theta.expand(2, -1))


def test_a_hessian_of_4000_parameters_is_still_made():
    class Same(Quadratic):
        def hessian_vector_product(self, theta, vector, *, weight_decay=True):
            return 2 * vector

    assert torch.equal(dense_hessian(Same(torch.zeros(4000, 0)), torch.zeros(4000)), 2 * torch.eye(4000))


def test_a_diverged_theta_raises_instead_of_returning_nan(land, theta, generator):
    theta[0] = torch.nan
    for call in (hutchinson_trace, extreme_eigenvalues, spectral_density):
        with pytest.raises(ValueError, match="theta has probably diverged"):
            call(land, theta, generator=generator)
    with pytest.raises(ValueError, match="theta has probably diverged"):
        curvature_along(land, theta, torch.ones_like(theta), scale=0.1)


# --- several thetas, and other units


class Stacked(Quadratic):
    """The same, whose rows are computed together."""

    stacks = True


@pytest.mark.parametrize("kind", [Quadratic, Stacked])
def test_a_row_that_has_nothing_left_keeps_its_ends_and_its_eigenvector(kind, generator):
    # H is I, 0 and diag(k²): after one product the first two rows are finished, and the third goes on.
    land = kind(torch.eye(8, dtype=torch.float64))
    scale = torch.stack([torch.ones(8), torch.zeros(8), torch.arange(1.0, 9)]).double()
    ends = extreme_eigenvalues(land, torch.ones_like(scale), scale=scale, generator=generator, tolerance=1e-10)
    assert ends.converged.tolist() == [True] * 3
    torch.testing.assert_close(ends.largest, torch.tensor([1.0, 0, 64], dtype=torch.float64))
    torch.testing.assert_close(ends.smallest, torch.tensor([1.0, 0, 1], dtype=torch.float64))
    x = ends.top_eigenvector
    torch.testing.assert_close(scale.square() * x, ends.largest[:, None] * x, rtol=0, atol=1e-8)
    torch.testing.assert_close(x.norm(dim=1), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_of_several_thetas_has_what_it_has_alone(number, generator):
    land = network("tanh", generator)
    thetas = torch.stack([land.initial(generator) for _ in range(number)])
    settings = {"steps": 6, "tolerance": 0.0, "scale": thetas[0]}
    ends = extreme_eigenvalues(land, thetas, generator=seeded(), **settings)
    spectrum = spectral_density(land, thetas, generator=seeded(), steps=6).trace_of(torch.square)
    assert ends.converged.tolist() == [False] * number
    for row, theta in enumerate(thetas):
        alone = extreme_eigenvalues(land, theta, generator=seeded(), **settings)
        torch.testing.assert_close(ends.largest[row], alone.largest)
        torch.testing.assert_close(ends.smallest[row], alone.smallest)
        one = spectral_density(land, theta, generator=seeded(), steps=6).trace_of(torch.square)
        torch.testing.assert_close(spectrum.samples[row], one.samples)


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_the_unit_of_the_loss_changes_neither_the_products_nor_the_accuracy(unit, generator):
    land = Quadratic(unit * symmetric([1.0, 1, 1, -3, -3, -3], generator))
    ends = extreme_eigenvalues(land, land.initial(generator), generator=generator)
    assert ends.steps == 2
    assert (float(ends.smallest) / unit, float(ends.largest) / unit) == pytest.approx((-3, 1), rel=1e-9)
    matrix = symmetric([-4.0, *torch.linspace(-1, 1, 40).tolist(), 5.0], generator)
    few, same = (extreme_eigenvalues(Quadratic(c * matrix), matrix[0], generator=seeded()) for c in (unit, 1.0))
    assert (few.steps, bool(few.converged)) == (same.steps, True)
    assert same.steps < 30


@pytest.mark.parametrize("eigenvalues", [[2.0, 3, 5, 5, 5, 5], [2.0] * 6])
def test_no_node_of_a_spectrum_lies_outside_of_it(eigenvalues, generator):
    # the first probe is an eigenvector and is finished at once, the second once it has met all eigenvalues
    land = Quadratic(torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)))
    probes = torch.stack([torch.eye(6)[0], torch.randn(6, generator=generator)])
    nodes = spectral_density(land, land.initial(generator), probes=probes, steps=6).nodes
    assert bool(((nodes > min(eigenvalues) - 1e-9) & (nodes < max(eigenvalues) + 1e-9)).all())


def test_a_number_is_neither_a_direction_nor_a_scale(generator):
    land = network("tanh", generator)
    theta, number = land.initial(generator), torch.tensor(1.0)
    with pytest.raises(ValueError, match=r"direction must have shape \(43,\)"):
        curvature_along(land, theta, number, scale=0.1)
    with pytest.raises(ValueError, match=r"scale must have shape \(43,\)"):
        hutchinson_trace(land, theta, generator=generator, scale=number)
