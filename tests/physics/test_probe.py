"""A profile against dense Hessians, closed forms and plain evaluation."""

import dataclasses
import sys

import pytest
import torch
from torch import nn

import entropic_edu as ee
from entropic_edu import Path, Profile, probe, valleys
from entropic_edu.physics.curvature import dense_hessian
from entropic_edu.physics.landscape import Landscape


def network(activation=nn.ReLU, hidden=8, **settings):
    g = torch.Generator().manual_seed(1)
    x = torch.randn(40, 6, generator=g, dtype=torch.float64)
    y = torch.randint(3, (40,), generator=g)
    model = ee.models.mlp(6, hidden, 3, activation=activation).double()
    return ee.Network(model, x, y, weight_decay=1e-2, test=(x[:20], y[:20]), **settings)


def road(land):
    g = torch.Generator().manual_seed(0)
    return ee.Path(torch.stack([land.initial(g), land.initial(g)])).resample(7)


@pytest.fixture
def sparse(monkeypatch):
    """Send small networks down the way of large ones."""
    monkeypatch.setattr(sys.modules["entropic_edu.physics.probe"], "_DENSE", 0)


def expected(land, path, positions):
    """Spectrum and adaptive spectrum of the data loss from dense Hessians."""
    for t in positions:
        theta = path.at(float(t))
        hessian = dense_hessian(land, theta, weight_decay=False)
        yield theta, hessian, theta[:, None] * hessian * theta


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_small_landscapes_are_measured_exactly(activation, generator):
    land = network(activation)
    path = road(land)
    profile = ee.probe(land, path, generator=generator, points=5)
    for row, (theta, hessian, adaptive) in enumerate(expected(land, path, profile.position)):
        values = torch.linalg.eigvalsh(hessian)
        assert float(profile.trace[row]) == pytest.approx(float(values.sum()), rel=1e-9)
        assert float(profile.top_eigenvalue[row]) == pytest.approx(float(values[-1]), rel=1e-9)
        assert float(profile.smallest_eigenvalue[row]) == pytest.approx(float(values[0]), rel=1e-9)
        assert float(profile.adaptive_trace[row]) == pytest.approx(float(adaptive.trace()), rel=1e-9)
        assert float(profile.adaptive_top[row]) == pytest.approx(float(torch.linalg.eigvalsh(adaptive)[-1]), rel=1e-9)
        assert float(profile.spectral_sum(torch.square)[row]) == pytest.approx(float(values.square().sum()), rel=1e-9)
        assert float(profile.loss[row]) == pytest.approx(float(land.loss(theta)), rel=1e-12)
        assert float(profile.data_loss[row]) == pytest.approx(float(land.data_loss(theta)), rel=1e-9)
        assert float(profile.norm[row]) == pytest.approx(float(theta.norm()))
    assert bool((profile.trace_error == 0).all())


def test_large_piecewise_linear_networks_have_the_exact_trace_and_converged_ends(sparse, generator):
    land = network()
    path = road(land)
    profile = ee.probe(land, path, generator=generator, points=4, lanczos_steps=60)
    for row, (_, hessian, adaptive) in enumerate(expected(land, path, profile.position)):
        values = torch.linalg.eigvalsh(hessian)
        assert float(profile.trace[row]) == pytest.approx(float(values.sum()), rel=1e-9)
        assert float(profile.adaptive_trace[row]) == pytest.approx(float(adaptive.trace()), rel=1e-9)
        assert float(profile.top_eigenvalue[row]) == pytest.approx(float(values[-1]), abs=2e-3 * float(values[-1]))
    assert bool((profile.trace_error == 0).all())


def test_large_smooth_networks_have_an_estimate_with_its_error(sparse, generator):
    land = network(nn.Tanh)
    path = road(land)
    profile = ee.probe(land, path, generator=generator, points=4, num_probes=64)
    exact = torch.stack([hessian.trace() for _, hessian, _ in expected(land, path, profile.position)])
    assert bool((profile.trace_error > 0).all())
    assert bool(((profile.trace - exact).abs() < 4 * profile.trace_error).all())
    # the same probes at every point: differences along the path are more precise than the values
    differences = (profile.trace - exact) - (profile.trace - exact).mean()
    assert float(differences.norm()) < float((profile.trace - exact).norm()) + 1e-12


def test_the_noise_is_the_covariance_of_per_sample_gradients(generator):
    land = network()
    path = road(land)
    profile = ee.probe(land, path, generator=generator, points=3)
    for row, t in enumerate(profile.position):
        theta = path.at(float(t))
        each = torch.stack(
            [
                torch.func.grad(
                    lambda p, i=i: nn.functional.cross_entropy(land.outputs(p, land.x[i : i + 1]), land.y[i : i + 1])
                )(theta)
                for i in range(40)
            ]
        )
        assert float(profile.noise[row]) == pytest.approx(float(each.var(0, unbiased=False).sum()), rel=1e-9)


