"""Each numbered lesson has the anatomy of all lessons, and each rule of that names a lesson that breaks it."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
LESSONS = sorted((ROOT / "lessons" / "src").glob("[0-9][0-9]_*.py"))
NOTEBOOKS = sorted([*(ROOT / "lessons").glob("*.ipynb"), *(ROOT / "lessons" / "solutions").glob("*.ipynb")])

HEAD = """# %% [markdown]
# # 02 · A flat floor
#
# *10 minutes. You need: gradients.*

# %% tags=["setup"]
import torch
import entropic_edu as ee
lesson = ee.Lesson("02")

# %%
lesson.play("crowd")

# %% [markdown]
# ## Questions
#
# - Is it flat?
# - Is it free, and if
#   not, why?
#
# ## You will be able to
#
# - say the push (check 2.1)
# - say its sign (check 2.2)
"""
ROUND = """
# %% [markdown]
# ## Round {k}: Walls (4 minutes)
#
# ### Predict

# %%
lesson.predict("where")

# %% [markdown]
# ### Play

# %%
lesson.explore("waist", after="where")

# %% [markdown]
# ### Explain
#
# The push is $F = T / 2$.
#
# ### Check

# %% tags=["exercise"]
def push(g):
    ...
lesson.check("2.{k}", push)

# %% tags=["solution"]
def push(g):
    for _ in range(3):
        g = g / 2
    return g
lesson.check("2.{k}", push)
"""
TAIL = """
# %% [markdown]
# ## Key points
#
# - It is.
# - It is not.
#
# ## Where this stops being true
#
# Large steps.
#
# ## Terms used
#
# Floor.
#
# ## Next
#
# [Tug of war](03_tug_of_war.ipynb)

# %%
lesson.calibration()
"""
SOUND = HEAD + ROUND.format(k=1) + ROUND.format(k=2) + TAIL
EXPLAIN = "# The push is $F = T / 2$."


@pytest.fixture(scope="module")
def anatomy():
    """The module lessons/anatomy.py."""
    spec = importlib.util.spec_from_file_location("lessons_anatomy", ROOT / "lessons" / "anatomy.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def source(tmp_path):
    """A place for the source of lesson 02, beside that of lesson 03."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "03_tug_of_war.py").write_text("# %%\n1\n")
    return tmp_path / "src" / "02_flat_floor.py"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_every_numbered_lesson_has_the_anatomy_of_all_lessons(anatomy, lesson):
    assert anatomy.problems(lesson) == []


def test_a_sound_lesson_has_no_problem(anatomy, source):
    source.write_text(SOUND)
    assert anatomy.problems(source) == []


def test_a_lesson_may_open_with_what_moves(anatomy, source):
    setup, hook = re.search(r'# %% tags=\["setup"\].*?\n\n', SOUND, re.S)[0], '# %%\nlesson.play("crowd")\n\n'
    source.write_text(setup + hook + SOUND.replace(setup, "").replace(hook, ""))
    assert anatomy.problems(source) == []
    source.write_text(SOUND.replace('("02")\n', '("02")\nlesson.explore("waist")\n').replace(hook, "", 1))
    assert anatomy.problems(source) == []


def test_the_last_lesson_may_link_to_the_readme(anatomy, source):
    (source.parent / "03_tug_of_war.py").unlink()
    (source.parents[2] / "README.md").write_text("")
    source.write_text(SOUND.replace("03_tug_of_war.ipynb", "../README.md"))
    assert anatomy.problems(source) == []


def swap(old, new, count=-1):
    """The sound lesson with some of its text replaced."""
    assert old in SOUND
    return SOUND.replace(old, new, count)


def moved(heading, after):
    """The sound lesson with the line of one section and what is under it put behind another section."""
    part = re.search(rf"# ## {heading}\n#\n.*?(?=# ## )", SOUND, re.S)[0]
    place = rf"# ## {after}\n#\n.*?(?=# ## )"
    return re.sub(place, lambda found: found[0] + part, swap(part, ""), count=1, flags=re.S)


