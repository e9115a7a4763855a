import itertools
import math

import numpy as np
import pytest
import torch
from oracles import Circle, arc, on_circle
from torch import nn

import entropic_edu as ee
from entropic_edu import Path, connect
from entropic_edu.physics.connect import _barrier, _curvature, _few, _middle, _scallops_of, measured, tangents
from entropic_edu.physics.methods import Band, Springs, String, _shared, bernstein, hats, inserted, named, refine
from entropic_edu.physics.valleys import DoubleWell, Hyperbola

METHODS = ["linear", "chain", "bezier", "string", "neb", "autoneb"]
MOVING = METHODS[1:]
ANGLE = 2.5  # of the arc between the two ends on the circle


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


def seeded(number=7):
    return torch.Generator().manual_seed(number)


def alone(sweeps, **settings):
    """So many sweeps, after which no pivots are added."""
    return ee.Sweeps(sweeps, scallop=math.inf, **settings)


def on_the_circle(land=None, **settings):
    ends = on_circle(doubles(0, ANGLE))
    defaults = {"generator": seeded(), "batch_size": None, "learning_rate": 0.1, "sweeps": 600, "pivots": 10}
    return connect(land or Circle(), *ends, **{**defaults, **settings})


def relaxed_band(method):
    """Twelve pivots on the circle after 400 sweeps, before any are spread anew."""
    band = Band(Circle(), seeded(), None, 0.1, 0.9, 1200)
    *_, last = named(method).relax(band, Path(on_circle(doubles(0, ANGLE))).resample(12), 400)
    return last


class Recording(ee.Network):
    """A network that notes who asks for a batch, and for how many samples."""

    def draw(self, batch_size, generator, rows=None):
        self.drawn.append((batch_size, rows))
        return super().draw(batch_size, generator, rows)


@pytest.fixture
def network(generator):
    x = torch.randn(60, 4, generator=generator, dtype=torch.float64)
    y = (x[:, 0] * x[:, 1] > 0).long()
    model = nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 2)).double()
    land = Recording(model, x, y, weight_decay=1e-3)
    land.drawn = []
    return land


@pytest.fixture
def ends(network):
    run = ee.train(network, generator=seeded(), runs=2, epochs=150, batch_size=20, learning_rate=0.1)
    network.drawn.clear()
    return run.theta


# --- tangents --------------------------------------------------------------------------------------------------

BAND = doubles([0, 0], [2, 0], [2, 1])  # τ⁻ = (2, 0), τ⁺ = (0, 1)


@pytest.mark.parametrize(
    ("losses", "direction"),
    [
        ((0, 1, 2), (0, 1)),  # uphill: the secant ahead (eq. 8)
        ((2, 1, 0), (2, 0)),  # downhill: the secant behind
        ((0, 3, 2), (2 * 1, 1 * 3)),  # maximum, ahead higher: ΔVmax = 3 to τ⁺ and ΔVmin = 1 to τ⁻ (eqs. 10, 11)
        ((2, 3, 0), (2 * 3, 1 * 1)),  # maximum, behind higher
        ((4, 3, 8), (2 * 1, 1 * 5)),  # minimum, ahead higher
        ((8, 3, 4), (2 * 5, 1 * 1)),  # minimum, behind higher
        ((1, 0, 1), (2, 1)),  # level neighbours: equal weights
        ((5, 5, 5), (1, 1)),  # flat: the bisector of the two directions
        ((0, 2, 2), (0, 1)),  # level ahead, and the neighbour ahead is the higher one
        ((2, 2, 0), (2, 0)),
    ],
)
def test_tangents_are_those_of_henkelman_and_jonsson_by_hand(losses, direction):
    expected = doubles(*direction)
    found = tangents(BAND, doubles(*losses))
    torch.testing.assert_close(found[0], expected / expected.norm())


@pytest.mark.parametrize("height", [0.0, 1.0])
def test_each_inner_pivot_has_a_tangent_of_its_own(height, generator):
    pivots = torch.randn(9, 4, generator=generator, dtype=torch.float64)
    pivots[4] = pivots[2]  # where it turns back, on a flat stretch or on a slope
    losses = height * torch.rand(9, generator=generator, dtype=torch.float64)
    whole = tangents(pivots, losses)
    assert whole.shape == (7, 4)
    torch.testing.assert_close(whole.norm(dim=1), torch.ones(7, dtype=torch.float64))
    for i in range(7):
        torch.testing.assert_close(whole[i : i + 1], tangents(pivots[i : i + 3], losses[i : i + 3]))


@pytest.mark.parametrize("last", [1.5, 2.5])
def test_the_tangent_turns_continuously_as_a_pivot_passes_through_an_extremum(last):
    # The middle loss rises from below both neighbours (0 and last) to above both: slope, minimum and maximum in turn.
    middle = torch.linspace(-1, 4, 1001, dtype=torch.float64)
    turned = torch.cat([tangents(BAND, torch.stack([doubles(0)[0], m, doubles(last)[0]])) for m in middle])
    # d(tangent)/d(middle) is at most a few, so steps of 0.005 turn it by about a hundredth; a swap would jump by 1
    assert float((turned[1:] - turned[:-1]).norm(dim=1).max()) < 0.03
    assert float((turned - doubles(0, 1)).norm(dim=1).max()) > 0.3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tangents_are_finite_on_a_flat_stretch_and_at_a_kink_that_turns_back(dtype):
    flat = tangents(arc(1.0, 6).to(dtype), torch.full((6,), 0.25, dtype=dtype))
    assert bool(flat.isfinite().all())
    torch.testing.assert_close(flat.norm(dim=1), torch.ones(4, dtype=dtype))
    back = tangents(torch.tensor([[0.0, 0], [1, 0], [0, 0]], dtype=dtype), torch.zeros(3, dtype=dtype))
    assert back.tolist() == [[-1, 0]]
    with pytest.raises(ValueError, match="at least 3 pivots, got 2"):
        tangents(torch.eye(2), torch.zeros(2))


# --- roads whose floor is known --------------------------------------------------------------------------------


def test_the_straight_line_has_the_barrier_of_the_closed_form():
    a, b = doubles(math.e, 1 / math.e), doubles(1 / math.e, math.e)
    path = connect(Hyperbola(), a, b, method="linear", generator=seeded())
    # at the midpoint u = v = cosh 1, so ½(cosh² 1 - 1)² = ½ sinh⁴ 1, and the ends have no loss
    assert path.barrier == pytest.approx(0.5 * math.sinh(1) ** 4, rel=1e-3)  # 1e-3: midpoint within half a step
    assert path.length == pytest.approx(2 * math.sqrt(2) * math.sinh(1))
    chord = on_the_circle(method="linear")
    assert chord.barrier == pytest.approx(0.5 * (1 - math.cos(ANGLE / 2)) ** 2, rel=1e-2)


@pytest.mark.parametrize("method", MOVING)
def test_each_method_finds_the_floor_of_the_hyperbola(method):
    land = Hyperbola(half_length=1.0)
    a, b = land.floor(2, dtype=torch.float64)
    settings = {"batch_size": None, "learning_rate": 0.05, "sweeps": 1500, "pivots": 12}
    path = connect(land, a, b, method=method, generator=seeded(), **settings)
    assert path.complete
    # of 0.95 on the straight line; a curve of three bends is no hyperbola, so it keeps a little more
    assert path.saddle_loss < (0.02 if method in ("chain", "bezier") else 1e-4)
    floor = Path(land.floor(2001, dtype=torch.float64))
    assert path.length == pytest.approx(floor.length, rel=0.02)
    u, v = path.pivots.unbind(1)
    assert float((u * v - 1).abs().max()) < 0.2


