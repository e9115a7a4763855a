"""The lessons in a folder of the learner's, and a front end on it: ``entropic-edu lab``.

A copy never overwrites work. The folder keeps a list of what was laid there, with the hash of each file as it was. A
file that still has that hash is brought up to date; one that was changed stays, and its new version is laid beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from pkgutil import resolve_name

from entropic_edu.physics.results import read_whole, write_whole

FOLDER = "entropic-edu-lessons"
LIST, KIND, FORMAT = ".entropic-edu.json", "entropic_edu lessons", 1
PATTERNS = ("*.ipynb", "solutions/*.ipynb")
TEACHER = ("instructors/*", "quiz/*.json")
FIRST = "00_start.ipynb"
ADDRESS = "127.0.0.1"
Say = Callable[[str], object]


def shipped() -> Path:
    """Return the folder of the lessons that this installation has.

    Raises:
        FileNotFoundError: If it has none.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "lessons", package.parent / "lessons"):
        if (folder / FIRST).is_file():
            return folder
    raise FileNotFoundError(
        f"This installation of entropic_edu has no lessons ({package / 'lessons'} is missing); install it anew."
    )


def lay(folder: str | os.PathLike[str] = FOLDER, *, teacher: bool = False, say: Say = print) -> Path:
    """Copy the lessons to a folder, or bring the copy that is there up to date, and return the folder.

    Args:
        folder: Where to; made where it is missing. The folder of the lessons themselves is left as it is.
        teacher: Copy the instructors' pages and the quiz too.
        say: Is told in words what was copied, updated and kept.

    Raises:
        OSError: If a file cannot be read or written; those already copied are whole and stay.
        ValueError: If something that is no file bears the name of a lesson, or "~" stands for nobody's home.
    """
    source, target = shipped(), Path(os.path.expanduser(folder))
    if str(target).startswith("~"):
        raise ValueError(f"{target.parts[0]} is nobody's home here; name another folder.")
    if os.path.isdir(target) and target.resolve() == source:
        return target
    patterns = PATTERNS + TEACHER if teacher else PATTERNS
    known = _known(target / LIST, say)
    done: Counter[str | None] = Counter()
    try:
        for file in [file for pattern in patterns for file in sorted(source.glob(pattern)) if file.is_file()]:
            name, content = file.relative_to(source).as_posix(), file.read_bytes()
            done[_lay_one(target, name, content, known, say)] += 1
    finally:  # what was laid is known, even if the disk was full in the middle
        if known:
            written = {"kind": KIND, "format": FORMAT, "files": dict(sorted(known.items()))}
            write_whole(target / LIST, (json.dumps(written, indent=1) + "\n").encode())
    counted = ", ".join(f"{done[what]} {what}" for what in ("copied", "brought up to date") if done[what])
    say(f"Lessons in {target}: {counted or 'all up to date'}.")
    return target


def _lay_one(target: Path, name: str, content: bytes, known: dict[str, str], say: Say) -> str | None:
    """Lay one file, or its new version beside a changed one; return what was done, None if nothing had to be."""
    file = target / name
    if os.path.lexists(file) and not file.is_file():
        raise ValueError(f"{file} is no file, and a lesson is to go there; move it away, or name another folder.")
    there = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
    laid, new, done = known.get(name), hashlib.sha256(content).hexdigest(), None
    if there is None or there == laid != new:
        write_whole(file, content)
        done = "copied" if there is None else "brought up to date"
    elif new not in (there, laid):  # changed by the learner, and there is a newer version
        beside = _beside(file, content)
        if not beside.exists():
            write_whole(beside, content)
            say(f"{file.name} holds your work and stays; its new version is {beside.name}.")
    known[name] = new
    return done


def _beside(file: Path, content: bytes) -> Path:
    """Return the first name for a new version that is free, or that has this version already."""
    marks = (".new" if number == 1 else f".new-{number}" for number in count(1))
    names = (file.with_name(file.stem + mark + file.suffix) for mark in marks)
    return next(n for n in names if not os.path.lexists(n) or (n.is_file() and n.read_bytes() == content))


def _known(file: Path, say: Say) -> dict[str, str]:
    """Return the hashes of what was laid; nothing is known from a list that is missing or damaged."""
    try:
        listed = json.loads(read_whole(file))
        if (listed["kind"], listed["format"]) != (KIND, FORMAT):
            raise ValueError("another kind or format")
        return {str(name): str(value) for name, value in listed["files"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        say(f"{file} is damaged; every file that differs from the lessons is taken for your work.")
        return {}


CULL = 600  # seconds after which Voila ends a kernel that no page is connected to
# the extensions that the lessons need in Voila; others, such as jupytext's, do not load there
WIDGETS = ("@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8", "anywidget")


def arguments(folder: Path, *, port: int, token: str, browser: bool = True, voila: bool = False) -> list[str]:
    """Return what JupyterLab, or Voila, which shows lessons without their code, is told.

    It shows the folder, listens at the port on this machine only, lets in who knows the token, and may open a browser.
    """
    given, app = [], "Voila" if voila else "ServerApp"
    settings = {f"{app}.ip": ADDRESS, f"{app}.port": port, f"{app}.port_retries": 0, f"{app}.open_browser": browser}
    if voila:
        given = [str(folder.resolve()), *(f"--VoilaConfiguration.extension_allowlist={name}" for name in WIDGETS)]
        settings |= {
            "Voila.token": token,
            "MappingKernelManager.cull_idle_timeout": CULL,
            "MappingKernelManager.cull_interval": CULL // 10,
        }
    else:
        settings |= {
            "ServerApp.root_dir": folder.resolve(),
            "ServerApp.allow_remote_access": False,
            "ServerApp.allow_root": True,
            "IdentityProvider.token": token,
            "LabApp.default_url": f"/lab/tree/{FIRST}",
        }
    return [*given, *(f"--{name}={value}" for name, value in settings.items())]


def free_port(first: int) -> int:
    """Return the first port from a number on that nobody listens at.

    Raises:
        OSError: If the hundred from there are all taken, or the number is no port.
    """
    for port in range(first, min(first + 100, 1 << 16)):
        with suppress(OSError), socket.create_server((ADDRESS, port)):
            return port
    raise OSError(f"No port from {first} on is free, wanted one from 1024 to 65535; name another with --port.")


def check(voila: bool = False) -> None:
    """Raise an ImportError that says what to install, unless the front end is there."""
    wanted, extras = ("voila", "lab,voila") if voila else ("jupyterlab", "lab")
    if missing := [name for name in (wanted, "ipywidgets", "anywidget") if find_spec(name) is None]:
        raise ImportError(f'{", ".join(missing)} not installed; run pip install "entropic-edu[{extras}]".')


def serve(folder: Path, *, port: int = 8888, browser: bool = True, voila: bool = False, say: Say = print) -> None:
    """Run a front end in this process until it is stopped, and ``say`` its address; as in ``arguments``.

    It listens at the next free port if this one is taken, and its token is in no list of processes.
    """
    token, port = secrets.token_hex(24), free_port(port)
    page = "" if voila else f"lab/tree/{FIRST}"
    say(f"{'Voila' if voila else 'JupyterLab'} comes at http://{ADDRESS}:{port}/{page}?token={token}")
    say("It is open to this machine alone, to those who know that address. Ctrl-C ends it.")
    app = resolve_name("voila.app:Voila" if voila else "jupyterlab.labapp:LabApp")
    app.launch_instance(argv=arguments(folder, port=port, token=token, browser=browser, voila=voila))
