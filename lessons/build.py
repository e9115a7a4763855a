"""Build the lessons: each lessons/src/NAME.py (jupytext percent) becomes the executed notebook lessons/NAME.ipynb.

A numbered lesson, NN_NAME.py, has two editions: the learner's, and with the answers filled in lessons/solutions/. Cells
tagged ``exercise`` go to the first only, cells tagged ``solution`` to the second only.

Below the line that says how long a lesson takes, links are put that launch it on Binder, on Colab or at home. Before
its first code a cell is put that installs this package where it is missing. pyproject.toml says from where.

The same source and the same library versions give the same file byte for byte: cells are numbered instead of named at
random, nothing tells when a cell ran, and no widget state is kept. A cell that warns or fails builds nothing; nor does
one that shows something else when it runs again, which the second edition of a lesson finds out. Another processor
rounds otherwise: ``--check`` lets numbers differ in their last digits, and in cells tagged ``machine``, which train a
network, as much as they like.

    python lessons/build.py [NAME ...]
    python lessons/build.py --check [NAME ...]   # builds elsewhere and names the first cell that would change
"""

from __future__ import annotations

import argparse
import math
import os
import re
import tempfile
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

LESSONS = Path(__file__).resolve().parent
WIDGETS = "application/vnd.jupyter.widget"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LARGEST = 1_000_000  # bytes of a notebook: GitHub shows larger ones late or not at all
LEFT_OUT = {"learner": "solution", "solutions": "exercise"}  # the tag of the cells that an edition lacks
OWN_SETTINGS = tuple(f"ENTROPIC_EDU_{name}" for name in ("CLASS", "DATA", "LANGUAGE"))  # of whoever builds, not shown
NUMBER = re.compile(r"[-−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
CLOSE = 0.02  # of a number with a decimal point, as far as another processor may take it
RELATIVE_LINK = re.compile(r"\]\((?!\w+:|#|/)")
MINUTES = re.compile(r"^\*\d+ minutes\. You need: .+?\*$", re.M | re.S)
INSTALL = """# @title Install the course where it is missing (Colab, VS Code). Elsewhere this does nothing.
import importlib.util

if importlib.util.find_spec("entropic_edu") is None:
    %pip install --quiet "entropic-edu @ {archive}" "anywidget>=0.9.13"
    importlib.invalidate_caches()
    if importlib.util.find_spec("entropic_edu") is None:
        raise RuntimeError(
            "entropic_edu is missing and could not be installed; pip says why above. See that this machine "
            "reaches the network and run this cell again, or install it by hand: {readme}"
        )
"""


# --- from source to notebook ---------------------------------------------------------------------------------------


def numbered(source: Path) -> bool:
    """Return whether a source is a lesson of the course; the others are appendices, with one edition."""
    return re.match(r"\d\d_", source.name) is not None


def editions(source: Path) -> list[str]:
    """Return the editions of a source."""
    return ["learner", "solutions"] if numbered(source) else ["learner"]


def place(source: Path, edition: str, lessons: Path | None = None) -> Path:
    """Return where an edition is kept: in a folder, by default the one that holds the sources' folder."""
    lessons = lessons or source.parents[1]
    return (lessons / "solutions" if edition == "solutions" else lessons) / f"{source.stem}.ipynb"


def read(source: Path, edition: str = "learner") -> NotebookNode:
    """Return one edition of a source, not executed: cells with fixed ids, and metadata that are the same anywhere."""
    notebook = jupytext.read(source, fmt="py:percent")
    for number, cell in enumerate(notebook.cells):  # before any is left out: a cell has one id in both editions
        cell.id = f"{source.stem}-{number:02d}"
    notebook.cells = [cell for cell in notebook.cells if LEFT_OUT[edition] not in cell.metadata.get("tags", [])]
    make_launchable(notebook, source, edition)
    if edition == "solutions":
        for cell in notebook.cells:
            if cell.cell_type == "markdown":  # this edition lies one folder deeper
                cell.source = RELATIVE_LINK.sub("](../", cell.source)
        warning = nbformat.v4.new_markdown_cell(f"Solutions to lesson {source.name[:2]}: try first")
        notebook.cells.insert(0, NotebookNode(warning | {"id": f"{source.stem}-solutions"}))
    notebook.metadata = NotebookNode(kernelspec=NotebookNode(KERNEL), language_info=NotebookNode(name="python"))
    notebook.nbformat, notebook.nbformat_minor = 4, 5  # the first version with cell ids
    return notebook


def make_launchable(notebook: NotebookNode, source: Path, edition: str) -> None:
    """Put in launch links and the cell that installs the package; only where a line says how long the lesson takes."""
    timed = next((c for c in notebook.cells if c.cell_type == "markdown" and MINUTES.search(c.source)), None)
    if timed is None:
        return
    links = launch(place(source, edition, Path("lessons")).as_posix())
    timed.source = MINUTES.sub(lambda line: f"{line[0]}\n\n{links}", timed.source, count=1)
    first = next(place for place, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    cell = NotebookNode(nbformat.v4.new_code_cell(install()) | {"id": f"{source.stem}-install"})
    # folded in JupyterLab and on Colab, left out of the site by MyST-NB
    cell.metadata = NotebookNode(
        tags=["install", "remove-cell"], jupyter=NotebookNode(source_hidden=True), cellView="form"
    )
    notebook.cells.insert(first, cell)


def published() -> tuple[str, str]:
    """Return the address of the repository and the tag of this version, as pyproject.toml has them."""
    project = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    return project["urls"]["Repository"], f"v{project['version']}"


def launch(file: str) -> str:
    """Return the line of links that open a notebook, named by its path in the repository."""
    repository, tag = published()
    name = repository.removeprefix("https://github.com/")
    binder = f"https://mybinder.org/v2/gh/{name}/{tag}?urlpath=lab/tree/{file}"
    colab = f"https://colab.research.google.com/github/{name}/blob/{tag}/{file}"
    return f"Launch: [Binder]({binder}) · [Colab]({colab}) · [on your machine]({readme()})"


def readme() -> str:
    """Return where it stands how to begin."""
    repository, tag = published()
    return f"{repository}/blob/{tag}/README.md#start"


def install() -> str:
    """Return the source of the cell that installs this version where the package is missing."""
    repository, tag = published()
    return INSTALL.format(archive=f"{repository}/archive/refs/tags/{tag}.tar.gz", readme=readme()).rstrip()


def execute(notebook: NotebookNode) -> NotebookNode:
    """Run all cells in a fresh kernel on one thread, and return the frozen notebook.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
        RuntimeError: If a cell writes to stderr: a lesson shows no warnings.
    """
    environment = {name: value for name, value in os.environ.items() if name not in OWN_SETTINGS}
    environment |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # sums in another order end in other digits
    environment |= {"ENTROPIC_EDU_ANSWERS": "off"}  # a notebook does not depend on what its builder has answered
    where = {"metadata": {"path": str(LESSONS)}}
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources=where, record_timing=False, store_widget_state=False
    )
    return frozen(client.execute(env=environment))


def frozen(notebook: NotebookNode) -> NotebookNode:
    """Remove what differs between two runs or breaks a static view: times, widget state, and views of widgets."""
    notebook.metadata = NotebookNode(kernelspec=NotebookNode(KERNEL), language_info=NotebookNode(name="python"))
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stderr":
                raise RuntimeError(f"Cell {cell.id} wrote to stderr; a lesson shows no warnings:\n{output.text}")
            for kind in [kind for kind in output.get("data", {}) if kind.startswith(WIDGETS)]:
                del output.data[kind]
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("data") != {}]
    return notebook


