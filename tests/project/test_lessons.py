"""Every lesson runs without a network from top to bottom, or any section of it alone, and is what its source builds."""

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
LESSONS = ROOT / "lessons"
SOURCES = sorted((LESSONS / "src").glob("*.py"))
NUMBERED = [source for source in SOURCES if re.match(r"\d\d_", source.name)]
NOTEBOOKS = sorted([*LESSONS.glob("*.ipynb"), *LESSONS.glob("solutions/*.ipynb")])
NUMBERED_NOTEBOOKS = [notebook for notebook in NOTEBOOKS if re.match(r"\d\d_", notebook.name)]
LONGEST_CELL, LONGEST_LESSON = 30, 120  # seconds; a limit for what hangs on a busy machine, far above what it takes
MOST_MEMORY = 900  # MiB; free hosts give 2 GB to everything


def name(notebook):
    return str(notebook.relative_to(LESSONS).with_suffix(""))


def environment():
    """The environment of a learner's first visit, on one thread and without a network."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ENTROPIC_EDU_")}
    added = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "ENTROPIC_EDU_ANSWERS": "off"}
    return kept | added | {"PYTHONPATH": str(ROOT / "tests" / "sockets")}


@pytest.fixture(scope="module")
def build():
    """The module lessons/build.py."""
    return loaded(LESSONS / "build.py")


def loaded(file):
    """Import a module from a file that is no part of the package."""
    spec = importlib.util.spec_from_file_location(f"{file.parent.name}_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Measured(NotebookClient):
    """A client that keeps how long each cell takes and the most memory that the kernel holds."""

    made = []  # noqa: RUF012  (all of them, which the fixture empties)

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.begun, self.seconds, self.peak = 0.0, {}, 0.0
        self.on_cell_execute, self.on_cell_executed = self.begins, self.ends
        self.made.append(self)

    def begins(self, cell, **_):
        self.begun = time.monotonic()

    def ends(self, cell, **_):
        self.seconds[cell.id] = time.monotonic() - self.begun
        self.peak = peak(self.km.provisioner.process.pid)


# two in each test run, all in the soak; in a browser every lesson runs each time
EACH = [pytest.param(s, marks=() if s.stem[:2] == "00" else pytest.mark.soak, id=s.stem) for s in NUMBERED]


@pytest.fixture(scope="module", params=EACH)
def built(build, request):
    """What building both editions of a lesson anew finds, and what each of them took."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "NotebookClient", Measured)
        patch.setattr(Measured, "made", [])
        return SimpleNamespace(found=build.check(request.param), editions=Measured.made)


def peak(process):
    """Return the largest memory that a process has held so far, in MiB."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())[1]) / 1024


def written(folder, text, stem="small"):
    """A source with this text."""
    source = folder / f"{stem}.py"
    source.write_text(text)
    return source


class Kernel:
    """A fresh kernel without a network that runs cells one by one."""

    def __init__(self):
        self.client = NotebookClient(
            nbformat.v4.new_notebook(), timeout=120, kernel_name="python3", allow_errors=True, record_timing=False
        )

    def __enter__(self):
        self.open = contextlib.ExitStack()
        self.open.enter_context(self.client.setup_kernel(env=environment(), cwd=str(LESSONS)))
        return self

    def __exit__(self, *error):
        self.open.close()

    def run(self, source):
        """Run a cell and return all that it says; fail where it is red or writes to stderr."""
        cell = nbformat.v4.new_code_cell(source)
        self.client.nb.cells.append(cell)
        self.client.execute_cell(cell, len(self.client.nb.cells) - 1)
        red = [out for out in cell.outputs if out.output_type == "error" or out.get("name") == "stderr"]
        assert not red, f"{source}\n-->\n" + "\n".join(out.get("text", "") or "\n".join(out.traceback) for out in red)
        return said(cell)

    def peak(self):
        """Return the largest memory that the kernel has held so far, in MiB."""
        return peak(self.client.km.provisioner.process.pid)


def said(cell):
    """Return the text of a cell's outputs."""
    outputs = cell.get("outputs", [])
    return "\n".join(str(out.get("text", "")) + str(out.get("data", {}).get("text/plain", "")) for out in outputs)


def checks(cell):
    """Return the numbers of the exercises that a cell checks."""
    return re.findall(r"""lesson\.check\(\s*["'](\d+\.\d+)["']""", cell.source)


