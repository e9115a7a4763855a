"""What follows for any landscape from its loss, one batch and the gradient on it, against closed forms."""

import inspect
import itertools

import numpy as np
import pytest
import torch

from entropic_edu import Network
from entropic_edu.physics.crowd import Crowd
from entropic_edu.physics.landscape import Landscape, pulled_back, random_seed
from entropic_edu.physics.valleys import DoubleWell, Hyperbola, Pinch, Tilted, Valley, Waist

MATRIX = torch.tensor([[2.0, 0.5, 0.0], [0.5, -1.0, 0.3], [0.0, 0.3, 4.0]], dtype=torch.float64)
LAMBDA = 0.25
CLOSE = {"rtol": 1e-12, "atol": 1e-12}


class Cubic(Landscape):
    """L(θ) = ½ θᵀAθ + (1/6) Σ θᵢ³ + ½λ‖θ‖² in two pieces, with the Hessian A + diag(θ) + λI."""

    dim, weight_decay, dtype = 3, LAMBDA, torch.float64

    def pieces(self, weight_decay=True):
        bowl = [lambda t: 0.5 * ((t @ MATRIX.to(t)) * t).sum(-1), lambda t: t.pow(3).sum(-1) / 6]
        return [*bowl, lambda t: 0.5 * LAMBDA * t.square().sum(-1)] if weight_decay else bowl

    def loss(self, theta):
        return sum(piece(theta) for piece in self.pieces())

    def gradient_on(self, theta, batch):
        return theta @ MATRIX + 0.5 * theta.square() + LAMBDA * theta

    def draw(self, batch_size, generator, rows=None):
        return None

    def initial(self, generator):
        return torch.randn(3, generator=generator, dtype=torch.float64)


@pytest.fixture
def thetas(generator):
    return torch.stack([Cubic().initial(generator) for _ in range(4)])


def hessian(theta, weight_decay):
    return MATRIX + torch.diag(theta) + weight_decay * LAMBDA * torch.eye(3, dtype=torch.float64)


@pytest.mark.parametrize("weight_decay", [True, False])
def test_products_are_those_of_the_hessian(weight_decay, thetas, generator):
    vectors, land = torch.randn(4, 3, generator=generator, dtype=torch.float64), Cubic()
    several = land.hessian_vector_product(thetas[0], vectors, weight_decay=weight_decay)
    torch.testing.assert_close(several, vectors @ hessian(thetas[0], weight_decay), **CLOSE)
    one = land.hessian_vector_product(thetas[0], vectors[0], weight_decay=weight_decay)
    torch.testing.assert_close(one, several[0], **CLOSE)
    rows = land.hessian_vector_product(thetas, vectors, weight_decay=weight_decay)
    exact = torch.stack([hessian(t, weight_decay) @ v for t, v in zip(thetas, vectors, strict=True)])
    torch.testing.assert_close(rows, exact, **CLOSE)
    assert not rows.requires_grad
    assert torch.equal(land.hessian_at(thetas, weight_decay=weight_decay)(vectors), rows)


@pytest.mark.parametrize("valley", [Waist(), Tilted(), Hyperbola()])
def test_products_on_a_valley_are_those_of_its_own_hessian(valley, generator):
    theta = 0.3 * torch.randn(2, generator=generator, dtype=torch.float64)
    columns = valley.hessian_vector_product(theta, torch.eye(2, dtype=torch.float64))
    torch.testing.assert_close(columns, valley.hessian(theta), **CLOSE)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_straight_slopes_and_constants_have_no_curvature_wherever_they_stand_among_the_pieces(order):
    weight = torch.ones(3, dtype=torch.float64, requires_grad=True)  # of a module that is trained elsewhere
    straight = [lambda t: t.sum(-1), lambda t: t.new_ones(()), lambda t: (weight * t).sum(-1)]
    pieces = [*straight, lambda t: t.square().sum(-1)]

    class Slope(Cubic):
        def pieces(self, weight_decay=True):
            return [pieces[number] for number in order]

    product = Slope().hessian_vector_product(torch.ones(3).double(), torch.arange(3).double())
    assert torch.equal(product, 2 * torch.arange(3).double())


