"""Binder's files, run as far as they can be without Binder: requirements, postBuild, start, one core and 2 GB."""

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BINDER = ROOT / "binder"
LESSONS = sorted((ROOT / "lessons").glob("[0-9][0-9]_*.ipynb"))
GB = 2 << 30  # bytes that Binder gives
MOST = 1200  # MiB that a lesson may take there with all its processes; a session's server takes about 150 beside


def test_the_requirements_are_those_of_the_constraints():
    if f"python-{sys.version_info.major}.{sys.version_info.minor}" != (BINDER / "runtime.txt").read_text().strip():
        pytest.skip("what is installed here is for another Python than Binder's")
    done = subprocess.run([sys.executable, BINDER / "pins.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_requirement_is_pinned_and_none_is_for_developers():
    lines = [line for line in (BINDER / "requirements.txt").read_text().splitlines() if line and line[0] not in "#-"]
    names = {re.match(r"[\w.-]+", line)[0].lower() for line in lines}
    assert all(re.match(r"[\w.\[\]-]+==[\w.+!-]+( ;.*)?$", line) for line in lines)
    assert {"torch", "jupyterlab", "ipywidgets", "anywidget", "matplotlib", "scikit-learn"} <= names
    assert not {"pytest", "playwright", "hypothesis", "mypy", "ruff", "sphinx"} & names
    assert "--extra-index-url https://download.pytorch.org/whl/cpu" in (BINDER / "requirements.txt").read_text()


def test_python_is_one_that_the_project_allows():
    [version] = re.fullmatch(r"python-(3\.\d+)\n", (BINDER / "runtime.txt").read_text()).groups()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_scripts_stop_at_the_first_error_and_may_be_run(name):
    script = BINDER / name
    assert script.read_text().startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in script.read_text()
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script]).returncode == 0


def test_start_gives_one_thread_and_becomes_what_it_is_given():
    code = "import os; print(os.getpid(), *[os.environ[f'{n}_NUM_THREADS'] for n in ('OMP', 'MKL', 'OPENBLAS')])"
    started = subprocess.Popen([BINDER / "start", sys.executable, "-c", code, "a b"], stdout=subprocess.PIPE, text=True)
    out, _ = started.communicate(timeout=60)
    assert out.split() == [str(started.pid), "1", "1", "1"]


def test_the_page_says_what_the_measurement_below_would():
    """Names of all lessons, and peaks that are within the limit."""
    page = (ROOT / "docs" / "binder.md").read_text()
    rows = dict(re.findall(r"^\| (\d\d_\w+) \| (\d+) MiB \|", page, re.MULTILINE))
    assert list(rows) == [lesson.stem for lesson in LESSONS]
    assert all(int(peak) < MOST for peak in rows.values())


# --- with root, on Linux: a hard limit ----------------------------------------------------------------------------


class Limit:
    """A control group with a hard limit of memory; both versions of them."""

    def __init__(self, folder, version):
        self.folder, self.version = folder, version
        names = {1: ("memory.limit_in_bytes", "memory.max_usage_in_bytes"), 2: ("memory.max", "memory.peak")}
        self.limit, self.most = names[version]
        (folder / self.limit).write_text(str(GB))
        with contextlib.suppress(OSError):  # no swap beside it, where the system counts swap
            (folder / {1: "memory.memsw.limit_in_bytes", 2: "memory.swap.max"}[version]).write_text(
                {1: str(GB), 2: "0"}[version]
            )

    def run(self, *command, **settings):
        """Run a command under the limit on one core, as binder/start begins it."""
        enter = f"echo $$ > {self.folder}/cgroup.procs && exec taskset -c 0 {BINDER}/start " + '"$@"'
        return subprocess.run(["bash", "-c", enter, "bash", *map(str, command)], capture_output=True, **settings)

    @property
    def peak(self):
        """The most memory that all its processes held at once, in MiB, files that they read among it."""
        return int((self.folder / self.most).read_text()) / (1 << 20)

    @property
    def killed(self):
        """How often a process was killed for memory."""
        events = (self.folder / {1: "memory.oom_control", 2: "memory.events"}[self.version]).read_text()
        return int(re.search(r"oom_kill (\d+)", events)[1])


