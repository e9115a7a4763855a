"""A class's files, pooled: planted gains come back within their errors; what is broken is left out and named."""

import json
import os
import random
import statistics

import pytest

from entropic_edu import cli
from entropic_edu.teaching import class_report, inventory
from entropic_edu.teaching.inventory import ITEMS, LESSONS, RIGHT, TIMES, UNSURE, Sheet

KNOWN = {item: 0.1 + 0.04 * k for k, item in enumerate(ITEMS)}  # share that is right before
GAINS = {item: 0.3 + 0.05 * (k % 7) for k, item in enumerate(ITEMS)}  # of those that are not, share that learns it
GAIN = sum(GAINS[item] * (1 - KNOWN[item]) for item in ITEMS) / sum(1 - KNOWN[item] for item in ITEMS)


def learner(code, draw):
    """What one learner hands in before and after; "flat is free" goes for good where "floor" is learnt."""
    before, after = {}, {}
    for item, options in ITEMS.items():
        wrong = [option for option in options if option != RIGHT]
        before[item] = RIGHT if draw.random() < KNOWN[item] else draw.choice(wrong)
        after[item] = RIGHT if before[item] == RIGHT or draw.random() < GAINS[item] else before[item]
    return Sheet(code, "before", "A", before), Sheet(code, "after", "B", after)


def planted(seed, learners=30):
    draw = random.Random(seed)
    return [learner(f"learner-{k}", draw) for k in range(learners)]


def off(found, truth):
    """How many of its errors a value is from the truth."""
    return abs(found["value"] - truth) / found["error"] if found["error"] else float("inf")


def rms(values):
    return statistics.fmean(each * each for each in values) ** 0.5


@pytest.fixture(scope="module")
def reports():
    return [class_report.measured(planted(seed)) for seed in range(300)]


def test_the_gain_of_a_class_of_thirty_is_recovered_within_its_error_as_often_as_an_error_should(reports):
    inside = statistics.mean(off(report["gain"], GAIN) < 1.96 for report in reports)
    assert 0.91 < inside < 0.98  # 95 %, and a little less for t with 29 degrees
    spread = statistics.stdev(report["gain"]["value"] for report in reports)
    assert rms(report["gain"]["error"] for report in reports) == pytest.approx(spread, rel=0.12)
    assert statistics.mean(report["gain"]["value"] for report in reports) == pytest.approx(GAIN, abs=0.01)


@pytest.mark.parametrize("item", ITEMS)
def test_the_gain_of_each_item_is_recovered_within_its_error(reports, item):
    found = [report["items"][item]["gain"] for report in reports]
    assert statistics.mean(off(each, GAINS[item]) < 1.96 for each in found) > 0.86  # few are left to learn it
    spread = statistics.stdev(each["value"] for each in found)
    assert rms(each["error"] for each in found) == pytest.approx(spread, rel=0.18)
    assert statistics.mean(each["value"] for each in found) == pytest.approx(GAINS[item], abs=0.02)


def test_a_misconception_moves_as_planted_and_its_error_is_that_of_paired_counts(reports):
    # who believes it before keeps it unless the item is learnt
    moves = [report["misconceptions"]["walkers_count"] for report in reports]
    expected = 30 * (1 - KNOWN["count"]) / 3 * GAINS["count"]
    assert statistics.mean(each["lost"] for each in moves) == pytest.approx(expected, rel=0.15)
    assert {each["gained"] for each in moves} == {0}
    spread = statistics.stdev(each["change"] for each in moves)
    assert rms(each["error"] for each in moves) == pytest.approx(spread, rel=0.15)


def test_a_class_that_learnt_nothing_gains_nothing():
    pairs = [(before, Sheet(before.code, "after", "B", before.answers)) for before, _ in planted(0)]
    report = class_report.measured(pairs)
    assert report["gain"] == {"value": 0, "error": 0}
    assert {each["change"] for each in report["misconceptions"].values()} == {0}


def test_the_error_is_that_of_the_bootstrap_over_learners():
    pairs = planted(3, learners=60)
    scores = [[sheet.score / len(ITEMS) for sheet in pair] for pair in pairs]
    draw = random.Random(0)
    again = [class_report.gain(draw.choices(scores, k=60))["value"] for _ in range(2000)]
    assert class_report.gain(scores)["error"] == pytest.approx(statistics.stdev(again), rel=0.08)


