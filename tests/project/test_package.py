"""What is shipped: the wheel and the source archive hold what they should; the package is quick to import."""

import ast
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LESSONS = ROOT / "lessons"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WITHOUT_A_NETWORK = os.environ | {"PIP_NO_INDEX": "1", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """The wheel, built from the source archive, as releases are; both built from what git keeps, or would."""
    place = tmp_path_factory.mktemp("dist")
    checkout = place / "checkout"
    kept = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if kept.returncode:
        pytest.skip("no git checkout, so nothing says what belongs to the source")
    for name in kept.stdout.splitlines():
        if (ROOT / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, checkout / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(place / "dist"), str(checkout)]
    done = subprocess.run(command, env=WITHOUT_A_NETWORK, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return place / "dist"


@pytest.fixture(scope="module")
def wheel(dist):
    """The names of the wheel's files, with their contents."""
    [file] = dist.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def source(dist):
    """The names of the files in the source archive, without its folder."""
    [file] = dist.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        return {member.name.partition("/")[2] for member in archive if member.isfile()}


def test_the_wheel_holds_each_lesson_as_it_is_here(wheel):
    shipped = [
        *LESSONS.glob("*.ipynb"),
        *LESSONS.glob("solutions/*.ipynb"),
        *LESSONS.glob("instructors/*.*"),
        *LESSONS.glob("quiz/*.json"),
        LESSONS / "workspace.json",
    ]
    assert len(shipped) > 20
    for file in shipped:
        assert wheel[f"entropic_edu/lessons/{file.relative_to(LESSONS).as_posix()}"] == file.read_bytes()


def test_the_wheel_holds_every_file_of_the_package(wheel):
    package = ROOT / "entropic_edu"
    kinds = {".py", ".toml", ".json", ".safetensors", ".js", ".css", ".typed"}
    wanted = {
        file.relative_to(ROOT).as_posix()
        for file in package.rglob("*")
        if (file.suffix in kinds or file.name == "py.typed") and "__pycache__" not in file.parts
    }
    assert wanted <= set(wheel)


def test_the_wheel_holds_nothing_else(wheel):
    rest = {name for name in wheel if not name.startswith("entropic_edu/")}
    assert all(name.startswith(f"entropic_edu-{PROJECT['version']}.dist-info/") for name in rest)
    assert not [name for name in wheel if name.endswith((".bin", ".pyc", ".png")) or ".ipynb_checkpoints" in name]
    assert {Path(name).name for name in rest} >= {"LICENSE", "LICENSE-lessons", "METADATA", "entry_points.txt"}


def test_the_wheel_is_light_enough_for_a_class_on_one_line(wheel):
    assert sum(map(len, wheel.values())) < 25e6  # bytes unpacked


def test_the_source_archive_holds_all_that_tests_and_site_are_made_from(source):
    names = {"Makefile", "constraints.txt", "setup.py", "tests/conftest.py", "binder/postBuild", "lessons/build.py"}
    assert names | {"lessons/src/00_start.py", "docs/design.md", "benchmarks/run.py", "README.md"} <= source
    assert not [name for name in source if name.endswith((".pyc", ".bin")) or name.startswith((".venv", "build/"))]


def test_what_the_constraints_pin_is_what_the_project_allows():
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if "==" in line and not line.startswith("#"):
            requirement = Requirement(line.partition(";")[0])
            pins[requirement.name.lower()] = next(iter(requirement.specifier)).version
    listed = [Requirement(line) for line in PROJECT["dependencies"]]
    listed += [Requirement(line) for extra in PROJECT["optional-dependencies"].values() for line in extra]
    for needed in listed:
        if needed.name != "entropic-edu":
            assert needed.specifier.contains(pins[needed.name.lower()]), needed


def test_the_oldest_constraints_are_the_lower_bounds():
    """Of all that runs at a learner's: what ``docs/versions.md`` says was tested is what pyproject.toml allows."""
    lines = (ROOT / "constraints-oldest.txt").read_text().splitlines()
    pins = {line.partition("==")[0].lower(): Version(line.partition("==")[2]) for line in lines if "==" in line}
    extras = PROJECT["optional-dependencies"]
    for line in [*PROJECT["dependencies"], *extras["lab"], *extras["voila"]]:
        needed = Requirement(line)
        assert {Version(each.version) for each in needed.specifier} == {pins[needed.name.lower()]}, line


def test_what_the_package_imports_is_declared():
    """What another dependency happens to bring may be gone with its next version."""
    names = {"sklearn": "scikit-learn", "PIL": "pillow", "IPython": "ipywidgets", "jupyter_core": "jupyterlab"}
    names |= {"requests": "pooch", "urllib3": "pooch", "traitlets": "ipywidgets"}  # which are made of these
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *extras["lab"], *extras["voila"]]
    declared = {Requirement(line).name.lower() for line in lines} | {"entropic_edu"}
    for file in (ROOT / "entropic_edu").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                imported = [node.module]
            else:
                imported = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            for module in (name.partition(".")[0] for name in imported):
                assert module in sys.stdlib_module_names or names.get(module, module).lower() in declared, (
                    file,
                    module,
                )


def test_python_is_as_declared():
    declared = {line.rpartition(" ")[2] for line in PROJECT["classifiers"] if line.startswith("Programming Language")}
    assert declared == {"3.11", "3.12", "3.13"}
    assert all(version in SpecifierSet(PROJECT["requires-python"]) for version in declared)


SLOW = ["matplotlib", "sklearn", "scipy", "ipywidgets", "anywidget", "IPython", "pooch", "requests", "PIL", "pandas"]


def test_the_package_imports_nothing_slow_beside_torch():
    """What ``benchmarks.cold_start`` measures, by its cause: this holds on any machine."""
    code = f"import sys, entropic_edu; print([name for name in {SLOW} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.soak
def test_the_wheel_works_in_a_new_environment_far_from_the_checkout(dist, tmp_path):
    """pip takes everything from a registry here, so this needs one."""
    venv.create(tmp_path / "venv", with_pip=True)
    bin_ = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    [wheel] = dist.glob("*.whl")
    home = tmp_path / "home"
    home.mkdir()
    names = {name: value for name, value in os.environ.items() if not name.startswith(("ENTROPIC_EDU_", "PYTHON"))}
    environment = names | {"HOME": str(home), "OMP_NUM_THREADS": "1"}

    def run(*command, seconds=900):
        done = subprocess.run(
            command,
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    run(bin_ / "pip", "install", "-q", "-c", ROOT / "constraints.txt", f"entropic-edu[lab] @ {wheel.as_uri()}")
    where = run(bin_ / "python", "-c", "import entropic_edu; print(entropic_edu.__file__)")
    assert str(tmp_path / "venv") in where
    report = run(bin_ / "entropic-edu", "doctor")
    assert " 0 failed." in report
    assert "ok    lessons" in report
    assert "story.json" in run(bin_ / "entropic-edu", "story")
    run(bin_ / "entropic-edu", "lab", "mine", "--copy-only")
    for name in ("00_start.ipynb", "06_let_go.ipynb"):
        run(bin_ / "jupyter", "execute", f"mine/{name}")
