"""A walker is pushed by its own excess loss times the narrowing of the road: both sides measured, and closed forms."""

import functools
import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

import entropic_edu as ee
from entropic_edu.physics.curvature import dense_hessian
from entropic_edu.physics.noise import sustained_variance
from entropic_edu.physics.results import packed, write_whole

KINDS = {
    "Waist": (ee.valleys.Waist, {}),
    "Tilted": (ee.valleys.Tilted, {}),
    "Pinch": (ee.valleys.Pinch, {"width": 0.3}),
    "DoubleWell": (ee.valleys.DoubleWell, {"g_narrow": 16.0, "barrier": 0.002}),
    "Hyperbola": (ee.valleys.Hyperbola, {}),
}
ALL = [(name, noise) for name, (kind, _) in KINDS.items() for noise in kind.kinds]
ONE_CURVATURE = [(name, noise) for name, noise in ALL if name != "DoubleWell"]  # its floor bends too


@functools.cache
def valley(name, noise):
    kind, settings = KINDS[name]
    land = kind(noise=noise, **settings)
    road = ee.Path(land.floor(201, dtype=torch.float64))
    return land, road, ee.probe(land, road, points=101, generator=torch.Generator())


def at(profile, values, position):
    return torch.as_tensor(np.interp(position.numpy(), profile.position.numpy(), values.numpy()))


def released(name, noise, momentum, walkers, **others):
    land, road, profile = valley(name, noise)
    settings = {"learning_rate": 0.04 * (1 - momentum), "momentum": momentum, "project_every": 15, "batch_size": 64}
    generator = torch.Generator().manual_seed(2)
    release = ee.drift(land, road, start=0.35, walkers=walkers, generator=generator, **settings, **others)
    return land, road, profile, settings, release