BROKEN = {
    "no setup cell": (swap('tags=["setup"]', ""), "one cell is tagged setup, here 0 are"),
    "setup cell in words": (swap('# %% tags=["setup"]', '# %% [markdown] tags=["setup"]'), "a code cell"),
    "setup cell late": (
        swap(EXPLAIN, EXPLAIN + "\n\n# %%\n1").replace(
            "# *10 minutes. You need: gradients.*\n", "# *10 minutes. You need: gradients.*\n\n# %%\n1\n"
        ),
        "here it is cell 2",
    ),
    "setup cell long": (
        swap("import torch\n", "import torch\n" + "torch.manual_seed(0)\n" * 4),
        "has 7 lines and may have 6",
    ),
    "other lesson's number": (swap('ee.Lesson("02")', 'ee.Lesson("03")'), r'must hold ee.Lesson("02")'),
    "no hook": (swap('lesson.play("crowd")', "print(1)"), "no hook"),
    "two titles": (swap("# ## Terms used", "# # 02 · Terms\n#\n# ## Terms used"), "here are 2"),
    "title without number": (swap("# # 02 · A flat", "# # A flat"), 'must begin "# 02 · "'),
    "words before the title": (swap("# # 02", "# Hello.\n#\n# # 02"), "before the title"),
    "no time": (swap("*10 minutes. You need: gradients.*", "*Soon.*"), "35 minutes. You need"),
    "too long": (swap("*10 minutes", "*55 minutes"), "at most 40 minutes, this says 55"),
    "launch line in the source": (
        swap("gradients.*\n", "gradients.*\n#\n# Launch: [at home](../README.md)\n"),
        "build.py puts the launch links in",
    ),
    "no questions": (swap("# ## Questions", "# "), "## Questions is missing"),
    "one question": (swap("# - Is it flat?\n", ""), "## Questions has 2 or 3 bullets, here 1"),
    "no abilities": (swap("# ## You will be able to", "# "), "## You will be able to is missing"),
    "five abilities": (swap("# - say the push (check 2.1)\n", "# - say the push (check 2.1)\n" * 4), "here 5"),
    "ability without check": (
        swap("the push (check 2.1)", "the push"),
        'ends in "(check N.M)", this does not: say the push',
    ),
    "ability with a check that is nowhere": (swap("(check 2.1)", "(check 2.7)"), 'lesson.check("2.7"'),
    "one round": (HEAD + ROUND.format(k=1) + TAIL, "2 to 4 rounds, this has 1"),
    "five rounds": (HEAD + "".join(ROUND.format(k=k) for k in range(1, 6)) + TAIL, "2 to 4 rounds, this has 5"),
    "rounds misnumbered": (
        HEAD + ROUND.format(k=2) + ROUND.format(k=1) + TAIL,
        'round 1 must be headed "## Round 1: ..."',
    ),
    "steps in another order": (
        swap("# ### Predict", "# ### Play", 1).replace(
            "# ### Play\n\n# %%\nlesson.explore", "# ### Predict\n\n# %%\nlesson.explore", 1
        ),
        "must have ### Predict, ### Play, ### Explain, ### Check",
    ),
    "step missing": (swap("# ### Explain\n#\n", "", 1), "in this order and no others"),
    "step more": (swap(EXPLAIN, EXPLAIN + "\n#\n# ### More\n#\n# Words.", 1), "in this order and no others"),
    "round without time": (swap(" (4 minutes)", "", 1), 'the heading of round 1 must end in "(... minutes)"'),
    "round too long": (swap("(4 minutes)", "(16 minutes)", 1), "round 1 takes 16 minutes and may take 15"),
    "rounds longer than the lesson": (
        swap("*10 minutes", "*7 minutes"),
        "take 8 minutes together, the title says 7",
    ),
    "a time that it does not take": (
        swap("*10 minutes", "*30 minutes"),
        "the title says 30 minutes; by its words, looks and lines it takes 10",
    ),
    "a round that is shorter": (
        swap("(4 minutes)", "(9 minutes)", 1),
        "round 1 says 9 minutes; by its words, looks and lines it takes 4",
    ),
    "nothing to predict": (swap('lesson.predict("where")', "1", 1), "round 1: a cell under Predict"),
    "nothing to play": (swap('lesson.explore("waist", after="where")', "1", 1), "round 1: a cell under Play"),
    "much explained": (swap(EXPLAIN, EXPLAIN + " word" * 117, 1), "Explain has 121 words and may have 120"),
    "no formula": (swap("$F = T / 2$", "T / 2", 1), "round 1: Explain has no formula"),
    "no exercise": (swap('tags=["exercise"]', "", 1), "under Check a cell tagged exercise"),
    "no solution": (swap('tags=["solution"]', "", 1), "under Check a cell tagged solution"),
    "exercise unchecked": (
        swap('    ...\nlesson.check("2.1", push)', "    ...", 1),
        "tagged exercise must call lesson.check",
    ),
    "other check in the solution": (
        swap('return g\nlesson.check("2.1"', 'return g\nlesson.check("2.2"'),
        "its solution ['2.2']",
    ),
    "solution elsewhere": (
        swap('\n# %% tags=["solution"]', '\n# %%\n1\n\n# %% tags=["solution"]', 1),
        "must be the cell right after it",
    ),
    "no key points": (swap("# ## Key points", "# "), "## Key points is missing"),
    "a question unanswered": (swap("# - It is not.\n", ""), "must answer the 2 questions, it has 1"),
    "no limits": (swap("# ## Where this stops being true", "# "), "## Where this stops being true is missing"),
    "limits empty": (swap("# Large steps.\n", ""), "## Where this stops being true is empty"),
    "no terms": (swap("# ## Terms used", "# "), "## Terms used is missing"),
    "no next": (swap("# ## Next", "# "), "## Next is missing"),
    "other next lesson": (swap("03_tug_of_war.ipynb", "01_one_valley.ipynb"), "must link to 03_tug_of_war.ipynb"),
    "dead link": (
        swap("(03_tug_of_war.ipynb)", "(03_tug_of_war.ipynb) [and](04_more.ipynb)"),
        "04_more.ipynb, which does not exist",
    ),
    "section more": (swap("# ## Terms used", "# ## Aside\n#\n# ## Terms used"), "no lesson has a section ## Aside"),
    "sections in another order": (moved("Terms used", "Key points"), "the sections must come in the order"),
    "no calibration": (swap("lesson.calibration()", "1"), "lesson.calibration()"),
    "calibration before the rounds": (
        swap("lesson.calibration()", "1").replace('lesson.play("crowd")', 'lesson.play("crowd")\nlesson.calibration()'),
        "after the rounds a cell must call lesson.calibration()",
    ),
    "long cell": (swap('lesson.predict("where")', 'lesson.predict("where")\n' * 16, 1), "has 16 lines and may have 15"),
    "definition": (
        swap('lesson.predict("where")', 'def f():\n    return 1\nlesson.predict("where")', 1),
        "defines a function",
    ),
    "loop": (
        swap('lesson.predict("where")', 'for i in "ab":\n    print(i)\nlesson.predict("where")', 1),
        "holds a loop",
    ),
    "while": (swap('lesson.predict("where")', 'while False:\n    pass\nlesson.predict("where")', 1), "holds a loop"),
    "magic": (swap('lesson.predict("where")', '# %time 1\nlesson.predict("where")', 1), "uses a magic"),
    "pyplot": (swap("import torch\n", "import torch\nfrom matplotlib import pyplot\n"), "uses pyplot"),
    "not Python": (swap('lesson.predict("where")', 'lesson.predict("where"', 1), "is not Python"),
    "details": (swap("# Large steps.", "# <details>Large steps.</details>"), "holds <details>"),
}


