"""What a GPU is for: gradients of batches of CNNs there, and two stories that take too long on a CPU.

``rows`` compares gradients with a plain loop and vmap; ours records one for each shape as CUDA graphs. Products are in
float32, not TF32, the limit's too. The stories stop after some minutes, and the same command goes on from there:

    python -m benchmarks.gpu images     # 5,000 images at 32 x 32, the recipe of the story at 16 x 16
    python -m benchmarks.gpu resnet20   # one pair of the paper's networks, roads and releases shorter than there
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import nn

import entropic_edu as ee
from entropic_edu.story import report
from entropic_edu.story.recipes import Images, Recipe, Setting, paper
from entropic_edu.story.tell import tell

from .gradients import SPARED, flops, gradient_ways, images, starts
from .run import Row, measure

MODELS: dict[str, Callable[[], nn.Module]] = {
    "small CNN": ee.models.small_cnn,
    "ResNet-20, group norm": lambda: ee.models.resnet20("group"),
}


def rows(small: bool = False) -> Iterator[Row]:
    """Yield a row for each model, number of networks and batch size; ``small`` computes on any device."""
    if not (small or torch.cuda.is_available()):
        return
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sizes = [(2, 4)] if small else itertools.product((8, 32), (16, 64, 256))
    for (name, make), (networks, size) in itertools.product(MODELS.items(), sizes):
        land = images(make(), 8 if small else 1024).to(device)
        ours, peers = gradient_ways(land, starts(land, networks), size, own=True, jax=False)
        work = networks * size * flops(land.model, land.x[:1])
        stage = f"{device.type}: {name}, {networks} networks, B {size}"
        yield measure(stage, ours, peers, small=small, flops=work, note=SPARED, device=device)


def resnet20() -> Recipe:
    """Return the paper's recipe with a tenth to a quarter of its work in each stage after training.

    Norms are matched in the layers that batch norm follows. All releases last for one flow time, a fifth of the
    paper's; the control gets there by momentum, in 40 steps of all images instead of 400.
    """
    whole = paper()
    return replace(
        whole,
        match_norms=True,
        connect=whole.connect | {"sweeps": ee.Sweeps(1000, scallop=1e9)},
        probe={"num_probes": 2, "lanczos_steps": 12},
        points=9,
        probed=1000,
        settings=(
            Setting("hot", 16, 0.02, 15, 2000, momentum=0.0),
            Setting("cold", 256, 0.02, 15, 2000, walkers=4, momentum=0.0),
            Setting("no noise", None, 0.1, 8, 40, walkers=1, momentum=0.9),
        ),
    )


STORIES: dict[str, Callable[[], Recipe]] = {"images": lambda: Images(images=1000, side=32), "resnet20": resnet20}


def main(given: Sequence[str] | None = None) -> int:
    """Go on with a story for some minutes; return 0 if it is told, 130 if the same command has to be given again."""
    parser = argparse.ArgumentParser(description="A story on CIFAR-10 that a GPU makes in parts.")
    add = parser.add_argument
    add("story", choices=list(STORIES))
    add("--minutes", type=float, default=9.0, help="stop after so many; stages that are finished are kept (default 9)")
    add("--out", help="where to write, without suffix (default ./STORY)")
    add("--device", default="cuda", help="cuda (default), or another one of torch")
    add("--tiny", action="store_true", help="a miniature, to see that it works")
    chosen = parser.parse_args(given)
    recipe, out = STORIES[chosen.story](), chosen.out or chosen.story
    began = time.monotonic()

    def stop_in_time(_: object) -> None:
        if time.monotonic() - began >= 60 * chosen.minutes:
            raise KeyboardInterrupt  # as a reader would stop it

    recipe = recipe.tiny() if chosen.tiny else recipe
    told = tell([0], out=out, resume=True, recipe=recipe, device=chosen.device, workers=1, progress=stop_in_time)
    print(report.table(told) if told["complete"] else f"Not done; the same command goes on from {out}.work.")
    return 0 if told["complete"] else 130


if __name__ == "__main__":
    raise SystemExit(main())
