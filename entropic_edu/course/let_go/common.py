"""What the explorers share: what can be turned, and words for it."""

from __future__ import annotations

from entropic_edu.course.runs import Run
from entropic_edu.recorded import let_go
from entropic_edu.teaching.strings import text

GRID = let_go.RECIPE["grid"]
STARTS: tuple[float, ...] = tuple(GRID["starts"])
RATES = tuple(float(rate) for rate in GRID["steps"])
BATCHES = (*(int(size) for size in GRID["walkers"]), None)
K = 15  # of the grid
PAIRS = tuple(pair + 1 for pair in let_go.RECIPE["seeds"])
ALL = (None, *PAIRS)  # of the slider "pair of minima": None is all five


def run_of(batch_size: int | None, learning_rate: float, released_at: float = 0.3, road_pair: int | None = None) -> Run:
    """Return a recorded run of the grid; the control serves all learning rates. Pairs count from 1, None is all."""
    name = "control" if batch_size is None else f"eta {learning_rate:g}, B {batch_size}"
    return Run("let_go", name, released_at, road_pair, learning_rate)


def pairs_of(pair: int | None) -> tuple[int, ...]:
    """Return the pairs that a learner looks at, counted from 1."""
    return PAIRS if pair is None else (pair,)


def data_of(batch_size: int | None) -> str:
    """Name the batch in a sentence."""
    return text("06.batch.all") if batch_size is None else text("06.batch.some", batch_size=batch_size)


def pairs_named(pair: int | None) -> str:
    """Name the pairs looked at."""
    return text("06.pairs.all") if pair is None else text("06.pairs.one", pair=pair)


def walkers_named(count: int) -> str:
    """Name a number of walkers."""
    return text("06.walkers.one") if count == 1 else text("06.walkers.several", walkers=count)


def setting_of(run: Run) -> str:
    """Name batch and learning rate in a sentence."""
    return text("06.setting", data=data_of(run.batch_size), learning_rate=run.learning_rate)