@pytest.fixture
def limit():
    """A control group of its own; skips where none can be made."""
    one, two = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    version = 1 if (one / "memory.limit_in_bytes").exists() else 2
    folder = (one if version == 1 else two) / f"entropic-edu-{os.getpid()}"
    try:
        folder.mkdir()
        made = Limit(folder, version)
    except OSError as error:
        pytest.skip(f"a hard limit of memory takes root and control groups: {error}")
    if shutil.which("taskset") is None:
        pytest.skip("one core alone takes taskset")
    yield made
    folder.rmdir()


@pytest.fixture
def learner(tmp_path):
    """The lessons in a folder of the learner's, and the environment of a first visit."""
    copy = shutil.copytree(ROOT / "lessons", tmp_path / "lessons", ignore=shutil.ignore_patterns("src", "*.py"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ENTROPIC_EDU_")}
    return copy, kept | {"ENTROPIC_EDU_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}


def execute(limit, learner, lesson):
    copy, environment = learner
    command = (sys.executable, "-m", "jupyter", "execute", copy / lesson.name)
    return limit.run(*command, env=environment, timeout=400)


@pytest.mark.soak
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_a_lesson_runs_on_one_core_in_a_hard_limit(lesson, limit, learner):
    done = execute(limit, learner, lesson)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    assert limit.killed == 0
    print(f"| {lesson.stem} | {limit.peak:.0f} MiB |")
    assert limit.peak < MOST


def test_the_heaviest_lesson_runs_on_one_core_in_a_hard_limit(limit, learner):
    test_a_lesson_runs_on_one_core_in_a_hard_limit(LESSONS[9], limit, learner)


@pytest.mark.soak
def test_four_kernels_at_once_fit_in_the_hard_limit(limit, learner):
    with ThreadPoolExecutor(4) as pool:
        chosen = [LESSONS[number] for number in (2, 3, 6, 9)]
        done = list(pool.map(lambda lesson: execute(limit, learner, lesson), chosen))
    assert [one.returncode for one in done] == [0] * 4, done[0].stderr.decode()[-3000:]
    assert limit.killed == 0
    print(f"four at once: {limit.peak:.0f} MiB")


@pytest.mark.soak
def test_the_image_is_built_in_a_clean_environment(tmp_path):
    """requirements.txt without PyTorch's own index, which may be out of reach: torch as constraints.txt has it."""
    venv.create(tmp_path / "venv", with_pip=True)
    bin_ = tmp_path / "venv" / "bin"
    wanted = (BINDER / "requirements.txt").read_text()
    wanted = re.sub(r"^--extra-index-url.*$", "", wanted, flags=re.MULTILINE)
    pinned = re.search(r"^torch==([\d.]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]
    wanted = re.sub(r"^torch==\S+", f"torch=={pinned}", wanted, flags=re.MULTILINE)
    (tmp_path / "requirements.txt").write_text(wanted)
    clone = tmp_path / "clone"
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".venv", ".git", "build", "__pycache__", ".*_cache"))
    environment = {"PATH": f"{bin_}:{os.environ['PATH']}", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    environment |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    for command in (["pip", "install", "-q", "-r", tmp_path / "requirements.txt"], ["binder/postBuild"]):
        done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, timeout=1500)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " 0 failed." in done.stdout
    place = tmp_path / "elsewhere"
    shutil.copytree(clone / "lessons", place)
    opened = subprocess.run(
        [clone / "binder/start", "jupyter", "execute", place / LESSONS[0].name],
        env=environment,
        capture_output=True,
        timeout=300,
    )
    assert opened.returncode == 0, opened.stderr.decode()[-3000:]


def test_the_install_cell_does_nothing_where_the_package_is():
    assert importlib.util.find_spec("entropic_edu")
    import nbformat

    for lesson in LESSONS:
        [first] = [cell for cell in nbformat.read(lesson, 4).cells if "install" in cell.metadata.get("tags", [])]
        said = {}
        lines = [line for line in first.source.splitlines() if not line.strip().startswith("%")]
        exec(compile("\n".join(lines), lesson.stem, "exec"), said)
        assert "pip" not in said