@pytest.mark.parametrize(("text", "problem"), BROKEN.values(), ids=BROKEN)
def test_a_broken_rule_is_named(anatomy, source, text, problem):
    assert text != SOUND
    source.write_text(text)
    found = anatomy.problems(source)
    assert [line for line in found if problem in line], found
    assert all(line.startswith("02_flat_floor.py: ") for line in found)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: f"{notebook.parent.name}-{notebook.stem}")
def test_every_notebook_can_be_launched_and_installs_what_it_needs(anatomy, notebook):
    assert anatomy.launch_problems(notebook) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("Launch: ", "Start: ", "here nothing"),
        ("[Colab]", "[Kaggle]", "here ['Binder', 'Kaggle', 'on your machine']"),
        ("urlpath=lab/tree/lessons/02_", "urlpath=lab/tree/lessons/03_", "the link to Binder must open lessons/02_"),
        ("/blob/v0.1.0/lessons", "/blob/main/lessons", "the link to Colab must open lessons/02_flat_floor.ipynb at a"),
        ("[Binder](", "![b](https://mybinder.org/badge_logo.svg) [Binder](", "a picture is loaded from elsewhere"),
        ('"install"', '"setup"', "the first code cell, and no other, must be tagged install"),
        ('"outputs": []', '"outputs": [{"output_type": "stream", "name": "stdout", "text": "!"}]', "says something"),
    ],
)
def test_a_notebook_that_cannot_be_launched_is_named(anatomy, source, old, new, problem):
    links = (
        "Launch: [Binder](https://mybinder.org/v2/gh/a/b/v0.1.0?urlpath=lab/tree/lessons/02_flat_floor.ipynb) · "
        "[Colab](https://colab.research.google.com/github/a/b/blob/v0.1.0/lessons/02_flat_floor.ipynb) · "
        "[on your machine](https://example.org)"
    )
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_markdown_cell(f"# 02\n\n*10 minutes. You need: gradients.*\n\n{links}\n\nWords."),
        nbformat.v4.new_code_cell("1", metadata={"tags": ["install"]}),
    ]
    kept = source.parents[1] / "02_flat_floor.ipynb"
    kept.write_text(text := nbformat.writes(notebook))
    assert anatomy.launch_problems(kept) == []
    assert old in text
    kept.write_text(text.replace(old, new))
    assert [line for line in anatomy.launch_problems(kept) if problem in line], anatomy.launch_problems(kept)