def looked(steps, every):
    """Which steps of a release are looked at where the loss does not come with the gradient."""
    number = torch.arange(steps)
    return (number // every + number % every) % 4 == 0


# --- narrowing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "noise"), ONE_CURVATURE)
@pytest.mark.parametrize(("momentum", "every"), [(0.0, None), (0.9, 15)])
def test_where_one_direction_is_curved_the_narrowing_is_the_slope_of_its_logarithm(name, noise, momentum, every):
    land, _, profile = valley(name, noise)
    found = profile.narrowing(learning_rate=0.01, momentum=momentum, project_every=every)
    y = land.coordinate(profile.position)
    exact = land.curvature_across(y, 1) / land.curvature_across(y) / land.metric(y).sqrt()
    # central differences over 1/100 of the floor miss a third derivative by ds²/6 of it, 1 %
    assert float((found.value - exact)[1:-1].abs().max()) < 0.015 * float(exact.abs().max())
    assert not bool(found.error.any())


def two_curvatures(decay):
    """A profile of h = 1 + s and 4 + s² with weight decay, seen by two probes that weigh them differently."""
    _, _, profile = valley("Waist", "curvature")
    s = profile.position
    h, slope = torch.stack([1 + s, 4 + s**2], -1), torch.stack([torch.ones_like(s), 2 * s], -1)
    weights = torch.tensor([[0.4, 0.6], [0.6, 0.4]], dtype=torch.float64).expand(len(s), 2, 2)
    known = {"nodes": h[:, None].expand(-1, 2, -1), "weights": weights, "trace": h.sum(-1), "length": 1.0, "dim": 2}
    return replace(profile, weight_decay=decay, **known), h, slope


@pytest.mark.parametrize("noise", [ee.noise.Isotropic(1.0), "minibatch"])
def test_directions_weigh_by_their_spread_at_the_curvature_with_decay(noise):
    profile, h, slope = two_curvatures(0.5)
    found = profile.narrowing(learning_rate=0.1, momentum=0.5, project_every=8, noise=noise)
    spread = sustained_variance(h + 0.5, 0.1, 0.5, 8) * (h if noise == "minibatch" else 1)
    exact = (spread * slope).sum(-1) / (spread * h).sum(-1)
    assert torch.allclose(found.value[1:-1], exact[1:-1], rtol=1e-3)  # the table of Ψ, and differences
    assert bool((found.error > 0).all())
    # the strength of the noise drops out, also where it varies along the road
    varied = replace(profile, noise=profile.noise * (1 + profile.position))
    assert torch.equal(varied.narrowing(learning_rate=0.1).value, profile.narrowing(learning_rate=0.1).value)


def test_probes_estimate_the_narrowing_that_dense_hessians_have():
    g = torch.Generator().manual_seed(3)
    x, y = torch.randn(40, 8, generator=g, dtype=torch.float64), torch.randint(12, (40,), generator=g)
    land = ee.Network(ee.models.mlp(8, 30, 12).double(), x, y)  # 642 parameters: no dense spectrum
    road = [land.initial(g), land.initial(g)]
    settings = {"learning_rate": 0.05, "project_every": 15, "noise": ee.noise.Isotropic(1.0)}
    probed = ee.probe(land, road, points=3, num_probes=6, generator=g)
    found = probed.narrowing(**settings)
    values = torch.stack([torch.linalg.eigvalsh(dense_hessian(land, t)) for t in probed_points(land, road)])
    nodes, weights = values[:, None], torch.full_like(values, 1 / land.dim)[:, None]
    dense = replace(probed, nodes=nodes, weights=weights, trace=values.sum(-1)).narrowing(**settings)
    assert bool(((found.value - dense.value).abs() < 4 * found.error + 0.05 * dense.value.abs()).all())


def probed_points(land, road):
    return ee.Path(torch.stack(road)).at(torch.linspace(0, 1, 3, dtype=torch.float64))


# --- the law -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "noise"), ALL)
def test_excess_loss_times_narrowing_is_the_mean_force(name, noise):
    # the force of the walls, -½h'x², is the whole gradient's less that of the floor, at all steps; the loss is looked
    # at in a quarter of them
    momentum = 0.8 if noise == "isotropic" else 0.0
    keep = ee.Records(1, theta=True)
    land, road, profile, settings, release = released(name, noise, momentum, 300, steps=60, record_every=keep)
    before = release.theta[:-1].clone()
    before[::15] = road.at(release.position[:-1:15].flatten()).view(-1, *before.shape[1:])  # projected, then a step
    where = road.project(before.flatten(0, 1)).position
    if name == "Hyperbola":  # its tangent, not the polyline's
        y = land.coordinate(where)
        tangent = torch.stack([y.exp(), -(-y).exp()], -1) / land.metric(y).sqrt()[:, None]
        floor = 0.0
    else:
        tangent, floor = road.tangent(where), land.floor_loss(land.coordinate(where), 1)
    force = (floor - (land.gradient(before.flatten(0, 1)) * tangent).sum(-1)).view(60, -1).mean(0)
    narrowing = profile.narrowing(learning_rate=settings["learning_rate"], momentum=momentum).value
    law = -(at(profile, narrowing, release.position[:-1]) * release.excess_loss[1:])[looked(60, 15)].mean(0)
    off = force - law
    assert abs(float(off.mean())) < 2 * float(off.std()) / math.sqrt(len(off))
    assert float(law.mean()) == pytest.approx(float(force.mean()), rel=0.03)


@pytest.mark.parametrize(
    ("name", "noise"), [("Waist", "curvature"), ("DoubleWell", "curvature"), ("Hyperbola", "label")]
)
def test_a_track_by_the_walkers_own_excess_loss_is_their_mean_walk(name, noise):
    # noise has no part along these floors, so that the mean walk is known well; twelve records a start
    _, _, profile, settings, release = released(name, noise, 0.0, 200, steps=180)
    law = ee.predict(profile, excess_loss=release, **settings)
    track, error = law.track(0.35, release.step), law.track_error(0.35, release.step)
    measured, spread = release.mean_position[:, 0], release.position_error[:, 0]
    moved = float((measured[-1] - 0.35).abs())
    assert moved > 10 * float(spread[-1])
    assert bool(((track - measured).abs() < 3 * torch.hypot(error, spread) + 0.02 * moved).all())
    assert 0 < float(error[-1]) < 0.1 * moved


def test_without_projection_excess_loss_is_counted_from_the_nearest_point_of_the_road():
    # walkers that slide down a slope at rest across it carry none: what they win by sliding is not counted
    land, road, _ = valley("Tilted", "isotropic")
    settings = {"batch_size": None, "learning_rate": 0.1, "momentum": 0.0, "walkers": 1, "steps": 80}
    for every in (None, 10):
        release = ee.drift(land, road, generator=torch.Generator(), start=0.7, project_every=every, **settings)
        won = float(land.floor_loss(torch.tensor(0.4)) - release.loss[-1])
        assert won > 5e-4
        assert float(release.excess_loss.abs().max()) < 1e-9 * won


# --- a batch's loss on networks -----------------------------------------------------------------------------------


def images(size):
    g = torch.Generator().manual_seed(5)
    return torch.randn(48, 3, size, size, generator=g), torch.randint(10, (48,), generator=g)


def table(**settings):
    g = torch.Generator().manual_seed(1)
    x, y = torch.randn(90, 5, generator=g, dtype=torch.float64), torch.randint(3, (90,), generator=g)
    return ee.Network(ee.models.mlp(5, 6, 3).double(), x, y, weight_decay=0.1, **settings)


NETWORKS = {
    "small batches of a stack": (table, 8),
    "with label noise": (lambda: table(label_noise=0.2), 8),
    "large batches of a stack": (lambda: table(label_noise=0.2), 70),
    "all data": (table, None),
    "jittered targets": (lambda: table(loss="mse", label_noise=0.3), 8),
    "side by side": (lambda: table(strategy="vmap"), 8),
    "one after the other, with label noise": (lambda: table(strategy="loop", label_noise=0.2), 8),
    "jittered targets, one after the other": (lambda: table(strategy="loop", loss="mse", label_noise=0.3), 8),
    "convolutions": (lambda: ee.Network(ee.models.small_cnn((2, 3)), *images(32), label_noise=0.2), 8),
    "convolutions on windows": (
        lambda: ee.Network(ee.models.normed_cnn((2, 3, 4), size=8), *images(8), label_noise=0.2),
        8,
    ),
}


@pytest.mark.parametrize("case", NETWORKS)
def test_what_batches_cost_is_in_the_mean_what_all_data_cost(case):
    make, batch_size = NETWORKS[case]
    land, g = make(), torch.Generator().manual_seed(2)
    road = ee.Path(torch.stack([land.initial(g), land.initial(g)])).resample(65)
    settings = {"batch_size": batch_size, "learning_rate": 0.02, "momentum": 0.5, "project_every": 5, "walkers": 40}
    step, keep = 20, ee.Records(1, theta=True)
    if "convolutions" in case:
        settings["walkers"] = 8
    release = ee.drift(land, road, generator=g, start=0.4, steps=step, record_every=keep, **settings)
    before = release.theta[:-1].clone()
    before[::5] = road.at(release.position[:-1:5].flatten()).view(-1, *before.shape[1:])
    exact = land.data_loss(before.flatten(0, 1)).view(step, -1)
    exact = exact - land.data_loss(road.at(release.position[:-1].flatten())).view(step, -1)
    off = (release.excess_loss[1:] - exact)[looked(step, 5) | land.gives_loss]
    tolerance = 4 * float(off.std()) / math.sqrt(off.numel()) + 5e-5
    assert abs(float(off.mean())) < tolerance
    assert batch_size is not None or float(off.abs().max()) < 5e-5  # all data: exact, but for the road's interpolation
    assert float(exact.abs().max()) > 1e-3


def test_batches_whose_own_statistics_shift_their_loss_have_no_excess_loss(generator):
    x, y = torch.randn(40, 5, generator=generator), torch.randint(3, (40,), generator=generator)
    model = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.BatchNorm1d(6), torch.nn.ReLU(), torch.nn.Linear(6, 3))
    land = ee.Network(model, x, y, batch_norm="reestimate")
    road = ee.Path(torch.stack([land.initial(generator), land.initial(generator)]))
    settings = {"learning_rate": 0.01, "walkers": 2, "steps": 15, "generator": generator}
    assert ee.drift(land, road, batch_size=8, **settings).excess_loss is None
    assert bool(ee.drift(land, road, batch_size=None, **settings).excess_loss.isfinite().all())