@pytest.mark.parametrize(
    ("scores", "value", "error"), [([[1, 1], [1, 0.5]], None, None), ([[0.5, 0.75]], 0.5, None), ([], None, None)]
)
def test_what_cannot_be_had_is_none(scores, value, error):
    assert class_report.gain(scores) == {"value": value, "error": error}


def guessed(learners, seed=0):
    """A class whose answers are drawn at random, before and after."""
    draw = random.Random(seed)
    return [
        [Sheet(f"learner-{k}", when, "A", {item: draw.choice(ITEMS[item]) for item in ITEMS}) for when in TIMES]
        for k in range(learners)
    ]


@pytest.mark.parametrize("learners", [1, 2, 3, 10, 40])
def test_means_and_moves_are_those_that_one_counts_by_hand(learners):
    pairs = guessed(learners)
    report = class_report.measured(pairs)
    for k, when in enumerate(TIMES):
        assert report[when] == pytest.approx(statistics.mean(pair[k].score for pair in pairs) / 12)
        for item, found in report["items"].items():
            assert found[when] == pytest.approx(statistics.mean(pair[k].answers[item] == RIGHT for pair in pairs))
    for key, moved in report["misconceptions"].items():
        held = [[key in sheet.answers.values() for sheet in pair] for pair in pairs]
        changes = [after - before for before, after in held]
        assert (moved["before"], moved["after"]) == tuple(map(sum, zip(*held, strict=True)))
        assert (moved["lost"], moved["gained"], moved["change"]) == (changes.count(-1), changes.count(1), sum(changes))
        spread = None if learners == 1 else pytest.approx(statistics.pstdev(changes) * learners**0.5, abs=1e-9)
        assert moved["error"] == spread


@pytest.mark.parametrize("learners", [0, 1, 2, 9, 10, 11])
def test_the_table_says_each_number_of_its_report_and_how_rough_a_small_class_is(learners):
    report = class_report.measured(guessed(learners)) | {"left_out": []}
    lines = class_report.table(report).splitlines()
    assert ("With fewer than 10 learners these errors are rough themselves." in lines) == (0 < learners < 10)
    assert not any(line.startswith("Left out") for line in lines)
    if not learners:
        return
    said = {line.split()[0]: line for line in lines if line}
    for item, found in report["items"].items():
        assert said[item].startswith(f"{item:<10}{100 * found['before']:>6.0f} %{100 * found['after']:>6.0f} %   ")
    rows = [
        line.split(maxsplit=4) for line in lines[lines.index("before  after  change   lesson") + 1 :] if line[:1] == " "
    ]
    assert len(rows) == len(LESSONS)
    assert [int(row[0]) for row in rows] == sorted((int(row[0]) for row in rows), reverse=True)
    for moved in report["misconceptions"].values():
        error = [] if learners == 1 else ["±", f"{moved['error']:.1f}"]
        numbers = [f"{moved['before']}", f"{moved['after']}", f"{moved['change']:+d}", *error, moved["lesson"]]
        assert [
            line for line in lines if line.endswith(f"  {moved['says']}") and line.split()[: len(numbers)] == numbers
        ]


@pytest.fixture
def folder(tmp_path):
    for pair in planted(1):
        for sheet in pair:
            sheet.save(tmp_path)
    return tmp_path


def run(*arguments):
    return cli.main(["class", "report", *map(str, arguments)])


