import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from oracles import Circle, arc, nearest_on_polyline, on_circle
from scipy.interpolate import CubicSpline
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

import entropic_edu as ee
from entropic_edu import Path, connect
from entropic_edu.physics.path import evenly, measured, on, scallops


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture
def road(generator):
    """A random polyline of 9 pivots in 6 dimensions, with segments of very different length."""
    steps = torch.randn(9, 6, generator=generator, dtype=torch.float64)
    return Path((steps * torch.logspace(-2, 1, 9, dtype=torch.float64)[:, None]).cumsum(0))


# --- points and positions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_ends_are_the_first_and_last_pivot_bit_for_bit(dtype, generator):
    for _ in range(50):
        path = Path(torch.randn(4, 3, generator=generator, dtype=dtype))
        ends = path.at(torch.tensor([0.0, 1.0]))
        for at_0, at_1 in ((path.at(0), path.at(1)), (path.at(0.0), path.at(1.0)), tuple(ends)):
            assert torch.equal(at_0, path.pivots[0])
            assert torch.equal(at_1, path.pivots[-1])


def test_a_position_is_a_share_of_the_arc_length(road):
    gaps = np.linalg.norm(np.diff(road.pivots.numpy(), axis=0), axis=1)
    passed = np.concatenate([[0], np.cumsum(gaps)])
    where = np.linspace(0, 1, 101)
    expected = [np.interp(where * passed[-1], passed, road.pivots[:, d].numpy()) for d in range(6)]
    torch.testing.assert_close(road.at(torch.from_numpy(where)), torch.from_numpy(np.stack(expected, 1)))
    assert road.length == pytest.approx(passed[-1])
    torch.testing.assert_close(road.marks, torch.from_numpy(passed / passed[-1]))


def test_the_pivots_lie_at_their_marks(road):
    torch.testing.assert_close(road.at(road.marks), road.pivots, rtol=1e-12, atol=1e-12)


def test_one_position_gives_one_point_and_many_give_many(road):
    assert road.at(0.3).shape == road.tangent(0.3).shape == (6,)
    assert road.at(torch.rand(7)).shape == road.tangent(torch.rand(7)).shape == (7, 6)
    torch.testing.assert_close(road.at(doubles(0.2, 0.3))[1], road.at(0.3))


def test_the_tangent_is_the_unit_vector_of_the_way_ahead(road, generator):
    where = 0.998 * torch.rand(200, generator=generator, dtype=torch.float64) + 0.001
    tangent = road.tangent(where)
    torch.testing.assert_close(tangent.norm(dim=1), torch.ones(200, dtype=torch.float64))
    step = 1e-7  # a share of the length; a pivot lies between two such points in a few cases in a million
    ahead = (road.at(where + step) - road.at(where)) / (step * road.length)
    torch.testing.assert_close(tangent, ahead, rtol=0, atol=1e-6)
    for end, segment in ((0, 0), (1, -1)):
        secant = road.pivots[segment + 1 if segment == 0 else -1] - road.pivots[0 if segment == 0 else -2]
        torch.testing.assert_close(road.tangent(end), secant / secant.norm())


# --- projection ------------------------------------------------------------------------------------------------


def test_a_point_of_the_path_projects_onto_itself(road):
    where = torch.linspace(0, 1, 301, dtype=torch.float64)
    found = road.project(road.at(where))
    # the road of random steps does not cross itself; round-off of a few lengths of 10
    torch.testing.assert_close(found.position, where, rtol=0, atol=1e-12)
    assert float(found.distance.max()) < 1e-12


