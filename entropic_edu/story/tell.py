"""The whole experiment in one go: two minima, the road, its width, and walkers let go on it.

Every stage is one verb, is kept in a work folder as soon as it is finished, and is read from there on ``--resume``.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path as File
from typing import Any

import torch

from entropic_edu.networks.devices import full_precision
from entropic_edu.networks.network import Network
from entropic_edu.physics.connect import connect
from entropic_edu.physics.drift import Projections, drift
from entropic_edu.physics.noise import OfTheRoad
from entropic_edu.physics.path import Path
from entropic_edu.physics.probe import probe
from entropic_edu.physics.results import write_whole
from entropic_edu.physics.snapshot import Progress, on_threads, whole_or_nothing
from entropic_edu.physics.train import train
from entropic_edu.sweeps.kept import SUFFIX, Dispatch, Part, Store
from entropic_edu.sweeps.workers import cores, pool

from . import estimate
from .digits import Pair, Recipe, Setting, Valley
from .picture import picture
from .report import report

Say = Callable[[str], None]
_LONG = 120  # seconds of work, from which several processes pay: each takes some to begin


def tell(
    seeds: Sequence[int] = (0,),
    *,
    out: str = "story",
    resume: bool = False,
    recipe: Recipe | None = None,
    device: str = "auto",
    workers: int | None = None,
    progress: Progress = None,
    say: Say = print,
) -> dict[str, Any]:
    """Run the story for each seed and write ``out``.json and ``out``.png.

    Args:
        seeds: One pair of minima each.
        out: Where to write, without suffix; stages are kept in the folder ``out``.work.
        resume: Go on from the stages that are there.
        recipe: Settings; None takes the defaults.
        device: "cpu", "cuda", "mps", or "auto" for the one that suits the recipe.
        workers: Processes that make stages at the same time; None takes one for each core on a CPU if all together take
            more than two minutes, and else makes them here.
        progress: True for bars (of stages that are made here), or a callable that is given each snapshot of each stage.
        say: Receives one line per stage, and before the first about how long each will take.

    Returns:
        What ``out``.json holds. Its keys are listed in docs/story.md.

    Raises:
        OSError: If the place cannot be written, or data are not there; nothing has been computed then.
        ValueError: If the stages there were made by another recipe, or there is no such device.
        MemoryError: If a stage cannot fit; nothing has been computed then. Or if memory runs out all the same.
    """
    recipe = recipe or Valley()
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    usable = ["auto", *(each for each, is_there in there.items() if is_there)]
    if device not in usable:
        raise ValueError(f"There is no device {device!r} here; take one of {', '.join(usable)}.")
    land = recipe.landscape(recipe.device() if device == "auto" else torch.device(device))
    estimate.refuse(land, recipe)
    store = _prepared(File(f"{out}.work"), recipe, resume)
    began, pairs = time.perf_counter(), []
    with full_precision(), on_threads(1):
        costs = estimate.costs(land, recipe)
        for line in estimate.lines(land, recipe, costs):
            say(line)
        if workers is None:
            long = land.device.type == "cpu" and len(seeds) * sum(costs.values()) > _LONG
            workers = cores() if long else 1
        if workers > 1:
            _ahead(store, land.device.type, recipe, seeds, workers, costs, say)
        for seed in seeds:
            say(f"Pair of minima from seed {seed}")
            pairs.append(_pair(store, land, recipe, seed, progress, say))
            if not pairs[-1].complete:
                break
        figures = report(pairs, recipe, time.perf_counter() - began)
        drawn = picture(pairs, recipe)  # before anything is written: memory may run out
        write_whole(f"{out}.json", json.dumps(figures, indent=2).encode())
        write_whole(f"{out}.png", drawn)
    return figures


def _prepared(folder: File, recipe: Recipe, resume: bool) -> Store:
    """Make the work folder, empty unless it is to be resumed, and look at what is in it."""
    settings = dataclasses.asdict(recipe)
    other = "is a stage of another recipe; run without --resume to start afresh, or choose another --out."
    store = Store(folder, settings, other=other, remedy="story without --resume")
    if resume:
        for file in folder.glob(f"*{SUFFIX}"):
            store.read(file.stem)
    elif folder.exists():
        shutil.rmtree(folder)
    write_whole(folder / "recipe.json", json.dumps(settings, indent=1).encode())
    return store


def _stages(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """Return the stages of a pair of minima, with those that each needs."""
    ends = "rest" if recipe.rest else "minima"
    rest = {"rest": ("minima",)} if recipe.rest else {}
    descent = {"descent": (ends,)} if recipe.kind == "valley" else {}
    raw = {"raw": ("road",)} if recipe.match_norms else {}
    walks = {f"walkers{number}": ("road",) for number in range(len(recipe.settings))}
    return {"minima": (), **rest, "road": (ends,), **descent, **raw, "profile": ("road",)} | walks


def _stage(kind: str, land: Network, recipe: Recipe, seed: int, *given: Any, **settings: Any) -> Any:
    """Return the result of a stage from those that it needs."""

    def generator(stage: int) -> torch.Generator:  # each stage its own stream: a resumed story is the same story
        return torch.Generator().manual_seed(1000 * seed + stage)

    if kind == "minima":
        return train(land, generator=generator(0), runs=2, resume=True, **settings, **recipe.train)
    if kind in ("rest", "descent"):
        start = given[0].theta.to(land.device)  # what was read lies on the CPU
        how, stream = recipe.rest, generator(5)
        if kind == "descent":
            how = recipe.step(recipe.control) | {"epochs": recipe.control.steps, "schedule": "constant"}
        return train(land.without_label_noise(), start=start, generator=stream, **settings, **how)
    if kind == "road":
        a, b = given[0].theta.to(land.device)
        return connect(land, a, b, generator=generator(2), **settings, **recipe.connect)
    if kind == "raw":
        few = settings | recipe.probe_raw
        return probe(recipe.shown(land), _road(land, recipe, given[0], False), generator=generator(6), **few)
    road = _road(land, recipe, given[0], recipe.match_norms)
    if kind == "profile":
        probing: dict[str, Any] = {"generator": generator(3), "points": recipe.points} | recipe.probe
        return probe(recipe.part(land), road, **settings, **probing)
    walking = release_settings(recipe, recipe.settings[int(kind.removeprefix("walkers"))])
    return drift(land, road, generator=generator(4), **settings, **walking)


def _road(land: Network, recipe: Recipe, road: Path, matched: bool) -> Path:
    """Return a road that was read where the landscape is, with the ends' norms if they are to be matched."""
    here = dataclasses.replace(road, pivots=road.pivots.to(land.device))
    return here.match_norms(land) if matched else here