# --- what is kept -------------------------------------------------------------------------------------------------


def test_each_source_has_its_notebooks_and_the_other_way(build):
    wanted = [build.place(source, edition) for source in SOURCES for edition in build.editions(source)]
    assert sorted(wanted) == NOTEBOOKS, "run make lessons"
    assert SOURCES


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_the_notebooks_are_those_of_their_source(build, source):
    for edition in build.editions(source):
        built, kept = build.read(source, edition), nbformat.read(build.place(source, edition), 4)
        for cell in kept.cells:
            cell.outputs = []
        for cell in built.cells:
            cell.outputs = []
        assert build.difference(kept, built) is None, "run make lessons"


def test_building_anew_changes_no_word(built):
    assert built.found is None, "run make lessons"


def test_a_lesson_keeps_to_its_budget_of_time_and_memory(built):
    for edition in built.editions:
        slow = max(edition.seconds, key=edition.seconds.get)
        total, longest = sum(edition.seconds.values()), edition.seconds[slow]
        print(f"{slow[:-3]}: {total:.1f} s, longest cell {longest:.1f} s, peak memory {edition.peak:.0f} MiB")
        assert longest < LONGEST_CELL, slow
        assert total < LONGEST_LESSON
        assert edition.peak < MOST_MEMORY


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name)
def test_a_notebook_is_executed_in_order_and_holds_no_trace_of_when(notebook):
    kept = nbformat.read(notebook, 4)
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert set(kept.metadata) == {"kernelspec", "language_info"}  # no widget state
    assert kept.metadata.kernelspec.name == "python3"
    assert "widget-view" not in notebook.read_text("utf-8")
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]
    pictures = [output for cell in code for output in cell.outputs if "image/png" in output.get("data", {})]
    assert pictures or notebook.stem == "inventory"  # whose questions are words
    assert notebook.stat().st_size < 1e6


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_cell_has_at_most_15_lines_of_code(source):
    for cell in jupytext.read(source, fmt="py:percent").cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 15, cell.source


@pytest.mark.parametrize("notebook", NUMBERED_NOTEBOOKS, ids=name)
def test_untouched_exercises_say_so_and_solutions_pass(notebook):
    edition = "solution" if notebook.parent.name == "solutions" else "exercise"
    cells = [cell for cell in nbformat.read(notebook, 4).cells if edition in cell.metadata.get("tags", [])]
    cells = [cell for cell in cells if cell.cell_type == "code"]
    assert cells
    pattern = r"(\d+) of \1 checks? .*passed" if edition == "solution" else "not attempted yet"
    for cell in cells:
        assert len(re.findall(pattern, said(cell))) == len(checks(cell)), f"{cell.source}\n-->\n{said(cell)}"
        assert checks(cell) or "lesson.explore(" in cell.source  # an investigation has no one right answer


# --- running, without a network ------------------------------------------------------------------------------------


def soak_where_built(notebook):
    """A notebook; in soak where it is one of the later lessons, all of whose cells building anew has just run."""
    return pytest.param(notebook, marks=[pytest.mark.soak] if name(notebook) != "00_start" else [])


@pytest.mark.parametrize("notebook", [soak_where_built(notebook) for notebook in NOTEBOOKS], ids=name)
def test_every_cell_runs_in_a_fresh_kernel_on_one_thread(notebook):
    # nbval sees errors of callbacks too; lax: values may differ in their last digits on another processor
    ran = nbval(notebook)
    cells = sum(cell.cell_type == "code" for cell in nbformat.read(notebook, 4).cells)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{cells} passed" in ran.stdout


def nbval(notebook):
    """Run a notebook's cells in a fresh kernel, each as a test."""
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-cell-timeout=60", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, "-c", str(ROOT / "pyproject.toml"), str(notebook)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.soak
@pytest.mark.parametrize("source", EACH)
def test_each_section_runs_right_after_the_setup_cell(source):
    # a hosted kernel dies after ten idle minutes; who comes back runs the setup cell and goes on where she was
    setup, parts = sections(source)
    with Kernel() as kernel:
        for title, cells in parts.items():
            kernel.run("%reset -f")
            print(f"{source.stem}, {title}: {len(cells)} cells")
            for cell in [setup, *cells]:  # twice: tests/hostile
                kernel.run(cell)


