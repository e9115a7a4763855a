"""Pictures: what is drawn is the result's numbers, labelled, on the axes that were given, without pyplot."""

import sys
from itertools import pairwise

import pytest
import torch
from matplotlib.figure import Figure

import entropic_edu as ee
from entropic_edu import plots


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


def lines(ax):
    return [(line.get_xdata(), line.get_ydata()) for line in ax.lines]


def holds(ax, x, y):
    """Whether one of the lines goes through exactly these points."""
    return any(
        len(a) == len(x) and torch.allclose(torch.as_tensor(a), torch.as_tensor(x).to(torch.as_tensor(a)))
        and torch.allclose(torch.as_tensor(b), torch.as_tensor(y).to(torch.as_tensor(b)))
        for a, b in lines(ax)
    )  # fmt: skip


def check_labels(ax):
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert all(text.get_fontsize() >= 10 for text in [ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels()])


def test_a_run_is_drawn_against_its_steps(run):
    ax = run.plot()
    assert holds(ax, run.history.step, run.history.loss[:, 1])
    assert ax.get_yscale() == "log"
    check_labels(ax)


def test_a_path_is_drawn_with_its_losses(road):
    given = Figure().subplots()
    ax = road.plot(given)
    assert ax is given
    assert holds(ax, road.marks, road.losses)
    check_labels(ax)


def test_a_path_without_losses_says_how_to_measure_them(road):
    with pytest.raises(ValueError, match=r"use connect.measured\(land, path\) first"):
        ee.Path(road.pivots).plot()


def test_a_profile_is_drawn_relative_to_its_ends_with_an_end_label_for_each_line(land, road, generator):
    profile = ee.probe(land, road, generator=generator, points=5)
    ax = profile.plot()
    assert holds(ax, profile.position, profile.trace / profile.trace[[0, -1]].mean())
    assert holds(ax, profile.position, profile.top_eigenvalue / profile.top_eigenvalue[[0, -1]].mean())
    assert {text.get_text() for text in ax.texts} == {"trace", "λmax", "adaptive trace", "objective"}
    dashes = {line.get_linestyle() for line in ax.lines if len(line.get_xdata()) == 5}
    assert len(dashes) == 4  # told apart without colour
    check_labels(ax)


def test_a_release_is_drawn_with_its_mean_and_every_walker(land, road, generator):
    release = ee.drift(
        land, road, generator=generator, start=[0.3, 0.7], batch_size=8, learning_rate=0.01, walkers=3, steps=45
    )
    ax = release.plot()
    assert holds(ax, release.step, release.mean_position[:, 0])
    assert holds(ax, release.step, release.position[:, 4])
    assert len(ax.lines) == 6 + 2
    in_time = plots.release(release, time=True)
    assert holds(in_time, release.step * 0.1, release.mean_position[:, 0])  # η/(1-m) = 0.1
    check_labels(ax)


def test_a_family_is_drawn_relative_to_its_ends(land, generator):
    family = ee.spawn(land, at=[0, 6], generator=generator, batch_size=20, epochs=4, trunks=2, points=5)
    ax = family.plot()
    assert holds(ax, family.at, family.relative_to_end(family.data_loss).mean(0))
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
    assert any(len(x) == len(road.pivots) for x, _ in lines(ax))
    check_labels(ax)


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