def _alone(kind: str, device: str, recipe: Recipe, seed: int, *given: Any, **settings: Any) -> dict[str, Any]:
    """Make a stage in a process of its own."""
    land = recipe.landscape(torch.device(device))
    with full_precision():
        return {"result": _stage(kind, land, recipe, seed, *(each["result"] for each in given), **settings)}


def _ahead(
    store: Store,
    device: str,
    recipe: Recipe,
    seeds: Sequence[int],
    workers: int,
    costs: Mapping[str, float],
    say: Say,
) -> None:
    """Make the stages that are not kept yet in so many processes, each as soon as what it needs is there."""
    every, wanted = parts(recipe, seeds, device, store), dict[str, Part]()
    plan = dict[str, tuple[float, tuple[str, ...]]]()
    for seed, kind in _order(recipe, seeds, costs):
        name = f"seed{seed}-{kind}"
        if name not in store:
            wanted[name] = every[name]
            plan[name] = costs[_costly(recipe, kind)], every[name].needs
    say(f"About {estimate.in_words(estimate.wall(plan, workers))} in {workers} processes.")
    began, guessed, took = time.perf_counter(), 0.0, 0.0
    with pool(None, workers, 1) as own:
        dispatch = Dispatch(wanted, store, own, store.write)
        with closing(dispatch.run()) as ended:
            for name, error in ended:
                if error is not None:
                    raise error
                made = store.read(name)
                guessed, took = guessed + plan[name][0], took + made.seconds
                plan[name] = made.seconds * guessed / took, plan[name][1]  # at the pace of the guesses
                left = estimate.wall(plan, workers) * took / guessed - (time.perf_counter() - began)
                soon = f", about {estimate.in_words(left)} left" if left > 1 else ""
                say(f"  {name} ({made.seconds:.1f} s{soon}): {made.values['result'].summary()}")


