"""Models, data, losses and ends of every kind in every combination: words of ours, or numbers that are finite."""

import warnings
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from test_hostile_input import INF, NAN, PROFILE, seeded, tried
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import entropic_edu as ee

N = 8


class Made(nn.Module):
    """A layer, and a function of what it gives."""

    def __init__(self, layer, after=lambda z: z):
        super().__init__()
        self.layer, self.after = layer, after

    def forward(self, *x, **named):
        return self.after(self.layer(*x, **named))


class Last(nn.Module):
    """The last step of a recurrent network."""

    def __init__(self):
        super().__init__()
        self.body = nn.GRU(3, 3, batch_first=True)

    def forward(self, x):
        return self.body(x[:, None])[0][:, -1]


MODELS = {
    "linear": lambda: nn.Linear(3, 3),
    "chain": lambda: ee.models.mlp(3, 4, 3),
    "deep relu": lambda: nn.Sequential(nn.Linear(3, 30), nn.ReLU(), nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 3)),
    "one output": lambda: nn.Linear(3, 1),
    "flat": lambda: Made(nn.Linear(3, 1), lambda z: z[:, 0]),
    "pixels": lambda: Made(nn.Linear(3, 12), lambda z: z.view(-1, 3, 2, 2)),
    "tuple": lambda: Made(nn.Linear(3, 3), lambda z: (z, z)),
    "dict": lambda: Made(nn.Linear(3, 3), lambda z: {"a": z, "b": z}),
    "logits": lambda: Made(nn.Linear(3, 3), lambda z: SimpleNamespace(logits=z)),
    "none": lambda: Made(nn.Linear(3, 3), lambda z: None),
    "scalar": lambda: Made(nn.Linear(3, 3), lambda z: z.sum()),
    "classes": lambda: Made(nn.Linear(3, 3), lambda z: z.argmax(-1)),
    "softmax": lambda: nn.Sequential(nn.Linear(3, 3), nn.Softmax(-1)),
    "mixing": lambda: Made(nn.Linear(3, 3), lambda z: z - z.mean(0)),
    "random": lambda: Made(nn.Linear(3, 3), lambda z: z + torch.randn_like(z)),
    "dropout": lambda: nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)),
    "batch norm": lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3)),
    "spectral norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3)),
    "recurrent": Last,
    "frozen": lambda: nn.Linear(3, 3).requires_grad_(False),
    "no parameters": nn.Identity,
    "half": lambda: nn.Linear(3, 3).bfloat16(),
    "double": lambda: nn.Linear(3, 3).double(),
    "lazy": lambda: nn.LazyLinear(3),
    "meta": lambda: nn.Linear(3, 3, device="meta"),
    "complex": lambda: nn.Linear(3, 3, dtype=torch.cfloat),
    "wide": lambda: nn.Linear(4, 3),
    "tokens": lambda: nn.Sequential(nn.Embedding(3, 2), nn.Flatten(), nn.Linear(6, 3)),
    "parallel": lambda: nn.DataParallel(nn.Linear(3, 3)),
    "class": lambda: nn.Linear,
    "state": lambda: nn.Linear(3, 3).state_dict(),
}
X = torch.randn(N, 3, generator=seeded())
INPUTS = {
    "floats": X,
    "double": X.double(),
    "NumPy": X.numpy(),
    "list": X.tolist(),
    "NaN": X * NAN,
    "infinite": X * INF,
    "huge": X * 1e30,
    "none": X[:0],
    "one": X[:1],
    "fewer": X[:-1],
    "numbers": torch.arange(3 * N).view(N, 3) % 3,
    "bytes": torch.zeros(N, 3, dtype=torch.uint8),
    "complex": X.to(torch.cfloat),
    "sparse": X.to_sparse(),
    "tuple": (X, X),
    "dict": {"input": X},
    "strings": ["a"] * N,
    "ragged": [[1.0]] + [[1.0, 2.0]] * (N - 1),
    "objects": np.array([None] * N),
    "deep": X[:, None, None],
    "scalar": torch.tensor(1.0),
}
CLASSES = torch.arange(N) % 3
TARGETS = {
    "classes": CLASSES,
    "reals": X[:, :1],
    "flat": X[:, 0],
    "shares": torch.softmax(X, -1),
    "bits": (X > 0).float(),
    "column": CLASSES[:, None],
    "pixels": torch.zeros(N, 2, 2, dtype=torch.long),
    "from 1": CLASSES + 1,
    "negative": -CLASSES,
    "ignored": torch.where(CLASSES == 1, -100, CLASSES),
    "all ignored": torch.full((N,), -100),
    "truth": CLASSES > 0,
    "strings": ["a", "b"] * (N // 2),
    "NaN": X[:, :1] * NAN,
    "few": CLASSES[:3],
}
LOSSES = {
    "cross_entropy": "cross_entropy",
    "mse": "mse",
    "unknown": "hinge",
    "class": nn.CrossEntropyLoss,
    "weighted": nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.0])),
    "sum": nn.CrossEntropyLoss(reduction="sum"),
    "each": nn.CrossEntropyLoss(reduction="none"),
    "smooth": nn.CrossEntropyLoss(label_smoothing=0.1),
    "bce": nn.BCEWithLogitsLoss(),
    "huber": nn.HuberLoss(),
    "margin": nn.MultiMarginLoss(),
    "number": lambda z, y: 1.0,
    "constant": lambda z, y: torch.tensor(1.0),
    "negative": lambda z, y: -z.square().mean(),
    "pairs": lambda z, y: (z[:, None] - z).square().mean(),
    "not finite": lambda z, y: z.mean().log(),
    "fails": lambda z, y: z.no_such_method(),
    "l1": F.l1_loss,
}
OPTIONS = {
    "plain": {},
    "frozen": {"freeze_buffers": True},
    "reestimated": {"batch_norm": "reestimate"},
    "decay": {"weight_decay": 1e3},
    "noisy": {"label_noise": 0.3},
    "test": {"test": (X[:2], CLASSES[:2])},
    "wrong test": {"test": (X[:2, :1], CLASSES[:2])},
    "chosen": {"outputs": lambda r: r["a"]},
    "scored": {"accuracy": lambda z, y: 0.5},
    "wrongly scored": {"accuracy": lambda z, y: z},
    "vmap": {"strategy": "vmap"},
    "stacked": {"strategy": "stacked"},
}


