"""What is recorded of each setting of the map: bumps of the road, and the way home of the walkers on it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.recorded.regimes import bump
from entropic_edu.teaching.strings import option_text

NAMES = ("05.map.name.base", "05.map.name.calm", "05.map.name.clean", "05.map.name.plain", "05.map.name.undecayed",
         "05.map.name.raw", "05.map.name.hard", "05.map.name.squared", "05.map.name.batch", "05.map.name.autoneb",
         "05.map.name.all")  # fmt: skip
FLAT = 1.1  # the highest data loss on a flat road, over its higher end, as in the story


class Setting(NamedTuple):
    """A setting of the recording, on roads with norms matched or as they were built."""

    name: str = "base"
    matched: bool = True

    @property
    def unmatched(self) -> bool:
        """Whether this road differs from that of matched norms: without normalisation nothing can be matched."""
        return not self.matched and f"{self.name}/raw_trace" in recorded.load("regimes")

    def values(self, key: str) -> Tensor:
        """Return what is recorded of these roads, (pairs, ...)."""
        value: Tensor = recorded.load("regimes")[f"{self.name}/{'raw_' if self.unmatched else ''}{key}"]
        return value.double()

    def bump(self, measure: str) -> Tensor:
        """Return the bump of each pair, (pairs,)."""
        return bump(self.values(measure))

    @property
    def height(self) -> float:
        """The highest data loss on the road over its higher end, which matched norms leave alone; mean over pairs."""
        return float(recorded.load("regimes")[f"{self.name}/highest"][:, 1].mean())

    @property
    def flat(self) -> bool:
        return self.height <= FLAT

    @property
    def outside(self) -> float:
        """The share of projections from outside the valley."""
        return float(self.values("outside").mean())

    def home(self) -> dict[str, Tensor]:
        """Return the share of the way home with noise, without, and as theory says, (pairs,); empty without walkers."""
        if self.unmatched and f"{self.name}/raw_walked" not in recorded.load("regimes"):
            return {}
        walked, still = way(self.values("walked").mean(2)), way(self.values("still"))
        return {"noise": walked, "still": still, "theory": way(self.values("predicted")[:, 0])}

    def title(self) -> str:
        """Say what is changed."""
        off = [] if self.name == "base" else self.name.split("+")
        return ", ".join(option_text(each, *NAMES) for each in [*off, *["raw"] * self.unmatched] or ["base"])


BASE = Setting()


def way(ends: Tensor) -> Tensor:
    """Return the share of the way to their own ends that walkers have gone, (pairs, starts) -> (pairs,)."""
    starts = torch.tensor(recorded.load("regimes").recipe["starts"], dtype=torch.float64)
    return ((ends - starts) / ((starts > 0.5).double() - starts)).mean(1)
