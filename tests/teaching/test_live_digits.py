"""The network that walks in the page, in Node: against PyTorch, and broken on purpose."""

import importlib
import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from entropic_edu.networks.batches import Batch
from entropic_edu.recorded import valley

pytest.importorskip("sphinx", reason="the site needs sphinx")
pytest.importorskip("playwright", reason="playwright brings a Node")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "docs"), str(ROOT / "docs" / "_ext")]
digits_live, live_digits = map(importlib.import_module, ("digits_live", "live_digits"))

LIVE = digits_live.MODULES[0].parent
ASK = """
import fs from "node:fs";
import { network, reordered } from "%(folder)s/digits.js";
import { line, release, train, unpacked } from "%(folder)s/digits_walk.js";
const given = JSON.parse(fs.readFileSync(0, "utf-8"));
const { packed } = given;
for (const name of ["pixels", "labels", "pivots"]) packed[name] = Buffer.from(packed[name].base64, "base64");
const { widths } = packed, { net, way } = unpacked(packed);
const told = (theta) => [...reordered(theta, widths, true)];
const answer = (() => { %(code)s })();
console.log(JSON.stringify(answer));
"""
WALK = """
return given.jobs.map((job) => {
  const crowd = release(net, way, job);
  while (crowd.step < job.steps) crowd.stretch();
  return { position: [...crowd.position], distance: [...crowd.distance] };
});"""
SETTING = {"batchSize": 16, "learningRate": 0.02, "steps": 150}