@pytest.mark.parametrize("method", MOVING)
def test_each_method_follows_a_circle(method):
    path = on_the_circle(method=method)
    assert path.saddle_loss < (0.01 if method in ("chain", "bezier") else 1e-5)  # 0.23 on the chord
    assert path.length == pytest.approx(ANGLE, rel=0.02)
    assert path.straight_length == pytest.approx(2 * math.sin(ANGLE / 2))


@pytest.mark.parametrize("method", METHODS)
def test_a_barrier_that_lies_on_the_floor_stays_and_is_measured(method):
    land = DoubleWell(barrier=0.02, g_wide=4.0, g_narrow=4.0)
    a, b = doubles(0, -1), doubles(0, 1)
    path = connect(land, a, b, method=method, generator=seeded(), batch_size=None, sweeps=200, learning_rate=0.05)
    assert path.barrier == pytest.approx(0.02, rel=0.02)
    if method not in ("chain", "bezier"):  # their few control points slide past the wells, and the curve turns back
        assert path.length == pytest.approx(2, rel=1e-6)
    assert abs(float(path.at(float(path.marks[path.losses.argmax()]))[1])) < 0.1


@pytest.mark.parametrize("method", METHODS)
def test_the_ends_are_those_given_bit_for_bit(method, network, ends):
    path = connect(network, *ends, method=method, generator=seeded(), sweeps=60, pivots=6, points=9)
    assert torch.equal(path.at(0), ends[0])
    assert torch.equal(path.at(1), ends[1])
    assert path.method == method
    assert not path.pivots.requires_grad


# --- what keeps the pivots apart -------------------------------------------------------------------------------


def spacing(path):
    return float(path.lengths.max() / path.lengths.min())


def test_a_string_is_evenly_spaced():
    assert spacing(relaxed_band("string")) < 1.02


def test_springs_space_a_band_evenly_and_without_them_it_is_uneven():
    assert spacing(relaxed_band(Springs(spring_constant=1.0))) < 1.02
    # even points of the chord, moved straight out to the arc, are crowded near its ends
    assert spacing(relaxed_band(Springs(spring_constant=0.0))) > 1.1


def test_the_loss_does_not_pull_the_pivots_of_a_nudged_band_along_it():
    land = DoubleWell(barrier=0.5, g_wide=4.0, g_narrow=4.0)  # whose floor would pull them into the wells
    settings = {"generator": seeded(), "batch_size": None, "sweeps": alone(300), "pivots": 36}
    for snapshot in ee.stream.connect(land, doubles(0, -1), doubles(0, 1), method="neb", **settings):
        if snapshot.done <= 300 and snapshot.result.losses is None:
            assert spacing(snapshot.result) < 1.001


def last_band(land, a, b, **settings):
    """The relaxed pivots of a NEB without noise, before they are spread on a spline."""
    defaults = {"generator": seeded(), "method": "neb", "batch_size": None}
    snapshots = ee.stream.connect(land, a, b, **{**defaults, **settings, "sweeps": alone(settings["sweeps"])})
    return [shot.result.pivots for shot in snapshots if not shot.result.complete][-1]


def test_both_parts_right_keep_the_band_on_the_floor_and_evenly_spaced():
    land = Hyperbola(half_length=1.0)
    pivots = last_band(land, *land.floor(2, dtype=torch.float64), pivots=12, sweeps=1500, learning_rate=0.05)
    assert float((pivots.prod(1) - 1).abs().max()) < 1e-3  # slow only along the band, where the springs act
    assert spacing(Path(pivots)) < 1.01


def test_without_projection_springs_and_loss_balance_in_full_and_cut_the_corner():
    land = Hyperbola(half_length=1.0)
    ends = land.floor(2, dtype=torch.float64)
    pivots = last_band(land, *ends, pivots=12, sweeps=3000, learning_rate=0.05, method=Springs(projection=False))
    pull = pivots[2:] - 2 * pivots[1:-1] + pivots[:-2]
    torch.testing.assert_close(pull, land.gradient_on(pivots[1:-1], None), atol=1e-6, rtol=0)
    assert bool((pivots[1:-1].prod(1) > 1.005).all())  # towards the chord, off the floor at uv = 1


def test_without_projection_pivots_slide_down_to_the_ends():
    land = DoubleWell(barrier=0.5, g_wide=4.0, g_narrow=4.0)
    settings = {"pivots": 12, "sweeps": 1200, "learning_rate": 0.05}
    assert spacing(Path(last_band(land, doubles(0, -1), doubles(0, 1), **settings))) < 1.001
    slid = last_band(land, doubles(0, -1), doubles(0, 1), method=Springs(projection=False), **settings)
    assert spacing(Path(slid)) > 3
    assert float(slid[:, 1].abs().median()) > 0.7  # half of them near the wells; evenly spaced it is 0.5


def test_the_central_tangent_is_the_secant_of_both_neighbours(generator):
    pivots = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    land = Hyperbola()
    force = Springs(spring_constant=2.0, tangent="central").force(Band(land, generator, None, 0.1, 0.0, 10), pivots)
    for i in (1, 2, 3):
        tau = (pivots[i + 1] - pivots[i - 1]) / (pivots[i + 1] - pivots[i - 1]).norm()
        gradient = land.gradient_on(pivots[i], None)
        stretch = (pivots[i + 1] - pivots[i]).norm() - (pivots[i] - pivots[i - 1]).norm()
        torch.testing.assert_close(force[i - 1], 2 * stretch * tau - gradient + (gradient @ tau) * tau)


def test_the_band_begins_at_its_first_guess():
    a, b = on_circle(doubles(0, ANGLE))
    guess = Path(torch.stack([a, -1.5 * (a + b), b]))  # the long way round
    stream = ee.stream.connect(Circle(), a, b, method="string", generator=seeded(), guess=guess)
    assert torch.equal(next(stream).result.pivots, guess.pivots)
    for method in ("string", "neb"):
        path = on_the_circle(method=method, guess=guess, pivots=16)
        assert path.length == pytest.approx(2 * math.pi - ANGLE, rel=0.02)
    bent = on_the_circle(method=ee.methods.Bezier(bends=3), guess=guess)
    assert float(bent.at(0.5) @ (a + b)) < 0  # its control points began on the other side, and it stays there


def test_settings_of_methods_and_guesses_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match='tangent must be "upwind" or "central", got \'left\''):
        Springs(tangent="left")
    with pytest.raises(ValueError, match="A curve needs bends >= 1, got 0"):
        ee.methods.Chain(bends=0)
    a, b = on_circle(doubles(0, ANGLE))
    with pytest.raises(ValueError, match='A first guess has no meaning with method="linear"'):
        on_the_circle(method="linear", guess=Path(torch.stack([a, b])))
    for one, two in ((b, a), (a, 2 * b), (2 * a, b)):
        with pytest.raises(ValueError, match="must begin at the end point a and end at b, bit for bit"):
            on_the_circle(method="neb", guess=Path(torch.stack([one, a + b, two])))


def test_autoneb_inserts_where_the_loss_bulges_the_worst_first():
    path = Path(
        doubles([0, 0], [1, 0], [2, 0], [3, 0]),
        losses=doubles(0, 1, 1, 0),
        losses_between=doubles([0.25, 0.5, 0.75], [1, 1.5, 1], [0.75, 0.8, 0.25]),
    )  # rises of 0, 0.5 and 0.3 above the lines; losses range over 1.5
    assert inserted(path, 9, 0.1).pivots[:, 0].tolist() == [0, 1, 1.5, 2, 2.5, 3]
    assert inserted(path, 9, 0.25).pivots[:, 0].tolist() == [0, 1, 1.5, 2, 3]
    assert inserted(path, 9, 0.4).pivots[:, 0].tolist() == [0, 1, 2, 3]
    assert inserted(path, 5, 0.1).pivots[:, 0].tolist() == [0, 1, 1.5, 2, 3]
    assert inserted(path, 4, 0.1).pivots[:, 0].tolist() == [0, 1, 2, 3]


