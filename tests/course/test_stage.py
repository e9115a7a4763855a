"""Means over crowds, and measured drift."""

import torch

from entropic_edu.course import floor
from entropic_edu.course.crowd import Crowd


def test_the_mean_over_crowds_has_the_standard_error_of_their_means(generator):
    values = torch.randn(3, 8 * 32, generator=generator, dtype=torch.float64)
    mean, error = floor.over_crowds(values)
    each = values.reshape(3, 8, 32).mean(-1)
    torch.testing.assert_close(mean, each.mean(-1))
    torch.testing.assert_close(error, each.std(-1) / 8**0.5)


def test_the_velocity_of_walkers_that_all_move_alike_is_that(generator):
    start = torch.rand(64, generator=generator, dtype=torch.float64) * 2 - 1
    step = torch.tensor([0, 5, 10])
    along = start + 0.003 * step[:, None]
    where, speed = floor.velocity(floor.crowds(along), step, torch.linspace(-1, 1, 3, dtype=torch.float64))
    torch.testing.assert_close(where, torch.tensor([-0.5, 0.5], dtype=torch.float64))
    torch.testing.assert_close(speed.value, torch.full((2,), 0.003, dtype=torch.float64))
    torch.testing.assert_close(speed.error, torch.zeros(2, dtype=torch.float64), atol=1e-12, rtol=0)


def test_a_bin_that_hardly_anyone_visits_has_no_velocity():
    along = torch.zeros(2, 64, dtype=torch.float64)
    along[:, 0] = 0.9  # one walker, of one crowd
    _, speed = floor.velocity(
        floor.crowds(along), torch.tensor([0, 1]), torch.tensor([-0.5, 0.5, 1.0], dtype=torch.float64)
    )
    assert speed.value[0] == 0
    assert speed.value[1].isnan()


def test_the_lowest_edge_belongs_to_its_bin_and_few_moves_tell_nothing():
    along = torch.tensor([[[0.0, 0.6], [0.25, 0.7], [0.25, 0.8]]], dtype=torch.float64)  # one group of two walkers
    step, edges = torch.arange(3), torch.linspace(0, 1, 3, dtype=torch.float64)
    _, speed = floor.velocity(along, step, edges)
    torch.testing.assert_close(speed.value, torch.tensor([0.125, 0.1], dtype=torch.float64))
    assert speed.error.tolist() == [0, 0]
    _, speed = floor.velocity(along, step, edges, fewest=3)
    assert bool(speed.value.isnan().all())


def test_the_measured_drift_follows_the_exact_mean_force():
    crowd = Crowd("Waist", {"noise_scale": 3.0, "end_curvature": 20.0}, start=None, walkers=4096, steps=400)
    release = crowd.run(0, batch_size=16, learning_rate=0.02)
    edges = torch.linspace(-0.6, 0.6, 9, dtype=torch.float64)
    where, speed = floor.velocity(floor.crowds(release.theta[20:, :, 1].double()), release.step[20:], edges)
    slope = crowd.land.curvature_across(where, 1)
    variance = crowd.land.stationary_variance(where, 16, 0.02)
    law = -0.5 * slope * variance * 0.02  # length per step, at steps of any size
    weight = law / speed.error.square()
    ratio, error = (weight * speed.value).sum() / (weight * law).sum(), (weight * law).sum() ** -0.5
    assert error < 0.2  # strong enough to see a missing factor of 2
    assert abs(ratio - 1) < 3 * error


def test_along_a_straight_floor_is_the_second_coordinate():
    release = Crowd("Waist", start=0.75, walkers=8, steps=1).run(0, batch_size=None, learning_rate=0.1)
    torch.testing.assert_close(floor.places(release)[0, :, 1], torch.full((8,), 0.5, dtype=torch.float64))
