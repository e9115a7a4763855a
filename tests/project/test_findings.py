"""The page of findings is what the recordings say."""

import importlib.util
import math
import re
import shutil
from pathlib import Path

import pytest
import torch

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def findings():
    pytest.importorskip("ipywidgets", reason="the chapters of the course make explorers")
    return loaded(DOCS / "findings.py")


def loaded(file):
    """Import a module from a file that is no part of the package."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_as_it_would_be_written(findings, capsys):
    assert findings.main(["--check"]) == 0
    assert "as kept" in capsys.readouterr().out


def test_a_page_that_differs_is_said_to_be_out_of_date(tmp_path, capsys):
    for name in ("findings.py", "findings.in.md"):
        shutil.copy(DOCS / name, tmp_path)
    (tmp_path / "findings.md").write_text("something else")
    findings = loaded(tmp_path / "findings.py")
    assert findings.main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().out
    assert findings.main([]) == 0
    assert findings.main(["--check"]) == 0


def test_every_number_stands_on_the_page_or_is_no_row_of_it_and_each_has_an_error(findings):
    numbers, template = findings.numbers(), findings.TEMPLATE.read_text("utf-8")
    used = set(re.findall(r"{(\w+)}", template))
    assert used <= set(numbers)
    alone = {"slopes_at", "cifar_outside", "cifar_moved_most"}  # and what theory says: these have no errors
    for name in (name for name in used - alone if not name.startswith("law_")):
        value, error = map(float, numbers[name].split(" ± "))
        assert math.isfinite(value)
        assert error >= 0


def test_a_mean_is_told_with_its_standard_error(findings):
    # standard deviation of 1, 2, 3 is 1; over the root of three
    assert findings.with_error(torch.tensor([1.0, 2.0, 3.0])) == "2.00 ± 0.58"


def test_the_picture_of_the_force_is_made_by_a_command_that_says_the_ratios(findings, tmp_path, capsys):
    force, numbers = loaded(DOCS / "force.py"), findings.numbers()
    assert force.main([str(tmp_path / "force.png")]) == 0
    assert (tmp_path / "force.png").read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    for on in ("valley", "runaway"):
        assert f"{on}: force over excess loss times narrowing {numbers[f'push_{on}']}" in said
