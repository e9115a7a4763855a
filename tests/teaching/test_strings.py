"""The catalogue: one file, every entry found by its key, and a missing one is named."""

import importlib
import re
import shutil
from pathlib import Path

import pytest

from entropic_edu.teaching import strings

FOLDER = Path(strings.__file__).parent


def test_an_entry_is_found_by_its_dotted_key_and_filled():
    assert strings.text("explorer.seconds", count=7) == "about 7 s"


def test_a_missing_entry_and_a_missing_value_are_named():
    with pytest.raises(KeyError, match=r"no entry 'explorer\.nowhere'"):
        strings.text("explorer.nowhere")
    with pytest.raises(KeyError, match="count"):
        strings.text("explorer.seconds")


def test_english_is_one_file():
    assert [file.name for file in FOLDER.glob("*.toml")] == ["en.toml"]


def test_another_language_is_one_more_file_and_falls_back_to_english(tmp_path, monkeypatch):
    shutil.copytree(FOLDER, tmp_path / "catalogues")
    (tmp_path / "catalogues" / "xx.toml").write_text('[explorer]\ncancel = "Halt"\n')
    monkeypatch.syspath_prepend(tmp_path)
    copied = importlib.import_module("catalogues")
    monkeypatch.setenv("ENTROPIC_EDU_LANGUAGE", "xx")
    assert copied.text("explorer.cancel") == "Halt"
    assert copied.text("explorer.seconds", count=7) == "about 7 s"
    monkeypatch.setenv("ENTROPIC_EDU_LANGUAGE", "zz")
    assert copied.text("explorer.cancel") == "Stop"


def test_no_word_of_the_course_modules_stands_outside_the_catalogue():
    # a string literal with a space and a letter in a call that draws or says is a word that no translation reaches
    modules = list((FOLDER.parents[1] / "course").rglob("*.py"))
    assert len(modules) > 30
    for module in modules:
        body = re.sub(r'""".*?"""', "", module.read_text(), flags=re.DOTALL)
        body = "\n".join(line for line in body.splitlines() if "raise " not in line and "ValueError(" not in line)
        drawn = re.findall(r'(?:title=|label=|set_text\(|labelled\([^"\n]*|\.text\([^"\n]*)"([^"]* [^"]*)"', body)
        assert drawn == [], module.name
