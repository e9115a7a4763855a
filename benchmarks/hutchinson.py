"""Time of our Hutchinson trace against curvlinops', the same number of probes, data and CNN, in one run.

python benchmarks/hutchinson.py
"""

import statistics
import time
import warnings
from collections.abc import Callable

import torch
from torch import nn

from entropic_edu.curvature import hutchinson_trace
from entropic_edu.network import Network

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # a dependency of curvlinops uses torch.jit.script
    from curvlinops import HessianLinearOperator
    from curvlinops import hutchinson_trace as peer_trace

SAMPLES, PROBES, ROUNDS = 512, 8, 5


def cnn() -> nn.Module:
    """Return a CNN 3-16-32-32 with a hidden linear layer, 24,806 parameters."""
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4)),
        *(nn.Flatten(), nn.Linear(512, 20), nn.ReLU(), nn.Linear(20, 10)),
    )


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> float:
    """Print the median times and return how many times faster ours is than curvlinops on the whole data at once."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(SAMPLES, 3, 32, 32, generator=generator), torch.randint(10, (SAMPLES,), generator=generator)
    land = Network(cnn(), x, y)
    theta = land.initial(generator)
    model = land.module(theta)

    def peer(rows: int) -> Callable[[], object]:
        data = list(zip(torch.split(x, rows), torch.split(y, rows), strict=True))
        parameters = list(model.parameters())
        hessian = HessianLinearOperator(model, nn.CrossEntropyLoss(), parameters, data, check_deterministic=False)
        return lambda: peer_trace(hessian, PROBES)

    calls = {
        "entropic_edu": lambda: hutchinson_trace(land, theta, num_probes=PROBES, generator=generator),
        "curvlinops, all samples at once": peer(SAMPLES),
        "curvlinops, micro-batches of 64": peer(64),
    }
    for call in calls.values():
        call()
    rounds = [{name: seconds(call) for name, call in calls.items()} for _ in range(ROUNDS)]
    median = {name: statistics.median(r[name] for r in rounds) for name in calls}
    ours = median["entropic_edu"]
    print(
        f"{land.dim} parameters, {SAMPLES} samples, {PROBES} probes, median of {ROUNDS} interleaved rounds, one thread"
    )
    for name, took in median.items():
        print(f"{name:32s} {took:6.2f} s   {took / ours:5.2f} x ours")
    return median["curvlinops, all samples at once"] / ours


if __name__ == "__main__":
    main()