def test_the_threshold_of_autoneb_decides_how_many_pivots_it_takes():
    def counts(threshold, pivots=30):
        settings = {"generator": seeded(), "batch_size": None, "learning_rate": 0.1, "pivots": pivots}
        ends = on_circle(doubles(0, ANGLE))
        stream = ee.stream.connect(
            Circle(base=0.1), *ends, method=ee.methods.AutoNEB(threshold=threshold), sweeps=alone(400), **settings
        )
        return [len(s.result.pivots) for s in stream if s.done and s.result.losses is None]

    assert set(counts(1e9)) == {5}
    eager = counts(0.01)
    assert eager[0] == 5
    assert eager == sorted(eager)
    assert max(eager) > 10
    assert max(counts(0.01, pivots=8)) == 8


# --- curves ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [2, 3, 5, 8])
def test_weights_of_a_bezier_curve_are_those_of_de_casteljau(number, generator):
    controls = torch.randn(number, 3, generator=generator, dtype=torch.float64)
    where = torch.linspace(0, 1, 21, dtype=torch.float64)
    for t, point in zip(where, bernstein(where, number) @ controls, strict=True):
        rows = controls
        while len(rows) > 1:
            rows = torch.lerp(rows[:-1], rows[1:], t)
        torch.testing.assert_close(point, rows[0])


@pytest.mark.parametrize("number", [2, 3, 6])
def test_weights_of_a_chain_interpolate_its_corners(number, generator):
    corners = torch.randn(number, generator=generator, dtype=torch.float64)
    where = torch.linspace(0, 1, 33, dtype=torch.float64)
    expected = np.interp(where.numpy(), np.linspace(0, 1, number), corners.numpy())
    torch.testing.assert_close(hats(where, number) @ corners, torch.from_numpy(expected))


def test_a_bezier_path_lies_on_a_bezier_curve():
    path = on_the_circle(method=ee.methods.Bezier(bends=1), pivots=20, sweeps=400)
    a, b = path.pivots[[0, -1]]
    control = 2 * path.at(0.5) - 0.5 * (a + b)  # by symmetry t = ½ lies halfway
    t = torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None]
    curve = Path((1 - t) ** 2 * a + 2 * t * (1 - t) * control + t**2 * b)
    # the symmetry holds as far as the places are drawn evenly: they are jittered
    assert float(curve.project(path.pivots).distance.max()) < 0.01
    assert path.saddle_loss < 0.05


# --- randomness ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", MOVING)
def test_the_same_seed_gives_the_same_path_and_another_seed_another(method, network, ends):
    settings = {"method": method, "sweeps": 60, "pivots": 6, "batch_size": 10}
    one, two, other = (connect(network, *ends, generator=seeded(s), **settings) for s in (1, 1, 2))
    assert torch.equal(one.pivots, two.pivots)
    assert torch.equal(one.losses, two.losses)
    assert one.pivots.shape != other.pivots.shape or not torch.equal(one.pivots, other.pivots)


@pytest.mark.parametrize("method", MOVING)
def test_all_pivots_of_a_sweep_see_one_shared_batch(method, network, ends):
    kept, before = ends.clone(), torch.random.get_rng_state()
    connect(network, *ends, method=method, generator=seeded(), sweeps=alone(60), pivots=6, batch_size=10)
    assert network.drawn == [(10, None)] * 60
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(ends, kept)


def test_a_batch_is_capped_at_the_data_and_none_draws_nothing(network, ends):
    settings = {"method": "neb", "sweeps": alone(12), "pivots": 4}
    connect(network, *ends, generator=seeded(), batch_size=4000, **settings)
    assert set(network.drawn) == {(60, None)}
    network.drawn.clear()
    connect(network, *ends, generator=seeded(), batch_size=None, **settings)
    assert network.drawn == []


# --- measuring and refining ------------------------------------------------------------------------------------


def test_measured_losses_are_those_of_the_landscape_at_and_between_the_points(network, ends):
    path = measured(network, Path(ends).resample(40), inner=4)
    assert path.losses.shape == (40,)
    assert path.losses_between.shape == (39, 4)
    for i in (0, 7, 38):
        a, b = path.pivots[i], path.pivots[i + 1]
        assert float(path.losses[i]) == pytest.approx(float(network.loss(a)), rel=1e-12)
        for k in range(4):
            point = a + (k + 1) / 5 * (b - a)
            assert float(path.losses_between[i, k]) == pytest.approx(float(network.loss(point)), rel=1e-12)


def test_the_scallop_of_a_chord_is_the_sagitta_squared_and_falls_as_the_fourth_power():
    scallops = []
    for pieces in (5, 10, 20):
        path = measured(Circle(base=0.3), Path(arc(ANGLE, pieces + 1)))
        sagitta = 1 - math.cos(ANGLE / pieces / 2)
        assert path.scallop == pytest.approx(0.5 * sagitta**2, rel=1e-9)
        assert path.barrier == pytest.approx(path.scallop)
        scallops.append(path.scallop)
    assert scallops[0] / scallops[1] == pytest.approx(16, rel=0.02)
    assert scallops[1] / scallops[2] == pytest.approx(16, rel=0.01)


def bulge(pivots):
    """Highest loss on the spline through even points of the arc; it has none at them."""
    off = Path(arc(ANGLE, pivots)).smooth(400).pivots.norm(dim=1) - 1
    return 0.5 * float(off.abs().max()) ** 2


