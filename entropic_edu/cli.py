"""The command ``entropic-edu``: lab, story, record, doctor, data, class, report."""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import data, recorded
from .networks import memory
from .teaching import doctor, lab

_say = functools.partial(print, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0 if it went well, 1 after an error with its reason, 130 after Ctrl-C."""
    chosen = _parser().parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except KeyboardInterrupt as stop:
        kept = "Stopped; stages that were finished are kept, and story --resume goes on from them."
        print(str(stop) or kept, file=sys.stderr)
        return 130
    except (OSError, ValueError, ArithmeticError, ImportError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not memory.ran_out(error):
            raise
        reason = f"{error.strerror} ({error.filename})" if isinstance(error, OSError) and error.filename else str(error)
        # the words of Python, of C++, and of a library that is loaded late
        ran_out = reason in ("", "std::bad_alloc") or "failed to map segment" in reason
        print(f"entropic-edu: {'Memory ran out.' if ran_out else reason}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="entropic-edu", description="Entropic confinement: see it, measure it.")
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, run: Callable[..., int], words: str, among: Any = commands) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = among.add_parser(name, help=words)
        made.set_defaults(run=run)
        return made

    add = command("story", _story, "run the whole experiment; write story.json and story.png").add_argument
    add("--seed", type=int, default=0, help="seed of the first pair of minima (default 0)")
    add("--seeds", type=_count, default=1, help="how many pairs, from consecutive seeds (default 1)")
    add("--out", default="story", help="where to write, without suffix (default ./story)")
    add("--json", action="store_true", help="print the JSON instead of the table")
    add("--resume", action="store_true", help="go on from the stages kept in OUT.work")
    add("--dataset", choices=["digits", "cifar10"], default="digits", help="default digits")
    words = "for digits: valley (default), relu, a plain network, or runaway, where noise feeds itself"
    add("--recipe", choices=["valley", "relu", "runaway"], default="valley", help=words)
    add("--model", help="for cifar10: normed_cnn (default), small_cnn or resnet20")
    add("--norm", help="for small_cnn: none (default) or group; for resnet20: group (default) or batch")
    words = "for cifar10: the first so many of each file (default 200; 1000 for small_cnn and resnet20)"
    add("--images", type=_count, help=words)
    words = "for normed_cnn: pixels along an edge, 8, 16 or 32 (default 16); the others take 32"
    add("--side", type=_count, help=words)
    add("--device", default="auto", help="auto, cpu, cuda or mps (default auto: the fastest that pays)")
    words = "make so many stages at once (default: one for each core, if all take more than two minutes)"
    add("--workers", type=_count, help=words)
    add("--paper", action="store_true", help="ResNet-20 on all of CIFAR-10, as in the paper")
    add("--tiny", action="store_true", help="a miniature, to see that it works")
    words = "make a recorded result of the lessons anew, by its recipe; goes on where it was stopped"
    add = command("record", _record, words).add_argument
    add("name", nargs="?", help="which; without a name, all are listed")
    add("--tiny", action="store_true", help="a miniature, to see that it works")
    add("--out", help="file to write (default NAME.safetensors in this folder)")
    words = "for recordings of CIFAR-10: make so many parts at once (default: one for each core; on a GPU 1)"
    add("--workers", type=_count, help=words)
    words = "check this installation and say what to do"
    add = command("doctor", lambda chosen: doctor.main(chosen.report), words).add_argument
    words = "a page to paste into a question, without names or paths"
    add("--report", nargs="?", const="-", metavar="FILE", help=words)
    add = command("lab", _lab, "copy the lessons to a folder of yours and open them in JupyterLab").add_argument
    add("folder", nargs="?", help="where to (default ./entropic-edu-lessons); your work is never overwritten")
    add("--copy-only", action="store_true", help="copy, and open nothing")
    add("--teacher", action="store_true", help="copy the instructors' pages and the quiz too")
    add("--voila", action="store_true", help="as a light dashboard without code, in Voila")
    add("--no-browser", action="store_true", help="only print the address")
    add("--port", type=_count, default=8888, help="where to listen, or the next free one (default 8888)")
    words = "say which data sets are at hand, and where they were looked for"
    actions = command("data", lambda _: doctor.data_main(), words).add_subparsers(metavar="action")
    add = command("fetch", _fetch, "download a data set, unless a whole copy is at hand", actions).add_argument
    add("name", choices=["cifar10"], help="cifar10: 170 MB to download, 184 MB to keep")
    add("--to", help="folder to put it in (default ~/.cache/entropic_edu)")
    add("--url", help="another address of the same archive (default $ENTROPIC_EDU_MIRROR, or theirs)")
    _handed_in(command)
    return parser


def _handed_in(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add what reads files of learners."""
    words = "pool what a class handed in of the concept inventory"
    actions = command("class", _missing("class report FOLDER"), words).add_subparsers(metavar="action")
    words = "gain with its error, item by item, and which misconceptions moved"
    add = command("report", _class_report, words, actions).add_argument
    add("folder", help="where the files are that learners handed in")
    add("--json", action="store_true", help="print JSON instead of the table")
    words = "reports on experiments of your own, as lesson 10 asks for them"
    among = command("report", _missing("report new FILE, check FILE or table FOLDER"), words).add_subparsers(
        metavar="action"
    )
    words = "write a report to fill in: it says what is to be written where"
    command("new", _report_new, words, among).add_argument("file", help="a new file, such as mine.json")
    words = "say all that is wrong with a report, or that it is whole"
    command("check", _report_check, words, among).add_argument("file", help="the report")
    words = "print the reports of a folder as one table, in Markdown"
    command("table", _report_table, words, among).add_argument("folder", help="where the reports are")


def _missing(wanted: str) -> Callable[..., int]:
    """Return what is done where an action is missing: it says which there are."""

    def say(_: argparse.Namespace) -> int:
        raise ValueError(f"Wanted an action: entropic-edu {wanted}. With --help it says more.")

    return say


def _class_report(chosen: argparse.Namespace) -> int:
    from .teaching import class_report

    report = class_report.pool(chosen.folder)
    print(json.dumps(report, indent=2) if chosen.json else class_report.table(report))
    return 0


def _report_new(chosen: argparse.Namespace) -> int:
    from .physics.results import write_whole
    from .teaching import reports

    if Path(chosen.file).exists():
        raise ValueError(f"{chosen.file} exists already and is kept; give the name of a new file.")
    write_whole(chosen.file, (json.dumps(reports.blank(), indent=1, ensure_ascii=False) + "\n").encode())
    print(f"Wrote {chosen.file}. Fill it in, then: entropic-edu report check {chosen.file}")
    return 0


def _report_check(chosen: argparse.Namespace) -> int:
    from .teaching import handed_in, reports

    found = reports.effect(reports.check(chosen.file))
    error = "of one pair" if found.error != found.error else f"± {found.error:.2g}"
    print(f"{handed_in.named(chosen.file)} is a whole report: the noise made {found.mean:.3g} {error}.")
    return 0


def _report_table(chosen: argparse.Namespace) -> int:
    from .teaching import reports

    print(reports.table(chosen.folder), end="")
    return 0


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def _story(chosen: argparse.Namespace) -> int:
    from .story import recipes, report  # not before it is needed: it loads what draws
    from .story.tell import tell

    network = {"model": chosen.model, "norm": chosen.norm, "images": chosen.images, "side": chosen.side}
    recipe = recipes.chosen(chosen.dataset, **network, use_paper=chosen.paper, kind=chosen.recipe)
    recipe = recipe.tiny() if chosen.tiny else recipe
    say = functools.partial(_say, file=sys.stderr if chosen.json else sys.stdout)
    seeds, show = range(chosen.seed, chosen.seed + chosen.seeds), sys.stderr.isatty()
    figures = tell(
        seeds, out=chosen.out, resume=chosen.resume, recipe=recipe, device=chosen.device, workers=chosen.workers,
        progress=show, say=say,
    )  # fmt: skip
    print(json.dumps(figures, indent=2) if chosen.json else report.table(figures))
    say(f"Wrote {chosen.out}.json and {chosen.out}.png.")
    return 0 if figures["complete"] else 130


def _record(chosen: argparse.Namespace) -> int:
    if chosen.name is None:
        for name in recorded.names():
            print(recorded.load(name))
        return 0
    out = chosen.out or f"{chosen.name}.safetensors"
    folder = Path(f"{out}.parts")
    if not chosen.tiny and recorded.shipped(chosen.name):
        shipped = recorded.load(chosen.name)
        minutes = max(1, round(shipped.seconds / 60))
        span = f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
        where = f" on {shipped['device']}" if "device" in shipped else ""
        _say(f"The recording that comes with the package took {span}{where}.")
    try:
        made = recorded.record(chosen.name, tiny=chosen.tiny, say=_say, folder=folder, workers=chosen.workers)
    except KeyboardInterrupt as stop:
        news = "Stopped before a part was finished; nothing was written, and the same command starts again."
        goes_on = f"Stopped; the same command goes on from the parts in {folder}."
        raise KeyboardInterrupt(goes_on if recorded.begun(folder) else news) from stop
    made.save(out)
    recorded.clear(folder)
    print(f"{made}. Wrote {out}.")
    return 0


def _lab(chosen: argparse.Namespace) -> int:
    if not chosen.copy_only:
        lab.check(chosen.voila)
    folder = lab.lay(chosen.folder or lab.FOLDER, teacher=chosen.teacher, say=_say)
    if not chosen.copy_only:
        lab.serve(folder, port=chosen.port, browser=not chosen.no_browser, voila=chosen.voila, say=_say)
    return 0


def _fetch(chosen: argparse.Namespace) -> int:
    from .data import fetch

    try:
        folder = fetch.cifar10(chosen.to, url=chosen.url, progress=sys.stderr.isatty(), say=_say)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("Stopped; what came is kept, and the same command goes on from there.") from stop
    _say(f"CIFAR-10 is in {folder}.")
    if (first := data.find_cifar10()) is None or first.resolve() != folder.resolve():
        now = f" (now {first} comes first)" if first else ""
        _say(f"To have it found, set ENTROPIC_EDU_DATA={folder.resolve()}{now}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
