"""The same seed gives the same result to the last bit, also in another process.

Python draws anew in each process in which order it goes through a set, and addresses of memory differ, too.
"""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import fields

import pytest
import torch
from torch import nn

import entropic_edu as ee


def seeded(number=0):
    return torch.Generator().manual_seed(number)


def cnn(number, activation, norm):
    x = torch.randn(number, 3, 32, 32, generator=seeded(1))
    model = ee.models.small_cnn((4, 8, 8), activation=activation, norm=norm)
    return ee.Network(model, x, torch.arange(number) % 10, weight_decay=1e-3)


def digits():
    kept = ee.data.digits()
    return ee.Network(ee.models.mlp(64, 16, 16, 10), kept.x[:200], kept.y[:200], weight_decay=1e-3)


LANDSCAPES = {
    "valley": lambda: ee.valleys.Waist(),
    "digits": digits,
    "CNN": lambda: cnn(48, nn.ReLU, None),
    "smooth CNN": lambda: cnn(16, nn.GELU, "group"),  # traces by probes, not exact
}


def bits(result):
    """Return a hash of all tensors of a result."""
    found = hashlib.sha256()
    for field in fields(result):
        value = getattr(result, field.name)
        found.update(value.contiguous().numpy().tobytes() if isinstance(value, torch.Tensor) else repr(value).encode())
    return found.hexdigest()


def results(name):
    """Return hashes of what each verb finds on a landscape."""
    land = LANDSCAPES[name]()
    if name == "valley":
        road, found = ee.Path(land.floor(21)), {}
    else:
        run = ee.train(land, generator=seeded(2), runs=2, batch_size=16, learning_rate=0.02, momentum=0.9, epochs=2)
        road = ee.connect(land, *run.theta, generator=seeded(3), method="string", pivots=5, sweeps=10, batch_size=16)
        found = {"train": bits(run), "connect": bits(road)}
    if name == "digits":  # on a CNN it takes a minute, and calls what the others call
        grown = ee.spawn(land, generator=seeded(4), at=[0, 4], children=2, batch_size=16, learning_rate=0.02, epochs=1)
        found["spawn"] = bits(grown)
    profile = ee.probe(land, road, generator=seeded(5), points=2, num_probes=2, lanczos_steps=4)
    walkers = {"walkers": 2, "steps": 20, "record_every": 5, "project_every": 5}
    release = ee.drift(land, road, generator=seeded(6), learning_rate=0.01, batch_size=16, momentum=0.9, **walkers)
    return found | {"probe": bits(profile), "drift": bits(release)}


def in_another_process(seed_of_hashes):
    done = subprocess.run(
        [sys.executable, __file__, *LANDSCAPES],
        env=os.environ | {"PYTHONHASHSEED": str(seed_of_hashes)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def elsewhere():
    return [in_another_process(seed) for seed in (1, 2)]


@pytest.mark.parametrize("name", LANDSCAPES)
def test_a_seed_gives_the_same_bits_in_every_process(elsewhere, name):
    here = results(name)
    assert len(here) == {"valley": 2, "digits": 5}.get(name, 4)
    assert [each[name] for each in elsewhere] == [here] * 2


def test_another_seed_gives_others():
    land = digits()
    one, two = (
        ee.train(land, generator=seeded(seed), runs=1, batch_size=16, learning_rate=0.02, epochs=1) for seed in (0, 1)
    )
    assert bits(one) != bits(two)
    assert bits(one) == bits(ee.train(land, generator=seeded(), runs=1, batch_size=16, learning_rate=0.02, epochs=1))


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({name: results(name) for name in sys.argv[1:]}))