# --- what one is told ----------------------------------------------------------------------------------------------


def test_the_threshold_is_loss_over_noise_and_predictions_say_how_far_they_are_above_it():
    _, _, profile = valley("Waist", "curvature")
    some = replace(profile, data_loss=torch.full_like(profile.trace, 0.3), noise=torch.full_like(profile.trace, 6.0))
    assert torch.allclose(some.threshold, torch.full_like(some.trace, 0.05))
    settings = {"batch_size": 2, "learning_rate": 0.04, "momentum": 0.8}
    assert "by linear theory at temperature 0.1 (2 T*)" in ee.predict(some, **settings).summary()
    assert "T*" not in ee.predict(profile, **settings).summary()  # on a floor of no loss there is none
    assert "T*" not in ee.predict(some, noise=ee.noise.Isotropic(0.1), **settings).summary()


def test_an_excess_loss_by_hand_pushes_in_proportion_and_linear_theory_says_its_own():
    _, _, profile, settings, release = released("Waist", "curvature", 0.0, 400, steps=180)
    linear = ee.predict(profile, **settings)
    one, two = (ee.predict(profile, excess_loss=e, **settings) for e in (0.5, torch.full_like(profile.position, 1.0)))
    assert torch.allclose(two.velocity, 2 * one.velocity)
    own = ee.predict(profile, excess_loss=linear.excess_loss.value, **settings)
    assert torch.allclose(own.velocity, linear.velocity, atol=1e-15)
    measured = ee.predict(profile, excess_loss=release, **settings)
    came = (release.position[1:].mean() - profile.position).abs() < 0.01
    off = (measured.excess_loss.value - linear.excess_loss.value)[came] / measured.excess_loss.error[came]
    assert bool(came.any())
    assert float(off.abs().max()) < 4
    assert bool(measured.velocity_error[came].min() > 0)


