"""What walks in the page, run in Node: its draws, its laws beside ``ee.drift``, its theory beside its own crowds."""

import re
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))
import agreement  # noqa: E402

from entropic_edu.course import chapter  # noqa: E402
from entropic_edu.course.still import picture  # noqa: E402
from entropic_edu.teaching import live  # noqa: E402

DRAWN = """
import { seeded } from "%(live)s/draws.js";
const some = (seed, n) => { const draws = seeded(seed); return Array.from({ length: n }, () => draws.normal()); };
const draws = seeded(3), counts = new Array(7).fill(0), even = [];
for (let i = 0; i < 70000; i++) counts[draws.integer(7)] += 1;
for (let i = 0; i < 70000; i++) even.push(draws.uniform());
process.stdout.write(JSON.stringify({ normal: some(0, 100000), again: some(0, 9), other: some(1, 9), counts, even }));
"""
THEORY = """
import { seeded } from "%(live)s/draws.js";
import { Across, Along, Crowd, groups, histogram, meanOf, valley } from "%(live)s/valleys.js";
let told = "";
for await (const part of process.stdin) told += part;
const found = JSON.parse(told).map(({ name, walls, places, setting, steps, count, seed }) => {
  const land = valley(name, walls), crowd = new Crowd(land, count), along = new Along(land), draws = seeded(seed);
  const kicks = new Float64Array(2 * count);
  crowd.release(places);
  along.release(places);
  for (let i = 1; i <= steps; i++) {
    for (let k = 0; k < kicks.length; k++) kicks[k] = draws.normal();
    crowd.step(setting, kicks);
    if (i %% 4 === 0) along.advance(setting, 4);
  }
  const y = crowd.along, middle = (at) => Math.abs(at) < 0.4;
  const { mean, error } = meanOf(y), inside = meanOf(Float64Array.from(y, (at) => +middle(at)));
  const all = along.shares.reduce((sum, [, share]) => sum + share, 0);
  return { mean, error, law: along.groups(null)[0], inside, share: along.share(-0.4, 0.4),
    all, spread: along.points === null };
});
process.stdout.write(JSON.stringify(found));
"""


STAGED = """
import { Run } from "%(live)s/run.js";
let told = "";
for await (const part of process.stdin) told += part;
const found = JSON.parse(told).map((scene) => {
  const [compare, start] = scene.choices.map((choice) => choice.options[0]);
  const run = new Run(scene, compare.panes, start.places);
  const turned = Object.assign({}, ...scene.sliders.map((each) => each.options[each.start]));
  while (run.number < scene.warm) run.advance(turned, Math.min(%(frame)s, scene.warm - run.number));
  return run.panes.map((pane) => run.measured(pane));
});
process.stdout.write(JSON.stringify(found));
"""


def test_draws_are_normal_uniform_and_the_same_for_the_same_seed():
    found = agreement.run(DRAWN)
    normal, even = found["normal"], found["even"]
    count = len(normal)
    moments = [sum(x**power for x in normal) / count for power in (1, 2, 3, 4)]
    for moment, wanted, variance in zip(moments, (0, 1, 0, 3), (1, 2, 15, 96), strict=True):
        assert abs(moment - wanted) < 4 * (variance / count) ** 0.5
    assert found["again"] == normal[:9] != found["other"]
    assert sum((each - 10000) ** 2 / 10000 for each in found["counts"]) < 30  # χ² of six degrees; 30 is 4 in 10,000
    assert 0 < min(even) < max(even) < 1
    assert abs(sum(even) / len(even) - 0.5) < 4 * (12 * len(even)) ** -0.5


@pytest.fixture(scope="module")
def rows():
    return agreement.rows(agreement.cases())