def ask(code, folder=LIVE, **given):
    """Return what JavaScript answers, with network and road as the page has them."""
    given["packed"] = json.loads(digits_live.plain(packed()))
    text = ASK % {"folder": Path(folder).as_uri(), "code": code}
    asked = [live_digits.node(), "--input-type=module", "-e", text]
    done = subprocess.run(asked, input=json.dumps(given), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def packed(kept={}):  # noqa: B006  (made once)
    if not kept:
        kept.update(digits_live.packed())
    return kept


@pytest.fixture(scope="module")
def land():
    return valley.landscape()


@pytest.fixture(scope="module")
def road():
    return valley.road(digits_live.PAIR)


def close(got, wanted, share):
    """Whether all numbers agree within a share of the largest."""
    got, wanted = torch.tensor(got, dtype=torch.float64), wanted.double()
    return float((got - wanted).abs().max()) <= share * float(wanted.abs().max())


def test_gradients_are_those_of_torch(land, road):
    g = torch.Generator().manual_seed(0)
    theta = road.at(0.37) + 0.02 * torch.randn(land.dim, generator=g)
    picks, drawn = torch.randint(500, (16,), generator=g), torch.randint(10, (16,), generator=g)
    answer = ask(
        """
        const theta = reordered(Float64Array.from(given.theta), widths), g = new Float64Array(net.dim);
        const all = net.gradient(theta, null, null, g), whole = told(g);
        const loss = net.gradient(theta, given.picks, given.drawn, g), some = told(g);
        net.gradient(theta, given.picks, given.drawn, g, 0.5); // half of what is there, and the same once more
        return { all, whole, loss, some, more: told(g), measure: net.measure(theta) };
        """,
        theta=theta.tolist(),
        picks=picks.tolist(),
        drawn=drawn.tolist(),
    )
    mine = land.gradient_on(theta[None], Batch(land.x[picks], drawn))[0]
    assert close(answer["whole"], land.gradient(theta), 1e-5)
    assert close(answer["some"], mine, 1e-5)
    assert close(answer["more"], 1.5 * mine, 1e-5)
    assert answer["all"] == pytest.approx(float(land.data_loss(theta)), rel=1e-5)
    assert answer["measure"]["loss"] == pytest.approx(answer["all"], rel=1e-12)
    assert answer["measure"]["accuracy"] == pytest.approx(float(land.accuracy(theta, "train")), abs=1e-6)


def geometry(land, road, folder=LIVE):
    g = torch.Generator().manual_seed(0)
    theta = road.at(torch.tensor([0.02, 0.3, 0.55, 0.7, 1.0]))
    theta = theta + torch.tensor([0.02, 0.0, 0.005, 0.01, 0.01])[:, None] * torch.randn(5, land.dim, generator=g)
    momentum = torch.randn(5, land.dim, generator=g)
    where, distance = road.project(theta)
    tangent = road.tangent(where)
    answer = ask(
        """
        const point = new Float64Array(net.dim);
        return { length: way.length, rows: given.theta.map((theta, i) => {
          const nearest = way.project(reordered(Float64Array.from(theta), widths));
          const v = reordered(Float64Array.from(given.momentum[i]), widths);
          way.at(nearest.position, point);
          way.keepAlong(nearest.position, v);
          return { ...nearest, point: told(point), kept: told(v) };
        }) };
        """,
        folder,
        theta=theta.tolist(),
        momentum=momentum.tolist(),
    )
    rows = answer["rows"]
    assert answer["length"] == pytest.approx(road.length, rel=1e-5)
    assert [row["position"] for row in rows] == pytest.approx(where.tolist(), abs=2e-6)
    assert [row["distance"] for row in rows] == pytest.approx(distance.tolist(), rel=1e-4, abs=2e-5)
    assert close([row["point"] for row in rows], road.at(where), 1e-5)
    assert close([row["kept"] for row in rows], (momentum * tangent).sum(1, keepdim=True) * tangent, 1e-4)


def test_the_road_and_the_projection_are_those_of_a_path(land, road):
    geometry(land, road)


@pytest.fixture(scope="module")
def drifted():
    return live_digits.drifted(SETTING | {"walkers": 16})


def walks(drifted, folder=LIVE, seeds=(1, 2)):
    """Compare means over walkers with PyTorch's, for some seeds of the page."""
    jobs = [live_digits.job(SETTING | {"walkers": 4}, seed=seed) for seed in seeds]
    answers = ask(WALK, folder, jobs=jobs)
    for name in ("position", "distance"):
        theirs = getattr(drifted, name)[-1].double()
        mine = torch.cat([torch.tensor(answer[name], dtype=torch.float64).view(2, -1) for answer in answers], 1)
        for start, own in zip(live_digits.STARTS, mine, strict=True):
            others = theirs[drifted.start == torch.tensor(start)]
            error = math.hypot(float(own.std()) / len(own) ** 0.5, float(others.std()) / len(others) ** 0.5)
            assert abs(float(own.mean() - others.mean())) < 4 * error, f"{name} from {start}"


def test_walkers_go_as_those_of_drift(drifted):
    walks(drifted)
    assert float(drifted.mean_position[-1, 0]) < 0.297  # far from the start, in units of these errors


@pytest.mark.parametrize(
    ("right", "wrong", "fails"),
    [
        ("theta[i] -= rate * velocity[i]", "theta[i] += rate * velocity[i]", "walks"),
        ("drawn, velocity, momentum);", "drawn, velocity, 0);", "walks"),  # no 1/(1-m)
        ("away >= least", "away <= least", "geometry"),  # the farthest
        ("momentum[i] = along * (b[i] - a[i])", "momentum[i] -= along * (b[i] - a[i])", "geometry"),
    ],
)
def test_what_is_broken_on_purpose_is_noticed(right, wrong, fails, tmp_path, drifted, land, road):
    folder = shutil.copytree(LIVE, tmp_path / "live", ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "digits_walk.js"
    source = file.read_text("utf-8")
    assert source.count(right) == 1
    file.write_text(source.replace(right, wrong), "utf-8")
    with pytest.raises(AssertionError):
        walks(drifted, folder, (1,)) if fails == "walks" else geometry(land, road, folder)


def test_how_walkers_are_shared_among_workers_changes_nothing():
    whole = live_digits.job(SETTING | {"steps": 30, "walkers": 2}, seed=3)
    parts = [whole | {"starts": [whole["starts"][n]], "numbers": [n]} for n in (3, 0)]
    together, last, first = ask(WALK, jobs=[whole, *parts])
    assert [together["position"][n] for n in (3, 0)] == [last["position"][0], first["position"][0]]
    other = ask(WALK, jobs=[whole | {"seed": 4}])[0]
    assert not set(other["position"]) & set(together["position"])


def test_two_networks_are_trained_with_a_hill_between_them():
    answer = ask(
        """
        const rows = [], settings = { steps: 300, batchSize: 32, learningRate: 0.1, momentum: 0.9, looks: 10 };
        const nets = [1, 2].map((seed) => train(net, { ...settings, seed }, (...row) => rows.push(row)));
        return { rows, line: line(net, ...nets, 9), ends: nets.map((theta) => net.measure(theta)) };
        """
    )
    steps, losses, accuracies = zip(*answer["rows"][:11], strict=True)
    assert steps == tuple(range(0, 301, 30))
    assert losses[0] == pytest.approx(math.log(10), abs=0.25)
    assert losses[-1] < 1.1
    assert accuracies[-1] > 0.7
    assert answer["line"][0] == answer["ends"][0]["loss"]
    assert answer["line"][-1] == answer["ends"][1]["loss"]
    assert answer["line"][4] > max(answer["line"][0], answer["line"][-1]) + 0.3


def test_halves_are_read_as_they_were_written():
    values = torch.tensor([0.0, 1.0, -2.5, 65504.0, 6e-8, -1e-5, 0.1]).half()
    code = "return import('%s/digits_walk.js')" % LIVE.as_uri()  # noqa: UP031
    text = (
        f"({code.replace('return ', '')}).then((m) => console.log(JSON.stringify([...m.halves(new Uint8Array(%s))])))"
    )
    asked = [live_digits.node(), "-e", text % list(values.numpy().tobytes())]
    assert json.loads(subprocess.run(asked, capture_output=True, text=True).stdout) == values.double().tolist()


def test_what_the_page_loads_is_small_and_a_plain_script():
    source = digits_live.script()
    assert not re.search(r"^(?:import|export)\b", source, re.MULTILINE)
    assert len(source) + len(digits_live.plain(packed())) < 1_000_000
    assert digits_live.MEASURED.stat().st_size < 100_000


def test_the_table_is_that_of_the_recording_and_agrees():
    values = digits_live.measured()  # which refuses another recording's
    assert live_digits.PAGE.read_text("utf-8") == live_digits.page(values)
    rows = [row for setting in values["settings"] for row in setting["table"]]
    assert len(rows) == 18
    for row in rows:
        (theirs, error), (own, mine) = row["torch"], row["page"]
        assert abs(own - theirs) < 4 * math.hypot(error, mine), row
    for row in values["larger"]:  # four times as many walkers and other seeds, where the table's difference is largest
        (theirs, error), (own, mine) = row["torch"], row["page"]
        assert abs(own - theirs) < 3 * math.hypot(error, mine) < 0.003
    still = [row for setting in values["settings"] for row in setting["tableControl"]]
    assert all(row["page"][0] == pytest.approx(row["torch"][0], abs=1e-3) for row in still)