@pytest.mark.parametrize("method", ["string", "neb", "autoneb"])
def test_refinement_goes_on_until_the_loss_bulges_little_between_pivots_or_twice(method):
    land, settings = Circle(base=0.1), {"method": method, "pivots": 5}
    between = 0.5 * bulge(5) / 0.1  # as a share of the loss at the ends: 5 pivots bulge more than that, 9 less
    shares = (math.inf, between, 0.0)
    paths = [on_the_circle(land, sweeps=ee.Sweeps(300, scallop=share), **settings) for share in shares]
    once, twice = (len(path.pivots) // 4 for path in paths[1:])
    assert 5 < once <= 9 < twice <= 17
    assert paths[1].pivot_scallop < paths[0].pivot_scallop / 3
    # four times the pieces, so their bulges are 4⁴ times as small; but a string lies a little off its floor
    assert paths[2].pivot_scallop < paths[0].pivot_scallop / (5 if method == "string" else 150)


def test_new_pivots_come_only_where_the_loss_bulges_and_sink_to_the_floor():
    kept = [0, 1, 2, 3, 4, 6, 8]  # two long segments at the end
    line, new = Path(arc(ANGLE, 9)[kept]), None
    torch.testing.assert_close(line.bent(3)[::4], line.pivots, rtol=0, atol=0)
    for new in refine(Band(Circle(), seeded(), None, 0.1, 0.9, 100), line, line.lengths > 0.5):
        assert len(new.pivots) == 9
    assert torch.equal(new.pivots[kept], line.pivots)
    torch.testing.assert_close(new.pivots, arc(ANGLE, 9), atol=2e-3, rtol=0)
    assert float(Circle().loss(new.pivots).max()) < 1e-6


# --- when it stops -----------------------------------------------------------------------------------------------


def test_a_road_stops_once_twice_the_sweeps_change_its_middle_little(network, ends):
    settings = {"method": "string", "pivots": 8, "batch_size": 20}
    road, again = (connect(network, *ends, generator=seeded(), sweeps=alone(3200), **settings) for _ in range(2))
    whole = connect(network, *ends, generator=seeded(), sweeps=alone(3200, change=1e-9), **settings)
    assert road.sweeps <= 1600
    assert whole.sweeps == 3200
    assert road.change < 0.15
    assert f"{road.sweeps} sweeps, of which the second half changed the middle's trace by" in road.summary()
    assert torch.equal(road.pivots, again.pivots)
    middle = slice(12, 20)
    probes = {"generator": seeded(), "num_probes": 200}
    found, wanted = (float(network.trace(path.pivots[middle], **probes).value.mean()) for path in (road, whole))
    assert found == pytest.approx(wanted, rel=0.15)


def test_ends_of_high_loss_do_not_stop_a_road_on_the_hill(monkeypatch):
    hill = 0.5 * (1 - math.cos(ANGLE / 2)) ** 2  # of the straight line: far below 5 % of the ends' loss
    settings = {"method": "string", "learning_rate": 1e-3, "sweeps": 2000}
    road = on_the_circle(Circle(base=10.0), **settings)
    assert road.barrier < 1e-3 * hill
    monkeypatch.setattr("entropic_edu.physics.connect._HILL", math.inf)
    early = on_the_circle(Circle(base=10.0), **settings)
    assert early.sweeps < road.sweeps
    assert early.barrier > 2e-3 * hill


def test_a_road_that_still_changes_takes_all_its_sweeps_and_says_so(network, ends):
    settings = {"method": "string", "pivots": 6, "batch_size": None, "generator": seeded(), "learning_rate": 1e-3}
    with pytest.warns(ee.UnconvergedWarning, match=r"not converged: .*more sweeps than 400"):
        road = connect(network, *ends, sweeps=400, **settings)
    assert (road.sweeps, road.converged) == (400, False)
    assert road.change > 0


class Ridge(Circle):
    """A straight floor between walls of curvature 4, on which the third number drifts to 1 and nothing gets steeper."""

    def __init__(self, drift):
        super().__init__()
        self.dim, self.drift = 3, drift

    def loss(self, theta):
        return 2 * theta[..., 1].square() + 0.5 * self.drift * (theta[..., 2] - 1).square()

    def gradient_on(self, theta, batch):
        along, wall, slow = theta.unbind(-1)
        return torch.stack([torch.zeros_like(along), 4 * wall, self.drift * (slow - 1)], -1)

    def draw(self, batch_size, generator, rows=None):
        return batch_size


def test_a_road_goes_on_while_its_middle_sinks_though_no_trace_changes():
    ends = doubles([-1, 0, 0], [1, 0, 0])
    settings = {"method": "string", "pivots": 8, "batch_size": None, "learning_rate": 0.1}
    slow, none = (connect(Ridge(drift), *ends, generator=seeded(), **settings) for drift in (5e-4, 0.0))
    assert none.sweeps == 250  # the first two rounds tell that nothing happens
    assert slow.sweeps == 2000
    assert slow.change == pytest.approx(0, abs=1e-6)


def hastened(pivots, rate=0.002, stiffness=0.0, size=16, halvings=4):
    """Return the learning rate of a band on walls of curvature 4, with m = 0.9."""
    band = Band(Ridge(0.0), seeded(), size, rate, 0.9, 100, halvings=halvings)
    band.hasten(pivots, stiffness)
    return band.learning_rate


def test_steps_on_the_floor_grow_to_half_of_what_batches_and_springs_bear():
    pivots = torch.lerp(doubles(-1, 0.1, 0), doubles(1, 0.1, 0), torch.linspace(0, 1, 9).double()[:, None])
    assert hastened(pivots, 0.01) == pytest.approx(0.1 / 4)  # (1 - m)/s
    assert hastened(pivots) == pytest.approx(4 * 0.002)
    assert hastened(pivots, stiffness=400) == pytest.approx(1.9 / 400)  # (1 + m)/k
    assert hastened(pivots, 0.05) == 0.05  # never shorter than given
    assert hastened(pivots, size=None) == 0.002
    assert hastened(pivots, halvings=3) == 0.002  # it had gone astray


def test_a_nudged_band_that_is_hastened_comes_further_in_as_many_sweeps(monkeypatch):
    ends = doubles([-1, 0, 0], [1, 0, 0])
    settings = {"method": "neb", "pivots": 8, "learning_rate": 0.005, "sweeps": alone(1000, change=1e-9)}
    fast = connect(Ridge(5e-3), *ends, generator=seeded(), **settings)
    monkeypatch.setattr(Band, "hasten", lambda band, pivots, stiffness: None)
    slow = connect(Ridge(5e-3), *ends, generator=seeded(), **settings)
    sunk = [1 - float(road.at(0.5)[2]) for road in (fast, slow)]  # what is left to go
    # ln of it goes with η: as given in the first 125 sweeps, and later four times that
    assert math.log(sunk[0]) / math.log(sunk[1]) == pytest.approx((125 + 4 * 875) / 1000, rel=0.1)


def test_settings_of_sweeps_that_mean_nothing_are_refused():
    for change in (-0.1, math.nan):
        with pytest.raises(ValueError, match="change is a share of the trace, 0 to take all sweeps in one; got"):
            ee.Sweeps(change=change)
        with pytest.raises(ValueError, match=r"scallop is a share of the ends. loss, math.inf for any; got"):
            ee.Sweeps(scallop=change)


def test_a_road_over_a_pass_settles_there():
    land = DoubleWell(barrier=0.02, g_wide=4.0, g_narrow=4.0)  # the barrier stays, and the force across it does not
    road = connect(land, doubles(0, -1), doubles(0, 1), method="neb", generator=seeded(), batch_size=None)
    assert road.converged
    assert road.sweeps < 1000
    assert road.barrier == pytest.approx(0.02, rel=0.02)


def test_points_says_how_many_points_come_back(network, ends):
    settings = {"method": "string", "generator": seeded(), "sweeps": alone(12)}
    assert len(connect(network, *ends, pivots=6, **settings).pivots) == 24
    assert len(connect(network, *ends, pivots=6, points=11, **settings).pivots) == 11
    assert len(connect(network, *ends, method="linear", generator=seeded(), points=13).pivots) == 13


# --- alignment -------------------------------------------------------------------------------------------------


def permuted(theta, order):
    """The same network (4-12-2) with its hidden units in another order, written out by hand."""
    first, bias, last, end = theta.split([48, 12, 24, 2])
    return torch.cat([first.view(12, 4)[order].flatten(), bias[order], last.view(2, 12)[:, order].flatten(), end])


def test_alignment_takes_the_barrier_away_between_a_network_and_its_own_permuted_copy(network, ends, generator):
    a = ends[0]
    copy = permuted(a, torch.randperm(12, generator=generator))
    torch.testing.assert_close(network.loss(copy), network.loss(a), rtol=1e-12, atol=0)
    copy = copy + 1e-3 * torch.randn(a.shape, generator=generator, dtype=a.dtype)  # so that the two stay two
    apart = connect(network, a, copy, method="linear", generator=seeded())
    moved = ee.align(network, a, copy, generator=seeded()).theta
    aligned = connect(network, a, moved, method="linear", generator=seeded())
    assert apart.barrier > 0.1
    assert aligned.barrier < 1e-4
    assert aligned.length < 0.02
    torch.testing.assert_close(network.loss(aligned.at(1)), network.loss(copy), rtol=1e-12, atol=0)


# --- bad input and Ctrl-C --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_ends_and_settings_that_make_no_road_are_refused(method):
    a, b = on_circle(doubles(0, ANGLE))
    nan = doubles(math.nan, 1)
    for one, two, words in (
        (a, doubles(1, 2, 3), r"end point b must have shape \(2,\).*got \(3,\); was it trained on another model"),
        (a[None], b, r"end point a must have shape \(2,\).*got \(1, 2\)"),
        (a, a.clone(), "two end points are equal; a path needs two minima"),
        (nan, b, "end point a is not finite"),
        (a, nan, "end point b is not finite; train it again"),
    ):
        with pytest.raises(ValueError, match=words):
            connect(Circle(), one, two, method=method, generator=seeded())


@pytest.mark.parametrize(("method", "number"), [("linear", 4), ("string", 4), ("chain", 16), ("bezier", 16)])
@pytest.mark.parametrize("points", [None, 13])
@pytest.mark.filterwarnings("ignore::entropic_edu.UnconvergedWarning")
def test_a_road_has_the_points_that_were_asked_for_or_some_for_each_pivot(method, number, points):
    whole = ee.Sweeps(8, change=0, scallop=math.inf)  # no pivot is added
    road = on_the_circle(method=method, pivots=6, sweeps=whole, points=points)
    assert len(road.pivots) == (points or 6 * number)


def test_snapshots_count_the_sweeps_up_to_the_last(generator):
    ends, settings = on_circle(doubles(0.2, 2.6)), {"method": "string", "pivots": 8, "sweeps": 60, "batch_size": None}
    stream = ee.stream.connect(Circle(), *ends, generator=generator, learning_rate=0.02, **settings)
    done = [(each.done, each.total) for each in stream]
    assert done[0] == (0, 60)
    assert all(a <= b for (a, _), (b, _) in itertools.pairwise(done))
    assert all(0 <= number <= total for number, total in done)
    assert done[-1][0] == done[-1][1]


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"one of linear, chain, bezier, string, neb, autoneb, or .*got 'spline'"):
        on_the_circle(method="spline")
    for name, least in (("pivots", 4), ("sweeps", 4), ("points", 2), ("batch_size", 1)):
        with pytest.raises(ValueError, match=f"{name} must be a whole number, at least {least}; got {least - 1}"):
            on_the_circle(**{name: least - 1})
    with pytest.raises(ValueError, match="must be positive and finite, got -1"):
        on_the_circle(learning_rate=-1.0)


