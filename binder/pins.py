"""Write binder/requirements.txt: what the lessons need, with all that it needs in turn, at the versions of constraints.txt.

python binder/pins.py           # in the environment that `make` sets up
python binder/pins.py --check   # writes nothing; fails where the file would change
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

BINDER = Path(__file__).resolve().parent
MACHINE = {  # of Binder, whatever this one is; runtime.txt says which Python
    "python_version": "3.11",
    "python_full_version": "3.11.0",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "os_name": "posix",
    "platform_machine": "x86_64",
}
HEAD = """# Made by binder/pins.py from constraints.txt: what the extra `lab` needs and nothing that only developers do.
# No line names this repository, so this layer of the image is kept as long as no version changes; postBuild installs it.
# PyTorch's own index has torch without CUDA: 2.13.0+cpu is newer to pip than 2.13.0, and 200 MB instead of gigabytes.
--extra-index-url https://download.pytorch.org/whl/cpu
"""


def needed() -> set[str]:
    """Return the normal names of all distributions that entropic-edu[lab] pulls in, without itself."""
    seen: set[tuple[str, str]] = set()
    todo = [Requirement("entropic-edu[lab]")]
    while todo:
        asked = todo.pop()
        for extra in ["", *sorted(asked.extras)]:
            if (normal(asked.name), extra) in seen:
                continue
            seen.add((normal(asked.name), extra))
            for line in metadata.requires(asked.name) or []:
                found = Requirement(line)
                if found.marker is None or found.marker.evaluate(MACHINE | {"extra": extra}):
                    todo.append(found)
    return {name for name, _ in seen} - {"entropic-edu"}


def normal(name: str) -> str:
    """Return a distribution's name as an index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> str:
    """Return the text of requirements.txt.

    Raises:
        ValueError: If constraints.txt lacks a version.
    """
    lines = (BINDER.parent / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {normal(line.split("==")[0]): line for line in lines if "==" in line and not line.startswith("#")}
    wanted = needed()
    if missing := sorted(wanted - set(pinned)):
        raise ValueError(f"constraints.txt has no version of {', '.join(missing)}; add what the tests passed with.")
    return HEAD + "".join(f"{pinned[name]}\n" for name in sorted(wanted))


def main(arguments: list[str]) -> int:
    """Write the file, or compare it."""
    file = BINDER / "requirements.txt"
    if "--check" not in arguments:
        file.write_text(pins(), "utf-8")
        return 0
    if file.read_text("utf-8") != pins():
        print("binder/requirements.txt is not what constraints.txt and pyproject.toml give; run python binder/pins.py")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