@pytest.mark.parametrize("weight_decay", [True, False])
def test_the_trace_of_few_parameters_is_exact_and_draws_nothing(weight_decay, thetas, generator):
    before = generator.get_state()
    trace = Cubic().trace(thetas, generator=generator, weight_decay=weight_decay)
    exact = MATRIX.trace() + thetas.sum(1) + 3 * weight_decay * LAMBDA
    torch.testing.assert_close(trace.value, exact, **CLOSE)
    assert torch.equal(trace.error, torch.zeros(4).double())
    assert torch.equal(generator.get_state(), before)


def test_a_scaled_trace_weighs_each_parameter_by_its_square(thetas, generator):
    scaled = Cubic().trace(thetas, generator=generator, weight_decay=False, scale=thetas)
    exact = (thetas.square() * (MATRIX.diagonal() + thetas)).sum(1)
    torch.testing.assert_close(scaled.value, exact, **CLOSE)


def test_the_trace_by_probes_is_right_within_its_own_error(thetas, generator):
    # Random signs leave the off-diagonal entries alone to chance: the variance of vᵀHv is 4(0.5² + 0.3²).
    estimates = [Cubic().trace(thetas[0], generator=generator, num_probes=2, weight_decay=False) for _ in range(400)]
    values = torch.stack([one.value for one in estimates])
    exact = float(MATRIX.trace() + thetas[0].sum())
    spread = (4 * (0.5**2 + 0.3**2) / 2) ** 0.5  # of the mean of two probes
    assert float(values.mean()) == pytest.approx(exact, abs=4 * spread / 400**0.5)
    assert float(values.std()) == pytest.approx(spread, rel=0.15)  # 400 values know their spread to 4 %
    assert all(bool(one.error >= 0) for one in estimates)


def test_all_rows_see_the_same_probes(thetas, generator):
    seed = generator.initial_seed()
    together = Cubic().trace(thetas, generator=torch.Generator().manual_seed(seed), num_probes=2)
    for row, theta in enumerate(thetas):
        alone = Cubic().trace(theta, generator=torch.Generator().manual_seed(seed), num_probes=2)
        torch.testing.assert_close(together.value[row], alone.value, **CLOSE)


@pytest.mark.parametrize(("noise", "exact"), [("isotropic", 2 * 9.0), ("curvature", 9.0 * 16.0)])
def test_the_trace_of_a_valleys_noise_is_that_of_many_draws(noise, exact, generator):
    land = Waist(noise=noise, noise_scale=3.0)
    theta = torch.zeros(40_000, 2, dtype=torch.float64)
    assert torch.equal(land.noise_trace(theta[:2]), torch.tensor([exact, exact], dtype=torch.float64))
    drawn = land.gradient(theta, batch_size=1, generator=generator)
    assert float(drawn.var(0).sum()) == pytest.approx(exact, rel=0.03)  # 40000 draws: 0.7 %


def test_where_a_batch_adds_no_noise_its_trace_is_zero(thetas):
    assert torch.equal(Cubic().noise_trace(thetas), torch.zeros(4).double())
    assert Cubic().noise_trace(thetas[0]).shape == ()


def test_the_data_loss_is_the_loss_without_its_weight_decay(thetas):
    land = Cubic()
    wanted = sum(p(thetas) for p in land.pieces(weight_decay=False))
    torch.testing.assert_close(land.data_loss(thetas), wanted, **CLOSE)
    torch.testing.assert_close(land.data_loss(thetas[0]), wanted[0], **CLOSE)


def test_what_a_landscape_lacks_is_refused_in_words(thetas, generator):
    with pytest.raises(ValueError, match=r"Cubic has no samples to choose from; use it whole\."):
        Cubic().subset(torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"Cubic classifies nothing, so it has no accuracy; use loss\(theta\)"):
        Cubic().accuracy(thetas)
    with pytest.raises(ValueError, match=r'Cubic has no labels to jitter; take noise="minibatch"'):
        Cubic().draw_labels(4, generator)
    with pytest.raises(ValueError, match=r"float32, wanted torch\.float64"):
        Cubic().gradient(thetas.float())