def test_weight_decay_shifts_the_trace_by_lambda_d_and_makes_no_bump(generator):
    land = network()
    profile = ee.probe(land, road(land), generator=generator, points=3)
    shift = profile.trace_with_decay - profile.trace
    assert torch.allclose(shift, torch.full_like(shift, 1e-2 * land.dim))


def test_finite_curvature_sees_what_autograd_sees_on_a_smooth_network(generator):
    land = network(nn.Tanh)
    profile = ee.probe(land, road(land), generator=generator, points=5)
    # second differences over a hundredth of the path; fourth derivatives leave less than 2 % here
    assert torch.allclose(profile.finite_curvature, profile.tangent_curvature, rtol=0.02, atol=1e-3)


def test_on_a_valley_the_profile_is_the_closed_form(generator):
    valley = ee.valleys.Waist(noise="curvature", noise_scale=0.5)
    path = ee.Path(valley.floor(201, dtype=torch.float64))
    profile = ee.probe(valley, path, generator=generator, points=21)
    h = valley.curvature_across(valley.coordinate(profile.position))
    assert torch.allclose(profile.top_eigenvalue, h, rtol=1e-6)
    assert torch.allclose(profile.noise, 0.25 * h, rtol=1e-6)
    assert float(profile.loss.abs().max()) == 0
    assert profile.accuracy is None
    assert "nan" not in profile.summary()


def test_the_same_seed_gives_the_same_profile(sparse):
    land = network(nn.Tanh)
    one, two = (
        ee.probe(land, road(land), generator=torch.Generator().manual_seed(4), points=3, num_probes=4) for _ in range(2)
    )
    assert torch.equal(one.trace, two.trace)
    assert torch.equal(one.nodes, two.nodes)


def test_label_noise_gives_the_ratio_of_covariance_to_hessian(generator):
    land = network(loss="mse", label_noise=0.3)
    profile = ee.probe(land, road(land), generator=generator, points=2)
    assert profile.label_ratio == pytest.approx(2 * 0.09 / 3)


def test_an_interrupted_profile_holds_the_points_so_far(tmp_path):
    land = network()

    def stop(snapshot):
        raise KeyboardInterrupt

    profile = ee.probe(land, road(land), generator=torch.Generator().manual_seed(4), points=12, progress=stop)
    assert not profile.complete
    assert 0 < len(profile.position) < 12
    profile.save(tmp_path / "p")
    again = ee.Profile.load(tmp_path / "p")
    assert torch.equal(again.trace, profile.trace)
    assert again.summary() == profile.summary()


def test_bad_requests_are_named(generator):
    land = network()
    with pytest.raises(ValueError, match="points must be a whole number, at least 2; got 1"):
        ee.probe(land, road(land), generator=generator, points=1)
    with pytest.raises(ValueError, match="made for another model"):
        ee.probe(land, ee.Path(torch.eye(2)), generator=generator)


# --- what cannot be had -------------------------------------------------------------------------------------------


class Lacking(valleys.Waist):
    """A valley of which torch can give no second derivative, or no noise."""

    def __init__(self, lacks):
        super().__init__()
        self.lacks, self.asked = lacks, []

    def hessian_vector_product(self, theta, vector, *, weight_decay=True):
        self.asked.append("curvature")
        if "curvature" in self.lacks:
            raise NotImplementedError("derivative for aten::something is not implemented\nand more")
        return super().hessian_vector_product(theta, vector, weight_decay=weight_decay)

    def noise_trace(self, theta):
        self.asked.append("noise")
        if "noise" in self.lacks:
            raise RuntimeError("no rule for a single sample")
        return super().noise_trace(theta)


@pytest.mark.parametrize("lacks", [("curvature",), ("noise",), ("curvature", "noise"), ()])
def test_numbers_that_cannot_be_had_are_nan_with_their_reason(lacks, tmp_path):
    land = Lacking(lacks)
    whole = probe(valleys.Waist(), Path(land.floor(21)), points=7, generator=torch.Generator())
    profile = probe(land, Path(land.floor(21)), points=7, generator=torch.Generator())
    assert set(profile.unavailable) == set(lacks)
    lost = {"noise"} & set(lacks)
    if "curvature" in lacks:
        lost |= {"trace", "trace_error", "top_eigenvalue", "top_error", "smallest_eigenvalue", "adaptive_trace"}
        lost |= {"adaptive_top", "nodes", "weights", "tangent_curvature"}
        assert land.asked.count("curvature") == 1  # and is not tried again
        assert "derivative for aten::something is not implemented)" in profile.summary()
    for field in dataclasses.fields(whole):
        value = getattr(profile, field.name)
        if field.name in lost:
            assert value.isnan().all()
            assert len(value) == 7
        elif isinstance(value, torch.Tensor):
            assert torch.equal(value, getattr(whole, field.name))
    profile.save(tmp_path / "profile.safetensors")
    assert Profile.load(tmp_path / "profile.safetensors").unavailable == profile.unavailable
    assert profile.plot().get_ylabel()


