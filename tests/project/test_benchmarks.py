"""The benchmarks run, and their peers compute the same; nothing is timed, which is for a quiet machine.

Peers that are not installed are left out, as in the table.
"""

import importlib
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from entropic_edu.networks.models import resnet20, small_cnn
from entropic_edu.physics.curvature import dense_hessian, extreme_eigenvalues, hessian_vector_product

ROOT = Path(__file__).parents[2]
PARTS = ["gradients", "curvature", "gpu", "memory", "live", "browser", "loader", "cold_start"]
LONG = ("memory", "cold_start", "browser")  # of many processes
pytestmark = pytest.mark.filterwarnings("ignore:Using backward:UserWarning")  # how PyHessian keeps its graph


@pytest.fixture
def benchmark(monkeypatch):
    """Import a benchmark by name from the checkout, which is not installed with the package."""
    monkeypatch.syspath_prepend(ROOT)
    before = set(sys.modules)
    torch.manual_seed(0)  # of models
    yield lambda name: importlib.import_module(f"benchmarks.{name}")
    for name in set(sys.modules) - before:
        if name.split(".")[0] == "benchmarks":
            del sys.modules[name]


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.soak] * (n in LONG)) for n in PARTS])
def test_a_part_prints_a_row_for_each_stage_and_restores_the_threads(benchmark, name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)  # where memory's processes find it
    threads = torch.get_num_threads()
    rows = benchmark("__main__").main([name], small=True, page=tmp_path / "page.md")
    assert torch.get_num_threads() == threads
    assert rows or (name == "memory" and not Path("/proc/self/clear_refs").exists()) or name == "browser"
    printed, page = capsys.readouterr().out, (tmp_path / "page.md").read_text("utf-8")
    for row in rows:
        measured = [row.ours, *(value for value in row.peers.values() if value is not None), row.limit or 1]
        assert all(math.isfinite(value) and value > 0 for value in measured)
        assert f"| {row.stage} |" in printed
        assert f"| {row.stage} |" in page
        assert row.note in page


def test_the_table_has_every_part(benchmark):
    assert sorted(benchmark("__main__").PARTS) == sorted(PARTS)


def test_the_page_of_the_site_is_one_that_the_benchmarks_write(benchmark):
    page = (ROOT / "docs" / "site" / "speed.md").read_text("utf-8")
    assert page.startswith(benchmark("__main__").PAGE)
    heads = next(line for line in page.splitlines() if line.startswith("| stage"))
    assert heads == f"| {' | '.join([*benchmark('run').HEADS, 'note'])} |"
    notes = re.findall(r"\| \((\d+)\) \|$", page, re.MULTILINE)
    assert all(f"({note}) " in page for note in notes)


def test_a_row_says_who_is_faster_and_who_is_not_there(benchmark):
    run = benchmark("run")
    row = run.Row("a stage", 2e-3, {"slow": 6e-3, "fast": 1e-3, "absent": None}, limit=5e-4, memory=(2e6, 1e6))
    assert row.best == "fast"
    assert row.ratio == 0.5
    cells = ["a stage", "2 ms", "fast", "**0.50**", "slow 3.00, fast 0.50, absent not installed", "25 %", "2.0 / 1.0"]
    assert row.cells() == cells
    assert run.Row("alone", 3.0).cells() == ["alone", "3 s", "", "", "", "", ""]
    noted = run.table([run.Row("x", 1.0, note="why"), run.Row("y", 1.0), run.Row("z", 1.0, note="why")])
    assert noted.count("| (1) |") == 2
    assert noted.endswith("\n\n(1) why")


