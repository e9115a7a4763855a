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


@pytest.mark.parametrize("name", ["CITATION.cff", "codemeta.json", ".zenodo.json"])
def test_a_file_of_metadata_is_what_pyproject_makes_of_it(name):
    assert (ROOT / name).read_text("utf-8") == metadata.files()[name], "run: python docs/metadata.py"


def test_a_version_that_changed_is_noticed(tmp_path):
    for name in ("CITATION.cff", "codemeta.json", ".zenodo.json"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "metadata.py").write_bytes((ROOT / "docs" / "metadata.py").read_bytes())
    changed = (ROOT / "pyproject.toml").read_text("utf-8").replace(f'"{PROJECT["version"]}"', '"9.9.9"', 1)
    (tmp_path / "pyproject.toml").write_text(changed, "utf-8")
    script = [sys.executable, tmp_path / "docs" / "metadata.py"]
    before = subprocess.run([*script, "--check"], capture_output=True, text=True)
    assert before.returncode == 1
    assert before.stdout.count("is not what docs/metadata.py writes") == 3
    assert subprocess.run(script).returncode == 0
    assert "version: 9.9.9" in (tmp_path / "CITATION.cff").read_text("utf-8")
    assert subprocess.run([*script, "--check"]).returncode == 0


def test_the_address_of_the_repository_is_the_one_of_pyproject_wherever_it_stands():
    address = PROJECT["urls"]["Repository"]
    tag = f"v{PROJECT['version']}"
    for name in ("README.md", "SECURITY.md", "docs/site/start.md", "lessons/instructors/before_class.md"):
        text = (ROOT / name).read_text("utf-8")
        for place in text.split("github.com/")[1:]:
            if place.startswith("entropic"):
                assert f"https://github.com/{place}".startswith(address), name
        for place in text.split("entropic_edu@")[1:]:
            assert place.startswith(tag), name


def test_codemeta_and_the_learning_resource_hold_what_their_readers_ask_for():
    code, course = metadata.code(PROJECT), metadata.resource(PROJECT, "a", "b")
    wanted = {"name", "description", "version", "license", "codeRepository", "author", "keywords"}
    assert wanted <= set(code)
    wanted = {"name", "description", "license", "educationalLevel", "teaches", "timeRequired", "inLanguage"}
    assert wanted <= set(course)
    assert metadata.resource(PROJECT, "a", "b", 50)["timeRequired"] == "PT50M"
    assert json.loads(metadata.files()["codemeta.json"])["version"] == PROJECT["version"]
