"""Reports that learners hand in: what is wrong is said, what is whole becomes a row, whatever it holds."""

import copy
import json
import math
import random
import statistics

import pytest

from entropic_edu import cli
from entropic_edu.teaching import reports
from entropic_edu.teaching.handed_in import shown

jsonschema = pytest.importorskip("jsonschema", reason="the oracle of the schema comes with JupyterLab")
FIVE, STILL = [0.31, 0.28, 0.35, 0.30, 0.33], [0.02, 0.01, 0.03, 0.00, 0.02]


def filled(part=None):
    """A report that says something everywhere."""
    part = reports.schema() if part is None else part
    if "const" in part:
        return part["const"]
    if "enum" in part:
        return part["enum"][0]
    kind = part["type"] if isinstance(part["type"], str) else part["type"][0]
    if kind == "object":
        return {name: filled(each) for name, each in part["properties"].items()}
    known = {"string": "Do walkers go home?", "boolean": True, "number": 0.3, "integer": 5, "array": [0.1]}
    return known[kind]


@pytest.fixture
def report():
    made = filled()
    made["result"] |= {"with_noise": FIVE, "without_noise": STILL, "direction": "its own end"}
    return made


def changed(report, path, value):
    """The report with another value at a dotted path."""
    made = copy.deepcopy(report)
    *parents, name = path.split(".")
    place = made
    for parent in parents:
        place = place[parent]
    place[name] = value
    return made


def saved(tmp_path, report, name="mine.json"):
    file = tmp_path / name
    file.write_text(json.dumps(report))
    return str(file)


def test_the_schema_is_one_and_a_whole_report_passes_it(report):
    jsonschema.Draft202012Validator.check_schema(reports.schema())
    jsonschema.validate(report, reports.schema())
    assert reports.problems(report) == []


def places(part, path=""):
    """Dotted paths of all that a schema names."""
    for name, each in part.get("properties", {}).items():
        yield f"{path}{name}"
        yield from places(each, f"{path}{name}.")


VALUES = ["", "word", "w" * 2000, 0, -1, 2.5, 5.0, 1e12, 10**400, True, None, [], ["a"], [1, None], [0.1] * 2000, {}]
VALUES += [{"done": True}, {"what": "x", "values": []}, [[1]], "toward"]


@pytest.mark.parametrize("path", list(places(reports.schema())))
def test_what_the_schema_refuses_is_refused_and_nothing_else(report, path):
    """The oracle is the public library for JSON Schema, on values of each kind at each place."""
    oracle = jsonschema.Draft202012Validator(reports.schema())
    for value in VALUES:
        made = changed(report, path, value)
        assert bool(list(reports._against(reports.schema(), made, ""))) == (not oracle.is_valid(made)), value


def test_anything_missing_or_too_much_is_said_with_its_place(report):
    for path in places(reports.schema()):
        made = copy.deepcopy(report)
        *parents, name = path.split(".")
        place = made
        for parent in parents:
            place = place[parent]
        del place[name]
        (said,) = reports.problems(made)
        assert said.startswith(f"{path}: missing; add ")
    (said,) = reports.problems(changed(report, "seeds.luck", 1))
    assert said.startswith("seeds: there is nothing called 'luck'; wanted pairs, walkers")


@pytest.mark.parametrize(
    ("path", "value", "wanted"),
    [
        ("question", "Walkers go home.", "question mark"),
        ("seeds.pairs", 4, "one number for each of 4 pairs (seeds.pairs), got 5"),
        ("result.without_noise", None, "done goes with numbers in result.without_noise"),
        ("conclusion.verdict", "away", '"away" of 5 pairs wants a mean past -0.0239, '),
        ("conclusion.verdict", "away", "; got 0.298 ± 0.0086. "),
        ("result.with_noise", STILL, '"toward" of 5 pairs wants a mean past 0'),
    ],
)
def test_what_makes_no_sense_is_said(report, path, value, wanted):
    (said,) = reports.problems(changed(report, path, value))
    assert wanted in said


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ({"type": "string", "minLength": 2}, "a", "at least 2 characters"),
        ({"type": "string", "maxLength": 2}, "abc", "at most 2 characters"),
        ({"type": "array", "minItems": 2, "items": {"type": "number"}}, [1.0], "at least 2 entries"),
        ({"type": "array", "maxItems": 2, "items": {"type": "number"}}, [1.0] * 3, "at most 2 entries"),
        ({"type": "number", "minimum": 2}, 1.5, "at least 2"),
        ({"type": "number", "maximum": 2}, 2.5, "at most 2"),
    ],
)
def test_a_size_is_told_in_its_unit_and_at_its_bounds_nothing_is(part, value, said):
    assert reports._size(part, value) == said
    bound = next(bound for name, bound in part.items() if name.startswith(("min", "max")))
    exact = {"string": "a" * bound, "array": [1.0] * bound, "number": float(bound)}[part["type"]]
    assert reports._size(part, exact) == ""