class Plain(Circle):
    """A valley along y = x² in a plain of height 1: who is thrown out of it stays there.

    Its floor is curved by 1 + 4x², at most 5, and between its ends at x = ±1 the straight line has a hill of 0.39.
    """

    def above(self, theta):
        return theta[..., 1] - theta[..., 0] ** 2

    def loss(self, theta):
        return 1 - torch.exp(-0.5 * self.above(theta) ** 2)

    def gradient_on(self, theta, batch):
        above = self.above(theta)
        slope = above * torch.exp(-0.5 * above**2)
        return slope[..., None] * torch.stack([-2 * theta[..., 0], torch.ones_like(above)], -1)


@pytest.mark.parametrize("method", ["string", "neb", "autoneb"])
@pytest.mark.parametrize("learning_rate", [0.3, 1.2])
def test_a_band_that_goes_astray_begins_again_with_half_the_learning_rate(learning_rate, method):
    # heavy ball at 0.9 is stable below 3.8 over the curvature, 0.76
    settings = {"generator": seeded(), "batch_size": None, "pivots": 12, "sweeps": 800}
    ends = doubles(-1, 1), doubles(1, 1)
    road = connect(Plain(), *ends, method=method, learning_rate=learning_rate, **settings)
    assert road.barrier < 1e-3
    length = math.sqrt(5) + math.asinh(2) / 2  # of the parabola
    assert road.length == pytest.approx(length, rel=0.02)


DIVERGES = "string"


@pytest.mark.parametrize("method", ["chain", "bezier", DIVERGES, "neb", "autoneb"])
def test_a_band_that_diverges_says_so(method):
    with pytest.raises(ee.DivergenceError, match=r"diverged by step \d+: loss .*learning_rate \* lambda_max = "):
        on_the_circle(Hyperbola(), method=method, learning_rate=50.0, sweeps=200)


@pytest.mark.parametrize("method", MOVING)
def test_ctrl_c_returns_the_road_so_far_marked_incomplete(method):
    def ctrl_c(snapshot):
        if snapshot.done >= 100:
            raise KeyboardInterrupt

    path = on_the_circle(method=method, progress=ctrl_c)
    assert not path.complete
    assert "(stopped early)" in path.summary()
    assert torch.equal(path.pivots[[0, -1]], on_circle(doubles(0, ANGLE)))
    assert path.length > path.straight_length * 1.01


def test_ctrl_c_before_the_straight_line_is_measured_marks_it_incomplete():
    def ctrl_c(snapshot):
        raise KeyboardInterrupt

    path = on_the_circle(method="linear", progress=ctrl_c)
    assert path.losses is None
    assert not path.complete


@pytest.mark.parametrize("method", ["string", "neb", "bezier"])
def test_snapshots_count_the_sweeps_and_only_the_last_is_complete(method, network, ends):
    settings = {"method": method, "generator": seeded(), "sweeps": alone(150), "pivots": 6, "batch_size": 10}
    snapshots = list(ee.stream.connect(network, *ends, **settings))
    assert [s.done for s in snapshots] == [0, 25, 50, 75, 100, 125, 150, 150]
    assert [s.result.complete for s in snapshots] == [False] * 7 + [True]
    assert snapshots[-1].result.summary() == snapshots[-1].note


# --- real data -------------------------------------------------------------------------------------------------


def test_between_two_networks_for_the_digits_a_low_road_goes_round_a_high_barrier():
    land = ee.Network(ee.models.mlp(64, 64, 64, 10), *ee.data.digits().train, weight_decay=5e-4)
    a, b = ee.train(land, generator=seeded(), runs=2, epochs=60).theta
    straight = connect(land, a, b, method="linear", generator=seeded())
    settings = {"sweeps": alone(450), "batch_size": 256, "pivots": 10}
    road = connect(land, a, b, method="string", generator=seeded(), **settings)
    assert straight.barrier >= 0.3
    assert road.barrier < straight.barrier / 10
    assert road.length > straight.length


# --- whether it has converged --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", MOVING)
def test_what_is_left_across_a_band_falls_with_the_sweeps_and_says_so(method):
    settings = {"method": method, "points": 10}
    with pytest.warns(ee.UnconvergedWarning, match=r"not converged: the force across it is 0\.\d+ .* more sweeps"):
        early = on_the_circle(sweeps=ee.Sweeps(6, scallop=0), **settings)
    late = on_the_circle(sweeps=ee.Sweeps(900, scallop=0), **settings)
    assert early.residual > 0.05 > 0.03 > late.residual
    assert (early.converged, late.converged) == (False, True)
    assert "not converged" in early.summary()
    assert "not converged" not in late.summary()
    assert "not converged" in early.plot().get_title(loc="left")
    assert "not converged" not in late.plot().get_title(loc="left")


def test_the_residual_is_the_largest_force_across_over_the_largest_slope():
    land = Circle()
    settings = {"method": "string", "pivots": 9, "points": 9, "sweeps": alone(60)}
    road = on_the_circle(**settings)
    last = [s.result for s in ee.stream.connect(
        land, *on_circle(doubles(0, ANGLE)), generator=seeded(), batch_size=None, learning_rate=0.1,
        **settings)][-2].pivots  # fmt: skip
    slope = torch.func.vmap(torch.func.grad(land.loss))
    along = tangents(last, land.loss(last))
    across = slope(last)[1:-1] - (slope(last)[1:-1] * along).sum(1, keepdim=True) * along
    line = torch.lerp(last[0], last[-1], torch.linspace(0, 1, len(last), dtype=torch.float64)[:, None])
    largest = torch.cat([slope(last), slope(line)]).norm(dim=1).max()
    assert road.residual == pytest.approx(float(across.norm(dim=1).max() / largest), rel=1e-6)


def test_a_road_without_a_barrier_counts_as_converged_whatever_noise_is_left(network):
    ends = [network.initial(seeded()), None]
    ends[1] = ends[0] + 1e-3
    road = connect(network, *ends, method="string", sweeps=20, pivots=4, batch_size=5, generator=seeded())
    assert road.residual > 0.03
    assert road.converged