def test_the_command_prints_the_planted_gain_as_a_table_and_as_json(folder, capsys):
    assert run(folder) == 0
    table = capsys.readouterr().out
    assert "Learners with both files: 30 (form A then B: 30)." in table
    assert "flat loss means free to move" in table
    assert "has not been validated" in table
    assert run(folder, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert off(report["gain"], GAIN) < 3
    assert report["left_out"] == []
    assert (report["kind"], report["format"]) == ("entropic_edu class report", 1)
    assert f"{report['gain']['value']:.2f} ± {report['gain']['error']:.2f}" in table


HOSTILE = {
    "empty": b"",
    "cut": b'{"kind": "entropic_edu inventory", "answers',
    "deep": b"[" * 100_000,
    "large": b" " * 300_000,
    "bytes": b"\xff\xfe\x00",
    "list": b"[1, 2]",
    "number": b'{"kind": "entropic_edu inventory", "format": NaN}',
    "other": b'{"kind": "entropic_edu answers", "format": 1}',
    "twice": b'{"kind": "entropic_edu inventory", "kind": "entropic_edu inventory"}',
}


def altered(**changes):
    sheet = {"kind": inventory.KIND, "format": 1, "code": "ab", "when": "before", "form": "A"}
    return json.dumps(sheet | {"answers": dict.fromkeys(ITEMS, UNSURE)} | changes).encode()


HOSTILE |= {
    "format": altered(format=2),
    "code": altered(code="a b\x1b[2J"),
    "code-kind": altered(code=7),
    "when": altered(when="between"),
    "form": altered(form=["A"]),
    "answers": altered(answers=[]),
    "items": altered(answers={"luck": RIGHT}),
    "option": altered(answers=dict.fromkeys(ITEMS, UNSURE) | {"luck": "walkers_count"}),
    "option-kind": altered(answers=dict.fromkeys(ITEMS, UNSURE) | {"luck": {}}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_none_of_ours_is_left_out_with_the_reason_and_changes_no_number(folder, capsys, name):
    run(folder, "--json")
    sound = json.loads(capsys.readouterr().out)
    (folder / f"{name}.json").write_bytes(HOSTILE[name])
    assert run(folder, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    (left,) = report.pop("left_out")
    assert left["file"] == f"{name}.json"
    assert len(left["why"]) > 20
    assert left["why"].isprintable()
    assert report == {key: value for key, value in sound.items() if key != "left_out"}


def test_pipes_folders_and_names_with_control_characters_do_no_harm(folder, capsys):
    os.mkfifo(folder / "pipe.json")
    (folder / "deeper").mkdir()
    (folder / "gone.json").symlink_to(folder / "nowhere")
    (folder / "\x1b[31mred\n.json").write_text("{}")
    assert run(folder) == 0
    out = capsys.readouterr().out
    assert "Left out: 3." in out
    assert "\x1b" not in out


def test_who_handed_in_one_file_or_two_that_differ_is_left_out_and_said(tmp_path, capsys):
    for before, after in planted(1, learners=4):
        before.save(tmp_path)
        if before.code != "learner-0":
            after.save(tmp_path)
    changed = Sheet("learner-1", "before", "A", dict.fromkeys(ITEMS, RIGHT))
    (tmp_path / "second").mkdir()
    changed.save(tmp_path / "second").rename(tmp_path / "copy.json")
    (tmp_path / "same.json").write_bytes((tmp_path / "inventory-before-learner-2.json").read_bytes())
    run(tmp_path)
    out = capsys.readouterr().out
    assert "both files: 2 " in out
    assert 'learner learner-0: The file of "after" is missing' in out
    assert 'learner learner-1: Wanted one file of "before" for this code; got 2 that differ' in out
    assert "fewer than 10 learners" in out


def test_a_folder_that_is_not_there_or_empty_is_said(tmp_path, capsys):
    assert run(tmp_path / "none") == 1
    assert "Wanted a folder" in capsys.readouterr().err
    assert run(tmp_path) == 0
    assert "both files: 0 (none)" in capsys.readouterr().out


def test_no_action_is_said(capsys):
    assert cli.main(["class"]) == 1
    assert "entropic-edu class report FOLDER" in capsys.readouterr().err


@pytest.mark.parametrize(("share", "said"), [(0.0, "0 %"), (0.494, "49 %"), (0.5, "50 %"), (1.0, "100 %")])
def test_a_share_is_said_in_percent(share, said):
    assert class_report._percent(share) == said


@pytest.mark.parametrize("learners", [2, 3, 4])
def test_the_error_of_a_gain_from_nothing_is_that_of_a_mean_by_hand(learners):
    after = [0.2, 0.9, 0.4, 0.7][:learners]
    found = class_report.gain([[0.0, each] for each in after])
    assert found["value"] == pytest.approx(statistics.mean(after))
    assert found["error"] == pytest.approx(statistics.stdev(after) / learners**0.5)


def test_a_gain_needs_one_who_can_learn_and_an_error_two_learners():
    assert class_report.gain([[0.5, 0.75]]) == {"value": 0.5, "error": None}
    assert class_report.gain([[1.0, 1.0], [1.0, 0.5]]) == {"value": None, "error": None}
