"""Build the lessons: each lessons/src/NAME.py (jupytext percent) becomes the executed notebook lessons/NAME.ipynb.

The same source and the same library versions give the same file byte for byte: cells are numbered instead of named at
random, nothing tells when a cell ran, and no widget state is kept. A cell that warns or fails builds nothing.

    python lessons/build.py [NAME ...]
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

LESSONS = Path(__file__).resolve().parent
WIDGETS = "application/vnd.jupyter.widget"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def read(source: Path) -> NotebookNode:
    """Return the notebook of a source, not executed: cells with fixed ids, and metadata that are the same anywhere."""
    notebook = jupytext.read(source, fmt="py:percent")
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{source.stem}-{number:02d}"
    notebook.metadata = NotebookNode(kernelspec=NotebookNode(KERNEL), language_info=NotebookNode(name="python"))
    notebook.nbformat, notebook.nbformat_minor = 4, 5  # the first version with cell ids
    return notebook


def execute(notebook: NotebookNode) -> NotebookNode:
    """Run all cells in a fresh kernel on one thread, and return the frozen notebook.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
        RuntimeError: If a cell writes to stderr: a lesson shows no warnings.
    """
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")  # sums in another order would end in other digits
    place = {"metadata": {"path": str(LESSONS)}}
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources=place, record_timing=False)
    return frozen(client.execute())


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
    return notebook


def write(notebook: NotebookNode, target: Path) -> None:
    """Write the notebook whole or not at all."""
    nbformat.validate(notebook)
    with tempfile.NamedTemporaryFile("w", dir=target.parent, suffix=".part", delete=False, encoding="utf-8") as stream:
        try:
            stream.write(nbformat.writes(notebook) + "\n")
            stream.close()
            os.chmod(stream.name, 0o644)
            os.replace(stream.name, target)
        except BaseException:
            os.unlink(stream.name)
            raise


def main(names: list[str]) -> int:
    """Build the named lessons, or all of them."""
    sources = [LESSONS / "src" / f"{name}.py" for name in names] or sorted((LESSONS / "src").glob("*.py"))
    for source in sources:
        target = LESSONS / f"{source.stem}.ipynb"
        write(execute(read(source)), target)
        print(f"{target.relative_to(LESSONS.parent)}: {target.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
