"""What the README and the design say is so: examples run, commands and names exist, links lead somewhere."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import entropic_edu as ee
from entropic_edu import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = {name: (ROOT / name).read_text() for name in ("README.md", "docs/design.md", "docs/sweeps.md", "CHANGELOG.md")}
FIVE_LINES, *EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGES["README.md"], re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_named_exists(page):
    (declared,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"(?:^|`)make ([a-z]+)", PAGES[page], re.MULTILINE)
    assert named
    assert set(named) <= set(declared.split())


def test_every_declared_target_has_a_rule_that_sets_up_the_environment():
    text = (ROOT / "Makefile").read_text()
    (declared,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    ruled = dict(re.findall(r"^([a-z]+):(.*?)##", text, re.MULTILINE))
    assert set(ruled) == set(declared.split())
    needs = {name: re.findall(r"\$\((\w+)\)", words) for name, words in ruled.items()}
    assert needs == {name: ["READY"] for name in ruled} | {"story": ["STORY"], "lab": ["LAB"], "clean": []}


@pytest.fixture
def clone(tmp_path):
    """A folder with what `make` reads, and a Python whose pip says much and fails where there is a file "broken"."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    fake = f"""#!/bin/sh
[ "$2" = venv ] && mkdir -p .venv/bin && cp {tmp_path}/python .venv/bin/python
[ "$2" = venv ] && printf '#!/bin/sh\\necho "told: $*"' > .venv/bin/entropic-edu && chmod +x .venv/bin/entropic-edu
[ "$2" = pip ] || exit 0
seq 300
for word; do last=$word; done
echo "$last" >> asked
test ! -e broken
"""
    (tmp_path / "python").write_text(fake)
    (tmp_path / "python").chmod(0o755)

    def make(*targets):
        command = ["make", f"PYTHON={tmp_path}/python", *targets]
        env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # as if not under make
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=env)

    return tmp_path, make


def test_the_first_make_says_in_a_few_lines_what_it_installs_and_the_second_nothing(clone):
    folder, make = clone
    first, second = make("story"), make("story")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert len(first.stdout.splitlines()) <= 5
    assert "the library into .venv" in first.stdout
    assert "Installing" not in second.stdout
    assert len((folder / ".venv" / "install.log").read_text().splitlines()) == 300


def test_a_target_installs_what_it_needs_and_not_twice(clone):
    folder, make = clone
    for target in ("story", ".venv/.lab", "story", ".venv/.dev", ".venv/.lab", "story"):
        assert make(target).returncode == 0
    assert (folder / "asked").read_text().split() == [".", ".[lab]", ".[dev]"]


def test_an_installation_that_fails_shows_the_end_of_its_log_and_is_tried_again(clone):
    folder, make = clone
    (folder / "broken").touch()
    failed = make("story")
    assert failed.returncode != 0
    assert "told:" not in failed.stdout
    assert "above is the end of .venv/install.log" in failed.stdout
    assert len(failed.stdout.splitlines()) < 20
    (folder / "broken").unlink()
    assert "Installing" in make("story").stdout


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_named_exists(page, capsys):
    named = re.findall(r"entropic-edu ([a-z]+)([^`\n]*)", PAGES[page])
    assert named
    for command, options in named:
        with pytest.raises(SystemExit) as left:
            cli.main([command, "--help"])
        assert left.value.code == 0
        known = capsys.readouterr().out
        assert [o for o in re.findall(r"--[a-z]+", options) if o not in known] == []


def test_the_options_of_the_story_that_are_listed_alone_exist(capsys):
    with pytest.raises(SystemExit):
        cli.main(["story", "--help"])
    known = capsys.readouterr().out
    named = set(re.findall(r"`(--[a-z]+)`", PAGES["README.md"] + PAGES["CHANGELOG.md"]))
    assert named
    assert [option for option in named if option not in known] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_picture_leads_to_a_file(page):
    for target in re.findall(r"\]\(([^)]+)\)", PAGES[page]):
        assert target.startswith("https://") or (ROOT / page).parent.joinpath(target).is_file(), target


def test_every_public_name_used_in_the_readme_exists():
    for dotted in set(re.findall(r"\bee((?:\.[A-Za-z_]+)+)", PAGES["README.md"])):
        found = ee
        for name in dotted.strip(".").split("."):
            assert hasattr(found, name), f"ee{dotted} is named, and {name} is not there"
            found = getattr(found, name)


def test_the_results_hold_what_the_table_of_verbs_says():
    rows = re.findall(r"^\| `ee\.(\w+)` \|.*\| `(\w+)` \| (.*) \|$", PAGES["README.md"], re.MULTILINE)
    assert [verb for verb, _, _ in rows] == ["train", "connect", "probe", "drift"]
    for _, result, holding in rows:
        kind = getattr(ee, result)
        for name in re.findall(r"`(\w+)`", holding):
            assert name in kind.__dataclass_fields__ or hasattr(kind, name), f"{result}.{name}"


def test_the_house_in_the_design_has_the_folders_that_there_are_and_names_no_file_that_is_not():
    page, package = PAGES["docs/design.md"], ROOT / "entropic_edu"
    folders = {file.parent.name for file in package.glob("*/__init__.py")}
    assert set(re.findall(r"^  (\w+)/  ", page, re.MULTILINE)) == folders
    named = re.findall(r"`((?:\w+/)+\w+\.\w+)`", page)
    assert len(named) > 20
    for name in named:
        if not re.search("NAME|name|NN", name):  # of a lesson that is to be written
            assert (ROOT / name).is_file() or (package / name).is_file(), name


def test_the_walks_of_the_design_run_as_they_are_written():
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGES["docs/design.md"], re.DOTALL))
    exec(compile(code, "design.md", "exec"), {"__name__": "design"})


def test_the_constraints_pin_exact_versions_and_nothing_local():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert "torch==2.13.0" in lines
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", line)] == []
    assert [line for line in lines if re.match(r"nvidia|cuda|triton", line)] == []


def test_two_checkpoints_and_a_loader_take_the_five_lines_of_the_first_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    generator, digits = torch.Generator().manual_seed(0), ee.data.digits()
    data = TensorDataset(digits.x[:300], digits.y[:300])
    for name in ("a", "b"):
        with torch.random.fork_rng():
            torch.manual_seed(ord(name))
            model = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
        descent = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        for _ in range(300):
            descent.zero_grad()
            nn.functional.cross_entropy(model(data.tensors[0]), data.tensors[1]).backward()
            descent.step()
        torch.save(model.state_dict(), f"{name}.pt")
    assert len(FIVE_LINES.splitlines()) == 5
    assert FIVE_LINES in (ROOT / "docs" / "site" / "your_network.md").read_text().replace("```py\n", "```python\n")
    names = {"ee": ee, "torch": torch, "model": model, "generator": generator}
    exec(FIVE_LINES, names | {"loader": DataLoader(data, batch_size=50, shuffle=True)})
    road, profile, release = capsys.readouterr().out.splitlines()
    assert re.match(r"autoneb path of (80|160|320) pivots", road)  # refined where the loss rises between them
    assert "middle third over the mean of the ends: trace" in profile
    assert "16 walkers" in release


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_runs_as_it_stands(example, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    exec(compile(example, "README.md", "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    assert [names[name].complete for name in ("run", "road", "profile", "release")] == [True] * 4
    assert len(printed) == 4
    assert (tmp_path / "release.png").stat().st_size > 0
    assert torch.equal(names["road"].pivots[0], names["a"])


def test_the_example_is_ten_lines_beside_the_readers_own_model():
    (example,) = EXAMPLES
    assert len(example.partition("\ndata, ")[2].strip().splitlines()) == 10


def test_make_lab_opens_a_lesson_that_is_there_in_a_workspace_of_its_own():
    recipe = re.search(r"^lab:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    opened = re.search(r"/lab/workspaces/([\w-]+)/tree/(\S+)", recipe)
    assert (ROOT / "lessons" / opened[2]).is_file()
    assert f"--name {opened[1]} lessons/workspace.json" in recipe
    layout = json.loads((ROOT / "lessons" / "workspace.json").read_text())["data"]["layout-restorer:data"]
    assert layout["left"]["collapsed"]
    assert layout["right"]["collapsed"]  # so that a picture has its full width in a window of 900 pixels