def sections(source):
    """Return the setup cell of a lesson and the other code cells, exercises and solutions, by section."""
    setup, title, parts = None, "Title", {}
    for cell in jupytext.read(source, fmt="py:percent").cells:
        if cell.cell_type == "markdown":
            title = (re.findall(r"^##? (.+)", cell.source, re.M) or [title])[-1]
        elif "setup" in cell.metadata.get("tags", []):
            setup = cell.source
        else:
            parts.setdefault(title, []).append(cell.source)
    return setup, parts


# --- the machinery of these tests itself ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attempt",
    [
        "socket.create_connection(('192.0.2.1', 80), 60)",  # an address that is nobody's, RFC 5737: would hang
        "socket.socket().connect_ex(('192.0.2.1', 80))",
        "socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))",
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 53))",
        "socket.gethostbyname('192.0.2.1')",
        "urllib.request.urlopen('http://192.0.2.1/data', timeout=60)",
    ],
)
def test_a_lesson_that_asks_for_the_network_fails_at_once_and_is_told_why(attempt):
    with Kernel() as kernel, pytest.raises(AssertionError, match="lessons run without a network, but this asked for"):
        kernel.run(f"import socket, urllib.request\n{attempt}")


def test_nbval_runs_without_a_network_too(tmp_path):
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "", "language": ""}}
    )
    notebook.cells = [nbformat.v4.new_code_cell("import socket; socket.create_connection(('192.0.2.1', 80), 60)")]
    nbformat.write(notebook, tmp_path / "asks.ipynb")
    ran = nbval(tmp_path / "asks.ipynb")
    assert ran.returncode == 1
    assert "lessons run without a network, but this asked for '192.0.2.1'" in ran.stdout


def test_this_machine_itself_is_reached_without_a_network():
    with Kernel() as kernel:
        answer = kernel.run(
            "import socket\nserver = socket.create_server(('127.0.0.1', 0))\n"
            "client = socket.create_connection(('localhost', server.getsockname()[1]))\nprint(client.getpeername()[0])"
        )
    assert answer.strip() == "127.0.0.1"


def test_a_red_cell_and_stderr_are_seen_and_memory_is_measured():
    with Kernel() as kernel:
        assert kernel.run("print(6 * 7)") == "42\n"
        with pytest.raises(AssertionError, match="ZeroDivisionError"):
            kernel.run("1 / 0")
        with pytest.raises(AssertionError, match="careful"):
            kernel.run("import warnings\nwarnings.warn('careful')")
        before = kernel.peak()
        kernel.run("held = b'x' * 2**27")
        assert kernel.peak() - before == pytest.approx(128, abs=10)  # MiB; beside it a little of the kernel's own


def test_a_section_that_leans_on_another_is_seen(tmp_path):
    text = (
        '# %% tags=["setup"]\na = 1\n\n# %% [markdown]\n# # T\n\n# %%\nb = a\n\n# %% [markdown]\n# ## One\n#\n'
        "# ### Play\n\n# %%\nprint(a)\n\n# %% [markdown]\n# ## Two\n\n# %%\nprint(b)\n"
    )
    source = written(tmp_path, text, "07_leaning")
    parts = {"T": ["b = a"], "One": ["print(a)"], "Two": ["print(b)"]}
    assert sections(source) == ("a = 1", parts)
    with pytest.raises(AssertionError, match="name 'b' is not defined"):
        test_each_section_runs_right_after_the_setup_cell(source)


# --- the builder itself --------------------------------------------------------------------------------------------

SMALL = """# %% [markdown]
# # Small, see [another](another.ipynb), [a site](https://example.org) and [here](#here)

# %% tags=["setup"]
import io
import os

import ipywidgets
from IPython.display import Image
from matplotlib.figure import Figure

figure = Figure(figsize=(2, 1))
figure.subplots().plot([1, 2])
stream = io.BytesIO()
figure.savefig(stream, format="png")
Image(stream.getvalue())

# %%
ipywidgets.IntSlider()

# %% tags=["exercise"]
answer = None
print(os.environ.get("ENTROPIC_EDU_CLASS"), os.environ["ENTROPIC_EDU_ANSWERS"], answer)

# %% tags=["solution"]
answer = 2
print(answer)
"""


