"""The catalogue: one file, every entry found by its key, and a missing one is named."""

import ast
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


# --- every key can be searched for ---------------------------------------------------------------------------------

PACKAGE = FOLDER.parents[1]
PATTERNS = (  # by contract: helpers of ``strings`` make these keys, and nothing else does
    r"lesson\.title\.\d\d",
    r"control\.\w+\.[\w ]+",
    r"\d\d\.question\.\w+\.(ask|(option|reply)\.\w+)",
    r"\d\d\.exercise\.\w+\.(ask|right|wrong\.\w+|hint\.\d)",
    r"inventory\.item\.\w+\.[AB]\.\w+",
    r"inventory\.misconception\.\w+",
)


def nodes():
    for module in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            yield module, node


def calls(*functions):
    return [(m, n) for m, n in nodes() if isinstance(n, ast.Call) and getattr(n.func, "id", "") in functions]


def test_every_key_stands_in_the_source_or_is_of_a_documented_pattern():
    literal = {node.value for _, node in nodes() if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    keys = set(strings.catalogue("en")) - literal
    assert [key for key in sorted(keys) if not any(re.fullmatch(pattern, key) for pattern in PATTERNS)] == []


def test_every_key_in_the_source_is_in_the_catalogue():
    keys = set(strings.catalogue("en"))
    tables = "|".join({key.split(".")[0] for key in keys})
    asked = {
        node.value
        for _, node in nodes()
        if isinstance(node, ast.Constant) and re.fullmatch(rf"({tables})(\.[a-z_]\w*)+", str(node.value))
    }
    assert len(asked) > 500
    assert asked - keys == {"player.js", "player.css", "stage.css"}  # files


def test_no_key_is_put_together_outside_the_helpers_of_the_catalogue():
    made = [
        f"{module.name}:{node.lineno}"
        for module, node in calls("text", "find")
        if any(isinstance(argument, ast.JoinedStr) for argument in node.args) and module.parent != FOLDER
    ]
    assert made == []


def test_an_option_takes_the_words_of_its_own_key():
    keys = ("04.guess.straight", "04.guess.near")
    assert strings.option_text("near", *keys) == strings.text("04.guess.near")
    with pytest.raises(KeyError, match=r"no words for the option 'far'; the keys are 04\.guess\.straight, 04\.guess"):
        strings.option_text("far", *keys)