def _order(recipe: Recipe, seeds: Sequence[int], costs: Mapping[str, float]) -> list[tuple[int, str]]:
    """Return all stages in the order in which they begin: what others wait for, and what takes long, comes first.

    The ends and the road of a pair come before what is done on the road before it, so that no process waits for them.
    """
    stages = _stages(recipe)
    needed = {need for needs in stages.values() for need in needs}
    places = {
        (seed, kind): (number + 1.5 * (kind not in needed), 0.0 if kind in needed else -costs[_costly(recipe, kind)])
        for number, seed in enumerate(seeds)
        for kind in stages
    }
    return sorted(places, key=lambda place: places[place])


def _costly(recipe: Recipe, kind: str) -> str:
    """Return what the estimate calls a stage."""
    names = {f"walkers{number}": f"walkers, {setting.name}" for number, setting in enumerate(recipe.settings)}
    return {"raw": "road as built", "profile": "profile and picture", **names}.get(kind, kind)


def _pair(store: Store, land: Network, recipe: Recipe, seed: int, progress: Progress, say: Say) -> Pair:
    """All stages for one seed, as far as they came."""
    made: dict[str, Any] = {}

    def stage(kind: str) -> Any:
        name = f"seed{seed}-{kind}"
        # an interrupted training goes on from its checkpoint
        more = {"checkpoint": store.checkpoint(name)} if kind == "minima" else {}

        def make() -> dict[str, Any]:
            began, given = time.perf_counter(), (made[need] for need in _stages(recipe)[kind])
            result = _stage(kind, land, recipe, seed, *given, progress=progress, **more)
            say(f"  {name} ({time.perf_counter() - began:.1f} s): {result.summary()}")
            if not result.complete:
                raise KeyboardInterrupt
            return {"result": result}

        if name in store:
            say(f"  {name}: from {store.file(name)}")
        return store.get(name, make).values["result"]

    with suppress(KeyboardInterrupt):  # in a stage, or between two
        for kind in _stages(recipe):
            made[kind] = stage(kind)
    return gathered(land, recipe, seed, made)


def parts(recipe: Recipe, seeds: Sequence[int], device: str, store: Store) -> dict[str, Part]:
    """Return all stages by name, each after those that it needs; its value "result" is what a verb returned.

    An interrupted training goes on from where the store has its checkpoint.
    """
    found = {}
    for seed in seeds:
        for kind, needs in _stages(recipe).items():
            name = f"seed{seed}-{kind}"
            more = {} if needs else {"checkpoint": store.checkpoint(name)}
            make = partial(_alone, kind, device, recipe, seed, **more)
            found[name] = Part(make, tuple(f"seed{seed}-{need}" for need in needs))
    return found


def gathered(land: Network, recipe: Recipe, seed: int, made: Mapping[str, Any]) -> Pair:
    """Return a pair of minima from the results of its stages by kind, as far as there are any."""
    pair = Pair(seed, land, recipe.part(land), run=made.get("rest", made.get("minima")))
    ended = ("rest" if recipe.rest else "minima") in made
    if ended and pair.run is not None:
        a, b = pair.run.theta.to(land.device)
        with whole_or_nothing():
            first = torch.Generator().manual_seed(1000 * seed + 1)
            pair.straight = connect(land, a, b, generator=first, method="linear", points=25)
    if "road" in made:
        pair.road = _road(land, recipe, made["road"], recipe.match_norms)
    pair.descent, pair.raw, pair.profile = (made.get(kind) for kind in ("descent", "raw", "profile"))
    walked = {setting.name: made.get(f"walkers{number}") for number, setting in enumerate(recipe.settings)}
    pair.releases = {name: release for name, release in walked.items() if release is not None}
    pair.complete = set(made) == set(_stages(recipe))
    return pair


def release_settings(recipe: Recipe, setting: Setting) -> dict[str, Any]:
    """Return the arguments of ``drift`` for a setting, all but landscape, road and generator."""
    every = setting.project_every
    between = recipe.records and max(1, round(setting.steps / (recipe.records * every)))  # projections
    return recipe.step(setting) | {
        "noise": OfTheRoad(setting.batch_size) if setting.of_the_road and setting.batch_size else None,
        "start": recipe.starts,
        "walkers": setting.walkers,
        "steps": setting.steps,
        "project_every": Projections(every, undo_excursions=setting.undo_excursions),
        "record_every": between and every * between,
    }
