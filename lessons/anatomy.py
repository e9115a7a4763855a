"""Hold a lesson to the anatomy that all lessons share, so that a learner who knows one finds the way in the next.

The headings are the contract:

    # NN · Title                 *MM minutes. You need: ...*
    ## Questions                 2-3 bullets
    ## You will be able to       1-4 bullets, each ending in (check N.M)
    ## Round K: ... (M minutes)  2-4 of them, each with ### Predict, ### Play, ### Explain, ### Check
    ## Key points                at least one bullet for each question
    ## Where this stops being true
    ## Terms used
    ## Next                      a link; then or before it a cell with lesson.calibration()

One setup cell comes first or right after the title. The rules for each part stand in its function below. What build.py
puts into every notebook, launch links and the cell that installs the package, is looked for in the built ones.

    python lessons/anatomy.py [FILE ...]
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

LONGEST_LESSON, LONGEST_ROUND = 40, 15  # minutes
OFF_LESSON, OFF_ROUND = 5, 3  # minutes by which a stated time may differ from ``seconds``
# seconds: 200 words a minute, a formula that is to be read twice, a question, a look at what moves, a check, a line
WORD, DISPLAYED, BET, LOOK, CHECK, LINE = 0.3, 15, 45, 90, 30, 30
LONGEST_CELL, LONGEST_SETUP = 15, 6  # lines
MOST_WORDS = 120  # of one explanation
STEPS = ["Predict", "Play", "Explain", "Check"]
OPENING = ["Questions", "You will be able to"]
CLOSING = ["Key points", "Where this stops being true", "Terms used", "Next"]
MOVING = r"lesson\.(play|explore)\("
FORMULA = r"\$\$.+?\$\$|\$[^$\n]+\$"
LINK = r"\[[^\]]+\]\(([^)\s]+)\)"


@dataclass
class Section:
    """A heading and what follows it up to the next heading of any level."""

    level: int
    title: str
    prose: str = ""
    code: list[NotebookNode] = field(default_factory=list)

    @property
    def bullets(self) -> list[str]:
        """The items of its lists, each on one line."""
        items: list[str] = []
        for line in self.prose.splitlines():
            if re.match(r"\s*[-*] ", line):
                items.append(re.sub(r"^\s*[-*] ", "", line).strip())
            elif items and line.strip():
                items[-1] += " " + line.strip()
        return items

    def holds(self, pattern: str, tag: str | None = None) -> bool:
        """Return whether one of its code cells, with this tag where one is given, holds a pattern."""
        return any(re.search(pattern, cell.source) for cell in self.code if tag is None or tag in tags(cell))


def tags(cell: NotebookNode) -> list[str]:
    """Return the tags of a cell."""
    return list(cell.metadata.get("tags", []))


def sections(cells: list[NotebookNode]) -> list[Section]:
    """Return all sections in the order of the page; the first holds what stands before any heading."""
    found, fenced = [Section(0, "")], False
    for cell in cells:
        if cell.cell_type == "code":
            found[-1].code.append(cell)
            continue
        for line in cell.source.splitlines():
            fenced ^= line.startswith("```")
            heading = None if fenced else re.match(r"(#+) +(.*\S)", line)
            if heading:
                found.append(Section(len(heading[1]), heading[2]))
            else:
                found[-1].prose += line + "\n"
    return found


def problems(source: Path) -> list[str]:
    """Return what is wrong with the anatomy of a lesson, a sentence each; an empty list for a sound one."""
    if not re.match(r"\d\d_\w+$", source.stem):
        return [f"{source.name}: a lesson's file is named like 02_flat_floor.py"]
    cells = jupytext.read(source, fmt="py:percent").cells
    found = sections(cells)
    rules = [
        _setup(source.stem[:2], cells),
        _title(source.stem[:2], cells, found),
        _order(found),
        _goals(found),
        *(_round(part) for part in rounds(found)),
        _minutes(found),
        _ending(source, found),
        _twins(cells),
        _cells(cells),
    ]
    return [f"{source.name}: {problem}" for rule in rules for problem in rule]


def launch_problems(notebook: Path) -> list[str]:
    """Return what is wrong with the launch links and the install cell of a built notebook, a sentence each."""
    cells = nbformat.read(notebook, 4).cells
    lessons = next(folder for folder in notebook.resolve().parents if (folder / "src").is_dir())
    file = f"lessons/{notebook.resolve().relative_to(lessons).as_posix()}"
    return [f"{file}: {problem}" for rule in (_launch(file, cells), _install(cells)) for problem in rule]


def named(found: list[Section], title: str) -> Section:
    """Return the section of level 2 with this title, or an empty one: that it is missing is said elsewhere."""
    return next((part for part in found if part.level == 2 and part.title == title), Section(2, title))


def rounds(found: list[Section]) -> list[list[Section]]:
    """Return the rounds, each as its heading's section and those below it."""
    parts: list[list[Section]] = []
    inside = False
    for section in found:
        if section.level <= 2:
            inside = section.level == 2 and section.title.startswith("Round")
            if inside:
                parts.append([section])
        elif inside:
            parts[-1].append(section)
    return parts