def test_former_files_load_and_hold_no_excess_loss(tmp_path):
    _, _, profile, settings, release = released("Waist", "curvature", 0.0, 2, steps=30)
    values = {f.name: getattr(release, f.name) for f in fields(release) if f.name != "excess_loss"}
    tensors = {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}
    plain = {name: value for name, value in values.items() if name not in tensors}
    write_whole(tmp_path / "old", packed("Release", tensors, plain))
    old = ee.Release.load(tmp_path / "old")
    assert old.excess_loss is None
    assert old.mean_excess_loss is None
    with pytest.raises(ValueError, match="holds no excess loss: a former version made it"):
        ee.predict(profile, excess_loss=old, **settings)
    release.save(tmp_path / "new")
    assert torch.equal(ee.Release.load(tmp_path / "new").excess_loss, release.excess_loss)


def test_what_does_not_go_together_is_said():
    _, _, profile, settings, release = released("Waist", "curvature", 0.0, 2, steps=30)
    with pytest.raises(ValueError, match=r"walkers had momentum=0.0, and momentum=0.5 is to be predicted"):
        ee.predict(profile, excess_loss=release, **settings | {"momentum": 0.5})
    with pytest.raises(ValueError, match=r"value at each of the profile's 101 positions, got shape \(3,\)"):
        ee.predict(profile, excess_loss=torch.ones(3), **settings)
    law = ee.predict(profile, excess_loss=release, **settings)
    with pytest.raises(ValueError, match=r"has walkers from 0.35, and none from 0.4"):
        law.track(0.4, torch.tensor([15]))
    with pytest.raises(ValueError, match="ended after 30 steps, and a track of 60 was wanted"):
        law.track(0.35, torch.tensor([60]))


def test_after_an_undone_excursion_excess_loss_is_counted_from_where_a_walker_was_put_back():
    # A road beside the floor, so that walkers leave it. Step 33 is the first of a stretch, and is looked at.
    land, floor, _ = valley("Tilted", "isotropic")
    road = ee.Path(floor.pivots + torch.tensor([1e-3, 0.0]))
    settings = {"batch_size": None, "learning_rate": 0.1, "momentum": 0.0, "walkers": 1, "steps": 33, "record_every": 1}
    rule = ee.Projections(8, undo_excursions=True, radius=0.0)
    release = ee.drift(land, road, generator=torch.Generator(), start=0.7, project_every=rule, **settings)
    assert float(release.position[32]) == pytest.approx(0.7, abs=1e-12)
    slid = float(release.loss[25] - release.loss[32])
    assert slid > 1e-6
    assert abs(float(release.excess_loss[33])) < 1e-3 * slid
    changed = release.excess_loss[1:, 0] != release.excess_loss[:-1, 0]
    assert not bool(changed[~looked(33, 8)].any())  # there it is that of the step before