@pytest.mark.parametrize("pivots", [2, 3, 12, 40])
@pytest.mark.parametrize("dim", [2, 5])
def test_projection_is_that_of_a_search_through_all_segments(pivots, dim, generator):
    path = Path(torch.randn(pivots, dim, generator=generator, dtype=torch.float64))
    walkers = 1.5 * torch.randn(100, dim, generator=generator, dtype=torch.float64)
    found = path.project(walkers)
    for number, walker in enumerate(walkers):
        position, distance = nearest_on_polyline(path.pivots, walker)
        one = path.project(walker)
        for by_path in (found.distance[number], one.distance):
            assert float(by_path) == pytest.approx(distance, abs=1e-12)
        for by_path in (found.position[number], one.position):
            assert float(by_path) == pytest.approx(position, abs=1e-10)


def test_projection_onto_a_fine_arc_is_that_onto_the_circle(generator):
    angles, radii = (
        2.0 * torch.rand(50, generator=generator).double(),
        0.5 + torch.rand(50, generator=generator).double(),
    )
    found = Path(arc(2.0, 2001)).project(radii[:, None] * on_circle(angles))
    # the polyline lies within Δ²/8 = 1.3e-7 of the arc, and angles within half a step times the offset
    torch.testing.assert_close(found.distance, (radii - 1).abs(), rtol=0, atol=2e-7)
    torch.testing.assert_close(found.position, angles / 2, rtol=0, atol=3e-4)


def test_what_lies_beyond_an_end_projects_onto_the_end():
    path = Path(doubles([0, 0], [1, 0], [1, 2]))
    found = path.project(doubles([-3, -4], [1, 5], [0.5, -1]))
    torch.testing.assert_close(found.position, doubles(0, 1, 1 / 6))
    torch.testing.assert_close(found.distance, doubles(5, 3, 1))


def test_float32_projection_is_free_of_cancellation_far_from_the_origin():
    # 40 segments of length 1 lie 1e5 from the origin: |θ|² is 3e10 there, and float32 has no digits of it below 1000
    along = torch.stack([torch.arange(41.0), torch.zeros(41), torch.zeros(41)], 1)
    path = Path(1e5 + along)
    walkers = 1e5 + torch.stack([torch.arange(0.5, 40), torch.full((40,), 0.25), torch.zeros(40)], 1)
    found = path.project(walkers)
    torch.testing.assert_close(found.distance, torch.full((40,), 0.25))  # exact in units of 2⁻⁷
    torch.testing.assert_close(found.position, torch.arange(0.5, 40) / 40)


def test_a_float32_projection_has_six_digits_near_and_far(generator):
    # 1,000 walkers off a rough road of 160 points in 600 dimensions, by float32 against a search in float64
    pivots = torch.randn(2, 600, generator=generator).mul(0.2)
    bends = torch.lerp(*pivots, torch.linspace(0, 1, 12)[:, None]) + 0.02 * torch.randn(12, 600, generator=generator)
    path = Path(torch.cat([pivots[:1], bends, pivots[1:]])).smooth(160)
    offsets = torch.tensor([0.0, 1e-3, 0.02, 0.1, 0.5]).repeat(200)[:, None]
    walkers = path.at(torch.rand(1000, generator=generator)) + offsets * torch.randn(1000, 600, generator=generator)
    found, precise = path.project(walkers), path.to(torch.float64)
    start, step = precise.pivots[:-1], precise.pivots.diff(dim=0)
    for number, walker in enumerate(walkers.double()):
        along = (((walker - start) * step).sum(1) / step.square().sum(1)).clamp(0, 1)
        square, best = (walker - start - along[:, None] * step).square().sum(1).min(0)
        position = torch.lerp(precise.marks[best], precise.marks[best + 1], along[best])
        assert float(found.position[number]) == pytest.approx(float(position), abs=1e-6)
        assert float(found.distance[number]) == pytest.approx(float(square.sqrt()), rel=1e-6, abs=1e-5)


# --- other points on the same road -----------------------------------------------------------------------------


def test_resampled_points_lie_on_the_path_evenly_spaced(road):
    even = road.resample(23)
    assert len(even.pivots) == 23
    torch.testing.assert_close(even.pivots, road.at(torch.linspace(0, 1, 23, dtype=torch.float64)))
    assert torch.equal(even.pivots[[0, -1]], road.pivots[[0, -1]])
    gaps = Path(doubles([0, 0], [1, 0], [4, 0])).resample(9).lengths
    torch.testing.assert_close(gaps, torch.full((8,), 0.5, dtype=torch.float64))