def test_building_twice_gives_the_same_bytes(build, tmp_path, monkeypatch):
    monkeypatch.setenv("ENTROPIC_EDU_CLASS", "physics")
    source = written(tmp_path, SMALL, "02_small")
    files = [build.build(source, tmp_path / folder) for folder in ("one", "two")]
    assert [file.relative_to(tmp_path / "one") for file in files[0]] == [
        Path("02_small.ipynb"),
        Path("solutions/02_small.ipynb"),
    ]
    for first, second in zip(*files, strict=True):
        assert first.read_bytes() == second.read_bytes()
    learner, solutions = (nbformat.read(file, 4) for file in files[0])
    assert [cell.id for cell in learner.cells] == [f"02_small-{n:02d}" for n in (0, 1, 2, 3)]
    assert [cell.id for cell in solutions.cells] == ["02_small-solutions", *(f"02_small-{n:02d}" for n in (0, 1, 2, 4))]
    assert [cell.metadata for cell in learner.cells] == [{}, {"tags": ["setup"]}, {}, {"tags": ["exercise"]}]
    assert "image/png" in learner.cells[1].outputs[0].data
    assert said(learner.cells[3]) == "None off None\n"  # not the builder's class, and no answers of the builder's
    assert said(solutions.cells[4]) == "2\n"
    assert solutions.cells[0].source == "Solutions to lesson 02: try first"
    assert solutions.cells[1].source.endswith(
        "[another](../another.ipynb), [a site](https://example.org) and [here](#here)"
    )


def test_an_appendix_has_no_solutions(build, tmp_path):
    source = written(tmp_path, "# %%\n1\n")
    assert build.editions(source) == ["learner"]
    assert build.build(source, tmp_path) == [tmp_path / "small.ipynb"]


@pytest.mark.parametrize("shown", ["object()", "import time; time.time_ns()", "import random; random.random()"])
def test_a_lesson_that_shows_something_else_each_time_is_not_built(build, tmp_path, shown):
    source = written(tmp_path, f"# %%\n1\n\n# %%\n{shown}\n", "02_small")
    with pytest.raises(RuntimeError, match="Cell 02_small-01 shows something else each time"):
        build.build(source, tmp_path)


def test_only_what_does_not_hang_on_an_answer_must_be_the_same_in_both_editions(build, tmp_path):
    after = "\n# %%\nanswer\n\n# %%\nlesson.explore({})\n"
    lesson = "# %%\nfrom types import SimpleNamespace\n\nlesson = SimpleNamespace(explore=str)\n\n"
    source = written(tmp_path, lesson + SMALL + after.format(1), "02_small")
    build.build(source, tmp_path)
    source = written(tmp_path, lesson + SMALL + after.format("answer"), "02_small")
    with pytest.raises(RuntimeError, match="Cell 02_small-07 shows something else"):
        build.build(source, tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("figure =", "drawing =", "cell 02_small-01: the source differs"),
        ("answer = None", "answer = 0", "cell 02_small-03: the source differs"),
        ('["exercise"]', '["exercise", "hard"]', "cell 02_small-03: tags or metadata are {'tags': ['exercise']}"),
        ("\nipywidgets.IntSlider()", "\nipywidgets.IntSlider()\n\n# %%\n1", "cell 02_small-03: the source differs"),
        ("answer = 2", "answer = 3", None),  # which only the solutions show
    ],
)
def test_the_first_cell_is_named_that_a_build_would_change(build, tmp_path, old, new, found):
    kept = build.read(written(tmp_path, SMALL, "02_small"))
    built = build.read(written(tmp_path, SMALL.replace(old, new, 1), "02_small"))
    assert (build.difference(kept, built) or "None").startswith(str(found))


@pytest.mark.soak
def test_the_check_fails_where_a_build_would_change_or_add_a_notebook(tmp_path, capsys):
    lessons = tmp_path / "lessons"
    (lessons / "src").mkdir(parents=True)
    shutil.copy(LESSONS / "build.py", lessons)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    build = loaded(lessons / "build.py")
    source = written(lessons / "src", SMALL, "02_small")
    assert build.main([]) == 0
    capsys.readouterr()
    assert (build.main(["--check"]), capsys.readouterr().out) == (0, "02_small: as kept\n")
    written(lessons / "src", SMALL.replace("answer = 2", "answer = 3"), "02_small")
    assert build.main(["--check", "02_small"]) == 1
    assert (
        "solutions/02_small.ipynb, cell 02_small-04: the source differs\nRun make lessons." in capsys.readouterr().out
    )
    build.place(source, "learner").unlink()
    assert build.check(source).endswith("/02_small.ipynb is missing")


