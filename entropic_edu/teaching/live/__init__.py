"""What walks in the page: plain ES modules that need neither a kernel nor a build, and how they come into a page.

A widget takes one module, and a page in a folder may load only plain scripts; so the modules are joined here as they
are, without their imports of each other.
"""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
IMPORT = re.compile(r"^import \{[^}]*\} from \"\./(\w+)\.js\";\n", re.M)


def joined(name: str) -> str:
    """Return a module with those that it imports before it, as one script without imports and exports.

    >>> code = joined("valleys")
    >>> "class Crowd" in code, "export" in code
    (True, False)
    """
    wanted: list[str] = []
    _collect(name, wanted)
    parts = [(HERE / f"{each}.js").read_text("utf-8") for each in wanted]
    return "\n".join(re.sub(r"^export ", "", IMPORT.sub("", part), flags=re.M) for part in parts)


def plain(name: str, *exports: str) -> str:
    """Return a module as a plain script that makes one global of what it exports, ``entropicLive``."""
    names = ", ".join(exports)
    return f"const entropicLive = (() => {{\n{joined(name)}\nreturn {{ {names} }};\n}})();\n"


def _collect(name: str, wanted: list[str]) -> None:
    for other in IMPORT.findall((HERE / f"{name}.js").read_text("utf-8")):
        _collect(other, wanted)
    if name not in wanted:
        wanted.append(name)