def test_a_device_out_of_memory_is_no_number_that_is_lacking():
    class Full(valleys.Waist):
        def noise_trace(self, theta):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        probe(Full(), Path(Full().floor(5)), points=3, generator=torch.Generator())


def test_children_are_measured_where_there_is_no_curvature_too():
    class Rough(valleys.Hyperbola):
        def hessian_vector_product(self, theta, vector, *, weight_decay=True):
            raise RuntimeError("no second derivative")

    settings = {"epochs": 4, "points": 3, "batch_size": None, "learning_rate": 0.01}
    family = ee.spawn(Rough(), at=[0, 2], generator=torch.Generator().manual_seed(0), **settings)
    plain = ee.spawn(valleys.Hyperbola(), at=[0, 2], generator=torch.Generator().manual_seed(0), **settings)
    assert torch.equal(family.loss, plain.loss)
    assert family.trace.isnan().all()
    assert family.top_eigenvalue.isnan().all()
    assert "Not available: curvature (no second derivative)." in family.summary()


def test_curvature_past_the_range_of_its_numbers_says_so():
    x = torch.randn(12, 3, generator=torch.Generator().manual_seed(0)) * 1e30
    net = ee.Network(ee.models.mlp(3, 30, 20, 3), x, torch.arange(12) % 3)
    ends = torch.stack([net.initial(torch.Generator().manual_seed(seed)) for seed in range(2)])
    profile = ee.probe(net, ee.Path(ends), points=2, num_probes=1, lanczos_steps=2, generator=torch.Generator())
    assert set(profile.unavailable) == {"curvature", "noise"}
    assert "past the range of torch.float32; scale the inputs" in profile.summary()
    assert bool(profile.data_loss.isfinite().all())


# --- at the bounds ------------------------------------------------------------------------------------------------


