"""Is this installation fit for the story and the lessons? One line for each check, with what to do."""

from __future__ import annotations

import getpass
import os
import platform
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import torch
from packaging.requirements import Requirement

from entropic_edu import data
from entropic_edu.networks.devices import device
from entropic_edu.physics.results import first_line, write_whole
from entropic_edu.sweeps.workers import cores

from . import lab

NEEDED = 1.0  # GB that the story takes


@dataclass(frozen=True)
class Check:
    """A line of the report: a state, what was looked at, what it is, and what to do unless all is well."""

    state: Literal["ok", "warn", "fail"]
    what: str
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.state:4}  {self.what:12}  {self.detail}" + (f"; {self.remedy}." if self.remedy else ".")


def checks() -> list[Check]:
    """Return all checks, in the order of the report."""
    python = Check("ok", "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    machine = [python, *_dependencies(), _device(), _threads(), _memory()]
    return [*machine, *_front_ends(), _lessons(), _digits(), _cifar10(), _writing()]


def main(file: str | None = None) -> int:
    """Print the report, or write it to a file as a page to paste into a question ("-" prints that).

    Returns 1 if a check failed, else 0.
    """
    results = list(checks())
    count = Counter(check.state for check in results)
    if file is None:
        print(*results, sep="\n")
        print(f"{count['ok']} ok, {count['warn']} to look at, {count['fail']} failed.")
    elif file == "-":
        print(written(results))
    else:
        write_whole(file, (written(results) + "\n").encode())
        print(f"Wrote {file}.")
    return 1 if count["fail"] else 0


def written(results: list[Check]) -> str:
    """Return checks as a page in Markdown, with no name of a user or a machine and no folder of a home in it."""
    lines = ["### `entropic-edu doctor --report`", "", "| | what | found |", "|---|---|---|"]
    for check in results:
        outcome = check.detail + (f"; {check.remedy}" if check.remedy else "")
        lines.append(f"| {check.state} | {check.what} | {nameless(outcome).replace('|', '/')} |")
    return "\n".join(lines)


def nameless(text: str) -> str:
    """Return a text without the home folder, the user's name and the machine's."""
    home = os.path.expanduser("~")
    if len(home) > 1:
        text = text.replace(home, "~")
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # an account without a name
        user = ""
    for name, instead in ((user, "USER"), (platform.node(), "MACHINE")):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", instead, text) if name else text
    return text


def data_main() -> int:
    """Print which data sets are at hand and where CIFAR-10 was looked for; return 1 if the digits are missing."""
    for check in (digits := _digits(), _cifar10()):
        print(check)
    print("CIFAR-10 is looked for in")
    for place in data.places(None):
        print(f"  {place.absolute()}{'' if os.path.isdir(place) else '  (no such folder)'}")
    return 1 if digits.state == "fail" else 0


def _dependencies() -> Iterator[Check]:
    """Compare what is installed with the ranges in pyproject.toml, as the installed package declares them."""
    try:
        declared = [Requirement(line) for line in metadata.requires("entropic-edu") or []]
    except metadata.PackageNotFoundError:
        yield Check("warn", "entropic-edu", "imported but not installed", "run make check, or pip install -e .")
        return
    for needed in declared:
        if needed.marker is None or needed.marker.evaluate({"extra": ""}):
            version = _version(needed.name)
            if version is not None and needed.specifier.contains(version, prereleases=True):
                yield Check("ok", needed.name, version)
            else:
                found = f"{version}, wanted {needed.specifier}" if version else "not installed"
                remedy = f'run pip install -c constraints.txt "{needed.name}{needed.specifier}"'
                yield Check("fail", needed.name, found, remedy)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _device() -> Check:
    chosen = device()
    try:
        probe = torch.ones(8, device=chosen, requires_grad=True)
        probe.square().sum().backward()
    except RuntimeError as error:
        detail = f"{chosen}, but a small gradient failed ({first_line(error)})"
        remedy = "reinstall torch; pip install torch==2.13.0 from PyTorch's CPU index works"
        return Check("fail", "device", detail, remedy)
    name = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else "enough for all of the story"
    return Check("ok", "device", f"{chosen} ({name})")


def _threads() -> Check:
    """Torch may start a thread for each core of the machine where only a few are ours; then it crawls."""
    threads, usable = torch.get_num_threads(), cores()
    detail = f"torch uses {threads}, {usable} cores are usable"
    if threads > usable:
        return Check("warn", "threads", detail, f"set OMP_NUM_THREADS={usable}, or torch.set_num_threads({usable})")
    return Check("ok", "threads", detail)


def _memory() -> Check:
    free = available_memory()
    if free is None:
        return Check("warn", "memory", "unknown on this system", f"see that {NEEDED:g} GB is free")
    detail = f"{free:.1f} GB available, the story takes up to {NEEDED:g} GB"
    if free < NEEDED / 2:
        return Check("fail", "memory", detail, "close other programs or take a larger machine")
    if free < 1.5 * NEEDED:
        return Check("warn", "memory", detail, "close other programs, or expect it to slow down")
    return Check("ok", "memory", detail)


def available_memory() -> float | None:
    """Return the memory in GB that can still be had, by the system and a container's limit; None where unknown."""
    if (found := re.search(r"^MemAvailable: *(\d+) kB$", _read("/proc/meminfo"), re.MULTILINE)) is None:
        return None
    free = int(found[1]) * 1024
    limit, used = _read("/sys/fs/cgroup/memory.max").strip(), _read("/sys/fs/cgroup/memory.current").strip()
    if limit.isdigit() and used.isdigit():
        free = min(free, int(limit) - int(used))
    return free / 1e9


FRONT_ENDS = ("jupyterlab", "notebook", "voila")
WIDGETS = (("ipywidgets", "@jupyter-widgets/jupyterlab-manager"), ("anywidget", "anywidget"))


def _front_ends() -> Iterator[Check]:
    """What shows the lessons, and whether the browser's half of the widgets lies where JupyterLab looks for it."""
    there = ", ".join(f"{name} {version}" for name in FRONT_ENDS if (version := _version(name)))
    remedy = 'to open the lessons, run pip install "entropic-edu[lab]"'
    yield Check("ok", "front end", there) if there else Check("warn", "front end", "no JupyterLab here", remedy)
    for name, extension in WIDGETS:
        version = _version(name)
        if version is None:
            yield Check("warn", name, "not installed", 'run pip install "entropic-edu[lab]"; the lessons need it')
        elif there and not any((place / extension / "package.json").is_file() for place in _extensions()):
            detail = f"{version}, but its part for the browser is not where JupyterLab looks"
            yield Check("warn", name, detail, f"run pip install --force-reinstall {name} where JupyterLab runs")
        else:
            yield Check("ok", name, version)


def _extensions() -> list[Path]:
    try:
        from jupyter_core.paths import jupyter_path
    except ImportError:
        return []
    return [Path(place) for place in jupyter_path("labextensions")]


def _lessons() -> Check:
    try:
        return Check("ok", "lessons", f"{len(list(lab.shipped().glob('*.ipynb')))} in {lab.shipped()}")
    except FileNotFoundError as error:
        return Check("warn", "lessons", "missing", str(error).rstrip("."))


def _digits() -> Check:
    try:
        digits = data.digits()
    except (OSError, ValueError) as error:
        return Check("fail", "digits", f"could not be read ({error})", "reinstall scikit-learn, which carries them")
    return Check("ok", "digits", f"{len(digits.x):,} x {digits.x.shape[1]} for training, {len(digits.test_x)} held out")


def _cifar10() -> Check:
    folder = data.find_cifar10()
    if folder is None:
        hint = "to get it, run entropic-edu data fetch cifar10, or set ENTROPIC_EDU_DATA to the folder of a copy"
        return Check("ok", "CIFAR-10", "no copy found, and none is needed for the story", hint)
    if missing := [file for file in data.files_of(folder) if not file.is_file()]:
        detail = f"incomplete copy in {folder}, {', '.join(file.name for file in missing)} missing"
        return Check("warn", "CIFAR-10", detail, data.remedy(missing[0]))
    return Check("ok", "CIFAR-10", f"copy in {folder}")


def _writing() -> Check:
    try:
        here = Path.cwd()
        with tempfile.TemporaryFile(dir=here) as stream:
            stream.write(b"entropic_edu")
    except OSError as error:
        detail = f"the current folder cannot be written ({error.strerror})"
        return Check("fail", "results", detail, "change to a folder of your own, or name one with --out")
    return Check("ok", "results", f"can be written in {here}")


def _read(file: str) -> str:
    try:
        return Path(file).read_text()
    except OSError:
        return ""