def test_the_check_compares_text_and_not_pixels(build, tmp_path):
    one, two = (build.execute(build.read(written(tmp_path, SMALL))) for _ in range(2))
    two.cells[1].outputs[0].data["image/png"] = "other"
    assert build.difference(one, two) is None
    two.cells[3].outputs[0].text = "3\n"
    assert "cell small-03: the output differs\n" in build.difference(one, two)
    two.cells[3].outputs = []
    assert "cell small-03: the output differs\n" in build.difference(one, two)
    two.cells.pop()
    assert build.difference(one, two) == "cell 3: 4 cells are kept, a build gives 3"


@pytest.mark.parametrize(
    ("now", "same", "same_of_a_network"),
    [
        ("loss 0.06391 ± 2.0e-04, 3 of 8 left at −0.100", True, True),
        ("loss 0.06433 ± 2.0e-04, 3 of 8 left at −0.102", True, True),  # 0.7 % and two units of the last digit
        ("loss 0.06391 ± 2.2e-04, 3 of 8 left at −0.100", True, True),
        ("loss 0.06391 ± 2.4e-04, 3 of 8 left at −0.100", False, True),
        ("loss 0.06791 ± 2.0e-04, 3 of 8 left at −0.100", False, True),
        ("loss 0.06391 ± 2.0e-04, 3 of 8 left at 0.100", False, True),
        ("loss 0.06391 ± 2.0e-04, 4 of 8 left at −0.100", False, True),  # a count is a count
        ("loss 0.06391 ± 2.0e-04, none left at −0.100", False, False),
        ("cost 0.06391 ± 2.0e-04, 3 of 8 left at −0.100", False, False),
    ],
)
def test_the_check_lets_another_processor_round_otherwise(build, now, same, same_of_a_network):
    for tags, wanted in ([], same), (["machine"], same_of_a_network):
        texts = "loss 0.06391 ± 2.0e-04, 3 of 8 left at −0.100", now
        cells = [nbformat.v4.new_code_cell("1", id="small-00", metadata={"tags": tags}) for _ in texts]
        for cell, text in zip(cells, texts, strict=True):
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
        kept, built = (nbformat.v4.new_notebook(cells=[cell]) for cell in cells)
        assert (build.difference(kept, built) is None) == wanted


def test_widget_state_and_widget_views_are_removed_and_the_picture_beside_them_kept(build, tmp_path):
    notebook = build.read(written(tmp_path, "# %%\n1\n"))
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "image/png": "abc", "text/plain": "2"}
    alone = {"application/vnd.jupyter.widget-view+json": {"model_id": "y"}}
    notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data) for data in (view, alone)]
    notebook.cells[0].metadata["execution"] = {"iopub.status.busy": "2026-01-01T00:00:00Z"}
    notebook.metadata["widgets"] = {"state": {}}
    frozen = build.frozen(notebook)
    assert [set(output.data) for output in frozen.cells[0].outputs] == [{"image/png", "text/plain"}]
    assert not frozen.cells[0].metadata
    assert "widgets" not in frozen.metadata


def test_a_lesson_that_warns_is_not_built(build, tmp_path):
    notebook = build.read(written(tmp_path, "# %%\nimport warnings\n\nwarnings.warn('old')\n"))
    with pytest.raises(RuntimeError, match=r"Cell small-00 wrote to stderr.*\n.*old"):
        build.execute(notebook)


def test_a_notebook_of_a_megabyte_is_not_written(build, tmp_path):
    notebook = build.read(written(tmp_path, f"# %% [markdown]\n# {'x' * 1_000_000}\n"))
    with pytest.raises(RuntimeError, match=r"kept\.ipynb would have 1\.00 MB and may have 1"):
        build.write(notebook, tmp_path / "kept.ipynb")
    assert not (tmp_path / "kept.ipynb").exists()


def test_a_failed_write_leaves_what_was_there_and_no_part(build, tmp_path):
    target = tmp_path / "kept.ipynb"
    target.mkdir()  # a folder, which no file can replace
    (target / "old").write_text("old")
    with pytest.raises(OSError, match="directory"):
        build.write(build.read(written(tmp_path, "# %%\n1\n")), target)
    assert (target / "old").read_text() == "old"
    assert not list(tmp_path.glob("*.part"))