def test_a_landscape_that_follows_theta_is_precise_as_it_is():
    land = Waist()
    assert land.precise() is land
    assert land.loss(torch.zeros(2, dtype=torch.float64)).dtype == torch.float64


def test_a_landscape_of_one_precision_is_asked_for_float64():
    class Single(Cubic):
        dtype = torch.float32

        def to(self, where):
            return Cubic() if where == torch.float64 else self

    assert isinstance(Cubic().precise(), Cubic)
    assert Single().precise().dtype == torch.float64


def test_loss_and_gradient_come_together(thetas):
    loss, gradient = Cubic().loss_and_gradient_on(thetas, None)
    slopes = torch.func.vmap(torch.func.grad(Cubic().loss))(thetas)
    torch.testing.assert_close((loss, gradient), (Cubic().loss(thetas), slopes), **CLOSE)


def test_seeds_are_drawn_from_a_generator_and_lie_below_two_to_the_62(generator):
    state = generator.get_state()
    seeds = [random_seed(generator) for _ in range(200)]
    assert len(set(seeds)) == 200
    assert 0.98 * 2**62 < max(seeds) < 2**62  # 200 even draws: all lie lower once in 50 seeds, not in this one
    generator.set_state(state)
    assert random_seed(generator) == seeds[0]


def test_as_many_probes_as_parameters_need_no_chance(thetas, generator):
    for number in (3, 4):
        exact = Cubic().trace(thetas, generator=generator, num_probes=number)
        torch.testing.assert_close(exact.value, MATRIX.trace() + thetas.sum(1) + 3 * LAMBDA, **CLOSE)
        assert torch.equal(exact.error, torch.zeros(4).double())


@pytest.mark.parametrize("copied", [True, False])
def test_a_crowd_moves_a_copy_unless_it_is_told_to_move_the_vectors_themselves(copied):
    theta = torch.ones(3, 2)
    crowd = Crowd(theta, copied=copied)
    crowd.numbers += 1
    assert crowd.position.tolist() == [[2, 2]] * 3
    assert theta.tolist() == [[1 if copied else 2] * 2] * 3
    crowd.place(torch.zeros(3, 2))
    assert crowd.position.tolist() == [[0, 0]] * 3


def test_a_landscape_promises_nothing_that_it_does_not_say(thetas, generator):
    land = Cubic()
    assert (land.gives_loss, land.stacks, land.has_exact_trace(generator), land.scale_free(thetas)) == (False,) * 3 + (
        {},
    )
    assert (land.threads(None), land.steps_per_epoch(4), land.label_ratio, land.weight_decay) == (1, 1, 0.0, LAMBDA)
    assert (Waist().weight_decay, Waist().num_samples, Waist().splits) == (0.0, None, ())
    assert land.without_label_noise() is land
    with pytest.raises(ValueError, match=r"theta is of torch\.int64, wanted a floating-point type"):
        Waist().gradient(torch.zeros(2, dtype=torch.int64))


# --- what a landscape is asked for ----------------------------------------------------------------------------------


class Asked(Cubic):
    """Draws nothing but a note of what it was asked for."""

    def draw(self, batch_size, generator, rows=None):
        return batch_size, generator, rows

    def gradient_on(self, theta, batch):
        self.batch = batch
        return theta


@pytest.mark.parametrize(
    ("rows", "shared", "asked"), [(None, False, None), (None, True, None), (4, False, 4), (4, True, None)]
)
def test_each_row_has_a_batch_of_its_own_unless_one_is_shared(rows, shared, asked, generator):
    land, theta = Asked(), torch.zeros(3 if rows is None else (rows, 3), dtype=torch.float64)
    for given in [{"shared": True}] if shared else [{"shared": False}, {}]:
        land.gradient(theta, 5, generator, **given)
        assert land.batch == (5, generator, asked)
    land.gradient(theta, shared=shared)
    assert land.batch is None
    with pytest.raises(ValueError, match="batch_size=5 draws a random batch and needs a generator"):
        land.gradient(theta, 5)


