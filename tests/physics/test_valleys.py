import math

import pytest
import scipy.linalg
import scipy.stats
import torch

from entropic_edu import valleys
from entropic_edu.physics.valleys import DoubleWell, Hyperbola, Pinch, Tilted, Waist

STRAIGHT = [Waist, Tilted, Pinch, DoubleWell]
ALL = [*STRAIGHT, Hyperbola]
STEPS = [(0.05, 0.0), (0.15, 0.0), (0.05, 0.9), (0.3, 0.9)]  # (learning rate, momentum), with ηh up to 2.1 at h = 7


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


def near_the_floor(land, generator, num=7):
    return land.floor(num, dtype=torch.float64) + 0.3 * torch.randn(num, 2, generator=generator, dtype=torch.float64)


def shaped(kind):
    return kind(noise="label" if kind is Hyperbola else "curvature")


def hold(land, y, batch_size, learning_rate, momentum, generator, *, walkers=4000, steps=200):
    """Heavy-ball SGD with y put back after each step; returns theta, velocity and the x of the settled steps."""
    theta, velocity, across = doubles(0.0, y).repeat(walkers, 1), torch.zeros(walkers, 2, dtype=torch.float64), []
    for _ in range(2 * steps):
        velocity = momentum * velocity - learning_rate * land.gradient(theta, batch_size, generator)
        theta = theta + velocity
        theta[:, 1] = y
        across.append(theta[:, 0])
    return theta, velocity, torch.stack(across[steps:])


