"""The benchmarks run; what they measure is for a quiet machine to say, so nothing here is timed."""

import importlib
import math
import sys
from pathlib import Path

import pytest
import torch


@pytest.fixture
def benchmark(monkeypatch):
    """Import a benchmark by name from the checkout, which is not installed with the package."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    before = set(sys.modules)
    yield lambda name: importlib.import_module(f"benchmarks.{name}")
    for name in set(sys.modules) - before:
        if name.split(".")[0] == "benchmarks":
            del sys.modules[name]


RATIOS = {}  # by benchmark, what its run here has measured


@pytest.mark.parametrize(
    "name",
    ["sweeps", "cnn", "strategies", "walkers", "hutchinson", "exact_trace", "live", "loader", "cold_start"],
)
def test_a_benchmark_returns_finite_positive_ratios_and_restores_the_threads(benchmark, name, capsys):
    threads = torch.get_num_threads()
    ratios = RATIOS[name] = benchmark(name).main(rounds=1, small=True)
    assert ratios
    assert all(math.isfinite(r.value) and r.value > 0 for r in ratios)
    assert torch.get_num_threads() == threads
    printed = capsys.readouterr().out
    assert "one thread" in printed
    assert all(r.claim in printed for r in ratios)


def test_the_table_holds_every_claim_of_the_nine_benchmarks(benchmark, capsys, monkeypatch):
    for name in RATIOS:  # those that have run above need not run again
        monkeypatch.setattr(benchmark(name), "main", lambda *_, name=name: RATIOS[name])
    ratios = benchmark("__main__").main(rounds=1, small=True)
    assert len(RATIOS) in (0, 9)
    printed = capsys.readouterr().out
    assert all(str(r) in printed for r in ratios)
    for word in ("sweep", "CNN", "strategy", "drift", "Hutchinson", "exact trace", "live", "loader", "cold start"):
        assert any(r.claim.startswith(word) for r in ratios)


def test_a_ratio_knows_whether_its_aim_is_met(benchmark):
    ratio = benchmark("run").Ratio
    assert ratio("a", 2.0, aim=1.5).met is True
    assert ratio("a", 2.0, aim=1.5, at_most=True).met is False
    assert ratio("a", 2.0).met is None


class Off:
    """A landscape whose gradients are one in a hundred too large."""

    def __init__(self, land):
        self.land = land

    def __getattr__(self, name):
        return getattr(self.land, name)

    def gradient(self, theta):
        return 1.01 * self.land.gradient(theta)


def test_the_peers_of_a_sweep_must_compute_the_same_gradients(benchmark, generator):
    sweeps = benchmark("sweeps")
    land = sweeps.digits_network()
    theta = torch.stack([land.initial(generator), land.initial(generator)])
    sweeps._check_equal(land, theta)
    with pytest.raises(AssertionError):
        sweeps._check_equal(Off(land), theta)


def test_the_flops_of_a_sweep_are_those_of_its_products(benchmark):
    # 64-64-64-10: three forward products, three for the weights, two for the inputs.
    sweeps = benchmark("sweeps")
    sizes = 64 * 64 + 64 * 64 + 64 * 10
    assert sweeps._flops(sweeps.digits_network().model, 5) == 2 * 5 * (sizes + sizes + 64 * 64 + 64 * 10)