class Bowl(Landscape):
    """L = ½ θᵀAθ for a random A of D parameters, which notes by how many probes a trace is asked for."""

    def __init__(self, dim, exact=False):
        draw = torch.randn(dim, dim, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        self.dim, self.matrix, self.exact, self.asked = dim, draw + draw.T, exact, []

    def loss(self, theta):
        return 0.5 * ((theta @ self.matrix) * theta).sum(-1)

    def draw(self, batch_size, generator, rows=None):
        return None

    def gradient_on(self, theta, batch):
        return theta @ self.matrix

    def initial(self, generator):
        return torch.randn(self.dim, generator=generator, dtype=torch.float64)

    def hessian_vector_product(self, theta, vector, *, weight_decay=True):
        return vector @ self.matrix

    def has_exact_trace(self, generator):
        return self.exact

    def trace(self, theta, *, num_probes, **settings):
        self.asked.append(num_probes)
        return super().trace(theta, num_probes=num_probes, **settings)


@pytest.mark.parametrize("dim", [600, 601])
def test_up_to_600_parameters_nothing_is_random(dim, generator):
    land = Bowl(dim)
    line = [land.initial(generator), land.initial(generator)]
    one, two = (
        ee.probe(land, line, points=2, num_probes=1, lanczos_steps=2, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 2)
    )
    assert torch.equal(one.trace, two.trace) == (dim == 600)
    assert bool((one.trace_error == 0).all()) == (dim == 600)


@pytest.mark.parametrize(("exact", "number", "taken"), [(False, 4, 16), (False, 20, 20), (True, 4, 4), (True, 20, 20)])
def test_a_trace_that_is_not_exact_takes_sixteen_probes_at_least(sparse, exact, number, taken, generator):
    land = Bowl(30, exact)
    line = [land.initial(generator), land.initial(generator)]
    ee.probe(land, line, points=2, num_probes=number, lanczos_steps=2, generator=generator)
    assert land.asked == [taken] * 2  # raw and adaptive


def test_bends_along_the_road_are_seen_over_a_hundredth_of_it_and_weight_decay_is_no_part_of_them(generator):
    land = network()
    path = road(land)
    profile = ee.probe(land, path, generator=generator, points=3)
    assert profile.finite_scale == pytest.approx(path.length / 100, rel=1e-12)
    along = path.tangent(profile.position)
    bent = ee.curvature.curvature_along(land, path.at(profile.position), along, scale=path.length / 100)
    torch.testing.assert_close(profile.finite_curvature, bent - land.weight_decay)


def test_snapshots_come_every_few_points_and_note_the_last_of_them(generator):
    valley = valleys.Waist()
    snapshots = list(ee.stream.probe(valley, Path(valley.floor(21)), generator=generator, points=12))
    done = [each.done for each in snapshots]
    assert done == [5, 10, 12]
    whole = snapshots[-1].result
    for number, each in zip(done, snapshots, strict=True):
        assert each.total == 12
        assert each.result.complete == (number == 12)
        trace, top = (float(values[number - 1]) for values in (whole.trace, whole.top_eigenvalue))
        assert each.note == f"trace {trace:.3g}, lambda_max {top:.3g}"


def test_a_summary_compares_the_middle_with_the_ends_from_three_points_on(generator):
    valley = valleys.Tilted(g_narrow=2.0)
    two, three = (ee.probe(valley, Path(valley.floor(21)), generator=generator, points=n) for n in (2, 3))
    assert two.summary() == "Profile of 2 points."
    assert (
        f"points: loss -0.01 to 0.01; middle third over the mean of the ends: trace {three.bump(three.trace):.2f}, "
        in (three.summary())
    )


class Vast(Bowl):
    """L = ½ Σ aᵢθᵢ² of very many parameters."""

    def __init__(self, dim):
        self.dim, self.matrix, self.exact, self.asked = dim, torch.linspace(1, 2, dim, dtype=torch.float64), True, []

    def loss(self, theta):
        return 0.5 * (self.matrix * theta.square()).sum(-1)

    def gradient_on(self, theta, batch):
        return self.matrix * theta

    def hessian_vector_product(self, theta, vector, *, weight_decay=True):
        return self.matrix * vector


@pytest.mark.parametrize(("dim", "done"), [(49_999, [2]), (50_000, [1, 2])])
def test_from_50_000_parameters_on_each_point_has_a_snapshot(dim, done, generator):
    land = Vast(dim)
    line = [land.initial(generator), land.initial(generator)]
    stream = ee.stream.probe(land, line, points=2, num_probes=1, lanczos_steps=2, generator=generator)
    assert [each.done for each in stream] == done


def test_a_trace_is_not_exact_where_torch_cannot_tell(sparse, generator):
    class Unknown(Bowl):
        def has_exact_trace(self, generator):
            raise NotImplementedError("no derivative to look at")

    land = Unknown(30)
    ee.probe(land, torch.eye(30)[:2].double().unbind(), points=2, num_probes=4, lanczos_steps=2, generator=generator)
    assert land.asked == [16] * 2


@pytest.mark.parametrize("few", [True, False])
def test_weight_decay_is_no_part_of_any_curvature(few, generator, monkeypatch):
    """Whether the whole Hessian is formed or not; λ = 100 is larger than any eigenvalue of the data loss."""
    monkeypatch.setattr(sys.modules["entropic_edu.physics.probe"], "_DENSE", 600 if few else 0)
    calm = network()
    land = ee.Network(calm.model, calm.x, calm.y, weight_decay=100.0)
    path = road(land)
    profile = ee.probe(land, path, generator=generator, points=3, lanczos_steps=land.dim)
    along = path.tangent(profile.position)
    for row, (_, hessian, adaptive) in enumerate(expected(land, path, profile.position)):
        values, scaled = torch.linalg.eigvalsh(hessian), torch.linalg.eigvalsh(adaptive)
        assert float(profile.tangent_curvature[row]) == pytest.approx(float(along[row] @ hessian @ along[row]))
        assert float(profile.top_eigenvalue[row]) == pytest.approx(float(values[-1]), rel=1e-3)
        assert float(profile.smallest_eigenvalue[row]) == pytest.approx(float(values[0]), abs=1e-3 * float(values[-1]))
        assert float(profile.adaptive_top[row]) == pytest.approx(float(scaled[-1]), rel=1e-3)
        assert float(profile.nodes[row].max()) < 1.001 * float(values[-1])


def test_the_norms_of_layers_are_those_of_their_weights(generator):
    x, y = torch.randn(20, 3, generator=generator), torch.randint(3, (20,), generator=generator)
    land = ee.Network(ee.models.mlp(3, 5, 4, 3, norm="layer"), x, y)
    path = road(land)
    profile = ee.probe(land, path, generator=generator, points=3)
    assert len(profile.layers) == 2
    for row, t in enumerate(profile.position):
        parts = land.unflatten(path.at(float(t)))
        wanted = torch.stack([parts[name].norm() for name in profile.layers])
        torch.testing.assert_close(profile.norms[row], wanted)
    assert ee.probe(network(), road(network()), generator=generator, points=2).norms is None