def test_a_lesson_without_a_number_is_named(anatomy, tmp_path):
    source = tmp_path / "floor.py"
    source.write_text(SOUND)
    assert anatomy.problems(source) == ["floor.py: a lesson's file is named like 02_flat_floor.py"]


def test_a_formula_counts_as_one_word_and_code_fences_hold_no_headings(anatomy, source):
    source.write_text(SOUND.replace(EXPLAIN, EXPLAIN + " word" * 115 + " $a + b + c$\n#\n# ```\n# ## x\n# ```"))
    assert [line for line in anatomy.problems(source) if "section ## x" in line] == []
    source.write_text(SOUND.replace(EXPLAIN, EXPLAIN + " word" * 115 + " $a + b + c$"))
    assert anatomy.problems(source) == []


def test_time_is_that_of_words_formulas_bets_looks_and_lines(anatomy, source):
    def took(text):
        source.write_text(text)
        return anatomy.seconds(anatomy.sections(anatomy.jupytext.read(source, fmt="py:percent").cells))

    first = took(SOUND)
    assert took(SOUND.replace(EXPLAIN, EXPLAIN + " word" * 200, 1)) - first == pytest.approx(60)
    assert took(SOUND.replace(EXPLAIN, EXPLAIN + " $$a$$", 1)) - first == pytest.approx(15 + 0.3)
    assert took(SOUND.replace('lesson.predict("where")', "1", 1)) - first == pytest.approx(-45)
    assert took(SOUND.replace('lesson.explore("waist", after="where")', "1", 1)) - first == pytest.approx(-90)
    assert took(SOUND.replace("        g = g / 2\n", "", 1)) - first == pytest.approx(-30)  # of the solution
    assert took(SOUND.replace("    ...\n", "", 1)) == first  # nobody writes a stub


def test_the_command_fails_and_prints_what_is_wrong(source):
    for text, status, said in (
        (SOUND, 0, "1 lessons, no problem"),
        (BROKEN["no hook"][0], 1, "02_flat_floor.py: no hook"),
    ):
        source.write_text(text)
        command = [sys.executable, str(ROOT / "lessons" / "anatomy.py"), str(source)]
        ran = subprocess.run(command, capture_output=True, text=True)
        assert (ran.returncode, said in ran.stdout) == (status, True), ran.stdout + ran.stderr
