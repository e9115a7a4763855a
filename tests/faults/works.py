"""What the processes of these tests do: small calls of each verb, whose results go to a file."""

import contextlib
import dataclasses
import itertools
import json
import os
import sys
import time
from functools import partial
from pathlib import Path as File
from types import SimpleNamespace

import torch

import entropic_edu as ee
from entropic_edu import cli, data, recorded
from entropic_edu.data import fetch
from entropic_edu.story import tell as story
from entropic_edu.teaching import answers, lab

torch.set_num_threads(1)
TINY = story.Recipe().tiny()


def seeded(number=0):
    return torch.Generator().manual_seed(number)


def network():
    """A network of 64-8-10 on a part of the digits."""
    digits = ee.data.digits()
    return ee.Network(ee.models.mlp(64, 8, 10), digits.x[:256], digits.y[:256], weight_decay=5e-4)


def ends(land):
    return torch.stack([land.initial(seeded(1)), land.initial(seeded(2))])


def road(land):
    return ee.Path(ends(land), landscape=land.signature).resample(5)


def train(**settings):
    return ee.train(
        network(), generator=seeded(), runs=2, batch_size=16, learning_rate=0.05, **{"epochs": 40, **settings}
    )


def connect(**settings):
    land = network()
    return ee.connect(land, *ends(land), generator=seeded(), method="string", pivots=6, sweeps=150, **settings)


def probe(**settings):
    land = network()
    return ee.probe(land, road(land), generator=seeded(), points=9, num_probes=2, lanczos_steps=8, **settings)


def drift(**settings):
    land = network()
    return ee.drift(land, road(land), generator=seeded(), learning_rate=0.02, walkers=4, steps=600, **settings)


def spawn(**settings):
    return ee.spawn(
        network(),
        generator=seeded(),
        at=[0, 16, 64],
        children=2,
        batch_size=16,
        learning_rate=0.05,
        epochs=8,
        **settings,
    )


VERBS = {"train": train, "connect": connect, "probe": probe, "drift": drift, "spawn": spawn}


def say_snapshots(snapshot):
    """Say how far it is, a line for each, so that the one who watches can choose a moment."""
    print("done", snapshot.done, flush=True)


def keep(verb, file, **settings):
    """Call a verb and save what it returns."""
    VERBS[verb](**settings, progress=say_snapshots).save(file)


def train_resuming(file, checkpoint):
    """Train to the end, on from where a process before was killed; a checkpoint is written after every epoch."""
    clock = itertools.count(step=3.0)  # seconds: checkpoints are at least two apart
    sys.modules["entropic_edu.physics.train"].time = SimpleNamespace(monotonic=lambda: next(clock))
    keep("train", file, checkpoint=checkpoint, resume=True)


def save_in_turn(one, two, file):
    """Save one result over the other, on and on."""
    results = [ee.Path.load(one), ee.Path.load(two)]
    for result in itertools.cycle(results):
        result.save(file)


def level(number):
    """A road from a number to the next."""
    return ee.Path(torch.stack([torch.full((4096,), number + end) for end in (0.0, 1.0)]))


def save_often(file, number, times):
    """Save a road again and again."""
    for _ in range(times):
        level(number).save(file)


def say(line):
    """Say a line at once, so that the one who watches can choose a moment."""
    print(line, flush=True)


def record(file, folder=None):
    recorded.record("let_go", tiny=True, say=say, folder=folder).save(file)


def walk(number, size, *needed):
    """A part of a recording: a random walk from the ends of those that it needs; it takes its time."""
    time.sleep(0.3)
    begin = sum(float(each["walk"][-1]) for each in needed)
    return {"walk": begin + torch.randn(size, generator=seeded(number), dtype=torch.float64).cumsum(0)}


def parts(folder, workers=2, size=1000):
    """Let workers make the parts of a recording; each but the first needs the first."""
    wanted = {"first": recorded.Part(partial(walk, 0, 1000))}
    wanted |= {f"walk {each}": recorded.Part(partial(walk, each, size), ("first",)) for each in range(1, 8)}
    made = recorded.Work("walks", {"size": size}, say, File(folder), workers).parts(wanted)
    return {name: each["walk"] for name, each in made.items()}


