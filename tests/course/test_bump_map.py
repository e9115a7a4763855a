"""Lesson 05, round 4: the map is what its weights give, and explorer, exercise and slide say what is recorded."""

import itertools
import re
import runpy
from pathlib import Path

import pytest
import torch
from explorers import drive, run_code, same_from_anywhere

from entropic_edu import recorded
from entropic_edu.course.bump import exercises, regimes, rows, setting
from entropic_edu.networks.per_sample import gauss_newton_trace, gradient_covariance
from entropic_edu.recorded import regimes as map_recipe
from entropic_edu.teaching.sheet import Sheet

MADE = {"map": regimes.regimes(0)}


def _seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_what_is_recorded_of_the_base_is_what_its_weights_give():
    land, kept = map_recipe.landscape(map_recipe.RECIPE, "base"), recorded.load("regimes")
    theta, rows = kept["base/points"], [0, 4]  # half precision: 5e-4 of each weight
    for name, value in {
        "loss": land.loss(theta),
        "data_loss": land.data_loss(theta),
        "noise": gradient_covariance(land, theta).trace,
        "fisher": gauss_newton_trace(land, theta, weight_decay=False),
        "norm": theta.norm(dim=1),
    }.items():
        assert torch.allclose(kept[f"base/{name}"][0, rows], value, rtol=2e-3), name
    adaptive = land.trace(theta, generator=_seeded(5), num_probes=64, weight_decay=False, scale=theta)
    trace = land.trace(theta, generator=_seeded(5), num_probes=64, weight_decay=False)
    for name, found in (("trace", trace), ("adaptive", adaptive)):  # both by random probes, 64 here and 16 there
        assert bool(((kept[f"base/{name}"][0, rows] - found.value).abs() < 8 * found.error).all()), name


def test_each_switch_changes_one_thing_of_the_landscape():
    made = map_recipe.RECIPE | {"widths": [64, 8, 8, 10]}
    base, clean, plain, undecayed, hard, batch = (
        map_recipe.landscape(made, name) for name in ("base", "clean", "plain", "undecayed", "hard", "batch")
    )
    true = clean.y
    assert 0.1 < float((base.y != true).double().mean()) < 0.25  # a fifth drawn anew, some of them right
    assert torch.equal(plain.y, base.y)
    theta = torch.stack([base.initial(_seeded(seed)) for seed in range(2)])
    assert torch.allclose(base.loss(theta) - undecayed.loss(theta), 2.5e-4 * theta.square().sum(1), atol=1e-6)
    assert set(base.scale_free(theta)) == set(batch.scale_free(theta)) == {"0.weight", "3.weight"}
    assert not plain.scale_free(torch.stack([plain.initial(_seeded(0))]))
    given = torch.nn.functional.cross_entropy(hard.module(theta[0])(hard.x), base.y)
    assert torch.isclose(hard.data_loss(theta)[0], given)
    calm = map_recipe.landscape(made, "calm")
    assert torch.equal(calm.loss(theta), base.loss(theta))  # one objective
    every = map_recipe.landscape(map_recipe.RECIPE, "all+clean+batch")
    assert (len(every.x), every.dim) == (1297, 64 * 128 + 128 * 128 + 1290)  # a bias in the last layer alone
    assert torch.equal(every.y[:500], true)


def test_matching_norms_leaves_the_adaptive_trace_and_takes_most_of_the_raw_bump():
    matched, built = setting.BASE, setting.Setting(matched=False)
    middle, there = matched.values("adaptive")[:, 4], built.values("adaptive")[:, 3]  # at 0.5
    assert torch.allclose(middle, there, rtol=0.05)  # by 16 probes, and 0.5 is not quite the same place
    assert bool((built.bump("trace") > 1.5 * matched.bump("trace")).all())
    assert setting.Setting("plain", matched=False).values("trace").equal(setting.Setting("plain").values("trace"))


def test_the_way_home_is_a_share_of_the_way_from_each_start():
    ends = torch.tensor([[0.3, 0.7], [0.0, 1.0], [0.15, 0.85], [0.45, 0.7]]).double()
    assert setting.way(ends).tolist() == pytest.approx([0.0, 1.0, 0.5, -0.25], abs=1e-6)  # from float32


