"""Every lesson runs from top to bottom in a fresh kernel, and its notebook is the one that its source builds."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "lessons" / "src").glob("*.py"))
NOTEBOOKS = sorted((ROOT / "lessons").glob("*.ipynb"))


@pytest.fixture(scope="module")
def build():
    """The module lessons/build.py."""
    spec = importlib.util.spec_from_file_location("lessons_build", ROOT / "lessons" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text_notebook(build, tmp_path, text):
    """The notebook, not executed, of a source with this text."""
    source = tmp_path / "small.py"
    source.write_text(text)
    return build.read(source)


def test_each_source_has_its_notebook_and_the_other_way():
    assert [source.stem for source in SOURCES] == [notebook.stem for notebook in NOTEBOOKS]
    assert SOURCES


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_the_notebook_is_that_of_its_source(build, source):
    built, kept = build.read(source), nbformat.read(source.parents[1] / f"{source.stem}.ipynb", 4)

    def hand_written(notebook):
        return [(cell.id, cell.cell_type, cell.source, cell.metadata) for cell in notebook.cells]

    assert hand_written(kept) == hand_written(built), "run make lessons"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_a_notebook_is_executed_in_order_and_holds_no_trace_of_when(notebook):
    kept = nbformat.read(notebook, 4)
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert set(kept.metadata) == {"kernelspec", "language_info"}  # no widget state
    assert kept.metadata.kernelspec.name == "python3"
    assert "widget-view" not in notebook.read_text()
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]
    assert [output for cell in code for output in cell.outputs if "image/png" in output.get("data", {})]
    assert notebook.stat().st_size < 1e6


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_cell_has_at_most_15_lines_of_code(build, source):
    for cell in build.read(source).cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 15, cell.source


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_every_cell_runs_in_a_fresh_kernel_on_one_thread(notebook):
    # nbval-lax: values may differ in their last digits on another processor, errors and stderr may not appear
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-cell-timeout=60", "-q", "-p", "no:cacheprovider"]
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    ran = subprocess.run(
        [*command, str(notebook)], cwd=ROOT, env=os.environ | threads, capture_output=True, text=True, timeout=300
    )
    cells = sum(cell.cell_type == "code" for cell in nbformat.read(notebook, 4).cells)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{cells} passed" in ran.stdout


# --- the builder itself -------------------------------------------------------------------------------------------


def test_building_twice_gives_the_same_bytes(build, tmp_path):
    text = "# %% [markdown]\n# # Small\n\n# %%\nimport random\n\nprint(1 + 1)\n\n# %% tags=['hint']\n{'a': 2}\n"
    for target in ("one.ipynb", "two.ipynb"):
        build.write(build.execute(text_notebook(build, tmp_path, text)), tmp_path / target)
    assert (tmp_path / "one.ipynb").read_bytes() == (tmp_path / "two.ipynb").read_bytes()
    assert [cell.id for cell in nbformat.read(tmp_path / "one.ipynb", 4).cells] == ["small-00", "small-01", "small-02"]


def test_widget_state_and_widget_views_are_removed_and_the_picture_beside_them_kept(build, tmp_path):
    notebook = text_notebook(build, tmp_path, "# %%\n1\n")
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "image/png": "abc", "text/plain": "2"}
    notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", view)]
    notebook.cells[0].metadata["execution"] = {"iopub.status.busy": "2026-01-01T00:00:00Z"}
    notebook.metadata["widgets"] = {"state": {}}
    frozen = build.frozen(notebook)
    assert set(frozen.cells[0].outputs[0].data) == {"image/png", "text/plain"}
    assert not frozen.cells[0].metadata
    assert "widgets" not in frozen.metadata


def test_a_lesson_that_warns_is_not_built(build, tmp_path):
    notebook = text_notebook(build, tmp_path, "# %%\nimport warnings\n\nwarnings.warn('old')\n")
    with pytest.raises(RuntimeError, match=r"Cell small-00 wrote to stderr.*\n.*old"):
        build.execute(notebook)


def test_a_failed_write_leaves_the_old_notebook_and_no_part(build, tmp_path, monkeypatch):
    target = tmp_path / "kept.ipynb"
    target.write_text("old")

    def refused(*names):
        raise OSError("disk full")

    monkeypatch.setattr(build.os, "replace", refused)
    with pytest.raises(OSError, match="disk full"):
        build.write(text_notebook(build, tmp_path, "# %%\n1\n"), target)
    assert target.read_text() == "old"
    assert not list(tmp_path.glob("*.part"))
