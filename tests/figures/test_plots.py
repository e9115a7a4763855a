"""Pictures: what is drawn is the result's numbers, labelled, on the axes that were given, without pyplot."""

import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from pictures import Panel, faded

import entropic_edu as ee
from entropic_edu import plots
from entropic_edu.figures.plots import BLACK, BLUE, ORANGE, PURPLE, RED

FAINT = faded(BLUE, 0.15)


@pytest.fixture(scope="module")
def land():
    g = torch.Generator().manual_seed(1)
    x, y = torch.randn(60, 5, generator=g), torch.randint(3, (60,), generator=g)
    return ee.Network(ee.models.mlp(5, 6, 3), x, y, weight_decay=1e-3)


@pytest.fixture(scope="module")
def run(land):
    return ee.train(land, generator=torch.Generator().manual_seed(0), runs=2, batch_size=20, epochs=5)


@pytest.fixture(scope="module")
def road(land, run):
    return ee.connect(land, *run.theta, generator=torch.Generator().manual_seed(0), method="linear", points=9)


def drawn(ax, x, y, colour=BLUE, least=0.95):
    """Whether a curve is drawn where it belongs, and there is nothing of the kind a twentieth of the panel higher."""
    seen, height = Panel(ax), ax.transAxes.transform((0, 0.05))[1] - ax.transAxes.transform((0, 0))[1]
    columns, rows = seen.place(x, y)
    higher = ax.transData.inverted().transform(np.stack([columns, len(seen.rgb) - rows + height], -1)).T
    return seen.follows(colour, x, y) >= least and seen.follows(colour, *higher) < 0.5 * least


def check_labels(ax):
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert all(text.get_fontsize() >= 10 for text in [ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels()])


def test_a_run_is_drawn_against_its_steps(run):
    ax = run.plot()
    for losses, least in zip(run.history.loss.T, (0.95, 0.6), strict=True):  # solid and dashed
        assert drawn(ax, run.history.step, losses, least=least)
    assert ax.get_yscale() == "log"
    check_labels(ax)


def test_a_path_is_drawn_with_its_losses(road):
    given = Figure().subplots()
    ax = road.plot(given)
    assert ax is given
    assert drawn(ax, road.marks, road.losses)
    check_labels(ax)


def test_a_path_without_losses_says_how_to_measure_them(road):
    with pytest.raises(ValueError, match=r"use connect.measured\(land, path\) first"):
        ee.Path(road.pivots).plot()


def test_a_profile_is_drawn_relative_to_its_ends_with_an_end_label_for_each_line(land, road, generator):
    profile = ee.probe(land, road, generator=generator, points=5)
    ax = profile.plot()
    curves = {RED: profile.trace, ORANGE: profile.top_eigenvalue, PURPLE: profile.adaptive_trace, BLUE: profile.loss}
    seen = Panel(ax)
    inked = [seen.follows(colour, profile.position, row / row[[0, -1]].mean()) for colour, row in curves.items()]
    assert inked == pytest.approx([1.0, 0.7, 0.75, 0.3], abs=0.1)  # solid, dashed, dash-dotted, dotted
    assert {text.get_text() for text in ax.texts} == {"trace", "λmax", "adaptive trace", "objective"}
    check_labels(ax)


def test_a_profile_shows_the_bump_of_the_road_as_it_was_built_beside_the_matched_one(generator):
    x, y = torch.randn(12, 3, generator=generator), torch.arange(12) % 3
    land = ee.Network(ee.models.mlp(3, 8, 3, norm="layer"), x, y)
    built = ee.Path(torch.stack([land.initial(generator) for _ in range(2)])).resample(9)  # straight, so it sags
    profile, raw = (ee.probe(land, road, generator=generator, points=9) for road in (built.match_norms(land), built))
    ax = profile.plot(raw=raw)
    seen = Panel(ax)
    for measured, colour in ((profile, RED), (raw, BLACK)):
        ratio = measured.trace / measured.trace[[0, -1]].mean()
        assert seen.follows(colour, measured.position, ratio) > 0.45  # the one is dashed, and letters cover it
    assert {"trace, as built", "trace, norms matched"} <= {text.get_text() for text in ax.texts}
    check_labels(ax)


def test_a_release_is_drawn_with_its_mean_and_every_walker(land, road, generator):
    release = ee.drift(
        land, road, generator=generator, start=[0.3, 0.7], batch_size=8, learning_rate=0.01, walkers=3, steps=45
    )
    ax = release.plot()
    for at in (0, 1):
        assert drawn(ax, release.step, release.mean_position[:, at])
    apart = torch.tensor([-0.2, 0.0, 0.2]).repeat(2)  # so that no walker is hidden under the mean
    spread = Panel(replace(release, position=release.position + apart).plot())
    for walker in (release.position + apart).T:
        assert spread.follows(None, release.step, walker) + spread.follows(FAINT, release.step, walker) > 0.9
    assert spread.follows(FAINT, release.step, release.position[:, 0] + 0.25) == 0
    in_time = plots.release(release, time=True)
    assert drawn(in_time, release.step * 0.1, release.mean_position[:, 0])  # η/(1-m) = 0.1
    check_labels(ax)


def test_a_family_is_drawn_relative_to_its_ends(land, generator):
    family = ee.spawn(land, at=[0, 6], generator=generator, batch_size=20, epochs=4, trunks=2, points=5)
    ax = family.plot()
    assert drawn(ax, family.at, family.relative_to_end(family.data_loss).mean(0))
    assert drawn(ax, family.at, family.relative_to_end(family.trace).mean(0), RED, least=0.6)
    check_labels(ax)


def test_the_plane_goes_through_both_ends_and_the_middle():
    road = ee.Path(torch.tensor([[0.0, 0, 0], [1, 2, 0], [3, 2, 1], [4, 0, 0]]))
    plane = plots.Plane.through(road)
    three = torch.stack([road.pivots[0], road.at(0.5), road.pivots[-1]])
    assert torch.allclose(plane.points(plane.coordinates(three)), three, atol=1e-6)
    assert torch.allclose(plane.axes @ plane.axes.T, torch.eye(2), atol=1e-6)
    assert plane.coordinates(road.pivots[-1:])[0].tolist() == pytest.approx([4, 0])


def test_the_plane_is_drawn_also_for_a_straight_road(land, road):
    ax = plots.plane(land, road, resolution=7)
    assert Panel(ax).follows(RED, *plots.Plane.through(road).coordinates(road.pivots).T) > 0.9
    check_labels(ax)


@pytest.mark.parametrize("height", [1.0, 0.0])
def test_the_plane_is_drawn_where_the_loss_is_the_same_all_over(height):
    model = torch.nn.Linear(3, 1, bias=False)
    land = ee.Network(model, torch.zeros(4, 3), torch.full((4, 1), height), loss="mse")
    check_labels(plots.plane(land, ee.Path(torch.eye(3)[:2]).resample(4), resolution=5))


def test_end_labels_do_not_cover_each_other():
    ax = plots.axes()
    ax.set_ylim(0, 1)
    plots.end_labels(ax, [(1, 0.5, "one", "black"), (1, 0.5, "two", "black"), (1, 0.51, "three", "black")])
    heights = sorted(text.get_position()[1] for text in ax.texts)
    assert min(b - a for a, b in pairwise(heights)) > 0.05


def test_no_picture_goes_through_pyplot(run):
    run.plot()
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
