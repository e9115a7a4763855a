"""What the site takes from elsewhere in the repository: lessons, teachers' pages, change log; and the glossary.

Copies are written only where they differ, each whole or not at all, so that a build after a small change is quick and
two builds at once do no harm. ``PLACES`` says where a file of the repository stands on the site.
"""

from __future__ import annotations

import html
import json
import os
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PLACES = [  # pattern in the repository, folder under docs
    ("lessons/*.ipynb", "lessons"),
    ("lessons/instructors/*.md", "teachers"),
    ("lessons/solutions/*.ipynb", "teachers/solutions"),
    ("lessons/quiz/*.json", "teachers/quiz"),
    ("CHANGELOG.md", "repository"),
    ("SECURITY.md", "repository"),
    ("CONTRIBUTING.md", "repository"),
    ("CODE_OF_CONDUCT.md", "repository"),
    ("CITATION.cff", "repository"),
    ("LICENSE", "repository"),
    ("LICENSE-lessons", "repository"),
]
PLAYED = {  # what plays without a kernel, beneath the first picture of a lesson
    "00_start": "{stage} 00 crowd",
    "01_one_valley": "{stage} 01 hook",
    "02_flat_floor": "{stage} 02 waist",
    "03_tug_of_war": "{stage} 03 cold",
    "06_let_go": "{walkers}",
}
FROZEN = """\
:::{{note}}
This page is the lesson as it was built: its pictures stand still. To predict, turn the sliders and be checked,
[open it in Jupyter](../README.md#start), or take the {{download}}`notebook <{name}.ipynb>`.
:::"""


def place(source: Path) -> Path | None:
    """Return where under docs a file of the repository is copied to, or None."""
    for pattern, folder in PLACES:
        if source.relative_to(ROOT).parent == Path(pattern).parent and source.match(pattern):
            return Path(folder) / source.name
    return None


def stage(docs: Path) -> None:
    """Copy what the site shows to the folder of its pages, and write the glossary."""
    wanted = {docs / "glossary.md"}
    for pattern, folder in PLACES:
        for source in sorted(ROOT.glob(pattern)):
            target = docs / folder / source.name
            wanted.add(target)
            content = source.read_text("utf-8")
            _write(target, lesson(content, source.stem) if folder == "lessons" else content)
    for folder in {folder for _, folder in PLACES}:
        for stale in (docs / folder).glob("*.*"):
            if stale.is_file() and stale not in wanted:
                stale.unlink()
    _write(docs / "glossary.md", glossary(ROOT / "lessons"))


def _write(target: Path, content: str) -> None:
    if target.exists() and target.read_text("utf-8") == content:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    part.write_text(content, "utf-8")
    part.replace(target)


# --- lessons -------------------------------------------------------------------------------------------------------


def lesson(content: str, name: str) -> str:
    """Return a notebook as the site shows it: each picture with its words beneath, and where to play."""
    notebook = json.loads(content)
    cells: list[dict[str, Any]] = []
    told = played = False
    heading = ""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            heading = [heading, *re.findall(r"^#+ (.*)", "".join(cell["source"]), re.MULTILINE)][-1]
        cells.append(_shown(cell, heading))
        if not told and cell["cell_type"] == "markdown":
            cells.append(_markdown(FROZEN.format(name=name), f"{name}-frozen"))
            told = True
        picture = any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
        if name in PLAYED and picture and not played:
            cells.append(_markdown(f"```{PLAYED[name]}\n```", f"{name}-player"))
            played = True
    return json.dumps(notebook | {"cells": cells}, ensure_ascii=False)


def _markdown(source: str, name: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name[:64], "metadata": {}, "source": source}


def _shown(cell: dict[str, Any], heading: str) -> dict[str, Any]:
    """Return a cell whose pictures have their words as alternative text, and beneath; else the heading above them."""
    outputs: list[dict[str, Any]] = []
    metadata = dict(cell["metadata"])
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        words = "".join(data.get("text/plain", "")).strip()
        if "image/png" not in data or not words:
            outputs.append(output)
            continue
        plain = words.startswith("<Figure")  # of Matplotlib, which has no words
        metadata["mystnb"] = {"image": {"alt": heading if plain else " ".join(words.split())}}
        outputs.append({"output_type": "display_data", "metadata": {}, "data": {"image/png": data["image/png"]}})
        if plain:
            continue
        *head, last = [html.escape(line) for line in words.splitlines() if line.strip()]
        lines = [f'<p class="ee-frozen-head">{" · ".join(head)}</p>'] * bool(head) + [f"<p>{last}</p>"]
        told = {"text/html": f'<div class="ee-frozen">{"".join(lines)}</div>'}
        outputs.append({"output_type": "display_data", "metadata": {}, "data": told})
    return {**cell, "metadata": metadata, **({"outputs": outputs} if "outputs" in cell else {})}


# --- glossary ------------------------------------------------------------------------------------------------------

MARK = r"\*{1,2}(?P<term>[^*\n]+)\*{1,2}"


def terms(section: str) -> list[tuple[str, str, str]]:
    """Return term, its symbol if it has one, and what it means, for each term of a section "Terms used"."""
    found = []
    listed = section.lstrip().startswith("- ")
    flat = " ".join(section.split())
    start = re.compile(r"(?:^|(?<=[;.] )|(?<=- ))" + MARK + r"(?P<symbol>(?: or \*[^*]+\*)?[^:*]*?):(?= )")
    for one in flat.split(" - ") if listed else [flat]:
        one = one.removeprefix("- ")
        heads = list(start.finditer(one))
        for i, head in enumerate(heads):
            end = heads[i + 1].start() if i + 1 < len(heads) else len(one)
            symbol, means = head["symbol"].strip(), one[head.end() : end].strip(" ;.")
            found.append((head["term"].strip(), symbol, means))
    return found


def used(notebook: str) -> str:
    """Return the section "Terms used" of a notebook, or nothing."""
    cells = [cell for cell in json.loads(notebook)["cells"] if cell["cell_type"] == "markdown"]
    text = "\n\n".join("".join(cell["source"]) for cell in cells)
    found = re.search(r"^## Terms used\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


def glossary(lessons: Path) -> str:
    """Return the page of all terms, each as every lesson that uses it says it."""
    said: dict[str, list[str]] = defaultdict(list)
    names: dict[str, str] = {}
    for file in sorted(lessons.glob("*.ipynb")):
        for term, symbol, means in terms(used(file.read_text("utf-8"))):
            key = term.casefold()
            names.setdefault(key, term[0].lower() + term[1:] if term[:2].istitle() else term)
            symbol = re.sub(r"\*", "", symbol)
            lead = f"{symbol}: " if symbol else ""
            said[key].append(f"{lead}{means} ([lesson {file.stem[:2]}](lessons/{file.name}))")
    lines = [
        "# Glossary",
        "",
        "The terms that the lessons use, as each lesson says them; a term may mean more as the course goes on.",
        "This page is made from the lessons.",
        "",
        "```{glossary}",
    ]
    for key in sorted(said, key=lambda each: each.replace("λ", "lambda").replace("θ", "theta")):
        lines += [names[key], *("  " + ("" if i == 0 else "\n  ") + one for i, one in enumerate(said[key])), ""]
    return "\n".join([*lines, "```", ""])
