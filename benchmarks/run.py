"""How a stage is measured: all ways of it in turn, round after round, medians of CPU time, and the peak of memory.

A busy machine slows neighbours in time alike, so a ratio of medians over interleaved rounds is worth quoting where a
time in seconds is not.
"""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

CPU = torch.device("cpu")
HEADS = ("stage", "ours", "best peer", "peer/ours", "each peer/ours", "of the limit", "MB, ours / best peer's")
BUDGET, FEWEST, MOST = 2.5, 3, 60  # CPU seconds that all rounds of a stage may take, and their number


@dataclass(frozen=True)
class Way:
    """One way to do a stage: ``call`` does ``units`` of it, with what ``before`` makes, whose time is not counted."""

    call: Callable[..., object]
    units: float = 1
    before: Callable[[], object] | None = None

    def seconds(self, device: torch.device = CPU) -> float:
        """Return the CPU time of one unit; on another device the time until it has done its work."""
        clock = time.process_time if device == CPU else time.perf_counter
        given = () if self.before is None else (self.before(),)
        began = clock()
        self.call(*given)
        if device != CPU:
            torch.cuda.synchronize(device)
        return (clock() - began) / self.units


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        stage: What is done.
        ours: What it takes, in ``unit``.
        peers: What others take, or what is allowed, by name; None where a peer is not installed.
        limit: What its products alone would take at the speed of a large one.
        memory: Most bytes above the start, of ours and of the best peer; empty where the system does not tell.
        compiling: Seconds that JAX needs before its first step.
        unit: "s", or what else is counted.
        note: Anything to know; where a peer is faster, why.
    """

    stage: str
    ours: float
    peers: Mapping[str, float | None] = field(default_factory=dict)
    limit: float | None = None
    memory: tuple[float, ...] = ()
    compiling: float | None = None
    unit: str = "s"
    note: str = ""

    @property
    def best(self) -> str | None:
        """Name of the fastest peer that was measured."""
        there = {name: value for name, value in self.peers.items() if value is not None}
        return min(there, key=there.__getitem__) if there else None

    @property
    def ratio(self) -> float | None:
        """What the best peer takes over what ours does: above 1 where ours is faster."""
        best = None if self.best is None else self.peers[self.best]
        return None if best is None else best / self.ours

    def cells(self) -> list[str]:
        """Return what stands under ``HEADS``."""
        each = {name: "not installed" if v is None else f"{v / self.ours:.2f}" for name, v in self.peers.items()}
        if self.compiling is not None:
            each["JAX"] += f" (compiled in {self.compiling:.1f} s)"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}" if self.ratio >= 1 else f"**{self.ratio:.2f}**"
        reach = "" if self.limit is None else f"{100 * self.limit / self.ours:.0f} %"
        held = " / ".join(f"{size / 1e6:.1f}" for size in self.memory)
        all_of_them = ", ".join(f"{name} {said}" for name, said in each.items())
        return [self.stage, in_words(self.ours, self.unit), self.best or "", ratio, all_of_them, reach, held]


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table, with their notes beneath by number."""
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    lines = [[*HEADS, "note"], ["---"] * (len(HEADS) + 1)]
    lines += [[*row.cells(), f"({notes.index(row.note) + 1})" if row.note else ""] for row in rows]
    said = [f"({number}) {note}" for number, note in enumerate(notes, 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "".join(f"\n\n{note}" for note in said)


def measure(
    stage: str,
    ours: Way | Callable[[], object],
    peers: Mapping[str, Way | Callable[[], object] | None],
    *,
    small: bool,
    flops: float | None = None,
    note: str = "",
    device: torch.device = CPU,
) -> Row:
    """Return the row of a stage, after a warm-up of every way; ``flops`` of one unit give its limit."""
    given = {"ours": ours, **{name: peer for name, peer in peers.items() if peer is not None}}
    ways = {name: way if isinstance(way, Way) else Way(way) for name, way in given.items()}
    side = 64 if small else 1024 if device == CPU else 8192
    square = torch.randn(side, side, device=device)
    ways[" product"] = Way(lambda: square @ square)
    first = {name: way.seconds(device) for name, way in ways.items()}
    times = [{name: way.seconds(device) for name, way in ways.items()}]
    whole = sum(taken * ways[name].units for name, taken in times[0].items())
    for _ in range(0 if small else max(FEWEST, min(MOST, int(BUDGET / whole))) - 1):
        times.append({name: way.seconds(device) for name, way in ways.items()})
    median = {name: statistics.median(one[name] for one in times) for name in ways}
    limit = None if flops is None else flops * median[" product"] / (2 * side**3)
    compiling = first["JAX"] * ways["JAX"].units if "JAX" in ways else None
    row = Row(stage, median["ours"], {name: median.get(name) for name in peers}, limit, (), compiling, note=note)
    held = [peak(ways[name]) for name in ("ours", row.best) if name is not None] if device == CPU else []
    return replace(row, memory=tuple(size for size in held if size is not None))


def peak(way: Way) -> float | None:
    """Return by how many bytes the memory of this process rises at most during a call, as Linux with glibc counts."""
    given = () if way.before is None else (way.before(),)
    try:
        ctypes.CDLL(None).malloc_trim(0)  # memory that was let go would be used again, uncounted
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    except (OSError, TypeError, AttributeError):
        return None
    before = _status("VmRSS")
    result = way.call(*given)
    del result
    return max(_status("VmHWM") - before, 1.0)


def _status(name: str) -> float:
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return 1024.0 * int(line.split()[1])


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, so that ratios do not depend on how busy the other cores are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def in_words(value: float, unit: str = "s") -> str:
    """Return a number with its unit, seconds as they read best."""
    power = 0 if unit != "s" or value >= 1 else 1 if value >= 1e-3 else 2
    return f"{value * 1000**power:.3g} {('s', 'ms', 'µs')[power] if unit == 's' else unit}"