def test_a_path_that_nothing_relaxed_says_nothing_of_convergence(network):
    for path in (ee.Path(torch.eye(2)), on_the_circle(method="linear")):
        assert (path.residual, path.converged) == (None, None)
        assert "converged" not in path.summary()


def test_whether_it_has_converged_is_kept_in_files_and_forgotten_by_other_points(tmp_path):
    road = on_the_circle(method="string", points=10)
    road.save(tmp_path / "road.safetensors")
    assert ee.Path.load(tmp_path / "road.safetensors").residual == road.residual
    assert road.smooth(20).converged is None


# --- how a band is driven ------------------------------------------------------------------------------------------


class Watched(String):
    """A string that notes, at each sweep, how many pivots there are, their spacing, and the sweeps of the round."""

    def __init__(self):
        self.pivots, self.spacings, self.rounds = [], [], []

    def force(self, band, pivots):
        self.pivots.append(len(pivots))
        self.spacings.append(spacing(Path(pivots)))
        if band.swept == 0:
            self.rounds.append(band.sweeps)
        return super().force(band, pivots)


@pytest.mark.parametrize(
    ("sweeps", "rounds"),
    [(15, [5] * 3), (14, [5, 9]), (40, [5, 5, 10, 20]), (90, [5, 5, 10, 20, 50]), (96, [6, 6, 12, 24, 48])],
)
def test_each_round_is_as_long_as_all_before_it_and_the_last_takes_what_is_left(sweeps, rounds, monkeypatch):
    monkeypatch.setattr("entropic_edu.physics.connect._FIRST", 5)
    way, ends = Watched(), (doubles(-1, 0, 0), doubles(1, 0, 0))
    settings = {"generator": seeded(), "batch_size": None, "pivots": 4, "learning_rate": 0.01}
    connect(Ridge(1e-3), *ends, method=way, sweeps=alone(sweeps, change=1e-12), **settings)
    assert way.rounds == rounds
    at_once = connect(Ridge(1e-3), *ends, method=(way := Watched()), sweeps=alone(sweeps, change=0), **settings)
    assert (way.rounds, at_once.sweeps, at_once.change) == ([sweeps], 3 * (sweeps // 3), None)


@pytest.mark.parametrize(("pivots", "thirds"), [(15, (5, 10, 15)), (7, (4, 4, 7)), (4, (4, 4, 4))])
def test_a_string_grows_by_thirds_from_four_pivots_at_least(pivots, thirds):
    way = Watched()
    on_the_circle(method=way, pivots=pivots, sweeps=alone(60, change=0), learning_rate=0.3)
    assert way.pivots == [number for number in thirds for _ in range(20)]


def test_a_string_is_spread_anew_every_fifth_sweep():
    uneven = Watched()
    ends = Path(doubles([-1, 0, 0], [-0.9, 0, 0], [0.5, 0, 0], [1, 0, 0], [1.1, 0, 0]))
    for _ in uneven.relax(Band(Ridge(0.0), seeded(), None, 0.01, 0.0, 7), ends, 7):
        pass
    assert [each > 1.01 for each in uneven.spacings] == [True] * 5 + [False] * 2


@pytest.mark.parametrize(("pivots", "counts"), [(99, [5, 9, 17, 33]), (12, [5, 9, 12, 12]), (4, [4] * 4)])
def test_autoneb_inserts_between_its_four_cycles(pivots, counts):
    settings = {"method": ee.methods.AutoNEB(threshold=0.0), "sweeps": alone(100, change=0), "pivots": pivots}
    ends = on_circle(doubles(0, ANGLE))
    stream = ee.stream.connect(Circle(), *ends, generator=seeded(), batch_size=None, learning_rate=0.01, **settings)
    seen = [(each.done, len(each.result.pivots)) for each in stream]
    assert seen[1:-1] == list(zip((25, 50, 75, 100), counts, strict=True))


def test_an_insertion_needs_a_rise_above_the_threshold_and_room():
    path = Path(doubles([0, 0], [1, 0], [2, 0], [3, 0]), 8 + doubles(0, 2, 2, 0), 8 + doubles([1.0], [2.5], [1.25]))
    for most, threshold, inserted_at in ((9, 0.19, [1.5]), (9, 0.0, [1.5, 2.5]), (5, 0.0, [1.5]), (3, 0.0, [])):
        found = inserted(path, most, threshold).pivots[:, 0].tolist()
        assert found == sorted([0, 1, 2, 3, *inserted_at])
    even = Path(path.pivots, doubles(0, 2, 2, 0), doubles([1.0], [2.5], [1.0]))  # a rise of exactly a fifth of 2.5
    assert len(inserted(even, 9, 0.2).pivots) == 4
    assert len(inserted(even, 9, 0.199).pivots) == 5


def test_the_learning_rate_stays_for_half_the_sweeps_and_falls_to_zero_by_a_cosine():
    band = Band(Circle(), seeded(), None, 0.1, 0.0, 100)
    assert band.swept == 0
    scales = []
    for band.swept in (0, 25, 50, 75, 100):
        scales.append(band.scale())
    assert scales == pytest.approx([1, 1, 1, 0.5, 0])


class Steps:
    """What backs_off asks of a stepper: whether its steps have diverged."""

    def __init__(self, diverged):
        self.diverged = diverged

    def check(self, land, step):
        if self.diverged:
            raise ee.DivergenceError("the steps diverged")


@pytest.mark.parametrize("halvings", [4, 1, 0])
@pytest.mark.parametrize(("diverged", "look", "height", "astray"), [
    (False, True, 0.0, False), (False, True, 1e-6, True), (False, False, 1e-6, False), (True, False, 0.0, True),
])  # fmt: skip
def test_a_band_backs_off_where_steps_diverge_or_a_look_finds_it_higher_than_at_first(
    diverged, look, height, astray, halvings
):
    pivots = arc(ANGLE, 6)
    band = Band(Circle(base=1.0 + height), seeded(), None, 0.1, 0.0, 100, highest=1.0, halvings=halvings)
    if diverged and not halvings:
        with pytest.raises(ee.DivergenceError):
            band.backs_off(Steps(diverged), pivots, look=look)
        return
    backs = astray and halvings > 0
    assert band.backs_off(Steps(diverged), pivots, look=look) == backs
    assert (band.learning_rate, band.halvings) == ((0.05, halvings - 1) if backs else (0.1, halvings))


class Steep(Circle):
    """Walls of curvature c at x = 1, where a batch c also says how steep all is: ½ c w(y) x², w flat by steps."""

    def draw(self, batch_size, generator, rows=None):
        return self.batches.pop()

    def gradient_on(self, theta, batch):
        x, y = theta.unbind(-1)
        return torch.stack([batch * self.steepness[y.round().long()] * x, torch.zeros_like(y)], -1)


@pytest.mark.parametrize("unit", [1.0, 2.0**-8])
@pytest.mark.parametrize("sharpest", [1, 2, 3])
def test_the_sharpest_inner_pivot_says_how_long_steps_may_be_and_steep_batches_weigh_more(sharpest, unit):
    land = Steep()
    land.batches, land.steepness = [1.0, 2.0, 3.0, 4.0], unit * doubles(900, 1, 1, 1, 900)  # the ends do not move
    land.steepness[sharpest] = 10.0 * unit
    pivots = torch.stack([torch.ones(5, dtype=torch.float64), torch.arange(5.0, dtype=torch.float64)], 1)
    band = Band(land, seeded(), 16, 1e-3 / unit, 0.5, 100)
    band.hasten(pivots, 0.0)
    assert land.batches == []
    sharpness = unit * 10 * (1 + 8 + 27 + 64) / (1 + 4 + 9 + 16)  # mean gHg over mean g², g going as the batch's c
    assert band.learning_rate == pytest.approx(min(4e-3 / unit, 0.5 / sharpness))
    land.batches, band.given = [1.0, 2.0, 3.0, 4.0], 0.01 / unit
    band.hasten(pivots, 0.0)
    assert band.learning_rate == pytest.approx(0.5 / sharpness, rel=1e-6)


def test_springs_bear_what_four_times_their_constant_leaves():
    pivots = torch.lerp(doubles(-1, 0.1, 0), doubles(1, 0.1, 0), torch.linspace(0, 1, 9).double()[:, None])
    band = Band(Ridge(0.0), seeded(), 16, 0.002, 0.9, 100)
    Springs(spring_constant=100.0).hasten(band, pivots)
    assert band.learning_rate == pytest.approx(1.9 / 400)


def test_on_a_flat_floor_no_force_is_left():
    band = Band(Ridge(0.0), seeded(), None, 0.1, 0.0, 100)
    flat = torch.lerp(doubles(-1, 0, 0), doubles(1, 0, 0), torch.linspace(0, 1, 9).double()[:, None])
    assert band.settle(flat) == band.residual == 0


def test_places_of_a_curve_lie_one_in_each_stratum_and_move():
    places, numbers = [], set()

    def noted(where, number):
        places.append(where)
        numbers.add(number)
        return hats(where, number)

    class Noted(ee.methods.Chain):
        basis = noted

    on_the_circle(method=Noted(bends=2), pivots=8, sweeps=4)
    assert numbers == {4}  # the bends and both ends
    torch.testing.assert_close(
        places[-1], (torch.arange(8, dtype=torch.float64) + 0.5) / 8
    )  # where forces are measured
    drawn = torch.stack([each for each in places if len(each) == 8][:4])
    assert torch.equal((8 * drawn).floor(), torch.arange(8.0, dtype=torch.float64).expand(4, -1))
    assert float((drawn[0] - drawn[1]).abs().max()) > 0.01


def test_slopes_are_shared_out_by_weights_and_hardly_where_there_are_none():
    weights = doubles([1, 0, 0, 0], [0.5, 0.25, 0.25, 0], [0, 0.75, 0.25, 0], [0, 0, 1e-5, 1])
    slopes = doubles([1, 2], [3, 4], [5, 6], [7, 8])
    inner = weights[:, 1:3]
    torch.testing.assert_close(_shared(weights, slopes), (inner.T @ slopes) / inner.sum(0)[:, None])
    weights[1:3, 2] = 0
    torch.testing.assert_close(_shared(weights, slopes)[1], 1e-5 * slopes[3] / 1e-3)


def test_new_pivots_take_an_eighth_of_the_sweeps_and_at_least_fifty_at_most_twice(network, ends):
    for sweeps, more in ((480, 60), (60, 50)):
        network.drawn.clear()
        wanted = ee.Sweeps(sweeps, change=0, scallop=0.0)
        settings = {"method": "string", "pivots": 4, "batch_size": 10, "sweeps": wanted, "generator": seeded()}
        shots = [(each.done, each.total) for each in ee.stream.connect(network, *ends, **settings)]
        assert len(network.drawn) == sweeps + 2 * more
        refining = 2 * math.ceil(more / 25)  # one after every 25 sweeps and at the end, twice
        assert [each for each in shots if each[1] != sweeps] == [(sweeps, sweeps + 1)] * refining
        assert shots[-1] == (sweeps, sweeps)


def test_a_straight_line_is_one_step():
    stream = ee.stream.connect(Circle(), *on_circle(doubles(0, ANGLE)), method="linear", generator=seeded())
    assert [(each.done, each.total, each.result.complete) for each in stream] == [(0, 1, False), (1, 1, True)]


def test_a_road_that_sags_everywhere_has_no_scallop():
    land = DoubleWell(barrier=0.02, g_wide=4.0, g_narrow=4.0)  # around its minimum at y = 1
    settings = {"generator": seeded(), "batch_size": None, "learning_rate": 0.05, "sweeps": alone(40, change=0)}
    road = connect(land, doubles(0, 0.8), doubles(0, 1.2), method="string", pivots=6, **settings)
    assert road.scallop == road.pivot_scallop == 0


def test_a_look_at_a_band_takes_as_much_data_as_four_batches_evenly(network):
    few = _few(network, 10)
    assert torch.equal(few.x, network.x[torch.linspace(0, 59, 40).long()])
    for land, size in ((network, 15), (network, None), (Circle(), 4), (Circle(), None)):
        assert _few(land, size) is land


@pytest.mark.parametrize(("number", "at"), [(9, [3, 4, 5]), (8, [2, 4, 5]), (4, [1, 2, 2])])
def test_the_middle_of_a_band_is_its_middle_third(number, at):
    assert _middle(torch.arange(number)).tolist() == at


def test_how_curved_a_middle_is_does_not_count_weight_decay_and_is_its_data_loss_without_a_hessian(network, ends):
    class Rough(Circle):
        def hessian_vector_product(self, theta, vector, *, weight_decay=True):
            raise RuntimeError("no second derivative")

    wide = on_circle(doubles(0, 1, 2)) * 2
    assert _curvature(Circle(), wide) == pytest.approx(1.5)  # 1 across, (r - 1)/r along
    assert _curvature(Rough(base=0.25), wide) == pytest.approx(0.75)
    same = ee.Network(network.model, network.x, network.y, weight_decay=0.0)
    assert _curvature(network, ends) == pytest.approx(_curvature(same, ends))


def test_settings_of_a_method_are_given_by_name():
    for kind in (Springs, ee.methods.AutoNEB, ee.methods.Bezier):
        with pytest.raises(TypeError, match="positional"):
            kind(1.0)


def test_where_nothing_is_steep_steps_stay_as_they_are():
    flat = torch.lerp(doubles(-1, 0, 0), doubles(1, 0, 0), torch.linspace(0, 1, 9).double()[:, None])
    band = Band(Ridge(0.0), seeded(), 16, 0.002, 0.9, 100)
    band.hasten(flat, 0.0)
    assert band.learning_rate == 0.002


def test_while_a_band_relaxes_its_barrier_is_counted_from_the_higher_end():
    land, way = ee.valleys.Waist(g_narrow=2.0), torch.linspace(0, 1, 5)[:, None]
    up = torch.lerp(torch.tensor([[0.0, -0.8]]), torch.tensor([[0.8, 0.8]]), way)
    assert _barrier(land, up) == _barrier(land, up.flip(0)) == 0
    over = torch.cat([up, torch.tensor([[0.0, 0.8]])])
    assert _barrier(land, over) == _barrier(land, over.flip(0)) == pytest.approx(float(land.loss(over).max()))


# --- laws of any road -----------------------------------------------------------------------------------------------


class InUnits(Circle):
    """The circle with its loss in other units, whose batches are all the data."""

    unit = 1.0

    def draw(self, batch_size, generator, rows=None):
        return batch_size

    def loss(self, theta):
        return self.unit * super().loss(theta)

    def gradient_on(self, theta, batch):
        return self.unit * super().gradient_on(theta, batch)


@pytest.mark.parametrize("method", ["string", "neb", "chain"])
def test_in_other_units_of_the_loss_a_road_is_the_same_to_the_bit(method):
    def road(unit):
        land = InUnits(base=0.25)
        land.unit = unit
        way = Springs(spring_constant=unit) if method == "neb" else method
        return on_the_circle(land, method=way, learning_rate=0.05 / unit, sweeps=500, batch_size=16)

    one, other = road(1.0), road(2.0**-12)
    assert torch.equal(one.pivots, other.pivots)
    for name in ("sweeps", "change", "residual", "converged"):
        assert getattr(one, name) == getattr(other, name), name
    for name in ("barrier", "saddle_loss", "scallop"):
        assert getattr(one, name) == 2**12 * getattr(other, name), name


@pytest.mark.parametrize("radius", [0.9, 1.1, 4.0])
def test_forces_are_counted_in_units_of_the_steepest_slope_on_the_band_or_on_the_line(radius, generator):
    land = Circle()
    pivots = arc(ANGLE, 7) * (radius + 0.1 * torch.rand(7, 1, generator=generator, dtype=torch.float64))
    pivots[[0, -1]] = on_circle(doubles(0, ANGLE))
    line = torch.lerp(pivots[0], pivots[-1], torch.linspace(0, 1, 7, dtype=torch.float64)[:, None])
    slope, along = land.gradient_on(pivots, None), tangents(pivots, land.loss(pivots))
    force = slope[1:-1] - (slope[1:-1] * along).sum(1, keepdim=True) * along
    steepest = max(float(each.norm()) for each in torch.cat([slope, land.gradient_on(line, None)]))
    wanted = max(float(each.norm()) for each in force) / steepest
    band = Band(land, seeded(), None, 0.1, 0.9, 100)
    assert band.settle(pivots) == band.residual == pytest.approx(wanted)
    assert band.settle(pivots, lambda force: 0.5 * force[:1]) == pytest.approx(0.5 * float(force[0].norm()) / steepest)


def test_of_new_pivots_only_what_lies_across_moves_by_the_step_rule_and_all_sweeps_are_counted(generator):
    land, road = Hyperbola(), Path(torch.randn(6, 2, generator=generator, dtype=torch.float64))
    bulging = torch.tensor([True, False, True, True, False])
    begin = road.bent(1)[1::2][bulging]
    along = road.pivots.diff(dim=0)[bulging] / road.lengths[bulging, None]
    slope = land.gradient_on(begin, None)
    (one,) = refine(Band(land, seeded(), None, 0.01, 0.9, 1), road, bulging)
    moved = begin - 0.01 * (slope - (slope * along).sum(1, keepdim=True) * along)
    torch.testing.assert_close(one.pivots[[1, 4, 6]], moved)
    assert torch.equal(one.pivots[[0, 2, 3, 5, 7, 8]], road.pivots)
    band = Band(land, seeded(), None, 1e-3, 0.5, 60)
    counted = []
    for latest in refine(band, road, bulging):
        counted.append(band.swept)
        assert float(((latest.pivots[[1, 4, 6]] - begin) * along).sum(1).abs().max()) < 1e-12
    assert counted == [25, 50, 60]


def test_each_refinement_begins_with_whole_steps_which_fall_to_zero(monkeypatch):
    asked, scale = [], Band.scale

    def noted(band):
        asked.append((band.swept, band.sweeps, band.learning_rate))
        return scale(band)

    monkeypatch.setattr(Band, "scale", noted)
    on_the_circle(Circle(base=0.1), method="string", pivots=5, sweeps=ee.Sweeps(60, change=0, scallop=0.0))
    assert asked[60:] == [(swept, 50, 0.1) for swept in range(50)] * 2


@pytest.mark.parametrize("share", [0.95, 1.05])
def test_a_road_rests_where_a_round_changes_its_objective_by_a_third_of_the_change_that_is_allowed(share):
    ends, drift = doubles([-1, 0, 0], [1, 0, 0]), 2e-4
    settings = {"method": "string", "pivots": 8, "batch_size": None, "learning_rate": 0.1}
    stream = ee.stream.connect(Ridge(drift), *ends, generator=seeded(), sweeps=alone(250, change=1e-9), **settings)
    shots = {each.done: each.result.pivots for each in stream if each.result.losses is None}
    before, after = (
        float(Ridge(drift).loss(_middle(shots[max(done for done in shots if done <= end)])).mean())
        for end in (125, 250)
    )
    change = 3 * share * (before / after - 1)
    road = connect(Ridge(drift), *ends, generator=seeded(), sweeps=alone(2000, change=change), **settings)
    assert (road.sweeps == 250) == (share > 1)


def test_where_the_ends_lie_at_next_to_no_loss_a_road_rests_within_what_counts_as_no_barrier():
    road = on_the_circle(Circle(base=1e-3), method="string", sweeps=2000, learning_rate=0.01)
    assert road.sweeps < 2000
    assert road.barrier < 0.05 * 1e-3


@pytest.mark.parametrize("by", ["_SMALL", "_LOW"])
def test_a_force_or_a_barrier_at_its_bound_is_small_enough(by, monkeypatch):
    land, settings = Circle(base=1.0), {"method": "string", "points": 10, "sweeps": alone(6, change=0)}
    monkeypatch.setattr("entropic_edu.physics.connect._SMALL", 0.0)
    monkeypatch.setattr("entropic_edu.physics.connect._LOW", 0.0)
    with pytest.warns(ee.UnconvergedWarning):
        early = on_the_circle(land, **settings)
    bound = early.residual if by == "_SMALL" else early.barrier  # in units of the loss at the ends, which is 1
    monkeypatch.setattr(f"entropic_edu.physics.connect.{by}", bound)
    assert on_the_circle(land, **settings).converged


@pytest.mark.parametrize("share", [0.04, 0.06, 0.8])
@pytest.mark.filterwarnings("ignore::entropic_edu.UnconvergedWarning")
def test_a_barrier_of_less_than_a_twentieth_of_the_ends_loss_is_none_to_speak_of(share):
    settings = {"method": "string", "points": 10, "sweeps": alone(6, change=0)}
    barrier = on_the_circle(**settings).barrier
    road = on_the_circle(Circle(base=barrier / share), **settings)
    assert road.barrier == pytest.approx(barrier)
    assert road.converged == (share < 0.05)


@pytest.mark.parametrize("matches", [False, True])
def test_norms_are_matched_at_last_where_that_is_asked_for(matches, generator):
    x = torch.randn(30, 5, generator=generator, dtype=torch.float64)
    land = ee.Network(ee.models.mlp(5, 8, 3, norm="layer").double(), x, torch.arange(30) % 3)
    ends = [land.initial(generator) for _ in range(2)]
    line = Path(torch.stack(ends), landscape=land.signature).resample(9)
    road = connect(land, *ends, method="linear", points=9, generator=seeded(), match_norms=matches)
    matched = line.match_norms(land).pivots
    assert torch.equal(road.pivots, matched if matches else line.pivots)
    assert not torch.equal(matched, line.pivots)


@pytest.mark.parametrize("phase", [0.0, 0.7, 2.0, 4.0])
def test_the_rise_between_two_pivots_is_the_largest_at_three_points_of_the_spline(phase):
    class Wave(Circle):
        def loss(self, theta):
            return 3 * theta[..., 0] + (7 * theta[..., 0] + phase).sin()

    land, x = Wave(), torch.arange(6, dtype=torch.float64)  # a straight road, whose spline is straight too
    height = {share: land.loss(torch.stack([x[:-1] + share, 0 * x[:-1]], 1)) for share in (0, 0.25, 0.5, 0.75, 1)}
    rises = [height[share] - torch.lerp(height[0], height[1], share) for share in (0.25, 0.5, 0.75)]
    found = _scallops_of(land, Path(torch.stack([x, 0 * x], 1)))
    torch.testing.assert_close(found, torch.stack(rises).max(0).values)


def test_steps_grow_by_the_same_rule_where_one_pivot_is_more_than_a_block():
    class Wide(Ridge):
        def gradient_on(self, theta, batch):
            return torch.cat([super().gradient_on(theta[..., :3], batch), torch.zeros_like(theta[..., 3:])], -1)

    few = torch.lerp(doubles(-1, 0.1, 0), doubles(1, 0.1, 0), torch.linspace(0, 1, 4).double()[:, None])
    band = Band(Wide(0.0), seeded(), 16, 0.01, 0.9, 100)
    band.hasten(torch.cat([few, few.new_zeros(4, 2**20)], 1), 0.0)
    assert band.learning_rate == pytest.approx(hastened(few, 0.01))