def test_an_epoch_without_data_is_one_batch(generator):
    assert list(Asked().epoch(7, generator, 4)) == [(7, generator, 4)]
    assert list(Asked().epoch(7, generator)) == [(7, generator, None)]
    assert list(Asked().epoch(None, generator, 4)) == [None]


def test_unless_told_otherwise_curvature_is_that_of_the_whole_loss(thetas, generator):
    land, vector = Cubic(), torch.randn(3, generator=generator, dtype=torch.float64)
    for measure in (land.hessian_vector_product, lambda theta, v, **more: land.hessian_at(theta, **more)(v)):
        assert torch.equal(measure(thetas[0], vector), measure(thetas[0], vector, weight_decay=True))
        assert not torch.equal(measure(thetas[0], vector), measure(thetas[0], vector, weight_decay=False))
    trace = land.trace(thetas, generator=generator)
    assert torch.equal(trace.value, land.trace(thetas, generator=generator, weight_decay=True).value)


def test_a_trace_takes_sixteen_probes_where_parameters_are_more(generator):
    class Bowl(Cubic):
        dim = 17

        def pieces(self, weight_decay=True):
            return [lambda t: t.square().sum(-1)]

    trace = Bowl().trace(torch.zeros(2, 17, dtype=torch.float64), generator=generator)
    assert trace.samples.shape == (2, 16)
    assert torch.equal(trace.value, torch.full((2,), 34.0, dtype=torch.float64))  # of a bowl each probe is exact


@pytest.mark.parametrize("kind", [Waist, Pinch, DoubleWell, Tilted, Hyperbola, Valley, Network])
def test_what_overrides_a_method_takes_the_same_defaults(kind):
    """Whoever asks a landscape of unknown kind gets what the signature says that he sees."""
    for base in kind.__mro__[1:-1]:
        for name, method in vars(base).items():
            if inspect.isfunction(method) and not name.startswith("__"):
                own = inspect.signature(getattr(kind, name)).parameters
                for each in inspect.signature(method).parameters.values():
                    if each.name in own and each.default is not each.empty:
                        assert own[each.name].default == each.default, f"{kind.__name__}.{name}"


@pytest.mark.parametrize("shape", [(), (2,), (4, 2), (2, 4, 3), (4,)])
def test_parameters_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"has 3 parameters and takes theta of shape \(3,\) or \(P, 3\), got \("):
        Cubic().check(torch.zeros(shape, dtype=torch.float64))


@torch.no_grad()
def test_what_is_pulled_back_is_torchs_own_also_where_it_is_differentiated_again():
    leaf, v, w = (torch.arange(1.0, 4) * factor for factor in (1, 0.3, -2))
    with torch.enable_grad():
        z = leaf.requires_grad_().pow(3) * leaf.sum()
    (slope,), (own,) = pulled_back(z, leaf, v, create_graph=True), torch.autograd.grad(z, leaf, v, create_graph=True)
    assert torch.equal(slope, own)
    again = pulled_back(slope, leaf, w, retain_graph=True)[0]
    torch.testing.assert_close(again, torch.autograd.grad(own, leaf, w)[0])


def test_parameters_come_as_vectors_arrays_and_runs_and_not_as_lists():
    class Run:
        theta = torch.ones(3)

    land, array = Cubic(), np.arange(3.0)
    assert land.vector(Run) is Run.theta
    assert land.vector(Run.theta) is Run.theta
    assert land.vector(array).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"Parameters come as a vector \(3,\) or a Run, got list"):
        land.vector([0.0, 1.0, 2.0])


@pytest.mark.parametrize(("device", "dtype", "moves"), [
    ("mps", torch.float32, ["cpu", torch.float64]), ("mps", torch.float64, ["cpu"]),
    ("cpu", torch.float32, [torch.float64]), ("cpu", torch.float64, []), (None, torch.float32, [torch.float64]),
])  # fmt: skip
def test_for_float64_a_landscape_leaves_a_device_that_has_none(device, dtype, moves):
    class Placed(Cubic):
        def to(self, where):
            self.moved.append(where)
            return self

    land = Placed()
    land.dtype, land.moved = dtype, []
    if device is not None:
        land.device = torch.device(device)
    assert land.precise() is land
    assert land.moved == moves
