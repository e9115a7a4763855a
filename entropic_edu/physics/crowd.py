"""Parameter vectors that steps move, in the order of numbers in which a landscape has their gradients soonest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from .landscape import Landscape


class Crowd:
    """A copy of parameter vectors, (D,) or (P, D), and their gradients.

    A step rule works number by number, so it may be given them in any order. Here that is θ's own; ``networks.crowd``
    has another. Without a landscape somebody else knows the gradients; without a copy steps move ``theta`` itself.

    Attributes:
        numbers: All numbers, for a step rule to change.

    Example:
        >>> land = ee.valleys.Waist(g_narrow=16.0)
        >>> crowd = land.crowd(torch.tensor([[1.0, 0.0], [0.5, 0.0]]))
        >>> crowd.numbers -= 0.125 * crowd.gradient(None)
        >>> crowd.position[:, 0].tolist()
        [-1.0, -0.5]
    """

    numbers: Tensor

    def __init__(self, theta: Tensor, land: Landscape | None = None, *, copied: bool = True) -> None:
        self.land, self.shape = land, theta.shape
        numbers = self.ordered(theta.detach())
        self.numbers = numbers.clone() if copied and numbers.data_ptr() == theta.data_ptr() else numbers

    @property
    def position(self) -> Tensor:
        """The parameter vectors, of the shape they had; perhaps the same memory."""
        return self.vectors(self.numbers)

    def place(self, theta: Tensor) -> None:
        """Move all to ``theta``."""
        self.numbers.copy_(self.ordered(theta))

    def gradient(self, batch: Any | None) -> Tensor:
        """Return the gradient on a batch in the order of ``numbers``; the next call may change it."""
        assert self.land is not None
        return self.ordered(self.land.gradient_on(self.position, batch))

    def slope(self, batch: Any | None) -> tuple[Tensor, float]:
        """Return the same, and a λ: weight decay λθ is then left out, since a step can add it for less."""
        return self.gradient(batch), 0.0

    def loss_and_gradient(self, batch: Any | None) -> tuple[Tensor, Tensor]:
        """Return the gradient and each vector's data loss on the batch, (P,) or ()."""
        assert self.land is not None
        loss, gradient = self.land.data_loss_and_gradient_on(self.position, batch)
        return loss, self.ordered(gradient)

    def ordered(self, theta: Tensor) -> Tensor:
        """Return numbers of the vectors' shape in the order of ``numbers``."""
        return theta

    def vectors(self, numbers: Tensor) -> Tensor:
        """Return the same in the vectors' shape again."""
        return numbers
