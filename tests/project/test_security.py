"""SECURITY.md, held to: no code out of data, no shell, no open door."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from entropic_edu.teaching import lab

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "entropic_edu").rglob("*.py"))
CALLS = {"eval", "exec", "compile", "__import__", "breakpoint"}
MEMBERS = {
    ("torch", "load"), ("torch", "save"), ("pickle", "load"), ("pickle", "loads"), ("pickle", "dump"),
    ("marshal", "loads"), ("yaml", "load"), ("os", "system"), ("os", "popen"), ("shelve", "open"), ("joblib", "load"),
    ("tempfile", "mktemp"),
}  # fmt: skip
MODULES = {"pickle", "marshal", "shelve", "dill", "ftplib", "telnetlib", "urllib.request", "socketserver"}
KNOWN = {  # file and finding
    ("data/__init__.py", "pickle"),  # to override what its Unpickler finds, see below
    (
        "sweeps/sweep.py",
        "pickle",
    ),  # the function goes to workers, as Python's processes have it; no file is read
    ("sweeps/sweep.py", "pickle.loads"),
    ("sweeps/kept.py", "pickle"),  # whether an error that a worker has just raised comes back from it; no file is read
    ("sweeps/kept.py", "pickle.loads"),
    ("teaching/slips.py", "exec"),  # the code of a solution of ours, a few words changed
}


def found(file):
    """Names of what a file does that it should not."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in CALLS:
                yield node.func.id
            if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
                if (node.func.value.id, node.func.attr) in MEMBERS:
                    yield f"{node.func.value.id}.{node.func.attr}"
                if node.func.attr in ("extractall", "extract"):
                    yield f"{node.func.attr} of an archive"
            for keyword in node.keywords:
                if keyword.arg in ("shell", "allow_pickle") and getattr(keyword.value, "value", True) is True:
                    yield f"{keyword.arg}=True"
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        yield from (name for name in names if name in MODULES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_the_package_makes_no_code_of_data_and_calls_no_shell(file):
    assert [
        what for what in found(file) if (file.relative_to(ROOT / "entropic_edu").as_posix(), what) not in KNOWN
    ] == []


@pytest.mark.parametrize(
    "text",
    [
        "eval('1')",
        "import pickle",
        "from pickle import loads",
        "torch.load(f)",
        "run('x', shell=True)",
        "tar.extractall()",
    ],
)
def test_the_search_finds_what_it_looks_for(text, tmp_path):
    (tmp_path / "bad.py").write_text(text)
    assert len(list(found(tmp_path / "bad.py"))) == 1


def test_the_one_unpickler_finds_nothing_by_name():
    text = (ROOT / "entropic_edu" / "data" / "__init__.py").read_text("utf-8")
    assert text.count("pickle.Unpickler") == 1
    assert "def find_class" in text
    assert not re.search(r"pickle\.(load|loads)\(", text)


def test_ruffs_rules_of_security_find_nothing_that_is_not_known():
    """S101 asserts for types, S301 and S403 the unpickler, S310 to S404, S603: calls of ours with arguments of ours."""
    command = [sys.executable, "-m", "ruff", "check", "--select", "S", "--ignore", "S101,S301,S403,S404,S603,S607"]
    command += ["--per-file-ignores", "entropic_edu/teaching/slips.py:S102"]  # as in KNOWN
    done = subprocess.run(
        [*command, "--output-format", "concise", "--no-cache", "entropic_edu"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("voila", [False, True])
def test_the_front_end_is_told_to_stay_at_home_and_to_ask_for_the_token(voila, tmp_path):
    told = lab.arguments(tmp_path, port=8888, token="t" * 48, voila=voila)
    assert f"--{'Voila' if voila else 'ServerApp'}.ip=127.0.0.1" in told
    assert f"--{'Voila' if voila else 'IdentityProvider'}.token={'t' * 48}" in told


def test_the_page_names_the_repository_of_the_project():
    page, project = (ROOT / "SECURITY.md").read_text(), (ROOT / "pyproject.toml").read_text()
    repository = re.search(r'Repository = "(\S+)"', project)[1]
    assert f"{repository}/security/advisories/new" in page
    assert "`make audit`" in page
    assert "\naudit: " in (ROOT / "Makefile").read_text()
