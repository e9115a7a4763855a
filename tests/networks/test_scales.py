"""Layers whose scale changes no output: which they are, and roads on which their norms are matched."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import entropic_edu as ee
from entropic_edu.networks.models import mlp, normed_cnn, small_cnn
from entropic_edu.networks.network import Network


class Directed(nn.Module):
    """A user's own layer that divides by its own size, and one whose weight is used a second time, as it is."""

    def __init__(self):
        super().__init__()
        self.free, self.twice = nn.Linear(5, 6, bias=False), nn.Linear(6, 6, bias=False)
        self.last, self.unused = nn.Linear(6, 3), nn.Linear(2, 2)

    def forward(self, x):
        h = torch.tanh(x @ (self.free.weight / self.free.weight.norm()).T)
        h = torch.nn.functional.layer_norm(h @ self.twice.weight.T, (6,)) + self.twice.weight[0]
        return self.last(h)


def normed(norm, bias=False):
    return nn.Sequential(nn.Linear(5, 6, bias=bias), norm, nn.ReLU(), nn.Linear(6, 3))


PLAIN = {"affine": False}
CASES = {  # module, shape of inputs, settings, and what is scale-free
    "MLP": (lambda: mlp(5, 8, 6, 3, norm="layer"), (5,), {}, ["0.weight", "3.weight"]),
    "by the loop": (lambda: mlp(5, 8, 6, 3, norm="layer"), (5,), {"strategy": "loop"}, ["0.weight", "3.weight"]),
    "CNN": (lambda: normed_cnn((4, 5), 3, 8), (3, 8, 8), {}, ["0.weight", "3.weight"]),
    "two groups": (lambda: normed(nn.GroupNorm(2, 6, **PLAIN)), (5,), {}, ["0.weight"]),
    "a norm with scale and shift": (lambda: normed(nn.LayerNorm(6)), (5,), {}, ["0.weight"]),
    "batch norm": (lambda: normed(nn.BatchNorm1d(6)), (5,), {"batch_norm": "reestimate"}, ["0.weight"]),
    "ReLU layers, which trade scales": (lambda: mlp(5, 8, 6, 3), (5,), {}, []),
    "a wide layer that scales its outputs": (lambda: mlp(5, 40, 3), (5,), {}, []),
    "a bias": (lambda: normed(nn.LayerNorm(6, elementwise_affine=False), bias=True), (5,), {}, []),
    "biases in a CNN": (lambda: small_cnn((3,), 3, norm="group"), (3, 32, 32), {}, []),
    "a user's own": (Directed, (5,), {}, ["free.weight"]),
}


def landscape(case, generator, number=24):
    make, shape, settings, _ = CASES[case]
    x = torch.randn(number, *shape, generator=generator, dtype=torch.float64)
    return Network(make().double(), x, torch.arange(number) % 3, weight_decay=0.01, **settings)


