"""Means over crowds, measured drift, and the panels that are moved."""

from itertools import pairwise

import pytest
import torch

from entropic_edu.course import floor
from entropic_edu.course.crowd import Crowd
from entropic_edu.physics.mean import Mean
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import png


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
    where, speed = floor.velocity(along, step, torch.linspace(-1, 1, 3, dtype=torch.float64))
    torch.testing.assert_close(where, torch.tensor([-0.5, 0.5], dtype=torch.float64))
    torch.testing.assert_close(speed.value, torch.full((2,), 0.003, dtype=torch.float64))
    torch.testing.assert_close(speed.error, torch.zeros(2, dtype=torch.float64), atol=1e-12, rtol=0)


def test_a_bin_that_hardly_anyone_visits_has_no_velocity():
    along = torch.zeros(2, 64, dtype=torch.float64)
    along[:, 0] = 0.9  # one walker, of one crowd
    _, speed = floor.velocity(along, torch.tensor([0, 1]), torch.tensor([-0.5, 0.5, 1.0], dtype=torch.float64))
    assert speed.value[0] == 0
    assert speed.value[1].isnan()


def test_the_measured_drift_follows_the_exact_mean_force():
    crowd = Crowd("Waist", {"noise_scale": 3.0, "end_curvature": 20.0}, start=None, walkers=4096, steps=400)
    release = crowd.run(0, batch_size=16, learning_rate=0.02)
    edges = torch.linspace(-0.6, 0.6, 9, dtype=torch.float64)
    where, speed = floor.velocity(release.theta[20:, :, 1].double(), release.step[20:], edges)
    slope = crowd.land.curvature_across(where, 1)
    variance = crowd.land.stationary_variance(where, 16, 0.02)
    law = -0.5 * slope * variance * 0.02  # length per step, at steps of any size
    weight = law / speed.error.square()
    ratio, error = (weight * speed.value).sum() / (weight * law).sum(), (weight * law).sum() ** -0.5
    assert error < 0.2  # strong enough to see a missing factor of 2
    assert abs(ratio - 1) < 3 * error


def test_labels_are_moved_apart_and_stay_on_the_axes():
    ax = sheet.figure().add_axes((0.1, 0.1, 0.7, 0.8))
    ax.set(xlim=(0, 1), ylim=(0, 1))
    x = torch.linspace(0, 1, 5)
    bands = [sheet.Band(ax, label=str(n)) for n in range(4)]
    for band, level in zip(bands, (0.99, 0.98, 0.97, 0.2), strict=True):
        band.show(x, Mean(torch.full((5,), level), torch.zeros(5)))
    sheet.part(*bands)
    heights = sorted(band.name.get_position()[1] for band in bands)
    assert heights[-1] <= 1
    assert min(b - a for a, b in pairwise(heights)) >= 0.15 - 1e-9
    assert heights[0] == pytest.approx(0.2)


def test_a_band_that_is_taken_off_leaves_no_trace():
    figure = sheet.figure(200, 150)
    ax = figure.add_axes((0.2, 0.2, 0.6, 0.6))
    ax.set(xlim=(0, 1), ylim=(0, 1))
    band = sheet.Band(ax, label="a")
    empty = png(figure)
    band.show(torch.tensor([0.0, 1.0]), Mean(torch.tensor([0.5, 0.5]), torch.tensor([0.1, 0.1])))
    assert png(figure) != empty
    band.show(torch.tensor([0.0, 1.0]), None)
    assert png(figure) == empty


def test_a_release_without_places_says_what_to_do():
    crowd = Crowd("Waist", steps=2, walkers=8)
    from entropic_edu import drift

    release = drift(
        crowd.land, crowd.road, generator=torch.Generator().manual_seed(0), steps=2, walkers=2, project_every=None
    )
    with pytest.raises(ValueError, match="Records"):
        floor.last(release)


def test_along_a_straight_floor_is_the_second_coordinate():
    release = Crowd("Waist", start=0.75, walkers=8, steps=1).run(0, batch_size=None, learning_rate=0.1)
    torch.testing.assert_close(floor.coordinates(release)[1][0], torch.full((8,), 0.5, dtype=torch.float64))