def test_crowds_do_what_drift_does_in_each_valley_noise_and_setting(rows):
    for row in rows:  # 60 deviations and 30 chances: the largest of them is past these once in a thousand seeds
        assert max(abs(each) for each in row.deviations.values()) < 4.3, row.case
        assert row.histogram > 1e-4, row.case
    chances = sorted(row.histogram for row in rows)
    assert chances[len(chances) // 2] > 0.2  # and together they are no worse than chance


def broken(tmp_path, old, new):
    """Return the live modules with a fault."""
    folder = tmp_path / "live"
    shutil.copytree(live.HERE, folder)
    source = (folder / "valleys.js").read_text("utf-8")
    assert source.count(old) == 1
    (folder / "valleys.js").write_text(source.replace(old, new), "utf-8")
    return folder


FAULTS = {
    "the sign of h'": ("-(y / width ** 2) * rise(y)", "(y / width ** 2) * rise(y)", "Waist"),
    "a half": (
        "+ 0.5 * land.curvatureSlope(y[i]) * x[i] * x[i]",
        "+ land.curvatureSlope(y[i]) * x[i] * x[i]",
        "Tilted",
    ),
    "momentum that is forgotten": ("vx[i] = momentum * vx[i] + across", "vx[i] = across", "Waist"),
    "noise without 1/√B": ("land.scale / Math.sqrt(batch)", "land.scale / batch", "Waist"),
    "noise shaped by h, not √h": ("kick * Math.sqrt(h) * normals[i]", "kick * h * normals[i]", "Tilted"),
    "label noise on one weight": ("residual * y[i], residual * x[i]", "residual * y[i], residual", "Hyperbola"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_script_is_seen(fault, tmp_path):
    *swap, name = FAULTS[fault]
    some = [case for case in agreement.cases() if case.name == name and case.batch_size == 2]
    found = agreement.rows(some, broken(tmp_path, *swap))
    assert max(abs(each) for row in found for each in row.deviations.values()) > 8


def theory_cases():
    """Return the cases in which theory is to hold: free energies, and points where they are the means of crowds."""
    return [
        case
        for case in agreement.cases()
        if case.noise == "isotropic" or case.name == "Hyperbola" or (case.name, case.noise) == ("Tilted", "curvature")
    ]


def off(cases, live=agreement.LIVE):
    """Return how far theory is off, means and shares in the middle, past what its limits allow; in standard errors.

    Theory takes walkers to have settled across the floor, and to have forgotten their momentum: 160 steps begin before
    that, which is worth up to 0.02 of 1 in isotropic noise, and 0.001 where nothing else spreads walkers.
    """
    found, past = agreement.run(THEORY, [case.job for case in cases], live), []
    for case, each in zip(cases, found, strict=True):
        allowed, inside = 0.02 if case.noise == "isotropic" else 0.001, each["inside"]
        past.append((abs(each["law"] - each["mean"]) - allowed) / each["error"])
        if each["spread"] and inside["error"] > 0:
            past.append((abs(each["share"] - inside["mean"]) - allowed) / inside["error"])
    return past


def test_theory_is_what_the_crowds_do():
    past = off(theory_cases())
    assert max(past) < 3.5
    assert len(past) > 25


def test_theory_loses_nobody():
    found = agreement.run(THEORY, [case.job for case in agreement.cases() if case.momentum == 0])
    assert [each["all"] for each in found] == pytest.approx([1] * len(found), abs=1e-9)


TURNED = """
import { Along, valley } from "%(live)s/valleys.js";
const land = valley("Waist", {}), places = Float64Array.of(-0.5, 0.5);
const first = { batch_size: 2, learning_rate: 0.1, momentum: 0 };
const settings = [{ batch_size: 8 }, { learning_rate: 0.02 }, { learning_rate: 0.05, momentum: 0.5 },
  { batch_size: 4, momentum: 0.5 }, { batch_size: 1, learning_rate: 0.05 }]; // the last three are as hot as the first
const found = settings.map((turned) => [true, false].map((late) => {
  const along = new Along(land);
  along.release(places);
  if (late) along.advance(first, 3);
  along.release(places);
  along.advance({ ...first, ...turned }, 100);
  return along.share(-0.4, 0.4);
}));
process.stdout.write(JSON.stringify(found));
"""


def test_theory_follows_a_slider_and_forgets_where_it_stood():
    found = agreement.run(TURNED)
    for late, alone in found:
        assert late == alone
    assert len({round(alone, 9) for _, alone in found}) == len(found)  # each setting has a law of its own


def test_a_missing_one_over_one_minus_m_in_theory_is_seen(tmp_path):
    folder = broken(tmp_path, "/ (2 * batch * (1 - momentum))", "/ (2 * batch)")
    some = [case for case in theory_cases() if case.momentum == 0.9 and case.noise == "isotropic"]
    assert max(off(some, folder)) > 6


def test_the_spread_across_a_bowl_ends_where_the_exact_law_says():
    script = """
import { Across, valley } from "%(live)s/valleys.js";
const found = [[0.4, 0, 4], [0.1, 0.9, 1], [0.2, 0.5, 16]].map(([learning_rate, momentum, batch_size]) => {
  const across = new Across(valley("Waist", { g_wide: 2, g_narrow: 2, noise_scale: 1.5 }));
  across.advance({ batch_size, learning_rate, momentum }, 4000);
  return across.xx;
});
process.stdout.write(JSON.stringify(found));
"""
    laws = [eta * 2.25 * (1 + m) / (size * 2 * (1 - m) * (2 * (1 + m) - 2 * eta)) for eta, m, size in
            ((0.4, 0, 4), (0.1, 0.9, 1), (0.2, 0.5, 16))]  # fmt: skip
    assert agreement.run(script) == pytest.approx(laws, rel=1e-9)


def test_an_unknown_valley_is_refused_in_words():
    with pytest.raises(RuntimeError, match="There is no valley Canyon; there are Waist, Pinch"):
        agreement.run('import { valley } from "%(live)s/valleys.js"; valley("Canyon");')


def test_joined_modules_are_one_plain_script():
    code = live.plain("stage", "stage")
    assert "import " not in code.replace("import.meta", "")
    assert "\nexport " not in code
    script = code.replace("%", "%%") + "process.stdout.write(JSON.stringify(typeof entropicLive.stage));"
    assert agreement.run(script) == "function"


def test_the_stages_of_the_lessons_tell_the_same_in_the_page_as_their_pictures_by_drift_and_its_theory():
    names = [("01", "bowl"), ("02", "narrow"), ("03", "turn"), ("03", "shape"), ("03", "balance")]
    scenes = [chapter(number).players[name](0).scene for number, name in names]
    by_frame = [agreement.run(STAGED.replace("%(frame)s", size), [scene.plain() for scene in scenes]) for size in "417"]
    assert by_frame[0] == by_frame[1] == by_frame[2]  # how many steps a frame takes is the machine's business
    for scene, both in zip(scenes, by_frame[0], strict=True):
        laws = [float(law.replace("−", "-")) for law in re.findall(r"theory (−?[\d.]+\d)", picture(scene)[1])]
        scale, unit = scene.measure.scale, 10.0**-scene.measure.digits
        assert [scale * each["law"] for each in both] == pytest.approx(laws, abs=1.5 * unit)
        for each, law in zip(both, laws, strict=True):
            assert abs(scale * each["mean"] - law) < 4 * scale * (each["error"] or 0) + 3 * unit