def somewhere(land, generator):
    """Return θ in which no shift is 0."""
    return land.initial(generator) + 0.1 * torch.randn(land.dim, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("case", CASES)
def test_layers_are_scale_free_where_the_loss_is_homogeneous_of_degree_0_in_them_alone(case, generator):
    land = landscape(case, generator)
    theta = torch.stack([somewhere(land, generator) for _ in range(2)])
    found = land.scale_free(theta)
    assert list(found) == CASES[case][3]
    assert found == {name: land.layout.slices[name] for name in found}
    gradient = land.gradient(theta) - land.weight_decay * theta
    for name, part in land.layout.slices.items():  # by Euler's theorem w·∂L/∂w is 0, up to the ε of the norm
        w, slope = theta[:, part], gradient[:, part]
        share = ((w * slope).sum(1).abs() / (w.norm(dim=1) * slope.norm(dim=1)).clamp(min=1e-12)).max()
        assert (share < 2e-3) == (name in found) or name.startswith("unused")


def test_a_layer_counts_only_if_its_scale_is_free_at_every_theta(generator):
    land = landscape("a norm with scale and shift", generator)
    theta = land.initial(generator)  # whose shift is 0, so that the scale acts through a ReLU and the last weights
    bare = replace_part(land, theta, "3.bias", 0.0)
    assert list(land.scale_free(bare)) == ["0.weight"]
    linear = Network(nn.Linear(5, 3).double(), land.x, land.y)
    assert land.scale_free(torch.zeros(land.dim).double()) == {} == linear.scale_free(linear.initial(generator))


class Homogeneous(nn.Module):
    """Outputs that go as a power of the size of the weights, which counts between two bounds alone."""

    def __init__(self, power=1.0, low=0.0, high=torch.inf):
        super().__init__()
        self.weight, self.power, self.low, self.high = nn.Parameter(torch.ones(3, 50)), power, low, high

    def forward(self, x):
        size = self.weight.norm()
        return x @ (self.weight * (size ** (self.power - 1) if self.power else 1 / size.clamp(self.low, self.high))).T


@pytest.mark.parametrize(
    ("settings", "size", "free"),
    [
        ({"power": 0.0, "low": 1.0, "high": 8.0}, 1.8, False),  # half of which counts
        ({"power": 0.0, "low": 1.0, "high": 8.0}, 2.1, True),
        ({"power": 0.0, "low": 1.0, "high": 8.0}, 3.9, True),
        ({"power": 0.0, "low": 1.0, "high": 8.0}, 4.4, False),  # twice which counts
        ({"power": 0.015}, 1.0, True),  # a turn of the same size changes outputs by about √(2 - √2) of theirs
        ({"power": 0.03}, 1.0, False),
        ({"power": -0.015}, 1.0, True),
        ({"power": -0.03}, 1.0, False),
    ],
)
def test_scale_is_free_if_twice_and_half_of_it_change_less_than_a_fiftieth_of_a_turn(settings, size, free):
    generator = torch.Generator().manual_seed(5)  # not that of the turn
    x = torch.randn(24, 50, generator=generator, dtype=torch.float64)
    land = Network(Homogeneous(**settings).double(), x, torch.arange(24) % 3)
    theta = torch.randn(land.dim, generator=generator, dtype=torch.float64)
    assert list(land.scale_free(theta * (size / theta.norm()))) == ["weight"] * free


def replace_part(land, theta, name, value):
    moved = theta.clone()
    moved[land.layout.slices[name]] = value
    return moved


@pytest.fixture
def road(generator):
    """A sagging road of a normalised MLP whose ends have norms of their own."""
    land = landscape("MLP", generator)
    a, b = (somewhere(land, generator) for _ in range(2))
    b[land.layout.slices["3.weight"]] *= 1.7
    path = ee.connect(land, a, b, method="linear", points=9, generator=generator)
    return land, replace(path, residual=0.5, converged=False)


def test_matched_norms_are_linear_between_the_ends_and_the_function_is_the_same(road):
    land, raw = road
    matched = raw.match_norms(land)
    assert torch.equal(matched.pivots[[0, -1]], raw.pivots[[0, -1]])
    assert (matched.method, matched.residual, matched.converged) == (raw.method, 0.5, False)
    for name, part in land.layout.slices.items():
        before, after = raw.pivots[:, part], matched.pivots[:, part]
        if name in ("0.weight", "3.weight"):
            sizes, norms = before.norm(dim=1), after.norm(dim=1)
            assert sizes[4] < 0.9 * (sizes[0] + sizes[-1]) / 2
            line = torch.linspace(float(sizes[0]), float(sizes[-1]), 9).double()
            torch.testing.assert_close(norms, line, rtol=1e-6, atol=0)
            torch.testing.assert_close(after / norms[:, None], before / sizes[:, None], rtol=1e-12, atol=1e-14)
        else:
            assert torch.equal(after, before)
    # ε is 1e-5, and the variances before a norm are some tenths
    torch.testing.assert_close(
        land.outputs(matched.pivots, land.x), land.outputs(raw.pivots, land.x), rtol=0, atol=2e-3
    )
    torch.testing.assert_close(land.data_loss(matched.pivots), land.data_loss(raw.pivots), rtol=1e-3, atol=0)
    torch.testing.assert_close(matched.losses, land.loss(matched.pivots))
    assert replace(raw, losses=None).match_norms(land).losses is None


def test_between_pivots_the_norm_sags_by_an_eighth_of_the_angle_squared(road):
    land, raw = road
    matched = raw.resample(65).match_norms(land)
    part = land.layout.slices["0.weight"]
    w = matched.pivots[:, part]
    angle = torch.arccos(torch.cosine_similarity(w[:-1], w[1:]).clamp(max=1))
    middle = (matched.pivots[:-1] + matched.pivots[1:])[:, part].norm(dim=1) / 2
    sag = 1 - middle / ((w[:-1].norm(dim=1) + w[1:].norm(dim=1)) / 2)
    assert 0.01 < float(angle.max()) < 0.1
    torch.testing.assert_close(sag, angle**2 / 8, rtol=0.02, atol=1e-7)  # norms change a little from pivot to pivot


def test_curvature_by_a_matched_layer_goes_as_one_over_its_norm_squared(road):
    land, raw = road
    part = land.layout.slices["0.weight"]
    traces, sizes = [], []
    for theta in (raw.pivots[4], raw.match_norms(land).pivots[4]):
        hessian = torch.autograd.functional.hessian(land.data_loss, theta)
        traces.append(float(hessian.diagonal()[part].sum()))
        sizes.append(float(theta[part].norm()))
    assert sizes[1] > 1.2 * sizes[0]
    assert traces[0] * sizes[0] ** 2 == pytest.approx(traces[1] * sizes[1] ** 2, rel=5e-3)


def test_roads_without_scale_free_layers_stay_and_roads_of_other_models_are_refused(road, generator):
    valley = ee.valleys.Hyperbola()
    path = ee.Path(valley.floor(5))
    assert torch.equal(path.match_norms(valley).pivots, path.pivots)
    plain = landscape("ReLU layers, which trade scales", generator)
    with pytest.raises(ValueError, match="made for another model"):
        road[1].match_norms(plain)


@pytest.mark.parametrize("method", ["linear", "string", "bezier"])
def test_connect_matches_norms_of_the_finished_road_and_measures_it_there(method, generator):
    land = landscape("MLP", generator)
    a, b = (somewhere(land, generator) for _ in range(2))
    settings = {"method": method, "pivots": 5, "sweeps": 10, "batch_size": None}
    raw, matched = (
        ee.connect(land, a, b, match_norms=asked, generator=torch.Generator().manual_seed(0), **settings)
        for asked in (False, True)
    )
    assert not torch.equal(raw.pivots, matched.pivots)
    wanted = raw.match_norms(land)
    assert torch.equal(matched.pivots, wanted.pivots)
    assert torch.equal(matched.losses, wanted.losses)
    assert torch.equal(matched.losses_between, wanted.losses_between)
    assert matched.complete
    valley = ee.valleys.Waist()  # nothing is scale-free
    ends = valley.floor(2)
    raw, same = (
        ee.connect(valley, *ends, match_norms=asked, generator=torch.Generator().manual_seed(0), **settings)
        for asked in (False, True)
    )
    assert torch.equal(raw.pivots, same.pivots)
    assert torch.equal(raw.losses, same.losses)


def test_a_profile_carries_the_norms_of_scale_free_layers(road, tmp_path, generator):
    land, raw = road
    profile = ee.probe(land, raw, points=9, generator=generator)
    assert profile.layers == ["0.weight", "3.weight"]
    parts = [land.layout.slices[name] for name in profile.layers]
    expected = torch.stack([raw.pivots[:, part].norm(dim=1) for part in parts], 1)
    torch.testing.assert_close(profile.norms, expected)
    profile.save(tmp_path / "profile")
    again = ee.Profile.load(tmp_path / "profile")
    assert torch.equal(again.norms, profile.norms)
    assert again.layers == profile.layers
    valley = ee.valleys.Waist()
    bare = ee.probe(valley, ee.Path(valley.floor(5)), points=3, generator=generator)
    assert (bare.norms, bare.layers) == (None, [])
