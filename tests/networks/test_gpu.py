"""A CUDA device gives what the CPU gives, from the same seeds; skipped where there is none.

Small random pictures in float64: sums in another order differ by about 1e-13, and short runs do not amplify that much.
"""

from functools import partial

import pytest
import torch
from torch import nn

import entropic_edu as ee
from entropic_edu.networks import memory
from entropic_edu.physics.curvature import extreme_eigenvalues, hessian_vector_product, hutchinson_trace

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
CPU, GPU = torch.device("cpu"), torch.device("cuda")
CLOSE = {"rtol": 1e-7, "atol": 1e-9}
MODELS = {
    "mlp": lambda: nn.Sequential(nn.Flatten(), *ee.models.mlp(3 * 32 * 32, 8, 10)),
    "mlp, layer norm": lambda: nn.Sequential(nn.Flatten(), *ee.models.mlp(3 * 32 * 32, 8, 10, norm="layer")),
    "cnn": lambda: ee.models.small_cnn((4, 8)),
    "cnn, group norm": lambda: ee.models.normed_cnn((4, 8), size=32),
    "cnn, batch norm": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.GELU(), nn.MaxPool2d(6), nn.Flatten(), nn.Linear(100, 10)
    ),
    "resnet, group norm": lambda: ee.models.resnet20("group", 2, activation=nn.GELU),
    "resnet, batch norm": lambda: ee.models.resnet20("batch", 2, activation=nn.GELU),
}


def seeded(number=0):
    return torch.Generator().manual_seed(number)


def networks(name, number=40, **settings):
    """The same landscape on both devices."""
    x = torch.randn(number, 3, 32, 32, generator=seeded(), dtype=torch.float64)
    y = torch.randint(10, (number,), generator=seeded(1))
    settings = {"batch_norm": "reestimate", "statistics": 20, "weight_decay": 0.01, "test": (x[:9], y[:9]), **settings}
    land = ee.Network(MODELS[name]().double(), x, y, **settings)
    return land, ee.Network(MODELS[name]().double().to(GPU), x, y, **settings)


def starts(land, number=3):
    generator = seeded(2)
    return torch.stack([land.initial(generator) for _ in range(number)])


@pytest.mark.parametrize("name", MODELS)
def test_a_seed_gives_the_same_start_and_the_same_batches(name):
    cpu, gpu = networks(name)
    assert gpu.device.type == gpu.x.device.type == "cuda"
    assert torch.equal(starts(cpu), starts(gpu).cpu())
    for rows in (None, 2):
        one, two = cpu.draw(8, seeded(), rows), gpu.draw(8, seeded(), rows)
        assert torch.equal(one.x, two.x.cpu())
        assert torch.equal(one.y, two.y.cpu())


@pytest.mark.parametrize("way", ["auto", "loop", "vmap"])
@pytest.mark.parametrize("name", MODELS)
def test_losses_gradients_and_accuracies_agree(name, way):
    cpu, gpu = networks(name, strategy=way)
    here, there = starts(cpu), starts(gpu)
    calls = [
        lambda land, t: land.loss(t),
        lambda land, t: land.loss(t[0]),
        lambda land, t: land.gradient(t),
        lambda land, t: land.gradient(t[0]),
        lambda land, t: land.gradient(t, 8, seeded()),
        lambda land, t: land.gradient(t, 8, seeded(), shared=True),
        lambda land, t: land.accuracy(t),
        lambda land, t: land.accuracy(t, "test"),
    ]
    for call in calls:
        found = call(gpu, there)
        assert found.device.type == "cuda"
        torch.testing.assert_close(found.cpu(), call(cpu, here), **CLOSE)


@pytest.mark.parametrize("name", MODELS)
def test_curvature_and_noise_agree(name):
    cpu, gpu = networks(name, number=24)
    theta = starts(cpu, 1)[0]
    vector = torch.randn(cpu.dim, generator=seeded(3), dtype=torch.float64)
    calls = [
        lambda land, t: hessian_vector_product(land, t, vector.to(t)),
        lambda land, t: hutchinson_trace(land, t, num_probes=1, generator=seeded()).samples,
        lambda land, t: extreme_eigenvalues(land, t, steps=4, generator=seeded()).largest,
        lambda land, t: ee.gradient_covariance(land, t).trace,
    ]
    for call in calls:
        torch.testing.assert_close(call(gpu, theta.to(GPU)).cpu(), call(cpu, theta), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["mlp", "cnn", "cnn, batch norm"])
def test_the_four_verbs_agree(name):
    results = []
    for land in networks(name, number=24):
        train = partial(ee.train, land, batch_size=8, learning_rate=0.02, momentum=0.9, epochs=2)
        ends = [train(generator=seeded(seed)).theta for seed in (5, 6)]
        path = ee.connect(land, *ends, method="string", pivots=4, sweeps=4, batch_size=8, points=6, generator=seeded())
        profile = ee.probe(land, path, points=2, num_probes=1, lanczos_steps=4, generator=seeded())
        release = ee.drift(
            land, path, start=0.5, batch_size=8, learning_rate=0.01, walkers=2, steps=4, project_every=2,
            valley_radius=10.0, generator=seeded(),
        )  # fmt: skip
        results.append([
            ends[0], path.pivots, path.losses, profile.loss, profile.trace, profile.top_eigenvalue, profile.noise,
            release.position, release.loss,
        ])  # fmt: skip
    for cpu, gpu in zip(*results, strict=True):
        torch.testing.assert_close(gpu.cpu(), cpu.cpu(), rtol=1e-4, atol=1e-6)


def test_a_choice_is_timed_for_each_shape():
    _, gpu = networks("cnn", strategy="auto")
    theta = starts(gpu)
    for size in (4, 8, 8):
        gpu.gradient(theta, size, seeded())
    assert len(gpu.engine.choice.made) == 2
    assert set(gpu.engine.choice.made.values()) <= {"loop", "vmap"}


def test_all_data_that_fit_are_taken_at_once():
    _, gpu = networks("cnn", number=1000)
    assert gpu.samples_at_once >= 1000
    assert len(gpu.pieces(weight_decay=False)) == 1


def test_an_estimate_of_memory_is_near_what_a_gradient_takes():
    _, gpu = networks("cnn", number=500)
    theta = starts(gpu, 1)[0]
    gpu.gradient(theta)  # so that libraries have their workspace
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    gpu.gradient(theta)
    taken = torch.cuda.max_memory_allocated() - before
    assert 0.3 < taken / (500 * gpu.bytes_per_sample) < 8  # cuDNN's workspace is apart


def test_memory_that_runs_out_is_met_with_fewer_samples():
    cpu, gpu = networks("cnn", number=2000)
    theta = starts(gpu, 1)[0]
    torch.cuda.empty_cache()
    share = (torch.cuda.memory_reserved() + 1000 * gpu.bytes_per_sample) / memory.total_bytes(GPU)
    torch.cuda.set_per_process_memory_fraction(share)
    try:
        gradient = gpu.gradient(theta)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert gpu.engine.most is not None
    torch.testing.assert_close(gradient.cpu(), cpu.gradient(theta.cpu()), **CLOSE)
