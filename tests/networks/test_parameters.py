"""A module called with other parameters, which has its own again afterwards."""

import copy

import pytest
import torch
from torch import nn

from entropic_edu.networks.layers import ModuleAt
from entropic_edu.networks.parameters import Layout, functional_call


class Tied(nn.Module):
    """One parameter of two modules, one of which has two names."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(3, 4), nn.Linear(4, 3, bias=False)
        self.head.weight, self.again = self.embed.weight, self.head

    def forward(self, x):
        return self.again(torch.tanh(self.embed(x)))


class Named(nn.Module):
    """One parameter of one module that has two names there."""

    def __init__(self):
        super().__init__()
        self.weight = self.alias = nn.Parameter(torch.linspace(-1, 1, 12).view(4, 3))
        self.shift = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return torch.tanh(x @ self.weight) * self.alias.sum(0) + self.shift


def under_two_names():
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.Tanh(), layer, nn.Linear(4, 3))


X, TOKENS = torch.linspace(-1, 1, 8).view(2, 4), torch.tensor([0, 2])


@pytest.mark.parametrize(("make", "x"), [(under_two_names, X), (Tied, TOKENS), (Named, X)])
def test_a_module_has_its_own_parameters_again_also_under_two_names(make, x):
    model = make()
    own = dict(model.named_parameters(remove_duplicate=False))
    others = {name: (2 * p.detach()).requires_grad_() for name, p in model.named_parameters()}
    found = functional_call(model, others, (x,))
    now = dict(model.named_parameters(remove_duplicate=False))
    assert all(now[name] is own[name] for name in own)
    doubled = copy.deepcopy(model)
    doubled.load_state_dict({name: 2 * value for name, value in model.state_dict().items()})
    assert torch.equal(found, doubled(x))


@pytest.mark.parametrize(("make", "x"), [(under_two_names, X), (Tied, TOKENS)])
def test_gradients_of_single_samples_sum_over_all_names(make, x):
    model = make().double()
    x = x.double() if x.is_floating_point() else x
    layout = Layout(model)
    rows = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64).expand(1, 2, 3)
    found = ModuleAt(model, layout, layout.flatten(model)).gradients(layout.names, x, rows)
    for number in range(2):
        plain = torch.autograd.grad(model(x[number : number + 1]), list(model.parameters()), rows[:, number])
        for name, gradient in zip(layout.names, plain, strict=True):
            torch.testing.assert_close(found[name][number, 0], gradient)


@pytest.mark.parametrize("lead", [(), (4,), (2, 4)])
def test_parameters_lie_in_theta_one_after_the_other_whatever_dimensions_lead(lead):
    model = under_two_names()
    model[1].register_parameter("frozen", nn.Parameter(torch.ones(2), requires_grad=False))
    layout = Layout(model)
    sizes = {"0.weight": 16, "0.bias": 4, "3.weight": 12, "3.bias": 3}
    assert (layout.names, layout.sizes, layout.dim) == (list(sizes), list(sizes.values()), 35)
    assert layout.slices == {"0.weight": slice(0, 16), "0.bias": slice(16, 20)} | {
        "3.weight": slice(20, 32),
        "3.bias": slice(32, 35),
    }
    theta = torch.arange(35.0).expand(*lead, 35).clone()
    parts = layout.split(theta)
    for name, own in model.named_parameters():
        if own.requires_grad:
            expected = torch.arange(35.0)[layout.slices[name]].view(own.shape)
            assert torch.equal(parts[name], expected.expand(*lead, *own.shape))
    assert torch.equal(layout.join(parts, len(lead)), theta)
    assert torch.equal(layout.flatten(model), torch.cat([p.flatten() for p in model.parameters() if p.requires_grad]))
    with torch.no_grad():
        parts["3.bias"].zero_()  # a view
    assert not theta[..., 32:].any()