@pytest.mark.parametrize("path", [path for path in places(reports.schema()) if path != "kind"])
def test_what_is_of_another_kind_is_told_with_what_was_meant(report, path):
    part = reports.schema()
    for name in path.split("."):
        part = part["properties"][name]
    (said,) = reports.problems(changed(report, path, [[1]]))
    place = path if part.get("items") is None else f"{path}[0]"
    means = f" ({part['description']})" if place == path and "description" in part else ""
    assert said.startswith(f"{place}: wanted ")
    assert said.endswith(f"{means}, got {shown([[1]] if place == path else [1])}")


def test_what_is_no_report_is_called_one(tmp_path):
    (said,) = reports._against(reports.schema(), 3, "")
    assert said == "the report: wanted object, got 3"
    for wrong, first in {"[1]": "Wanted an object in braces", "{}": reports.problems({})[0]}.items():
        (tmp_path / "mine.json").write_text(wrong)
        assert reports.table(tmp_path).splitlines()[-1].startswith(f"- mine.json: {reports.cell(first)}")


def test_a_cell_shows_what_a_file_says_and_lets_none_of_it_mark_up_the_page():
    assert reports.cell('a | b <i> & "c"\n *d* \x07') == 'a \\| b &lt;i&gt; &amp; "c" \\*d\\*'


def test_one_pair_proves_nothing(report):
    for path, value in {"seeds.pairs": 1, "result.with_noise": [0.3], "result.without_noise": [0.0]}.items():
        report = changed(report, path, value)
    (said,) = reports.problems(report)
    assert (
        "wants at least two pairs, with less without noise taken off; got one pair, of which nothing is known" in said
    )
    assert reports.problems(changed(report, "conclusion.verdict", "cannot tell")) == []


def test_of_noise_alone_a_conclusion_passes_as_seldom_as_it_should(report):
    """Two and a half per cent of the time to either side: the promise of Student's t for five pairs."""
    draw = random.Random(0)
    passed = {"toward": 0, "away": 0}
    for _ in range(4000):
        noisy, still = ([draw.gauss(0.1, 0.03) for _ in range(5)] for _ in range(2))
        made = {**report, "result": report["result"] | {"with_noise": noisy, "without_noise": still}}
        for verdict in passed:
            passed[verdict] += not list(reports._sense({**made, "conclusion": {"verdict": verdict}}))
    for count in passed.values():
        assert count / 4000 == pytest.approx(0.025, abs=0.0075)  # three standard errors