def test_the_spline_through_points_of_a_straight_line_is_that_line(generator):
    a, b = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    shares = doubles(0, 0.1, 0.15, 0.5, 0.9, 1)
    smooth = Path(torch.lerp(a, b, shares[:, None])).smooth(11)
    # a cubic spline reproduces straight lines exactly
    expected = torch.lerp(a, b, torch.linspace(0, 1, 11, dtype=torch.float64)[:, None])
    torch.testing.assert_close(smooth.pivots, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("pivots", [4, 6, 10])
def test_the_spline_lies_closer_to_a_circle_than_the_polyline(pivots):
    polyline = Path(arc(2.5, pivots))
    off = [float((p.pivots.norm(dim=1) - 1).abs().max()) for p in (polyline.smooth(61), polyline.resample(61))]
    # the sagitta is Δ²/8, and the error of a spline of order Δ⁴
    assert off[1] == pytest.approx(1 - math.cos(1.25 / (pivots - 1)), rel=0.15)
    assert off[0] < 0.2 * off[1]
    assert abs(polyline.smooth(61).length - 2.5) < abs(polyline.length - 2.5)


@pytest.mark.parametrize("pivots", [2, 3, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_smoothed_path_keeps_its_ends_bit_for_bit_and_is_evenly_spaced(pivots, dtype, generator):
    path = Path(torch.randn(pivots, 4, generator=generator, dtype=dtype).cumsum(0), method="neb", complete=False)
    smooth = path.smooth(40)
    assert torch.equal(smooth.pivots[[0, -1]], path.pivots[[0, -1]])
    assert (smooth.pivots.dtype, smooth.method, smooth.complete) == (dtype, "neb", False)
    assert len(smooth.pivots) == 40


def test_smoothed_points_of_a_bend_are_evenly_spaced():
    uneven = Path(on_circle(doubles(0, 0.2, 0.5, 1.1, 1.5, 2.5)))
    gaps = uneven.smooth(30).lengths
    assert float(gaps.max() / gaps.min()) < 1.01  # chords and arcs of 0.09 differ by 3e-4


def test_a_path_in_another_dtype_is_the_same_road(road):
    single = road.to(torch.float32)
    assert single.pivots.dtype == single.at(0.5).dtype == torch.float32
    torch.testing.assert_close(single.at(0.5).double(), road.at(0.5), rtol=1e-5, atol=1e-5)


def test_a_path_that_was_moved_is_still_refused_on_a_landscape_it_was_not_built_on(generator):
    from entropic_edu.physics.connect import connect
    from entropic_edu.physics.valleys import Pinch, Waist

    road = connect(Waist(), *Waist().floor(2), sweeps=20, batch_size=None, generator=generator).to(torch.float64)
    road.check(Waist())
    with pytest.raises(ValueError, match="built on Waist and the landscape is Pinch"):
        road.check(Pinch())
    assert road.to("cpu").method == "autoneb"


def test_a_path_that_was_moved_knows_the_scallop_between_its_relaxed_pivots():
    losses = torch.zeros(2)
    path = Path(torch.eye(2), losses, torch.zeros(1, 1), method="string", pivot_scallop=0.5)
    for moved in (path.to(torch.float64), path.to(torch.device("cpu"))):
        assert (moved.scallop, moved.method) == (0.5, "string")


def test_two_pivots_in_one_place_give_no_nan():
    path = Path(doubles([0, 0], [0, 0], [1, 0], [1, 0], [1, 1], [1, 3]))
    where = torch.linspace(0, 1, 17, dtype=torch.float64)
    assert bool(path.at(where).isfinite().all())
    assert bool(path.tangent(where).isfinite().all())
    found = path.project(path.at(where))
    torch.testing.assert_close(found.position, where)


def test_two_last_pivots_in_one_place_give_no_nan():
    path = Path(doubles([0, 0], [1, 0], [1, 0]))
    assert path.at(1).tolist() == [1, 0]
    assert path.tangent(1).tolist() == [1, 0]


# --- what was measured on it -----------------------------------------------------------------------------------


def test_barrier_saddle_and_scallop_are_read_off_the_losses():
    pivots = doubles([0, 0], [1, 0], [2, 0], [3, 0])
    losses = doubles(1, 2, 4, 3)
    between = doubles([1.25, 1.5, 1.75], [2.5, 4.5, 3.5], [3.5, 3.5, 3])
    path = Path(pivots, losses, between, method="neb")
    assert path.saddle_loss == 4.5
    assert path.barrier == 1.5  # above the higher end, 3
    assert scallops(losses, between).tolist() == [0, 1.5, 0]
    assert path.scallop == 1.5
    assert path.straight_length == 3
    for words in (
        "neb path of 4 pivots",
        "length 3 (1.00 x straight)",
        "highest loss 4.5",
        "1.5 above",
        "scallops 1.5.",
    ):
        assert words in path.summary()


def test_a_path_that_nobody_measured_knows_no_barrier():
    path = Path(torch.eye(3), complete=False)
    assert all(math.isnan(value) for value in (path.saddle_loss, path.barrier, path.well, path.scallop))
    assert "loss not measured (stopped early)." in path.summary()


def test_a_dip_between_two_pivots_is_no_scallop_but_a_well_below_the_lower_end():
    path = Path(torch.eye(2), doubles(1, 1.25), doubles([0.5]))
    assert (path.scallop, path.well, path.barrier) == (0, 0.5, 0)
    assert Path(torch.eye(2), doubles(1, 2), doubles([1.5])).well == 0


# --- what a path cannot be -------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [-1e-6, 1 + 1e-6, float("nan"), [0.5, 1.5]])
def test_a_position_outside_the_path_is_refused(position, road):
    where = torch.tensor(position, dtype=torch.float64)
    for call in (road.at, road.tangent):
        with pytest.raises(ValueError, match=r"position on a path lies in \[0, 1\], got"):
            call(where)


@pytest.mark.parametrize(
    ("pivots", "words"),
    [
        (torch.ones(3, 4), "pivots all coincide.*two different end points"),
        (torch.ones(1, 4), r"shape \(P, D\) with P >= 2, got \(1, 4\)"),
        (torch.ones(4), r"shape \(P, D\) with P >= 2, got \(4,\)"),
        (torch.tensor([[0.0], [math.nan]]), "NaN or infinity; a path needs finite points"),
        (torch.tensor([[0.0], [math.inf]]), "NaN or infinity"),
    ],
)
def test_pivots_that_make_no_path_are_refused(pivots, words):
    with pytest.raises(ValueError, match=words):
        Path(pivots)


def test_vectors_of_another_model_are_refused(road):
    with pytest.raises(ValueError, match=r"lives in 6 dimensions, got theta of shape \(3, 5\).*another model"):
        road.project(torch.zeros(3, 5, dtype=torch.float64))
    with pytest.raises(ValueError, match="lives in 6 dimensions and the landscape has 2 parameters"):
        road.check(Circle())


@pytest.mark.parametrize("block", [1, 2**20])
@pytest.mark.parametrize("points", [0, 1])
def test_a_road_of_less_than_two_points_is_refused(points, block, road, monkeypatch):
    monkeypatch.setattr("entropic_edu.physics.path._BLOCK", block)
    for call in (road.resample, road.smooth):
        with pytest.raises(ValueError, match=f"points must be a whole number, at least 2; got {points}"):
            call(points)


# --- many parameters --------------------------------------------------------------------------------------------


class Largest(TorchDispatchMode):
    """Notes the largest tensor that is made, in numbers."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for each in tree_flatten(result)[0]:
            if isinstance(each, torch.Tensor):
                self.numbers = max(self.numbers, each.untyped_storage().nbytes() // each.element_size())
        return result


@pytest.fixture
def few_together(monkeypatch):
    """What is held at once is limited to some hundreds of numbers, so that small paths count as large."""
    monkeypatch.setattr("entropic_edu.physics.path._TOGETHER", 500)
    monkeypatch.setattr("entropic_edu.physics.path._BLOCK", 100)


@pytest.mark.parametrize("most", [500, 2**26], ids=["from products of steps", "in blocks"])
@pytest.mark.parametrize("points", [4, 12])
def test_a_spline_of_many_parameters_is_the_same_and_is_never_made(points, most, monkeypatch, generator):
    pivots = arc(2.5, 6) @ torch.randn(2, 40, generator=generator, dtype=torch.float64)
    expected = Path(pivots).smooth(points).pivots
    monkeypatch.setattr("entropic_edu.physics.path._TOGETHER", most)
    monkeypatch.setattr("entropic_edu.physics.path._BLOCK", 300)
    with Largest() as made:
        smooth = Path(pivots).smooth(points).pivots
    torch.testing.assert_close(smooth, expected, rtol=1e-9, atol=1e-9)
    assert torch.equal(smooth[[0, -1]], pivots[[0, -1]])
    assert made.numbers <= 17 * 40  # a block, or the points; 4 * points * 40 before


@pytest.mark.usefixtures("few_together")
def test_points_between_pivots_are_made_a_few_at_a_time(generator):
    land = Circle()
    path = Path(on_circle(doubles(0.0, 0.5, 1.0, 1.5)))
    with Largest() as made:
        found = measured(land, path, inner=500)
    assert found.losses_between.shape == (3, 500)
    assert made.numbers <= 3 * 500 * max(1, land.dim // 2)  # numbers of places, not points
    expected = land.loss(torch.lerp(path.pivots[1], path.pivots[2], torch.arange(1, 501)[:, None].double() / 501))
    torch.testing.assert_close(found.losses_between[1], expected)


@pytest.mark.parametrize("method", ["string", "neb", "bezier"])
@pytest.mark.usefixtures("few_together")
def test_building_a_road_holds_a_few_times_its_points(method, generator):
    class Wide(ee.valleys.Hyperbola):  # a valley in the first two of many parameters
        dim = 200

        def loss(self, theta):
            return super().loss(theta[..., :2]) + theta[..., 2:].square().sum(-1)

        def gradient_on(self, theta, batch):
            return torch.cat([super().gradient_on(theta[..., :2], batch), 2 * theta[..., 2:]], -1)

        def check(self, theta):
            pass

    ends = torch.cat([ee.valleys.Hyperbola().floor(2), torch.zeros(2, 198, dtype=torch.float64)], 1)
    with Largest() as made:
        road = connect(Wide(), *ends, method=method, pivots=6, points=12, sweeps=ee.Sweeps(10, scallop=math.inf),
                       batch_size=None, generator=generator)  # fmt: skip
    assert road.pivots.shape == (12, 200)
    assert made.numbers <= 4 * 24 * 200


@pytest.mark.parametrize(("converged", "said"), [(True, False), (False, True), (None, False)])
def test_a_summary_says_of_a_band_that_has_not_converged_what_force_is_left(road, converged, said):
    road = replace(road, converged=converged, residual=0.125)
    assert ("; not converged, the force across it is 0.12 of the slope" in road.summary()) == said


@pytest.mark.parametrize("measures", [False, True])
def test_matched_norms_run_evenly_from_end_to_end_and_leave_every_function_as_it_was(measures, generator):
    x = torch.randn(30, 5, generator=generator, dtype=torch.float64)
    land = ee.Network(ee.models.mlp(5, 8, 3, norm="layer").double(), x, torch.arange(30) % 3)
    free = slice(0, 40)  # of the layer whose outputs are normalised
    ends = torch.stack([land.initial(generator), land.initial(generator)])
    ends[1, free] *= 3.0
    road = ee.Path(ends, landscape=land.signature).resample(7)
    road = measured(land, road) if measures else road
    matched = road.match_norms(land)
    norms, before = (each.pivots[:, free].norm(dim=1) for each in (matched, road))
    torch.testing.assert_close(norms, torch.lerp(before[0], before[-1], road.marks))
    assert float((before / norms).min()) < 0.9  # the straight line falls short of that
    assert torch.equal(matched.pivots[[0, -1]], road.pivots[[0, -1]])
    assert torch.equal(matched.pivots[:, 40:], road.pivots[:, 40:])
    torch.testing.assert_close(land.loss(matched.pivots), land.loss(road.pivots), rtol=1e-3, atol=1e-5)  # up to ε
    assert (matched.losses is None) == (not measures)
    if measures:
        torch.testing.assert_close(matched.losses, land.loss(matched.pivots))


# --- laws of a whole road -------------------------------------------------------------------------------------------


def test_the_same_road_backwards_has_the_same_heights_and_the_other_positions(road, generator):
    losses, between = torch.rand(9, generator=generator), torch.rand(8, 3, generator=generator)
    losses[4], between[5, 1] = -1.0, 2.0  # neither lies at an end
    there = replace(road, losses=losses, losses_between=between)
    back = Path(road.pivots.flip(0), losses.flip(0), between.flip(0, 1))
    for name in ("length", "straight_length", "saddle_loss", "barrier", "well", "scallop"):
        assert getattr(back, name) == pytest.approx(getattr(there, name), rel=1e-6)
    assert there.well == pytest.approx(float(losses[[0, -1]].min()) + 1)
    torch.testing.assert_close(back.marks, 1 - there.marks.flip(0))
    where = torch.rand(20, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(back.at(1 - where), there.at(where))
    torch.testing.assert_close(back.tangent(1 - where), -there.tangent(where))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_last_segment_below_round_off_is_still_the_end(dtype):
    path = Path(torch.tensor([[0, 0], [1, 0], [1, 1e-3 * torch.finfo(dtype).eps]], dtype=dtype))
    assert torch.equal(path.at(1), path.pivots[-1])
    torch.testing.assert_close(path.at(0.5), torch.tensor([0.5, 0], dtype=dtype))


def test_walkers_beside_short_segments_far_from_the_first_pivot_find_their_own():
    # 10⁶ from the first pivot the products of its coordinates have no digits below 10⁻⁴, the square of half a segment
    near = 1e6 + 0.02 * torch.arange(11, dtype=torch.float64)
    path = Path(torch.stack([torch.cat([doubles(0), near]), torch.zeros(12, dtype=torch.float64)], 1))
    walkers = torch.stack([near[:-1] + 0.013, torch.full((10,), 1e-3, dtype=torch.float64)], 1)
    torch.testing.assert_close(path.project(walkers).distance, walkers[:, 1], rtol=1e-6, atol=0)


@pytest.mark.parametrize("points", [2, 3, 25])
def test_a_smoothed_road_is_that_of_four_points_of_scipys_spline_for_each_of_its_own(road, points):
    fine = CubicSpline(road.marks.numpy(), road.pivots.numpy())(np.linspace(0, 1, 4 * points))
    passed = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(fine, axis=0), axis=1))])
    even = [np.interp(np.linspace(0, passed[-1], points), passed, column) for column in fine.T]
    torch.testing.assert_close(road.smooth(points).pivots, torch.from_numpy(np.stack(even, 1)))
    three = Path(road.pivots[:3])
    torch.testing.assert_close(three.smooth(points).pivots, three.resample(points).pivots)  # too few for a spline


def test_a_landscape_is_asked_what_is_scale_free_at_the_ends_and_in_the_middle(road):
    class Asked(Circle):
        def scale_free(self, theta):
            return {"asked": theta}

    assert torch.equal(road.scale_free(Asked())["asked"], road.pivots[[0, 4, 8]])


@pytest.mark.parametrize("change", [0.1045, 0.0996])
def test_a_summary_says_the_change_in_per_cent_and_how_much_longer_than_straight(change):
    words = Path(doubles([0, 0], [0.25, 0], [0.25, 0.25], [0.5, 0.25], [0.5, 0]), sweeps=64, change=change).summary()
    assert "length 1 (2.00 x straight), loss not measured, 64 sweeps, of which the second half changed" in words
    assert "changed the middle's trace by 10 %." in words


@pytest.mark.parametrize("bad", [torch.zeros(5), torch.zeros(3, 2), torch.tensor([math.nan, 0.0])])
def test_each_of_several_points_is_looked_at(bad):
    land = ee.valleys.Waist()
    for points in ([bad, torch.ones(2)], [torch.ones(2), bad]):
        with pytest.raises(ValueError, match=r"shape|finite"):
            ee.probe(land, points, points=3, generator=torch.Generator())


# --- what leaves a road as it is --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("power", [-30, 30])
def test_in_other_units_a_road_has_the_same_positions_and_lengths_in_these_units(road, dtype, power, generator):
    unit, road = 2.0**power, road.to(dtype)
    other = Path(unit * road.pivots)
    walkers = road.pivots + 0.1 * torch.randn(9, 6, generator=generator, dtype=dtype)
    ours, theirs = road.project(walkers), other.project(unit * walkers)
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-12}
    torch.testing.assert_close(theirs.position, ours.position, **close)
    torch.testing.assert_close(theirs.distance / unit, ours.distance, **close)
    assert (other.length, other.straight_length) == (unit * road.length, unit * road.straight_length)
    assert torch.equal(other.marks, road.marks)
    assert f"({road.length / road.straight_length:.2f} x straight)" in other.summary()


def test_a_road_that_is_moved_as_a_whole_keeps_its_lengths_and_the_positions_on_it(road, generator):
    shift = 5 * torch.randn(6, generator=generator, dtype=torch.float64)
    walkers, moved = torch.randn(9, 6, generator=generator, dtype=torch.float64), Path(road.pivots + shift)
    torch.testing.assert_close(moved.lengths, road.lengths)
    assert moved.straight_length == pytest.approx(road.straight_length)
    torch.testing.assert_close(moved.project(walkers + shift), road.project(walkers))
    torch.testing.assert_close(moved.tangent(0.4), road.tangent(0.4))


@pytest.mark.parametrize("size", [1e-4, 1e-9])
def test_a_road_that_winds_by_next_to_nothing_is_followed(size, generator):
    turns = size * torch.tensor([[0.0, 0.0], [1.0, -1.0], [-1.0, 0.5], [0.0, 2.0], [1.0, 1.0]], dtype=torch.float64)
    path = Path(torch.cat([torch.linspace(0, 1, 5, dtype=torch.float64)[:, None], turns], 1))
    away = size * torch.randn(20, 3, generator=generator, dtype=torch.float64)
    walkers = path.at(torch.linspace(0.02, 0.98, 20, dtype=torch.float64)) + away
    found = path.project(walkers)
    for number, walker in enumerate(walkers):
        position, distance = nearest_on_polyline(path.pivots, walker)
        assert float(found.position[number]) == pytest.approx(position, abs=1e-12)
        assert float(found.distance[number]) == pytest.approx(distance, rel=1e-5)


# --- points between pivots ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inner", [1, 3, 6])
def test_points_between_pivots_lie_on_scipys_spline_which_meets_the_pivots_bit_for_bit(road, inner):
    where = np.interp(np.arange(8 * (inner + 1) + 1) / (inner + 1), np.arange(9), road.marks.numpy())
    spline = CubicSpline(road.marks.numpy(), road.pivots.numpy())(where)
    bent = road.bent(inner)
    torch.testing.assert_close(bent, torch.from_numpy(spline))
    assert torch.equal(bent[:: inner + 1], road.pivots)
    assert torch.equal(torch.cat(list(road.bends(inner))), bent)
    assert max(len(part) for part in road.bends(inner)) <= 32


@pytest.mark.parametrize(("block", "together"), [(2**20, 2**26), (100, 2**26), (100, 500)])
def test_points_are_spread_evenly_though_the_line_stands_still_for_a_while(block, together, monkeypatch, generator):
    monkeypatch.setattr("entropic_edu.physics.path._BLOCK", block)
    monkeypatch.setattr("entropic_edu.physics.path._TOGETHER", together)
    start, ahead = torch.randn(2, 40, generator=generator, dtype=torch.float64)
    points = start + ahead * doubles(0, 1, 3, 2)[:, None]
    shares = torch.rand(20, 2, generator=generator, dtype=torch.float64)
    nowhere = doubles([2 / 3, -1, 1 / 3, 0], [1 / 2, -1, 0, 1 / 2])  # other weights of the same place
    still = doubles(0, 1, 0, 0) + shares @ nowhere  # all of them the second point
    weights = torch.cat([doubles([1, 0, 0, 0]), still, doubles([0, 0, 0, 1])])
    wanted = start + ahead * torch.linspace(0, 2, 12, dtype=torch.float64)[:, None]
    torch.testing.assert_close(evenly(weights, points, 12), wanted, rtol=0, atol=1e-5)


class Noted(Circle):
    """A circle in the first of some dimensions that notes how many points are looked at together."""

    def loss(self, theta):
        self.together = [*getattr(self, "together", []), len(theta)]
        return super().loss(theta)


@pytest.mark.usefixtures("few_together")
@pytest.mark.parametrize(("dim", "most"), [(15, 32), (16, 1)])
def test_points_are_measured_together_as_far_as_they_are_few_numbers(dim, most, generator):
    land = Noted(dim=dim)
    road = measured(land, Path(torch.randn(40, dim, generator=generator)))
    assert road.losses_between.shape == (39, 3)
    assert max(land.together) == most


@pytest.mark.parametrize("hole", [2.0, 2.5])
def test_a_loss_that_is_infinite_at_a_pivot_or_between_two_is_refused(hole):
    class Hole(Circle):
        def loss(self, theta):
            return torch.where(theta[..., 0] == hole, math.inf, 1.0)

    path = Path(torch.stack([torch.arange(5.0), torch.zeros(5)], 1))
    with pytest.raises(ValueError, match=r"The loss on the path is not finite.* lower the learning_rate of connect"):
        measured(Hole(), path)


def test_losses_at_the_pivots_alone_give_heights_and_no_scallop():
    path = Path(torch.eye(3), doubles(1, 3, 2))
    assert (path.saddle_loss, path.barrier, path.well) == (3, 1, 0)
    assert math.isnan(path.scallop)


def test_a_loop_has_a_length_and_no_straight_one():
    loop = Path(doubles([0, 0], [1, 0], [1, 1], [0, 0]), losses=doubles(0, 1, 1, 0))
    assert loop.straight_length == 0
    assert "path of 4 pivots, length 3.41" in loop.summary()


def test_a_road_from_point_to_point_is_straight_and_remembers_its_landscape():
    land = ee.valleys.Waist()
    points = torch.tensor([[0.0, 1.0], [0.5, 0.0], [0.0, -1.0]])
    road = on(land, list(points))
    assert torch.equal(road.pivots, points)
    assert road.landscape == land.signature
    assert on(land, road) is road
    assert len(on(land, points[:2]).pivots) == 2
    with pytest.raises(ValueError, match=r"A path has at least two points, got 1; ee\.connect joins two ends"):
        on(land, points[:1])
    with pytest.raises(ValueError, match=r"A point of a path has shape \(2,\), got \(3, 2\); give run.theta\[0\]"):
        on(land, [points[0], points])