def minutes(words: str) -> int | None:
    """Return the minutes in a heading such as "Round 1: Walls (8 minutes)", or None."""
    found = re.search(r"\((\d+) minutes\)", words)
    return int(found[1]) if found else None


def counted(prose: str) -> int:
    """Return how many words there are, each formula one of them."""
    return len(re.findall(r"\S*\w\S*", re.sub(FORMULA, "formula", prose, flags=re.S)))


def seconds(parts: list[Section]) -> float:
    """Return how long sections take somebody who reads all, looks at all that moves and writes all solutions."""
    total = 0.0
    for part in parts:
        total += WORD * counted(f"{part.title} {part.prose}")
        total += DISPLAYED * len(re.findall(r"\$\$.+?\$\$", part.prose, re.S))
        for cell in part.code:
            if "solution" in tags(cell):
                written = [line for line in cell.source.splitlines() if re.match(r" +\S", line)]
                total += CHECK + LINE * len(written)
            elif "exercise" not in tags(cell):
                looks, bets = (len(re.findall(call, cell.source)) for call in (MOVING, r"lesson\.predict\("))
                total += LOOK * looks + BET * bets
    return total


# --- the rules -----------------------------------------------------------------------------------------------------


def _setup(number: str, cells: list[NotebookNode]) -> Iterator[str]:
    """One short setup cell, first or right after the title; it or the next code cell shows something that moves."""
    places = [place for place, cell in enumerate(cells) if "setup" in tags(cell)]
    if len(places) != 1:
        yield f"one cell is tagged setup, here {len(places)} are"
        return
    place, title = places[0], next((i for i, cell in enumerate(cells) if re.match("# ", cell.source)), -1)
    cell = cells[place]
    if cell.cell_type != "code":
        yield "the setup cell must be a code cell"
    if place not in (0, title + 1):
        yield f"the setup cell is the first cell or the one after the title, here it is cell {place}"
    lines = len(cell.source.splitlines())
    if lines > LONGEST_SETUP:
        yield f"the setup cell has {lines} lines and may have {LONGEST_SETUP}"
    if f'ee.Lesson("{number}")' not in cell.source:
        yield f'the setup cell must hold ee.Lesson("{number}")'
    after = next((other for other in cells[place + 1 :] if other.cell_type == "code"), None)
    hooked = re.search(MOVING, cell.source.splitlines()[-1]) or (after and re.search(MOVING, after.source))
    if not hooked:
        yield "no hook: the setup cell's last line, or the next code cell, must call lesson.play or lesson.explore"


def _title(number: str, cells: list[NotebookNode], found: list[Section]) -> Iterator[str]:
    """The first words of a lesson: its title, how long it takes, what one needs, and where to run it."""
    titles = [section for section in found if section.level == 1]
    if len(titles) != 1:
        yield f"there is one title, # {number} · Title; here are {len(titles)}"
        return
    title = titles[0]
    if not re.match(rf"{number} · \S", title.title):
        yield f'the title must begin "# {number} · ", it is "# {title.title}"'
    first = next(cell for cell in cells if cell.cell_type == "markdown")
    if not first.source.startswith("# "):
        yield "no words may stand before the title"
    time = re.search(r"^\*(\d+) minutes\. You need: .+?\*$", title.prose, re.M | re.S)
    if not time:
        yield 'under the title a line must say "*35 minutes. You need: ...*"'
    elif int(time[1]) > LONGEST_LESSON:
        yield f"a lesson takes at most {LONGEST_LESSON} minutes, this says {time[1]}"
    if "Launch: " in title.prose:
        yield "build.py puts the launch links in; the source must not have any"