def tell(out, resume=True):
    """Tell the small story."""
    story.tell([0], out=out, resume=resume, recipe=TINY, workers=1, say=lambda line: print(line, flush=True))


def told(out):
    """Return what a story came to, without its time."""
    found = json.loads(File(f"{out}.json").read_text())
    return {key: value for key, value in found.items() if key != "seconds"}


def finished(out):
    """Whether a story was told to its end."""
    file = File(f"{out}.json")
    return file.exists() and json.loads(file.read_text())["complete"]


def command(*arguments, archive=None):
    """Run the command, which knows a small archive as that of the authors."""
    if archive is not None:
        fetch.cifar10.__kwdefaults__["archive"] = archive
    return cli.main(list(arguments))


def lessons(folder, times=1):
    """Copy the lessons, each time to a folder of its own."""
    for number in range(times):
        lab.lay(File(folder) / str(number), say=lambda line: print(line, flush=True))


def get(to, archive):
    """Fetch an archive."""
    import requests  # noqa: F401  (so that no moment goes into it)

    fetch.cifar10(to, archive=archive, timeout=60.0, say=lambda line: print(line, flush=True))


def point(seed):
    """One point of a sweep: a short training."""
    return train(epochs=2 + seed)


def sweep(folder, file):
    """Sweep over six points in threads, in this process."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as executor:
        swept = ee.sweep(point, over={"seed": range(6)}, executor=executor, folder=folder, progress=say_snapshots)
    swept.save(file)


def answer(folder, number, entries):
    """Give answers one after the other, as one kernel of many does; fail where one could not be kept."""
    kept = answers.Answers(File(folder))
    for entry in range(entries):
        kept.add_passed(f"{number:02d}", f"{entry}")
        kept.add_bet(answers.Made(f"{number:02d}", f"{entry}", "stays", 0.7, True))
    if news := kept.news():
        print(news)
        return 1
    return 0


def explorer(learning_rate=0.05):
    """Live work as a lesson has it: walkers in a valley, about a second of them."""
    from entropic_edu.teaching.explorer import Explorer, Panel, Work, slider

    valley = ee.valleys.Waist()

    def stream(state):
        path = ee.Path(valley.floor(33).float())
        return ee.stream.drift(
            valley, path, generator=seeded(), learning_rate=state.learning_rate, walkers=64, steps=4000, record_every=8
        )

    def show(sheet, release, state):
        print("shown", int(release.step[-1]), flush=True)
        return f"{release.summary()} {float(release.position[-1].double().sum())!r}"

    return Explorer(
        lambda sheet, state: sheet["way"].line([0, 1], [0, state.learning_rate]),
        [slider("learning_rate", (0.05, 0.1), learning_rate)],
        {"way": Panel(title="Way", x="Time")},
        lambda state: f"The step is {state.learning_rate}.",
        work=Work(stream=stream, show=show, units=lambda state: 4000, frame=show),
    )


@contextlib.contextmanager
def clock_set_back():
    """The clock of the day goes back by an hour whenever it is looked at."""
    hours = itertools.count()
    before = time.time, time.time_ns
    time.time = lambda: before[0]() - 3600.0 * next(hours)
    time.time_ns = lambda: before[1]() - 3600 * 10**9 * next(hours)
    try:
        yield
    finally:
        time.time, time.time_ns = before


def backwards(work, *arguments, **settings):
    """Work while the clock is set back again and again, on files of the year 2100."""
    for file in File.cwd().rglob("*"):
        os.utime(file, (4_102_444_800, 4_102_444_800))
    with clock_set_back():
        return work(*arguments, **settings)


def bits(result):
    """Return a result as plain values and bytes, so that == compares bit for bit."""
    values = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    return {
        name: (str(value.dtype), tuple(value.shape), value.reshape(-1).view(torch.uint8).numpy().tobytes())
        if isinstance(value, torch.Tensor)
        else value
        for name, value in values.items()
    }


def loaded(to):
    """Return the images in a folder as bytes."""
    found = data.cifar10(to, dtype=torch.uint8)
    return found.x.numpy().tobytes(), found.test_x.numpy().tobytes()
