"""What the tests compare with: plain PyTorch on the module itself, a bent valley in closed form, brute force."""

import copy
import itertools
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from entropic_edu.physics.landscape import Landscape


class Residual(nn.Module):
    """A module that is no chain of layers, with a parameter of its own before those of its layers."""

    def __init__(self, inputs=5, hidden=6, classes=3):
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, hidden))
        self.first, self.second = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, classes)

    def reset_parameters(self):
        with torch.no_grad():
            self.scale.copy_(torch.linspace(0.5, 1.5, len(self.scale)))

    def forward(self, x):
        h = torch.tanh(self.first(x))
        return self.last(h + self.scale * torch.tanh(self.second(h)))


def with_parameters(model, theta):
    """Return a copy of the module that holds theta, by torch's own tool."""
    model = copy.deepcopy(model)
    vector_to_parameters(theta.detach().clone(), model.parameters())
    return model


def plain_loss_and_gradient(model, theta, criterion, x, y, weight_decay=0.0):
    """Return loss and gradient of the module by one call of backward()."""
    model = with_parameters(model, theta)
    loss = criterion(model(x), y) + 0.5 * weight_decay * sum(p.square().sum() for p in model.parameters())
    loss.backward()
    return loss.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])


def descend(model, theta, criterion, batches, optimizer, schedule=None, weight_decay=0.0):
    """Return the parameters after a plain training loop; ``optimizer`` and ``schedule`` make torch's own objects."""
    model = with_parameters(model, theta)
    steps = optimizer(model.parameters())
    rates = None if schedule is None else schedule(steps)
    for x, y in batches:
        steps.zero_grad()
        loss = criterion(model(x), y) + 0.5 * weight_decay * sum(p.square().sum() for p in model.parameters())
        loss.backward()
        steps.step()
        if rates is not None:
            rates.step()
    return parameters_to_vector(model.parameters()).detach()


def nearest_on_polyline(pivots, theta):
    """Return position by arc length and distance of the nearest point, one segment after another."""
    total = sum(float((b - a).norm()) for a, b in itertools.pairwise(pivots))
    best, passed = (0.0, float("inf")), 0.0
    for a, b in itertools.pairwise(pivots):
        size = float((b - a).norm())
        share = min(1.0, max(0.0, float((theta - a) @ (b - a)) / size**2))
        distance = float((theta - (a + share * (b - a))).norm())
        if distance < best[1]:
            best = ((passed + share * size) / total, distance)
        passed += size
    return best


@dataclass
class Circle(Landscape):
    """L = base + ½(r - 1)²: a circular valley, on which every length and every loss of a chord is known."""

    base: float = 0.0
    dim: int = 2

    def loss(self, theta):
        return self.base + 0.5 * (theta.norm(dim=-1) - 1).square()

    def draw(self, batch_size, generator, rows=None):
        raise AssertionError("a circle draws nothing; the tests ask for full batches")

    def gradient_on(self, theta, batch):
        radius = theta.norm(dim=-1, keepdim=True)
        return (radius - 1) * theta / radius

    def initial(self, generator):
        return torch.randn(2, generator=generator, dtype=torch.float64)


def on_circle(angles):
    """Return points of the unit circle, (n,) -> (n, 2)."""
    return torch.stack([angles.cos(), angles.sin()], -1)


def arc(angle, points):
    """Return evenly spaced points of an arc that begins at (1, 0), (points, 2)."""
    return on_circle(torch.linspace(0, angle, points, dtype=torch.float64))
