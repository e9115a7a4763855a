"""What a CUDA device does with batches of models: tests first, then times of loop, vmap and CUDA graphs, in one file.

For each model, number of pivots P and batch size B: a plain loop of ``backward``, our loop, our vmap, and our loop as
one CUDA graph; images per second, and FLOP/s beside those of a large product of the same precision (TF32 off and on).
Then full-batch gradients and Hessian-vector products by the samples that are taken at once. The file is written anew
after each number, so that a run cut short keeps what it has.

    python -m benchmarks.gpu --out gpu.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import entropic_edu as ee
from entropic_edu.physics.curvature import hessian_vector_product

from .cnn import flops, pictures, seconds
from .sweeps import plain_loop

MODELS: dict[str, Callable[[], nn.Module]] = {
    "small_cnn": ee.models.small_cnn,
    "resnet20 group": lambda: ee.models.resnet20("group"),
    "resnet20 batch": lambda: ee.models.resnet20("batch"),
}
PIVOTS, BATCHES = (8, 32, 1), (64, 16, 256)
ROOT = Path(__file__).parents[1]


class Report:
    """Numbers as they come, and the file that holds them; a file is whole or the one before."""

    def __init__(self, out: Path, deadline: float, least: float) -> None:
        self.out, self.deadline, self.least = out, deadline, least  # least: seconds spent on each number
        self.rows: list[dict[str, Any]] = []

    @property
    def late(self) -> bool:
        return time.monotonic() > self.deadline

    def add(self, **row: Any) -> None:
        self.rows.append(row)
        print(" ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()), flush=True)
        part = self.out.with_name(self.out.name + ".part")
        part.write_text(json.dumps(self.rows, indent=1) + "\n")
        os.replace(part, self.out)

    def measure(self, call: Callable[[], object], device: torch.device, flop: float, images: int, **row: Any) -> None:
        """Add the time of a call, or the error that it ends with; none of them stops the others."""
        if self.late:
            return
        try:
            time_of_call = seconds(call, device, self.least)
        except Exception as error:  # a way that fails on this device is a finding
            self.add(**row, error=f"{type(error).__name__}: {str(error).splitlines()[0][:200]}")
            torch.cuda.empty_cache() if device.type == "cuda" else None
            return
        limit = next((r["flops"] for r in self.rows if r.get("what") == "product" and r["tf32"] == row["tf32"]), None)
        rate = flop / time_of_call
        share = {} if limit is None else {"share": rate / limit}
        self.add(**row, seconds=time_of_call, images_per_second=images / time_of_call, flops=rate, **share)


def main(
    out: Path, budget: float, device: torch.device, small: bool = False, tests: bool = True
) -> list[dict[str, Any]]:
    """Run everything within ``budget`` seconds, tests included, and return the rows of the file."""
    report = Report(out, time.monotonic() + budget, 0.0 if small else 0.2)
    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else "cpu"
    report.add(what="device", name=name, torch=torch.__version__, python=sys.version.split()[0])
    if tests:
        report.add(what="tests", **_tests(0.5 * budget))
    side = 128 if small else 8192
    for tf32 in (False, True):
        _allow_tf32(tf32)
        square = torch.randn(side, side, device=device)
        report.measure(lambda s=square: s @ s, device, 2.0 * side**3, 0, what="product", side=side, tf32=tf32)
    for (model, make), tf32 in itertools.product(MODELS.items(), (False, True)):
        _allow_tf32(tf32)
        _ways(report, model, make(), device, tf32, small)
    _allow_tf32(False)
    for model, make in MODELS.items():
        _whole(report, model, make(), device, small)
    report.add(what="end", complete=not report.late)
    return report.rows


def _tests(limit: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "pytest", "tests/test_gpu.py", "-q", "-W", "default", "-p", "no:cacheprovider"]
    began = time.monotonic()
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as stopped:
        return {"code": "timeout", "tail": str(stopped.stdout or "")[-4000:]}
    return {"code": done.returncode, "took": time.monotonic() - began, "tail": (done.stdout + done.stderr)[-8000:]}


def _ways(report: Report, name: str, model: nn.Module, device: torch.device, tf32: bool, small: bool) -> None:
    lands = {way: pictures(model, 32 if small else 1024, device, way)[0] for way in ("loop", "vmap")}
    land = lands["loop"]
    flop, generator = flops(model.eval(), land.x[:1]), torch.Generator().manual_seed(0)
    for pivots, size in [(2, 4)] if small else itertools.product(PIVOTS, BATCHES):
        if report.late:
            return
        theta = torch.stack([land.initial(generator) for _ in range(pivots)])
        batch = land.draw(size, generator, pivots)
        last = replace(batch, x=batch.x.movedim(2, -1).contiguous().movedim(-1, 2))  # channels_last
        models = [land.module(row).train() for row in theta]
        calls: dict[str, Callable[[], object]] = {
            "plain": lambda m=models, b=batch: [plain_loop([one], x, y) for one, x, y in zip(m, b.x, b.y, strict=True)],
            "loop, channels_last": lambda t=theta, b=last: land.gradient_on(t, b),
            **{way: lambda w=way, t=theta, b=batch: lands[w].gradient_on(t, b) for way in lands},
        }
        row = {"what": "ways", "model": name, "tf32": tf32, "pivots": pivots, "batch": size}
        work, images = float(flop * pivots * size), pivots * size
        for way, call in calls.items():
            report.measure(call, device, work, images, **row, way=way)
        if device.type == "cuda":
            for way in lands:
                for replay in _graph(report, lands[way], theta, batch, {**row, "way": f"{way}, graph"}):
                    report.measure(replay, device, work, images, **row, way=f"{way}, graph")


def _graph(
    report: Report, land: ee.Network, theta: Tensor, batch: ee.network.Batch, row: dict[str, Any]
) -> Iterator[Callable[[], object]]:
    """Yield the replay of one gradient as a CUDA graph, after a check; or note why there is none."""
    if report.late:
        return
    try:
        expected = land.gradient_on(theta, batch)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                land.gradient_on(theta, batch)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            found = land.gradient_on(theta, batch)
        graph.replay()
        torch.cuda.synchronize()
        off = float((found - expected).norm() / expected.norm())
        if not off < 1e-2:
            raise RuntimeError(f"the graph's gradient is off by {off:.2g}")
    except Exception as error:
        report.add(**row, error=f"{type(error).__name__}: {str(error).splitlines()[0][:200]}")
        torch.cuda.synchronize()
        return
    yield graph.replay
    del graph, found


def _whole(report: Report, name: str, model: nn.Module, device: torch.device, small: bool) -> None:
    """Full-batch loss and gradient of 5,000 pictures, and a Hessian-vector product, by the samples taken at once."""
    land, _ = pictures(model, 32 if small else 5000, device, "loop")
    flop, theta = flops(model.eval(), land.x[:1]), land.initial(torch.Generator().manual_seed(0))
    own = land.samples_at_once
    for rows in sorted({min(own, 512), min(own, 2048), own}):
        land.samples_at_once = rows
        row = {"what": "whole", "model": name, "tf32": False, "rows": rows, "bytes_per_sample": land.bytes_per_sample}
        work, number = float(flop * len(land.x)), len(land.x)
        report.measure(torch.no_grad()(lambda: land.loss(theta)), device, work / 3, number, **row, way="loss")
        report.measure(lambda: land.gradient(theta), device, work, number, **row, way="gradient")
        product = lambda: hessian_vector_product(land, theta, theta)  # noqa: E731
        report.measure(product, device, 2 * work, number, **row, way="product Hv")


def _allow_tf32(allowed: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, required=True, help="JSON file to write")
    arguments.add_argument("--seconds", type=float, default=210, help="time after which no new number is begun")
    arguments.add_argument("--no-tests", action="store_true", help="times alone")
    options = arguments.parse_args()
    if not torch.cuda.is_available():
        sys.exit("There is no CUDA device here; python -m benchmarks.cnn measures the CPU.")
    main(options.out, options.seconds, torch.device("cuda"), tests=not options.no_tests)
