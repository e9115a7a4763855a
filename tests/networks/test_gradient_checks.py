"""Whether autograd's gradient is how a loss changes: what is refused, and how short the steps of the look are."""

import pytest
import torch
from torch import nn

from entropic_edu import Network

X, Y = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3


class Turning(nn.Linear):
    """A layer with a term whose slope turns within a length 1/k of its 300 parameters; it may be of one precision."""

    def __init__(self, k, single=False):
        super().__init__(4, 3)
        self.rest, self.k, self.single = nn.Parameter(torch.zeros(300)), k, single

    def forward(self, x):
        x = x.float() if self.single else x
        return super().forward(x) + torch.sin(self.k * self.rest.sum() / 300**0.5) * torch.ones(3).to(x).cumsum(0)


def measured(model):
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))
    Network(model, X, Y)  # which looks, and refuses in words


@pytest.mark.parametrize("k", [1.0, 1e7, 1e8, 3e9])
def test_a_slope_that_turns_within_a_short_way_is_seen_with_a_shorter_step(k):
    measured(Turning(k))


def test_in_single_precision_steps_are_longer():
    for k in (30.0, 60.0, 100.0):
        measured(Turning(k, single=True))
    with pytest.raises(ValueError, match="not how the loss changes"):
        measured(Turning(1e8, single=True))


class Other(torch.autograd.Function):
    """x, with a slope of ``factor``."""

    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx, slope):
        return ctx.factor * slope, None


class Sloped(nn.Linear):
    def __init__(self, factor, single):
        super().__init__(4, 3)
        self.factor, self.single = factor, single

    def forward(self, x):
        return Other.apply(super().forward(x.float() if self.single else x), self.factor)


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("factor", [1.0, 1.2, 0.8, 0.5, 0.0, -1.0])
def test_a_gradient_that_is_off_by_a_fifth_or_in_single_precision_by_half_is_refused(factor, single):
    model = Sloped(factor, single)
    if factor == 1 or (single and factor in (0.8, 1.2)):  # round-off of single precision may be as much
        measured(model)
        return
    with pytest.raises(ValueError, match=r"not how the loss changes\. Take out what stops or replaces it"):
        measured(model)


class Unsaid(torch.autograd.Function):
    """A function whose backward pass fails without a word, or with several lines."""

    @staticmethod
    def forward(ctx, x, words):
        ctx.words = words
        return x.clone()

    @staticmethod
    def backward(ctx, slope):
        raise NotImplementedError(*ctx.words)


@pytest.mark.parametrize(
    ("words", "said"), [((), r"\(NotImplementedError\)"), (("no slope here\nsorry",), r"\(no slope here\)")]
)
def test_a_backward_pass_that_fails_is_told_in_its_own_first_line(words, said):
    class Silent(nn.Linear):
        def forward(self, x):
            return Unsaid.apply(super().forward(x), words)

    with pytest.raises(ValueError, match=rf"not how the loss changes {said}\. Take out"):
        measured(Silent(4, 3))