def ends_of(kind, model):
    """Two ends of a road in some form."""
    states = [{name: p + k for name, p in model.state_dict().items()} for k in (0.0, 0.1)]
    if kind == "modules":
        twin = MODELS["chain"]()
        twin.load_state_dict(states[1])
        return model, twin
    return {
        "states": states,
        "prefixed": [OrderedDict((f"module.{n}", p) for n, p in state.items()) for state in states],
        "checkpoints": [{"epoch": 3, "model_state_dict": state} for state in states],
        "empty": [{}, {}],
        "lacking": [states[0], dict(list(states[1].items())[:-1])],
        "of others": [states[0], nn.Linear(3, 3).state_dict()],
        "runs": [SimpleNamespace(theta=1), SimpleNamespace(theta=2)],
        "numbers": [1.0, 2.0],
        "strings": ["a.pt", "b.pt"],
        "NaN": [states[0], {name: p * NAN for name, p in states[1].items()}],
    }[kind]


ENDS = ["modules", "states", "prefixed", "checkpoints", "empty", "lacking", "of others", "runs", "numbers", "strings"]


def landscape(model, x, y, loss, option, loader):
    """Make a network and all its numbers at a start; what is unavailable says so and is left out."""
    made = MODELS[model]()
    inputs, targets = INPUTS[x], TARGETS[y]
    data = (inputs, targets)
    if loader:
        data = (DataLoader(TensorDataset(inputs, targets), batch_size=3),) if loader == "loader" else (Pairs(*data),)
    land = ee.Network(made, *data, loss=LOSSES[loss], **OPTIONS[option])
    theta = land.flatten(land.model)
    scores = [land.accuracy(theta, split) for split in land.splits]
    gradients = [land.gradient(theta), land.gradient(theta, min(2, land.num_samples), seeded())]
    road = ee.Path(torch.stack([theta, theta + 0.1]))
    profile = ee.probe(land, road, generator=seeded(), points=2, num_probes=1, lanczos_steps=2)
    reliable = [profile.data_loss] + ([] if "curvature" in profile.unavailable else [profile.trace])
    return (land.loss(theta), *gradients, *scores, *reliable)


class Pairs(torch.utils.data.Dataset):
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


def attempt(data):
    pools = {"model": MODELS, "x": INPUTS, "y": TARGETS, "loss": LOSSES, "option": OPTIONS}
    sound = {"model": "chain", "x": "floats", "y": "classes", "loss": "cross_entropy", "option": "plain"}
    keys = data.draw(st.lists(st.sampled_from(sorted(pools)), min_size=1, max_size=3, unique=True))
    changed = {key: data.draw(st.sampled_from(sorted(pools[key]))) for key in keys}
    loader = data.draw(st.sampled_from(["", "", "loader", "dataset"]))
    given = INPUTS.get(changed.get("x"), X), TARGETS.get(changed.get("y"), X)
    if loader == "loader" and not (all(map(torch.is_tensor, given)) and given[0].shape[:1] == given[1].shape[:1] != ()):
        loader = "dataset"  # torch's own TensorDataset takes no other
    with torch.random.fork_rng(), warnings.catch_warnings(action="ignore"):
        torch.manual_seed(0)
        wrong = tried(landscape, sound | changed | {"loader": loader})
    assert wrong is None, f"{changed} by {loader or 'arrays'}: {wrong}"


@pytest.mark.parametrize("kind", ENDS)
def test_ends_of_every_kind_are_joined_or_refused_in_words(kind):
    model = MODELS["chain"]()
    land = ee.Network(model, X, CLASSES)
    for end in ends_of(kind, model):
        assert tried(land.flatten, {"source": end}) is None
    a, b = ends_of(kind, model)
    wrong = tried(ee.connect, {"land": land, "a": a, "b": b, "generator": seeded(), "method": "linear", "points": 3})
    assert wrong is None, wrong
    assert tried(ee.train, {"land": land, "start": a, "generator": seeded(), "epochs": 1, "batch_size": 4}) is None


@settings(max_examples=60, **PROFILE)
@given(data=st.data())
def test_every_combination_gives_words_or_finite_numbers(data):
    attempt(data)


@pytest.mark.soak
@settings(max_examples=3000, **PROFILE)
@given(data=st.data())
def test_thousands_of_combinations_give_words_or_finite_numbers(data):
    attempt(data)
