"""What catalogues read of the project is made from pyproject.toml alone, and says what they ask for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))
import metadata  # noqa: E402

PROJECT = metadata.source()


@pytest.mark.parametrize("name", metadata.files())
def test_a_file_of_metadata_is_what_pyproject_makes_of_it(name):
    assert (ROOT / name).read_text("utf-8") == metadata.files()[name], "run: python docs/metadata.py"


def test_one_change_in_pyproject_moves_version_and_address_everywhere(tmp_path):
    address = PROJECT["urls"]["Repository"]
    for name in [*metadata.files(), "docs/metadata.py"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    known = (ROOT / "pyproject.toml").read_text("utf-8").replace(f'"{PROJECT["version"]}"', '"9.9.9"', 1)
    moved = "https://github.com/else-where/entropic_edu"
    (tmp_path / "pyproject.toml").write_text(known.replace(address, moved), "utf-8")
    script = [sys.executable, tmp_path / "docs" / "metadata.py"]
    before = subprocess.run([*script, "--check"], capture_output=True, text=True)
    assert before.returncode == 1
    assert before.stdout.count("is not what docs/metadata.py writes") == len(metadata.files())
    assert subprocess.run(script).returncode == 0
    assert subprocess.run([*script, "--check"]).returncode == 0
    texts = {name: (tmp_path / name).read_text("utf-8") for name in metadata.files()}
    assert not [name for name, text in texts.items() if address in text]
    assert "version: 9.9.9" in texts["CITATION.cff"]
    assert '__version__ = "9.9.9"' in texts["entropic_edu/__init__.py"]
    for page in ("README.md", "docs/site/start.md"):
        assert f"{moved}@v9.9.9" in texts[page]


def test_no_other_page_names_the_repository():
    """Notebooks do, which are built; and where it is moved to, ``docs/metadata.py`` brings them along."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/site/*.md"), *ROOT.glob("lessons/*/*.md")]
    pages += [*ROOT.glob("entropic_edu/**/*.py"), *ROOT.glob("entropic_edu/**/*.toml"), *ROOT.glob("lessons/src/*.py")]
    naming = {str(page.relative_to(ROOT)) for page in pages if PROJECT["urls"]["Repository"] in page.read_text("utf-8")}
    assert naming
    assert naming <= set(metadata.files())


def test_codemeta_and_the_learning_resource_hold_what_their_readers_ask_for():
    code, course = metadata.code(PROJECT), metadata.resource(PROJECT, "a", "b")
    wanted = {"name", "description", "version", "license", "codeRepository", "author", "keywords"}
    assert wanted <= set(code)
    wanted = {"name", "description", "license", "educationalLevel", "teaches", "timeRequired", "inLanguage"}
    assert wanted <= set(course)
    assert metadata.resource(PROJECT, "a", "b", 50)["timeRequired"] == "PT50M"
    assert json.loads(metadata.files()["codemeta.json"])["version"] == PROJECT["version"]