def _launch(file: str, cells: list[NotebookNode]) -> Iterator[str]:
    """Below the line of time: text links, two of which open this very notebook at a tag; no picture from elsewhere."""
    words = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    line = re.search(r"^\*\d+ minutes\.[^*]*\*\n\n(Launch: .+)$", words, re.M)
    links = dict(re.findall(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", line[1])) if line else {}
    if list(links) != ["Binder", "Colab", "on your machine"]:
        yield f"below the time there must be links Binder, Colab and on your machine, here {list(links) or 'nothing'}"
        return
    ends = {"Binder": rf"/v\d[\w.]*\?urlpath=lab/tree/{file}", "Colab": rf"/blob/v\d[\w.]*/{file}"}
    for place, end in ends.items():
        if not re.search(f"{end}$", links[place]):
            yield f"the link to {place} must open {file} at a tag, it is {links[place]}"
    if re.search(r"!\[[^\]]*\]\(\w+:", words):
        yield "a picture is loaded from elsewhere, which needs a network and tells that place who reads"


def _install(cells: list[NotebookNode]) -> Iterator[str]:
    """The first code cell installs the package where it is missing, and says nothing where it is there."""
    code = [cell for cell in cells if cell.cell_type == "code"]
    if [place for place, cell in enumerate(code) if "install" in tags(cell)] != [0]:
        yield "the first code cell, and no other, must be tagged install"
    elif code[0].outputs:
        yield "the install cell says something where there is nothing to install"


def _order(found: list[Section]) -> Iterator[str]:
    """All sections are there, in the order that every lesson has, and no others."""
    heads = [section.title for section in found if section.level == 2]
    wanted = [*OPENING, *(head for head in heads if head.startswith("Round")), *CLOSING]
    for title in [*OPENING, *CLOSING]:
        if title not in heads:
            yield f"the section ## {title} is missing"
    for title in heads:
        if title not in wanted:
            yield f"no lesson has a section ## {title}"
    if sorted(heads) == sorted(wanted) and heads != wanted:
        yield f"the sections must come in the order {', '.join(wanted)}; they are {', '.join(heads)}"
    count = len(rounds(found))
    if not 2 <= count <= 4:
        yield f"a lesson has 2 to 4 rounds, this has {count}"
    for place, part in enumerate(rounds(found), start=1):
        if not re.match(rf"Round {place}: \S", part[0].title):
            yield f'round {place} must be headed "## Round {place}: ...", it is "## {part[0].title}"'


def _goals(found: list[Section]) -> Iterator[str]:
    """Two or three questions, and at most four abilities, each of which a check tests."""
    questions, goals = (named(found, title).bullets for title in OPENING)
    if not 2 <= len(questions) <= 3:
        yield f"## Questions has 2 or 3 bullets, here {len(questions)}"
    if not 1 <= len(goals) <= 4:
        yield f"## You will be able to has 1 to 4 bullets, here {len(goals)}"
    checks = {number for section in found for cell in section.code for number in checked(cell)}
    for goal in goals:
        end = re.search(r"\(check (\d+\.\d+)\)[.;]?$", goal)
        if not end:
            yield f'each ability ends in "(check N.M)", this does not: {goal}'
        elif end[1] not in checks:
            yield f'no cell calls lesson.check("{end[1]}", which an ability promises'


def checked(cell: NotebookNode) -> list[str]:
    """Return the numbers of the exercises that a cell checks."""
    return re.findall(r"""lesson\.check\(\s*["'](\d+\.\d+)["']""", cell.source)


def _round(part: list[Section]) -> Iterator[str]:
    """Predict, play, explain, check: each step with its cell, the explanation short and with a formula."""
    head, steps = part[0], {section.title: section for section in part[1:]}
    name = head.title.split(":")[0].lower()
    time = minutes(head.title)
    if time is None:
        yield f'the heading of {name} must end in "(... minutes)"'
    elif time > LONGEST_ROUND:
        yield f"{name} takes {time} minutes and may take {LONGEST_ROUND}"
    if [section.title for section in part[1:]] != STEPS or any(section.level != 3 for section in part[1:]):
        yield f"{name} must have ### {', ### '.join(STEPS)}, in this order and no others; it has {list(steps)}"
        return
    if not steps["Predict"].holds(r"lesson\.predict\("):
        yield f"{name}: a cell under Predict must call lesson.predict"
    if not steps["Play"].holds(MOVING):
        yield f"{name}: a cell under Play must call lesson.explore or lesson.play"
    prose = steps["Explain"].prose
    if counted(prose) > MOST_WORDS:
        yield f"{name}: Explain has {counted(prose)} words and may have {MOST_WORDS}"
    if not re.search(FORMULA, prose, re.S):
        yield f"{name}: Explain has no formula"
    for tag in ("exercise", "solution"):
        if not steps["Check"].holds(r"lesson\.check\(", tag):
            yield f"{name}: under Check a cell tagged {tag} must call lesson.check"


def _minutes(found: list[Section]) -> Iterator[str]:
    """Each time is about what ``seconds`` finds, and the rounds fit in that which the title promises."""
    promised = next((re.search(r"\*(\d+) minutes", part.prose) for part in found if part.level == 1), None)
    needed = sum(minutes(part[0].title) or 0 for part in rounds(found))
    if promised and needed > int(promised[1]):
        yield f"the rounds take {needed} minutes together, the title says {promised[1]}"
    stated = [("the title", int(promised[1]) if promised else None, found, OFF_LESSON)]
    stated += [(part[0].title.split(":")[0].lower(), minutes(part[0].title), part, OFF_ROUND) for part in rounds(found)]
    for name, time, parts, off in stated:
        if time is not None and abs(time - seconds(parts) / 60) > off:
            yield f"{name} says {time} minutes; by its words, looks and lines it takes {seconds(parts) / 60:.0f}"


def _ending(source: Path, found: list[Section]) -> Iterator[str]:
    """An answer to each question, the learner's own calibration, and the way to the next lesson."""
    answers, questions = len(named(found, "Key points").bullets), len(named(found, "Questions").bullets)
    if answers < questions:
        yield f"## Key points must answer the {questions} questions, it has {answers} bullets"
    for title in CLOSING[1:3]:
        if title in [section.title for section in found] and not named(found, title).prose.strip():
            yield f"the section ## {title} is empty"
    heads = [section.title for section in found]
    ending = found[heads.index("Key points") :] if "Key points" in heads else []
    if not any(section.holds(r"lesson\.calibration\(\)") for section in ending):
        yield "after the rounds a cell must call lesson.calibration()"
    links = re.findall(LINK, named(found, "Next").prose)
    following = sorted(source.parent.glob(f"{int(source.stem[:2]) + 1:02d}_*.py"))
    if following and f"{following[0].stem}.ipynb" not in links:
        yield f"## Next must link to {following[0].stem}.ipynb, it links to {links or 'nothing'}"
    elif not links:
        yield "## Next must link to the next lesson, or where there is none to ../README.md or another page"
    for link in links:
        if "://" not in link and not _exists(source, link.split("#")[0]):
            yield f"## Next links to {link}, which does not exist"


def _exists(source: Path, link: str) -> bool:
    """Return whether the target of a link in the built notebook is there, or a source that it is built from."""
    lessons = source.parent.parent
    return (lessons / link).exists() or (link.endswith(".ipynb") and (source.parent / f"{link[:-6]}.py").exists())


def _twins(cells: list[NotebookNode]) -> Iterator[str]:
    """Each exercise is followed by its solution, which calls the same check."""
    tagged = [(tag, cell) for cell in cells for tag in ("exercise", "solution") if tag in tags(cell)]
    coded = [(tag, cell) for tag, cell in tagged if cell.cell_type == "code"]
    if [tag for tag, _ in coded] != ["exercise", "solution"] * (len(coded) // 2):
        yield f"each cell tagged exercise has a solution right after it; the tags are {[tag for tag, _ in coded]}"
        return
    for (_, exercise), (_, solution) in zip(coded[::2], coded[1::2], strict=True):
        if cells.index(solution) != cells.index(exercise) + 1:
            yield f"the solution of exercise {checked(exercise)} must be the cell right after it"
        if checked(exercise) != checked(solution):
            yield f"an exercise calls the checks {checked(exercise)}, its solution {checked(solution)}"


def _cells(cells: list[NotebookNode]) -> Iterator[str]:
    """A cell imports, seeds, calls, plots: short, without definitions and loops except where they are the exercise."""
    for place, cell in enumerate(cells):
        if cell.cell_type != "code":
            if "<details" in cell.source:
                yield f"cell {place} holds <details>: what it hides is in plain sight on GitHub"
            continue
        lines = cell.source.splitlines()
        if len(lines) > LONGEST_CELL:
            yield f"cell {place} has {len(lines)} lines and may have {LONGEST_CELL}"
        if any(re.match(r"\s*[%!]", line) for line in lines):
            yield f"cell {place} uses a magic (% or !): it works in notebooks only"
            continue
        try:
            tree = ast.parse(cell.source)
        except SyntaxError as error:
            yield f"cell {place} is not Python: {error}"
            continue
        if not {"exercise", "solution"} & set(tags(cell)):
            yield from (f"cell {place} {problem}" for problem in _work(tree))
        if "pyplot" in cell.source:
            yield f"cell {place} uses pyplot, which breaks where callbacks run on other threads"


def _work(tree: ast.AST) -> Iterator[str]:
    kinds = {type(node) for node in ast.walk(tree)}
    if kinds & {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef}:
        yield "defines a function or class, which only an exercise and its solution may"
    if kinds & {ast.For, ast.AsyncFor, ast.While}:
        yield "holds a loop, which only an exercise and its solution may"


def main(names: list[str]) -> int:
    """Print the problems of the named sources, or of all numbered lessons and of all notebooks."""
    lessons = Path(__file__).resolve().parent
    files = [Path(name) for name in names] or sorted((lessons / "src").glob("[0-9][0-9]_*.py"))
    found = [problem for file in files for problem in problems(file)]
    if not names:
        notebooks = sorted([*lessons.glob("*.ipynb"), *lessons.glob("solutions/*.ipynb")])
        found += [problem for notebook in notebooks for problem in launch_problems(notebook)]
    print("\n".join(found) if found else f"{len(files)} lessons, no problem")
    return bool(found)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