# --- the surface -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_gradient_and_hessian_are_the_derivatives_of_the_loss(kind, generator):
    land = kind()
    theta = near_the_floor(land, generator)
    gradient = torch.vmap(torch.func.grad(land.loss))(theta)
    hessian = torch.vmap(torch.func.jacrev(torch.func.grad(land.loss)))(theta)
    # Two float64 routes to the same closed form: round-off only.
    torch.testing.assert_close(land.gradient(theta), gradient, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(land.hessian(theta), hessian, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", ALL)
def test_one_point_and_many_points_agree(kind, generator):
    land = kind()
    theta = near_the_floor(land, generator)
    assert land.loss(theta).shape == (7,)
    for row, loss, gradient, hessian in zip(
        theta, land.loss(theta), land.gradient(theta), land.hessian(theta), strict=True
    ):
        torch.testing.assert_close(land.loss(row), loss)
        torch.testing.assert_close(land.gradient(row), gradient)
        torch.testing.assert_close(land.hessian(row), hessian)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("order", [1, 2])
def test_derivatives_along_the_floor_are_those_of_autograd(kind, order):
    land, y = kind(), torch.linspace(-1, 1, 9, dtype=torch.float64)
    for function in (land.floor_loss, land.curvature_across):
        derivative = function
        for _ in range(order):
            derivative = torch.func.grad(derivative)
        torch.testing.assert_close(function(y, order), torch.vmap(derivative)(y), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", [Waist, Pinch, Hyperbola])
def test_the_floor_lies_at_zero_loss_and_full_batch_descent_stays_on_it(kind):
    land = kind()
    floor = land.floor(11, dtype=torch.float64)
    # exp(y) exp(-y) misses 1 by round-off, 2e-16; half its square is 1e-32. The straight floors are exact.
    tolerance = 1e-31 if kind is Hyperbola else 0
    assert land.loss(floor).abs().max() <= tolerance
    assert land.gradient(floor).abs().max() <= 1e-15 * (kind is Hyperbola)


@pytest.mark.parametrize("kind", ALL)
def test_curvature_across_is_the_hessian_along_the_normal_of_the_floor(kind):
    land, y = kind(), torch.linspace(-1, 1, 9, dtype=torch.float64)
    tangent = torch.vmap(torch.func.jacrev(land.point))(y)
    normal = torch.stack([-tangent[:, 1], tangent[:, 0]], -1) / tangent.norm(dim=-1, keepdim=True)
    hessian = land.hessian(land.point(y))
    image = torch.einsum("nij,nj->ni", hessian, normal)
    torch.testing.assert_close(image, land.curvature_across(y)[:, None] * normal, rtol=1e-12, atol=1e-13)  # eigenvector
    torch.testing.assert_close(land.floor_loss(y), land.loss(land.point(y)), rtol=1e-12, atol=1e-30)
    torch.testing.assert_close(land.metric(y), tangent.square().sum(-1))


def test_hyperbola_is_flattest_at_one_one_and_its_curvature_is_the_sum_of_squares():
    land, y = Hyperbola(), torch.linspace(-1, 1, 9, dtype=torch.float64)
    torch.testing.assert_close(land.curvature_across(y), land.point(y).square().sum(-1))
    assert land.curvature_across(y).argmin() == 4  # y = 0


def test_the_waist_is_wide_at_both_ends_and_tilted_widens_uphill():
    y = torch.linspace(-1, 1, 101, dtype=torch.float64)
    waist, tilted = Waist().curvature_across(y), Tilted().curvature_across(y)
    assert waist.argmax() == 50
    torch.testing.assert_close(waist, waist.flip(0))
    assert waist[0] < 1.5
    assert (tilted.diff() < 0).all()


@pytest.mark.parametrize("kind", ALL)
def test_floor_points_are_evenly_spaced_in_arc_length_and_position_inverts_coordinate(kind):
    land = kind()
    fine = land.floor(20001, dtype=torch.float64)
    lengths = fine.diff(dim=0).norm(dim=-1)
    # A chord falls short of its arc by (ds κ)²/24, here below 1e-8 of it.
    torch.testing.assert_close(lengths, lengths.mean().expand(20000), rtol=1e-7, atol=0)
    places = torch.linspace(0, 1, 9, dtype=torch.float64)
    torch.testing.assert_close(land.position(land.coordinate(places)), places, rtol=1e-13, atol=1e-13)
    ends = land.coordinate(doubles(0, 1))
    torch.testing.assert_close(ends, doubles(-land.half_length, land.half_length), rtol=1e-13, atol=0)


@pytest.mark.parametrize("kind", ALL)
def test_dtype_follows_theta_and_a_shared_draw_reaches_all_rows(kind, generator):
    land = kind()
    theta = near_the_floor(land, generator).float()
    assert land.gradient(theta, 4, generator).dtype == torch.float32
    assert land.loss(theta).dtype == torch.float32
    shared = land.draw(4, generator)
    together = land.gradient_on(theta, shared)
    torch.testing.assert_close(together, torch.stack([land.gradient_on(row, shared) for row in theta]))
    assert len(land.draw(4, generator, rows=5)) == 5


@pytest.mark.parametrize("kind", ALL)
def test_initial_points_lie_near_the_floor_and_repeat_with_the_seed(kind):
    land = kind()
    first, again = (land.initial(torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    floor = land.floor(400)
    starts = torch.stack([land.initial(torch.Generator().manual_seed(k)) for k in range(50)])
    assert torch.cdist(starts, floor).min(1).values.max() < 0.5  # 5 standard deviations of the displacement


# --- noise -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("thermal", [True, False])
def test_noise_on_the_floor_has_the_covariance_that_was_promised(kind, thermal, generator):
    land = kind(noise="isotropic", noise_scale=1.5) if thermal else shaped(kind)
    y, number, batch_size = doubles(0.4), 40_000, 4
    theta = land.point(y).repeat(number, 1)
    noise = land.gradient(theta, batch_size, generator) - land.gradient(theta)
    across = torch.eye(2, dtype=torch.float64) * doubles(1, 0) * land.curvature_across(y)
    shape = torch.eye(2, dtype=torch.float64) if thermal else land.hessian(theta[0]) if kind is Hyperbola else across
    wanted = land.noise_scale**2 * shape / batch_size
    # Entry ij of a sample covariance has standard error sqrt((C_ii C_jj + C_ij²) / N); 5 of them.
    error = ((wanted.diag()[:, None] * wanted.diag() + wanted.square()) / number).sqrt()
    assert ((noise.T @ noise / number - wanted).abs() <= 5 * error + 1e-12).all()


def test_label_noise_is_shaped_like_the_hessian_draw_by_draw(generator):
    land = Hyperbola(noise_scale=0.7)
    theta = land.floor(9, dtype=torch.float64)
    draw = land.draw(2, generator, rows=9)
    noise = land.gradient_on(theta, draw) - land.gradient(theta)
    outer = noise[:, :, None] * noise[:, None, :]
    wanted = (0.7 * draw.double()).square()[:, None, None] * land.hessian(theta)
    torch.testing.assert_close(outer, wanted, rtol=1e-12, atol=1e-13)


def test_twins_of_two_batch_sizes_share_their_noise_up_to_its_scale():
    draws = [Waist().draw(b, torch.Generator().manual_seed(1), rows=3) for b in (4, 16)]
    torch.testing.assert_close(draws[0], 2 * draws[1])
    assert Waist().draw(None, torch.Generator()) is None


@pytest.mark.parametrize("noise", ["isotropic", "curvature"])
@pytest.mark.parametrize(("learning_rate", "momentum"), STEPS)
def test_noisy_descent_reaches_the_exact_stationary_variance(noise, learning_rate, momentum, generator):
    land, batch_size = Waist(g_wide=7.0, g_narrow=7.0, noise=noise, noise_scale=0.8), 5
    *_, across = hold(land, 0.2, batch_size, learning_rate, momentum, generator)
    wanted = land.stationary_variance(doubles(0.2), batch_size, learning_rate, momentum).item()
    walkers = across.square().mean(0)  # independent of each other, unlike the steps
    error = (walkers.std() / math.sqrt(len(walkers))).item()
    assert error < 0.005 * wanted
    assert walkers.mean().item() == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("thermal", [True, False])
@pytest.mark.parametrize(("learning_rate", "momentum"), [(0.05, 0.0), (0.1, 0.5), (0.2, 0.9)])
def test_stationary_variance_solves_the_discrete_lyapunov_equation(kind, thermal, learning_rate, momentum):
    # (x, x₋) is a linear system driven by noise ηξ on its first line: S = A S Aᵀ + Q.
    land, batch_size = kind(noise="isotropic") if thermal else shaped(kind), 3
    y = torch.linspace(-1, 1, 5, dtype=torch.float64)
    found = land.stationary_variance(y, batch_size, learning_rate, momentum)
    for h, variance in zip(land.curvature_across(y).tolist(), found.tolist(), strict=True):
        noise = (1 if thermal else h) / batch_size
        system = [[1 + momentum - learning_rate * h, -momentum], [1, 0]]
        drive = [[learning_rate**2 * noise, 0], [0, 0]]
        wanted = scipy.linalg.solve_discrete_lyapunov(system, drive)[0, 0]
        assert variance == pytest.approx(wanted, rel=1e-9)


def test_plain_sgd_has_the_textbook_variances():
    y, eta, size = doubles(-0.5, 0.0, 0.3), 0.08, 4
    for noise in ("isotropic", "curvature"):
        land = Waist(noise=noise, noise_scale=1.3)
        h = land.curvature_across(y)
        wanted = eta * 1.3**2 / (size * (2 - eta * h)) / (h if noise == "isotropic" else 1)
        torch.testing.assert_close(land.stationary_variance(y, size, eta), wanted)


def test_small_steps_spread_walkers_as_the_temperature_says():
    y, steps = torch.linspace(-1, 1, 5, dtype=torch.float64), (2, 1e-7, 0.9)
    bath, shaped_noise = Waist(), Waist(noise="curvature")
    temperature = torch.full_like(y, bath.temperature(*steps))
    # The correction is of order ηh, here 2e-6.
    close = {"rtol": 1e-5, "atol": 0}
    torch.testing.assert_close(bath.stationary_variance(y, *steps) * bath.curvature_across(y), temperature, **close)
    torch.testing.assert_close(shaped_noise.stationary_variance(y, *steps), temperature, **close)


# --- forces along the floor ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_isotropic_noise_pulls_down_the_free_energy(kind):
    land, y, steps = kind(noise="isotropic"), torch.linspace(-1, 1, 9, dtype=torch.float64), (16, 0.05, 0.9)
    temperature = land.temperature(*steps)
    slope = torch.vmap(torch.func.grad(lambda one: land.free_energy(one, temperature)))(y)
    torch.testing.assert_close(land.mean_force(y, *steps), -slope, rtol=1e-11, atol=1e-14)
    assert land.free_energy(doubles(0), temperature).item() == 0


@pytest.mark.parametrize("kind", ALL)
def test_free_energy_is_the_boltzmann_factor_summed_across_the_floor(kind):
    # exp(-F/T) = ∫ dn exp(-V/T) along the normal: exact where straight; where bent, up to terms of order T.
    land, temperature, y = kind(), 1e-5, doubles(-0.8, -0.1, 0.5)
    at = torch.cat([doubles(0), y])
    tangent = torch.vmap(torch.func.jacrev(land.point))(at)
    normal = torch.stack([-tangent[:, 1], tangent[:, 0]], -1) / land.metric(at).sqrt()[:, None]
    n = 8 * math.sqrt(temperature) * torch.linspace(-1, 1, 4001, dtype=torch.float64)  # h >= 1: 8 widths at least
    points = land.point(at)[:, None] + n[:, None] * normal[:, None]  # (4, 4001, 2)
    energy = land.loss(points.flatten(0, 1)).view(4, -1) - land.floor_loss(at)[:, None]
    free = land.floor_loss(at) - temperature * torch.trapezoid((-energy / temperature).exp(), n).log()
    torch.testing.assert_close(land.free_energy(y, temperature), (free - free[0])[1:], rtol=0, atol=20 * temperature**2)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_curvature_shaped_noise_drives_walkers_at_the_predicted_speed(momentum, generator):
    # Noise is small: in 100 steps y moves by 1 % of the waist's width, and the force at mid-way is its mean within 1 %.
    land, y, size, eta, steps = Waist(noise="curvature", noise_scale=0.3 * (1 - momentum)), 0.3, 50, 0.05, 100
    theta, velocity, _ = hold(land, y, size, eta, momentum, generator)
    for _ in range(steps):
        velocity = momentum * velocity - eta * land.gradient(theta, size, generator)
        theta = theta + velocity
    speed = (theta[:, 1] - y) / (steps * eta / (1 - momentum))
    error = (speed.std() / math.sqrt(len(speed))).item()
    middle = (theta[:, 1].mean() + y) / 2
    wanted = land.drift_velocity(middle[None], size, eta, momentum).item()
    assert error < 0.02 * wanted
    assert abs(speed.mean().item() - wanted) < 4 * error + 0.01 * wanted
    if momentum == 0:
        h, slope = land.curvature_across(middle), land.curvature_across(middle, 1)
        assert wanted == pytest.approx((-slope * eta * 0.3**2 / (2 * size * (2 - eta * h))).item(), rel=1e-12)


def test_label_noise_carries_walkers_along_the_hyperbola_to_its_flattest_point(generator):
    land, size, eta, burn, steps = Hyperbola(), 1, 0.02, 100, 400
    theta, coordinates = land.point(doubles(0.7).repeat(4000)), []
    for _ in range(burn + steps):
        theta = theta - eta * land.gradient(theta, size, generator)
        coordinates.append(torch.asinh(0.5 * (theta[:, 0] ** 2 - theta[:, 1] ** 2)) / 2)  # the y that descent keeps
    y = torch.stack(coordinates[burn - 1 :])
    speed = (y[-1] - y[0]) / (steps * eta)
    along = y.mean(1)
    wanted = (
        (land.drift_velocity(along, size, eta) / land.metric(along).sqrt()).mean().item()
    )  # dy/dt = (ds/dt)/(ds/dy)
    error = (speed.std() / math.sqrt(4000)).item()
    assert error < 0.005 * abs(wanted)
    assert speed.mean().item() == pytest.approx(wanted, rel=0.02)  # terms of order ηh = 0.09 squared
    full = land.point(doubles(0.7))
    for _ in range(steps):
        full = full - eta * land.gradient(full)
    assert (full - land.point(doubles(0.7))).abs().max() < 1e-14


def test_label_noise_ends_at_one_one(generator):
    land = Hyperbola()
    theta = land.point(doubles(0.7).repeat(200))
    for _ in range(4000):
        theta = theta - 0.05 * land.gradient(theta, 1, generator)
    # η² s² Σ = 10 e-foldings of u² - v²; the walkers still jitter across, with variance ηs²/(B(2 - ηh)).
    assert (theta[:, 0].square() - theta[:, 1].square()).abs().max() < 1e-3
    # Mean of 200 independent walkers, 5 standard errors, and a bias of the order of the variance.
    variance = land.stationary_variance(doubles(0), 1, 0.05).item()
    assert (theta.mean(0) - 1).abs().max() < 5 * math.sqrt(variance / 200) + variance


def test_a_heat_bath_fills_the_waist_as_its_free_energy_says(generator):
    land = Waist(g_narrow=9.0)
    temperature, eta, number, bins = 0.2, 0.005, 8000, 20
    start = torch.rand(number, generator=generator, dtype=torch.float64)
    theta = land.point(land.coordinate(start))
    for _ in range(2400):  # a time of 12, six of the slowest relaxation 4L²/(π²T) = 2
        kick = torch.randn(number, 2, generator=generator, dtype=torch.float64)
        theta = theta - eta * land.gradient(theta) + math.sqrt(2 * temperature * eta) * kick
        y = theta[:, 1]
        theta[:, 1] = torch.where(y.abs() > 1, 2 * y.sign() - y, y)  # mirrors at both ends
    observed = torch.histc(theta[:, 1], bins, -1, 1)
    fine = torch.linspace(-1, 1, 200 * bins + 1, dtype=torch.float64)
    law = (-land.free_energy((fine[1:] + fine[:-1]) / 2, temperature) / temperature).exp().view(bins, -1).sum(1)
    expected = number * law / law.sum()
    # χ² of independent walkers. Steps of ηh = 0.045 add a bias of 1 % at the waist, far below a bin's 6 %.
    assert scipy.stats.chisquare(observed, expected).pvalue > 1e-3
    assert scipy.stats.chisquare(observed).pvalue < 1e-9  # the loss alone would fill it evenly


@pytest.mark.parametrize("noise", ["isotropic", "curvature"])
def test_tilted_breaks_even_where_the_mean_force_vanishes(noise):
    y, eta, size = torch.linspace(-1, 1, 9, dtype=torch.float64), 1e-7, 1
    for one in y:
        cold = Tilted(noise=noise)
        even = cold.break_even_temperature(one[None]).item()
        land = Tilted(noise=noise, noise_scale=math.sqrt(2 * size * even / eta))  # so that T = ηs²/2B = even
        # Exact for isotropic noise; shaped noise keeps a correction of order ηh = 2e-6.
        assert abs(land.mean_force(one[None], size, eta).item()) < 1e-5 * land.slope
        assert land.mean_force(one[None], size, 1.1 * eta).item() > 0  # hotter walkers climb


def test_energy_and_entropy_oppose_in_tilted_and_double_well_has_its_barrier():
    y = torch.linspace(-1, 1, 9, dtype=torch.float64)
    tilted, well = Tilted(), DoubleWell(barrier=0.3)
    assert (tilted.floor_loss(y, 1) > 0).all()
    assert (tilted.curvature_across(y, 1) < 0).all()
    torch.testing.assert_close(well.floor_loss(doubles(-1, 0, 1)), doubles(0, 0.3, 0))
    torch.testing.assert_close(well.gradient(well.floor(2, dtype=torch.float64)), torch.zeros(2, 2).double())
    torch.testing.assert_close(well.free_energy(y, 0.1), well.floor_loss(y) - 0.3)  # constant width: energy alone


# --- errors ----------------------------------------------------------------------------------------------------


def test_steps_too_large_for_the_walls_are_refused_with_their_numbers():
    land, y = Waist(), doubles(-1, 0)
    with pytest.raises(
        ValueError, match=r"η = 0\.2 times curvature h = 16 is ηh = 3\.2.*below 2\(1 \+ momentum\) = 2\b"
    ):
        land.stationary_variance(y, 8, 0.2)
    with pytest.raises(ValueError, match=r"learning rate below 0\.125"):
        land.mean_force(y, 8, 0.2)
    assert land.stationary_variance(y, 8, 0.2, 0.9).isfinite().all()  # heavy ball settles up to ηh = 3.8
    with pytest.raises(ValueError, match=r"= 3\.8\. Take"):
        Waist(noise="curvature").mean_force(y, 8, 0.25, 0.9)


@pytest.mark.parametrize("kind", ALL)
def test_wrong_settings_are_refused(kind, generator):
    with pytest.raises(ValueError, match=r"knows the noise .* or .*, got noise='pink'"):
        kind(noise="pink")
    with pytest.raises(ValueError, match=r"noise_scale .*got -1"):
        kind(noise_scale=-1)
    land, y = kind(), doubles(0)
    with pytest.raises(ValueError, match=r"batch_size .*at least 1; got 0"):
        land.draw(0, generator)
    with pytest.raises(ValueError, match=r"batch_size .*got 1\.5"):
        land.temperature(1.5, 0.1)
    with pytest.raises(ValueError, match=r"momentum lies in \[0, 1\), got 1"):
        land.mean_force(y, 1, 0.1, 1)
    with pytest.raises(ValueError, match="learning_rate must be positive and finite, got 0"):
        land.temperature(1, 0)
    with pytest.raises(ValueError, match=r"two ends, num=2; got num=1"):
        land.floor(1)
    for function in (land.loss, land.hessian, land.gradient):
        with pytest.raises(ValueError, match=r"2 parameters .* got \(3,\)"):
            function(torch.zeros(3))


def test_wrong_shapes_of_valleys_are_refused():
    with pytest.raises(ValueError, match="g_narrow must be positive and finite, got 0"):
        Waist(g_narrow=0)
    with pytest.raises(ValueError, match="width must be positive"):
        Pinch(width=-1.0)
    with pytest.raises(ValueError, match="barrier must be positive"):
        DoubleWell(barrier=0.0)
    with pytest.raises(ValueError, match="half_length must be positive"):
        Hyperbola(half_length=math.inf)
    with pytest.raises(ValueError, match="Walls widen uphill"):
        Tilted(g_narrow=1.0, g_wide=2.0)
    with pytest.raises(ValueError, match="label or isotropic, got noise='curvature'"):
        Hyperbola(noise="curvature")
    assert issubclass(valleys.Waist, valleys.Valley)


# --- closed floors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [valleys.Waist, valleys.Pinch, valleys.Tilted])
def test_a_closed_floor_rises_past_its_ends_only_and_its_gradient_is_exact(make):
    open_floor, closed = make(half_length=0.8), make(half_length=0.8, end_curvature=30.0)
    y = torch.linspace(-1.2, 1.2, 49, dtype=torch.float64)
    inside = y.abs() <= 0.8
    rise = closed.floor_loss(y) - open_floor.floor_loss(y)
    assert (rise[inside] == 0).all()
    torch.testing.assert_close(rise[~inside], 15.0 * (y[~inside].abs() - 0.8) ** 2)
    theta = torch.stack([0.3 * torch.ones_like(y), y], -1).requires_grad_()
    (slope,) = torch.autograd.grad(closed.loss(theta).sum(), theta)
    torch.testing.assert_close(closed.gradient(theta.detach()), slope)


@pytest.mark.parametrize("wrong", [-1.0, float("inf"), float("nan")])
def test_the_walls_at_the_ends_have_a_finite_curvature(wrong):
    with pytest.raises(ValueError, match="end_curvature is a curvature"):
        valleys.Waist(end_curvature=wrong)


@pytest.mark.parametrize("valley", ALL)
def test_settings_of_a_valley_are_given_by_name(valley):
    with pytest.raises(TypeError, match="positional"):
        valley("isotropic")


# --- laws of all valleys --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("noisy", [False, True])
def test_loss_and_gradient_come_together_as_they_do_alone(kind, noisy, generator):
    for land in (kind(), shaped(kind)):
        theta = near_the_floor(land, generator)
        batch = land.draw(4, generator, 7) if noisy else None
        loss, gradient = land.data_loss_and_gradient_on(theta, batch)
        torch.testing.assert_close(loss, land.loss(theta))
        torch.testing.assert_close(gradient, land.gradient_on(theta, batch))


@pytest.mark.parametrize("make", [Waist, Pinch, Tilted])
def test_the_hessian_of_a_closed_floor_is_the_derivative_of_its_gradient(make):
    land, y = make(half_length=0.8, end_curvature=30.0), torch.tensor([-1.1, -0.5, 0.3, 0.9]).double()
    theta = torch.stack([0.2 * torch.ones_like(y), y], -1)
    slope = torch.vmap(torch.func.jacrev(torch.func.grad(land.loss)))(theta)
    torch.testing.assert_close(land.hessian(theta), slope, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", ALL)
def test_starts_are_spread_over_the_whole_floor_by_a_tenth_across(kind):
    land = kind()
    starts = torch.stack([land.initial(torch.Generator().manual_seed(k)) for k in range(200)]).double()
    floor = land.floor(801, dtype=torch.float64)
    away, nearest = torch.cdist(starts, floor).min(1)
    share = nearest / 800
    assert float(share.mean()) == pytest.approx(0.5, abs=0.06)  # 200 even draws: 0.02
    assert float(share.std()) == pytest.approx(12**-0.5, abs=0.05)
    inner = (share > 0) & (share < 1)
    assert float(away[inner].square().mean().sqrt()) == pytest.approx(0.1, rel=0.2)  # 200 draws: 5 %


def test_settings_at_the_bounds_of_a_valley():
    assert Waist(noise_scale=0.0, end_curvature=0.0).noise_scale == 0
    for name in ("noise_scale", "end_curvature"):
        for wrong in (-0.5, math.inf, math.nan, True, "1"):
            with pytest.raises(ValueError, match=f"{name} is a .*finite and not negative, got"):
                Waist(**{name: wrong})
    for wrong in (-0.5, 0.0, math.inf, math.nan, True):
        with pytest.raises(ValueError, match="width must be positive and finite, got"):
            Waist(width=wrong)
    with pytest.raises(ValueError, match="Walls widen uphill"):
        Tilted(g_narrow=2.0, g_wide=2.0)
    with pytest.raises(ValueError, match=r"h = 16 is ηh = 2; SGD settles only below"):
        Waist(g_narrow=16.0).stationary_variance(doubles(0), 4, 0.125)


@pytest.mark.parametrize("end_curvature", [0.0, 1.0, 2.5])
def test_past_its_ends_a_floor_rises_like_a_parabola(end_curvature):
    land, y = (
        Waist(end_curvature=end_curvature, half_length=0.5),
        torch.tensor([-2.0, -0.75, -0.5, 0.3, 0.75, 1.5], dtype=torch.float64),
    )
    past = torch.tensor([-1.5, -0.25, 0.0, 0.0, 0.25, 1.0], dtype=torch.float64)
    assert land.floor_loss(y).tolist() == (0.5 * end_curvature * past**2).tolist()
    assert land.floor_loss(y, 1).tolist() == (end_curvature * past).tolist()
    assert land.floor_loss(y, 2).tolist() == (end_curvature * (past != 0)).tolist()


@pytest.mark.parametrize("law", ["temperature", "stationary_variance", "mean_force", "drift_velocity"])
def test_without_a_word_there_is_no_momentum(law):
    land, given = Waist(), {"batch_size": 4, "learning_rate": 0.05}
    if law != "temperature":
        given["y"] = torch.tensor([-0.3, 0.2], dtype=torch.float64)
    ask = getattr(land, law)
    plain, still, moving = ask(**given), ask(**given, momentum=0.0), ask(**given, momentum=0.5)
    assert torch.equal(torch.as_tensor(plain), torch.as_tensor(still))
    assert not torch.equal(torch.as_tensor(plain), torch.as_tensor(moving))


@pytest.mark.parametrize("land", [DoubleWell(), Hyperbola()])
def test_what_is_no_setting_of_a_valley_is_an_open_floor_from_minus_one_to_one(land):
    assert (land.half_length, land.end_curvature) == (1.0, 0.0)
    with pytest.raises(TypeError, match="end_curvature"):
        type(land)(end_curvature=0.0)


def test_another_surface_has_its_own_loss_and_gradient_together(generator):
    class Bowl(Waist):
        def loss(self, theta):
            return theta.square().sum(-1)

        def gradient_on(self, theta, batch):
            return 2 * theta

    land, theta = Bowl(), torch.randn(5, 2, generator=generator, dtype=torch.float64)
    loss, gradient = land.data_loss_and_gradient_on(theta, None)
    assert torch.equal(loss, land.loss(theta))
    assert torch.equal(gradient, 2 * theta)