def write(notebook: NotebookNode, target: Path) -> None:
    """Write the notebook whole or not at all.

    Raises:
        RuntimeError: If it is too large to be shown on GitHub.
    """
    nbformat.validate(notebook)
    words = nbformat.writes(notebook) + "\n"
    if len(words.encode()) >= LARGEST:
        size = len(words.encode()) / 1e6
        raise RuntimeError(f"{target.name} would have {size:.2f} MB and may have 1; show fewer or smaller pictures.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=target.parent, suffix=".part", delete=False, encoding="utf-8") as stream:
        try:
            stream.write(words)
            stream.close()
            os.chmod(stream.name, 0o644)
            os.replace(stream.name, target)
        except BaseException:
            os.unlink(stream.name)
            raise


def build(source: Path, lessons: Path | None = None) -> list[Path]:
    """Build all editions of a source below a folder and return their files.

    Raises:
        RuntimeError: If a cell that both editions have shows two different things.
    """
    built = [execute(read(source, edition)) for edition in editions(source)]
    if len(built) == 2:
        cell = unsteady(*built)
        if cell is not None:
            raise RuntimeError(
                f"Cell {cell.id} shows something else each time it runs; take away what depends on the time, on memory "
                f"addresses or on an unseeded generator:\n{cell.source}"
            )
    targets = [place(source, edition, lessons) for edition in editions(source)]
    for notebook, target in zip(built, targets, strict=True):
        write(notebook, target)
    return targets


def unsteady(learner: NotebookNode, solutions: NotebookNode) -> NotebookNode | None:
    """Return the first cell of both editions whose outputs differ though no answer has a part in them."""
    twins = {cell.id: cell for cell in solutions.cells}
    answered = False
    for cell in learner.cells:
        answered = answered or "exercise" in cell.metadata.get("tags", [])
        shown = re.match(r"lesson\.(explore|play|predict)\(", cell.source)
        written = re.search(r"\b(?!after\b)\w+=", cell.source)  # a function of the learner drives it
        independent = not answered or (shown and not written)
        if cell.cell_type == "code" and cell.id in twins and independent:
            mine, other = ([_counted_out(output) for output in one.outputs] for one in (cell, twins[cell.id]))
            if mine != other:
                return cell
    return None


def _counted_out(output: NotebookNode) -> dict[str, object]:
    return {name: value for name, value in output.items() if name != "execution_count"}


# --- comparing -----------------------------------------------------------------------------------------------------


def difference(kept: NotebookNode, built: NotebookNode) -> str | None:
    """Return where a kept notebook first differs from a new one in source, tags or text, or None.

    Pictures are not compared: another build of a drawing library may set other pixels. Of text, all words and counts
    are the same and measured numbers close; in a cell tagged ``machine`` all words are.
    """
    for old, new in zip(kept.cells, built.cells, strict=False):
        name = f"cell {new.id}"
        if (old.id, old.cell_type, old.source) != (new.id, new.cell_type, new.source):
            return f"{name}: the source differs"
        if old.metadata != new.metadata:
            return f"{name}: tags or metadata are {dict(old.metadata)}, a build gives {dict(new.metadata)}"
        for was, now in zip([*said(old), None], [*said(new), None], strict=False):
            if not _same(was, now, any_number="machine" in new.metadata.get("tags", [])):
                return f"{name}: the output differs\n  kept:  {was}\n  built: {now}"
    if len(kept.cells) != len(built.cells):
        return f"cell {len(built.cells)}: {len(kept.cells)} cells are kept, a build gives {len(built.cells)}"
    return None if kept.metadata == built.metadata else "the notebook's metadata differ"


def _same(was: tuple[str, str] | None, now: tuple[str, str] | None, any_number: bool) -> bool:
    if was == now:
        return True
    if was is None or now is None or was[0] != now[0] or NUMBER.sub("#", was[1]) != NUMBER.sub("#", now[1]):
        return False
    pairs = zip(NUMBER.findall(was[1]), NUMBER.findall(now[1]), strict=True)
    return any_number or all(one == other or _close(one, other) for one, other in pairs)


def _close(one: str, other: str) -> bool:
    """Whether two measured numbers differ by no more than a share or two units of the last digit that is shown."""
    if not all("." in number or "e" in number for number in (one, other)):
        return False  # a count
    units = (10.0 ** Decimal(number.replace("−", "-")).as_tuple().exponent for number in (one, other))
    values = [float(number.replace("−", "-")) for number in (one, other)]
    return math.isclose(*values, rel_tol=CLOSE, abs_tol=2.001 * max(units))


def said(cell: NotebookNode) -> Iterator[tuple[str, str]]:
    """Yield kind and text of each output of a cell, and of a picture only that there is one."""
    for output in cell.get("outputs", []):
        if output.output_type in ("stream", "error"):
            yield output.get("name", "error"), output.get("text", "") or "\n".join(output.get("traceback", []))
        for kind, value in sorted(output.get("data", {}).items()):
            yield kind, "" if kind.startswith("image/") else value


def check(source: Path) -> str | None:
    """Build a source in a temporary folder and return how what is kept differs from that, or None."""
    with tempfile.TemporaryDirectory() as folder:
        for edition, target in zip(editions(source), build(source, Path(folder)), strict=True):
            kept = place(source, edition)
            if not kept.is_file():
                return f"{kept.relative_to(LESSONS.parent)} is missing"
            found = difference(nbformat.read(kept, 4), nbformat.read(target, 4))
            if found is not None:
                return f"{kept.relative_to(LESSONS.parent)}, {found}"
    return None


def main(arguments: list[str] | None = None) -> int:
    """Build or check the named lessons, or all of them."""
    parser = argparse.ArgumentParser(description="lessons/src/NAME.py -> executed lessons/NAME.ipynb")
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as 02_flat_floor; all where none is named")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a build would change a cell")
    wanted = parser.parse_args(arguments)
    sources = [LESSONS / "src" / f"{name}.py" for name in wanted.names] or sorted((LESSONS / "src").glob("*.py"))
    for source in sources:
        if wanted.check:
            found = check(source)
            if found is not None:
                print(f"{found}\nRun make lessons.")
                return 1
            print(f"{source.stem}: as kept")
        else:
            for target in build(source):
                print(f"{target.relative_to(LESSONS.parent)}: {target.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