def test_the_peak_of_memory_is_that_of_the_arrays(benchmark):
    run, size = benchmark("run"), 50_000_000
    peak = run.peak(run.Way(lambda: torch.ones(size // 4)))
    if peak is None:
        pytest.skip("this system does not tell")
    assert peak == pytest.approx(size, rel=0.1)  # pages, and what else the process does


def array(each):
    """A tensor, also of what JAX lends for reading alone."""
    return each if isinstance(each, torch.Tensor) else torch.from_numpy(np.array(each))


def flat(result):
    """Gradients as one array (P, D), from a tensor, modules, or arrays by parameter name."""
    if isinstance(result, torch.Tensor):
        return result
    if isinstance(result, list):
        return torch.stack([torch.cat([p.grad.flatten() for p in m.parameters()]) for m in result])
    return torch.cat([array(each).flatten(1) for each in result.values()], 1)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("name", ["digits", "little_cnn", "residual"])
def test_the_peers_of_a_gradient_compute_the_same(benchmark, name, own):
    gradients = benchmark("gradients")
    nets = {
        "digits": lambda: gradients.roads.landscape(),
        "little_cnn": lambda: gradients.images(gradients.little_cnn(), 24, 12, 1),
        "residual": lambda: gradients.ee.Network(gradients.Residual(8), torch.randn(24, 64), torch.arange(24) % 10),
    }
    net = nets[name]()
    land = gradients.ee.Network(net.model, net.x, net.y)  # no weight decay
    ours, peers = gradients.gradient_ways(land, gradients.starts(land, 3), 8, own, jax=name != "residual")
    expected = ours()
    for peer, call in peers.items():
        if call is not None:
            torch.testing.assert_close(flat(call()), expected, atol=2e-6, rtol=1e-3, msg=lambda m, p=peer: f"{p}: {m}")
    assert sum(call is not None for call in peers.values()) >= 2


@pytest.mark.parametrize("number", [None, 3])
def test_the_peers_of_a_product_compute_the_same(benchmark, number):
    gradients, curvature = benchmark("gradients"), benchmark("curvature")
    land = gradients.images(gradients.little_cnn(), 12, 12, 1)
    theta, generator = land.initial(gradients.seeded()), gradients.seeded(1)
    v = torch.randn(land.dim, generator=generator) if number is None else torch.randn(3, land.dim, generator=generator)
    expected = hessian_vector_product(land, theta, v)
    for peer, call in curvature.product_ways(land, theta, v).items():
        if call is not None:
            result = call()
            if isinstance(result, dict):  # by parameter, (D,) or (V, D)
                result = torch.cat([array(part).reshape(*v.shape[:-1], -1) for part in result.values()], -1)
            torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-3, msg=lambda m, p=peer: f"{p}: {m}")


def test_the_peers_of_trace_and_largest_eigenvalue_estimate_the_same(benchmark):
    gradients, curvature = benchmark("gradients"), benchmark("curvature")
    land = gradients.images(gradients.little_cnn(), 12, 12, 1)
    theta = land.initial(gradients.seeded())
    hessian = dense_hessian(land, theta)
    largest = extreme_eigenvalues(land, theta, generator=gradients.seeded()).largest
    for call in curvature.largest_ways(land, theta).values():
        if call is not None:
            assert float(call()) == pytest.approx(float(largest), rel=0.02)  # power method: where two steps agree
    off = float((hessian - hessian.diag().diag()).square().sum() * 2) ** 0.5  # of one probe of random signs, exactly
    for call in curvature.trace_ways(land, theta, 64).values():
        if call is not None:
            result = call()
            value = sum(result) / len(result) if isinstance(result, list) else float(result)
            assert value == pytest.approx(float(hessian.trace()), abs=4 * off / 8)


def test_the_operations_of_a_stack_are_those_of_its_products(benchmark):
    # 64-32-32-10: three forward products, three for the weights, two for the inputs; a product has each twice, but
    # those with the data, which have no tangent, once
    gradients = benchmark("gradients")
    land = gradients.roads.landscape()
    first, others = 64 * 32, 32 * 32 + 32 * 10
    assert gradients.flops(land.model, land.x[:1]) == 2 * (2 * first + 3 * others)
    more = gradients.flops(land.model, land.x[:1], 5) - gradients.flops(land.model, land.x[:1])
    assert more == 5 * 2 * (2 * first + 6 * others)


# pixels, inputs, outputs of the 3 x 3 convolutions; forward, weights' gradient and, but for the first, inputs' gradient
SMALL = [(1024, 3, 16), (256, 16, 32), (64, 32, 32)]
RESNET = [
    (1024, 3, 16), *[(1024, 16, 16)] * 6, (256, 16, 32), *[(256, 32, 32)] * 5, (64, 32, 64), *[(64, 64, 64)] * 5,
]  # fmt: skip


def test_the_operations_of_a_gradient_are_those_of_its_products(benchmark):
    flops, picture = benchmark("gradients").flops, torch.zeros(1, 3, 32, 32)
    for model, layers, last in ((small_cnn(), SMALL, 512 * 10), (resnet20().eval(), RESNET, 64 * 10)):
        forward = [2 * pixels * 9 * inputs * outputs for pixels, inputs, outputs in layers] + [2 * last]
        assert flops(model, picture) == 3 * sum(forward) - forward[0]


@pytest.mark.parametrize("verb", ["train", "connect", "probe", "drift"])
def test_the_memory_of_a_verb_is_measured_on_the_vectors_that_it_moves(benchmark, verb):
    memory = benchmark("memory")
    land = memory.ee.Network(memory.ee.models.mlp(64, 4, 10), torch.randn(300, 64), torch.arange(300) % 10)
    result = memory.call_of(verb, land, 5)()
    shown = {"train": lambda: result.theta, "connect": lambda: result.pivots, "probe": lambda: result.position}
    assert len(shown.get(verb, lambda: result.position[0])()) == 5
