"""Shares of walkers along a floor against conservation, the free energy, and diffusion in closed form."""

import pytest
import torch

import entropic_edu as ee
from entropic_edu.recorded._diffusion import occupation


def occupy(land, *, edges=None, steps=(0, 100, 200), **others):
    settings = {"start": 0.0, "batch_size": 4, "learning_rate": 0.01} | others
    edges = torch.linspace(-1.5, 1.5, 152, dtype=torch.float64) if edges is None else edges
    y = 0.5 * (edges[1:] + edges[:-1])
    return y, occupation(land, edges, steps=torch.tensor(steps), **settings)


def test_no_walker_is_lost():
    _, shares = occupy(ee.valleys.Waist(end_curvature=20.0), steps=(0, 10**4, 2 * 10**4))
    torch.testing.assert_close(shares.sum(1), torch.ones(3, dtype=torch.float64))
    assert (shares > -1e-12).all()


def test_after_long_the_shares_are_those_of_the_free_energy():
    land = ee.valleys.Waist(noise_scale=3.0, end_curvature=20.0)
    y, shares = occupy(land, steps=(0, 10**6))
    h = land.curvature_across(y)
    temperature = land.temperature(4, 0.01)
    weight = (-land.floor_loss(y) / temperature).exp() * ((1 - 0.005 * h) / h).sqrt()  # ηh/2 = 0.005 h
    torch.testing.assert_close(shares[-1], weight / weight.sum(), atol=1e-9, rtol=1e-6)


def test_between_straight_walls_walkers_diffuse():
    # free diffusion: the variance of y grows by 2T for each unit of time, η for a step
    land = ee.valleys.Waist(g_wide=2.0, g_narrow=2.0)
    y, shares = occupy(land, steps=(0, 400, 800))
    temperature = land.temperature(4, 0.01)
    variance = shares @ y.square() - (shares @ y).square()
    torch.testing.assert_close(variance, 2 * temperature * 0.01 * torch.tensor([0.0, 400, 800], dtype=torch.float64))


def test_a_tilted_floor_with_straight_walls_moves_walkers_at_the_slope():
    class Slope(ee.valleys.Waist):
        def floor_loss(self, y, order=0):
            return 0.05 * y if order == 0 else torch.full_like(y, 0.05)

    land = Slope(g_wide=2.0, g_narrow=2.0, noise_scale=0.3)
    y, shares = occupy(land, steps=(0, 500, 1000), batch_size=1)
    moved = (shares @ y)[1:]
    torch.testing.assert_close(
        moved, -0.05 * 0.01 * torch.tensor([500.0, 1000], dtype=torch.float64), rtol=0.02, atol=0
    )


def test_momentum_stretches_time():
    land = ee.valleys.Waist(g_wide=2.0, g_narrow=2.0)
    _, plain = occupy(land, steps=(0, 400), batch_size=4)
    _, heavy = occupy(land, steps=(0, 40), batch_size=40, momentum=0.9)  # the same T, ten times the time of a step
    torch.testing.assert_close(plain[-1], heavy[-1], atol=1e-3, rtol=0)  # plain holds its finite-step term, ηh/2


def test_noise_that_is_no_heat_bath_and_steps_too_large_are_refused():
    with pytest.raises(ValueError, match="isotropic"):
        occupy(ee.valleys.Waist(noise="curvature"))
    with pytest.raises(ValueError, match="must stay below 2"):
        occupy(ee.valleys.Waist(), learning_rate=0.2)