def test_a_state_of_the_map_shows_the_setting_that_its_switches_name():
    first = {control.name: control.default for control in MADE["map"].controls}
    off = first | {"noise_of_ends": "off", "layer_norm": "off", "road_norms": "built"}
    for controls, wanted, alone in (
        (first, setting.BASE, False),
        (off, ("calm+plain", False), False),
        (off | {"other_change": "hard"}, ("hard", False), True),
        (first | {"other_change": "all"}, ("all", True), False),
        (first | {"other_change": "all", "wrong_labels": "off", "layer_norm": "off"}, ("all+clean+plain", True), False),
        (off | {"other_change": "all"}, ("all", False), True),  # not recorded
    ):
        asked = regimes.asked(**controls)
        assert (asked.setting, asked.alone) == (wanted, alone)
    names = {key.split("/")[0] for key in recorded.load("regimes")}
    for options in itertools.product(("on", "off"), repeat=len(regimes.CONTROLS)):
        state = regimes.asked(**first | dict(zip(regimes.CONTROLS, options, strict=True)))
        assert state.setting.name in names
        assert not state.alone


def test_every_state_draws_and_says_something_of_its_own_whatever_was_drawn_before():
    drive(MADE["map"])
    same_from_anywhere(MADE["map"], lambda: regimes.regimes(0))


def test_the_sentence_and_the_code_of_the_map_give_the_recorded_numbers(capsys):
    for state, name, raw in (
        ({}, "base", ""),
        ({"wrong_labels": "off", "decay_on": "off"}, "clean+undecayed", ""),
        ({"road_norms": "built"}, "base", "raw_"),
    ):
        kept, drawn = recorded.load("regimes"), MADE["map"].draw(**state).sentence
        trace = kept[f"{name}/{raw}trace"].double()
        lines = torch.nn.functional.interpolate(trace[None], size=49, mode="linear", align_corners=True)[0]
        ratio = lines[:, 16:33].mean(1) / trace[:, [0, -1]].mean(1)
        assert f"trace {float(ratio.mean()):.2f} ± {float(ratio.std() / 3**0.5):.2f}" in drawn
        walked = kept[f"{name}/{raw}walked"].double()
        home = 100 * ((0.3 - walked[:, 0]) / 0.3 + (walked[:, 1] - 0.7) / 0.3).mean(1) / 2
        assert f"{float(home.mean()):.0f} ± {float(home.std() / 3**0.5):.0f} % with noise" in drawn
        run_code(MADE["map"].code(**MADE["map"].values | state))
        value, error = map(float, re.findall(r"tensor\(([\d.]+)", capsys.readouterr().out))
        assert f"{value:.2f} ± {error:.2f}" in drawn


def verdict(other, measure):
    """Return what the bumps of a setting without something say of it, beside those of the base."""
    if not other.flat:
        return "open"
    base, found = setting.BASE.bump(measure), other.bump(measure)
    if float(found.mean() - 2 * found.std() / len(found) ** 0.5) <= 1:
        return "no bump without it"
    apart = (base.mean() - found.mean()) / ((base.var() + found.var()) / len(base)) ** 0.5
    return "smaller without it" if float(apart) > 2 else "not needed"


def test_the_slide_has_a_row_for_each_setting_it_names():
    slide = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "map.py"))
    assert {row.name for row in slide["ROWS"]} <= set(recorded.load("regimes").recipe["settings"])
    sheet = Sheet(rows.panels(len(slide["ROWS"])))
    with sheet:
        rows.show(sheet, slide["ROWS"])
    said = [words.get_text().replace("\n", " ") for words in sheet["bump"].ax.texts]
    for row in slide["ROWS"]:
        judged = tuple(f"{row.title()} {flat}" for flat in ("(flat", "NOT FLAT"))
        assert sum(words.startswith(judged) for words in said) == 1


def test_every_verdict_of_exercise_5_4_follows_from_the_recorded_bumps():
    for other, measure, found in exercises.SWITCHES.values():
        assert verdict(other, measure) == found