def test_a_report_is_begun_checked_and_shown_by_commands(tmp_path, report, capsys):
    file = tmp_path / "mine.json"
    assert cli.main(["report", "new", str(file)]) == 0
    assert cli.main(["report", "check", str(file)]) == 1
    said = capsys.readouterr().err
    assert said.count("still to be written; wanted ") > 20
    assert cli.main(["report", "new", str(file)]) == 1
    assert "exists already and is kept" in capsys.readouterr().err
    assert cli.main(["report", "check", saved(tmp_path, report)]) == 0
    assert "is a whole report: the noise made 0.298 ± " in capsys.readouterr().out
    assert cli.main(["report", "table", str(tmp_path)]) == 0
    assert "| 0.314 ± 0.012 | 0.016 ± 0.0051 | toward its own end | none |" in capsys.readouterr().out
    assert cli.main(["report"]) == 1


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b'{"kind": NaN}', b"{" * 50_000, b"\xff", b" " * 300_000, b"{}", b'{"kind": 1, "kind": 2}']
)
def test_a_hostile_file_is_told_in_words_and_left_out_of_the_table(tmp_path, report, capsys, content):
    (tmp_path / "bad.json").write_bytes(content)
    assert cli.main(["report", "check", str(tmp_path / "bad.json")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("entropic-edu: ")
    assert len(said) > 40
    saved(tmp_path, report)
    assert cli.main(["report", "table", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "toward its own end" in out
    assert "Left out, as they are not reports: 1." in out


@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
def test_a_file_is_read_up_to_its_largest_size(tmp_path, report, more, fits):
    file, content = tmp_path / "mine.json", json.dumps(report).encode()
    file.write_bytes(content + b" " * (200_000 - len(content) + more))
    if fits:
        assert reports.check(file) == report
    else:
        with pytest.raises(ValueError, match=r"At most 200,000 bytes are read, and .*mine\.json has more"):
            reports.check(file)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("a" * 58, f"'{'a' * 58}'"),
        ("a" * 59, f"'{'a' * 55} ..."),
        ("ü", "'ü'"),
        ("\x1b[2J", r"'\x1b[2J'"),
        ([1, "ü"], r"[1, '\xfc']"),
        (None, "None"),
    ],
)
def test_a_value_is_quoted_on_one_short_line(value, said):
    assert shown(value) == said
    assert len(said) <= 60


def test_a_name_that_stands_twice_is_the_one_that_is_told(tmp_path):
    (tmp_path / "mine.json").write_text('{"kind": 1, "by": 2, "by": 3}')
    with pytest.raises(ValueError, match="'by' is there twice"):
        reports.check(tmp_path / "mine.json")


def test_hidden_files_and_folders_are_no_reports(tmp_path, report):
    (tmp_path / "deeper.json").mkdir()
    saved(tmp_path, report, ".mine.json")
    assert len(reports.table(tmp_path).splitlines()) == 2
    for name in ("b.json", "a.json"):
        saved(tmp_path, changed(report, "by", name), name)
    assert [row.split("|")[2].strip() for row in reports.table(tmp_path).splitlines()[2:]] == ["a.json", "b.json"]


def test_words_of_a_report_stay_words_in_the_table(tmp_path, report):
    hostile = "a|b\n# c <script>x</script> [d](javascript:e) `f` {g}`h` $i$ ![](j)\x1b[2J?"
    for path in ("question", "by", "result.quantity", "result.direction"):
        report = changed(report, path, hostile)
    saved(tmp_path, report)
    head, rule, row = reports.table(tmp_path).splitlines()
    assert len(row.replace("\\|", "").split("|")) == len(head.split("|")) == len(rule.split("|"))
    assert [each for each in ("<script", "\x1b", " [d](", " `f`", "{g}", " ![") if each in row] == []


@pytest.mark.parametrize("pairs", [1, 2, 3])
def test_what_an_effect_needs_is_the_quantile_of_student_times_its_error(pairs):
    values = [0.1, 0.4, 0.2][:pairs]
    found = reports.effect({"result": {"with_noise": values, "without_noise": None}})
    if pairs == 1:
        assert math.isnan(found.error)
        assert math.isnan(found.needed)
    else:
        assert found.error == pytest.approx(statistics.stdev(values) / pairs**0.5)
        assert found.needed / found.error == pytest.approx({2: 12.7062, 3: 4.3027}[pairs], rel=1e-4)


@pytest.mark.parametrize("pairs", [1, 2, 3])
@pytest.mark.parametrize("known", [True, False])
def test_a_row_of_the_table_says_each_number_and_what_is_missing(tmp_path, report, pairs, known):
    values = [0.1, 0.4, 0.2][:pairs]
    report |= {
        "seeds": report["seeds"] | {"pairs": pairs},
        "conclusion": report["conclusion"] | {"verdict": "cannot tell"},
    }
    report["result"] |= {"with_noise": values, "without_noise": values if known else None}
    report["prediction"]["number"] = 0.12345 if known else None
    report["controls"]["all_data"]["done"] = known
    saved(tmp_path, report)
    mean = {1: "0.1 (one pair)", 2: "0.25 ± 0.15", 3: "0.233 ± 0.088"}[pairs]
    row = [each.strip() for each in reports.table(tmp_path).splitlines()[2].split("|")[1:-1]]
    still, missing = (mean, "none") if known else ("missing", "all data")
    assert row[2:] == [f"{pairs}", row[3], "0.123" if known else "none", mean, still, "cannot tell", missing]
    found = reports.effect(report)
    assert found.mean == pytest.approx(0 if known else statistics.mean(values), abs=1e-12)
