"""How a benchmark is run: rounds of all calls in turn after one warm-up, medians, and ratios only.

A busy machine slows neighbours in time alike, so a ratio of medians over interleaved rounds is worth reporting where
a time in seconds is not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Ratio:
    """One ratio of times (or rates) measured in one run.

    Attributes:
        claim: What is compared, as a table row.
        value: The ratio.
        aim: The bound it should keep, or None for a number that is only reported.
        at_most: Whether the aim is an upper bound; otherwise a lower one.
    """

    claim: str
    value: float
    aim: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None where there is no aim."""
        if self.aim is None:
            return None
        return self.value <= self.aim if self.at_most else self.value >= self.aim

    def __str__(self) -> str:
        aim = "" if self.aim is None else f"{'<=' if self.at_most else '>='} {self.aim:g}"
        met = {True: "yes", False: "NO", None: ""}[self.met]
        return f"{self.claim:72s} {self.value:7.2f}   {aim:7s} {met}".rstrip()


HEADER = f"{'claim':72s} {'ratio':>7s}   {'aim':7s} met"


def medians(calls: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Return the median time of each call in seconds; every round makes all calls once, after one warm-up."""
    for call in calls:
        call()
    times = [[_seconds(call) for call in calls] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, so that ratios do not depend on how busy the other cores are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
