"""The live stages: whole scenes, no setting past the edge, and a picture that says what theory says."""

import base64
import json
import re
from dataclasses import replace
from functools import partial
from itertools import product

import pytest
import torch

from entropic_edu import course
from entropic_edu.course import stages
from entropic_edu.course.crowd import Crowd
from entropic_edu.course.lesson import Lesson
from entropic_edu.course.still import picture
from entropic_edu.teaching.page import slider

MOMENTUM = slider("momentum", (0.0, 0.5, 0.9), 0.0)
SCENES = {
    "waist": partial(stages.waist, 0),
    "narrow third": partial(stages.waist, 0, MOMENTUM, even=True),
    "narrow third, to be read": partial(stages.waist, 0, even=True, stop=480),
    "bowl": partial(stages.bowl, 0, MOMENTUM),
    "cold": partial(stages.tilted, 0, (64, 128, 256, None), 256, None),
    "hot": partial(stages.tilted, 0, (8, 16, 256, None), 256, 8, stop=240),
    "shapes": partial(stages.shapes, 0),
    "barriers": partial(stages.barriers, 0),
    "curve": partial(stages.curve, 0),
}


@pytest.fixture(params=SCENES)
def scene(request):
    return SCENES[request.param]()


def test_a_scene_is_plain_and_its_panes_know_their_settings(scene):
    told = json.loads(json.dumps(scene.plain()))
    for each in told["sliders"]:
        assert all(len(option) == len(each["options"][0]) for option in each["options"])
    names = {name for each in told["sliders"] for name in (each["name"], *each["options"][0])}
    for option in told["choices"][0]["options"]:
        for pane in option["panes"]:
            assert pane["draws"] in (0, 1)
            assert all(value is None or value in names for value in pane["set"].values())
    assert set(re.findall(r"{(\w+)}", told["words"]["sentence"])) <= {"step"} | names | {
        f"{one}_{what}" for one in "ab" for what in ("value", "law")
    }


def test_panes_differ_in_one_thing(scene):
    for label, (one, other) in scene.compare.items():
        apart = [name for name in ("valley", "walls", "set", "draws") if getattr(one, name) != getattr(other, name)]
        allowed = (["walls"], ["set"], ["draws"], ["valley", "walls"])
        assert apart in allowed, label


def test_no_slider_goes_past_the_edge_of_stability(scene):
    options = {}
    for each in scene.sliders:
        for turned in (scene.turned(each, option) for option in each.options):
            for name, value in turned.items():
                options.setdefault(name, []).append(value)
    for both in scene.compare.values():
        for pane in both:
            land = Crowd(pane.valley, pane.walls).land
            steepest = float(land.curvature_across(torch.linspace(*scene.axis, 201)).max())
            for rate, momentum in product(options["learning_rate"], options.get("momentum", (0.0,))):
                assert rate * max(steepest, land.end_curvature) < 2 * (1 + momentum)


@pytest.mark.parametrize("name", SCENES)
def test_the_picture_that_stands_still_says_what_theory_says(name):
    scene = SCENES[name]()
    png, sentence = picture(scene)
    assert png.startswith(b"\x89PNG")
    told = re.findall(r"([−\d.]+) ± ([\d.]+)[^(]*\(theory ([−\d.]+)", sentence)
    assert len(told) >= 1
    for numbers in told:
        value, error, law = (float(number.replace("−", "-").rstrip(".")) for number in numbers)
        unit = 10.0**-scene.measure.digits
        # printed digits, and the first steps, before walkers have settled across the floor
        assert abs(value - law) < 4 * error + 1.5 * unit + 0.02 * scene.measure.scale * (scene.measure.kind != "square")


def numbers(scene):
    """Value, error and theory of both crowds of a scene's picture."""
    told = re.findall(r"([−\d.]+) ± ([\d.]+)[^(]*\(theory ([−\d.]+)", picture(scene)[1])
    return [tuple(float(number.replace("−", "-").rstrip(".")) for number in each) for each in told]


def test_the_narrow_third_drains_only_where_walls_tighten():
    tight, straight = numbers(stages.waist(1, even=True, stop=480))
    assert tight[0] + 4 * tight[1] < 25 < straight[0] - 3 * straight[1]
    assert tight[2] < 20 < 30 < straight[2]


def test_cooling_closes_the_hill_and_not_the_pinch():
    found = []
    for temperature in stages.COOLED:
        knob = slider("temperature", tuple(stages.COOLED), temperature)
        scene = replace(stages.barriers(1), sliders=(knob,))
        assert f"T = {temperature:g} (B = {stages.COOLED[temperature][1]}, η" in picture(scene)[1]
        found.append(numbers(scene))
    (hot_pinch, hot_hill), _, (cold_pinch, cold_hill) = found
    assert abs(hot_pinch[0] - cold_pinch[0]) <= 3 * (hot_pinch[1] + cold_pinch[1])
    assert hot_hill[0] - cold_hill[0] > 3 * (hot_hill[1] + cold_hill[1])


def test_the_three_temperatures_of_the_barriers_take_equal_times_for_their_temperature():
    for temperature, (rate, batch) in stages.COOLED.items():
        assert temperature == pytest.approx(rate * 6**2 / (2 * batch))
    assert len({round(temperature * rate, 9) for temperature, (rate, _) in stages.COOLED.items()}) == 1


def test_the_picture_is_the_same_each_time_and_isotropic_noise_on_a_curve_has_none():
    assert picture(SCENES["bowl"]()) == picture(SCENES["bowl"]())
    scene = SCENES["curve"]()
    with pytest.raises(ValueError, match="only the page tells"):
        picture(replace(scene, compare=dict(reversed(scene.compare.items()))))


@pytest.mark.parametrize(
    ("number", "name"),
    [
        ("00", "crowd"),
        ("01", "hook"),
        ("02", "waist"),
        ("02", "narrow"),
        ("02", "barriers"),
        ("03", "cold"),
        ("03", "turn"),
        ("03", "shape"),
        ("03", "balance"),
    ],
)
def test_a_lesson_s_stage_has_the_scene_for_its_page_and_a_picture_for_paper(number, name):
    stage = course.chapter(number).players[name](5)
    assert stage._scene["seed"] == 5
    data, _ = stage._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert data["text/plain"].startswith(f"{stage.scene.title}: Step ")
    assert "theory" in data["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in data


def test_a_class_of_larger_seeds_has_draws_of_its_own():
    first, second = (course.chapter("02").players["waist"](seed)._scene["seed"] for seed in (2**32 - 1, 2**40 + 7))
    assert (first, second) == (2**32 - 1, 7)


def test_a_stage_waits_for_a_bet_and_then_says_it(monkeypatch):
    monkeypatch.setenv("ENTROPIC_EDU_ANSWERS", "off")
    lesson = Lesson("02")
    stage, bet = lesson.play("narrow", after="where"), lesson.predict("where")
    assert "Make your prediction first" in stage._cover
    bet.lock("falls", 0.5)
    assert stage._cover == ""
    assert stage._bet == "Your bet for the left crowd: 17 %."
    turn = Lesson("03").play("turn", after="turn")
    assert (turn._cover != "", turn._bet) == (True, "")
    turn._waits.lock("middle", 0.5)
    assert (turn._cover, turn._bet) == ("", "Your bet: Between B = 32 and B = 16")
    assert lesson.play("narrow", after="where")._cover == ""


def test_a_skipped_bet_opens_a_stage_and_says_nothing(monkeypatch):
    monkeypatch.setenv("ENTROPIC_EDU_ANSWERS", "off")
    lesson = Lesson("02")
    stage = lesson.play("barriers", after="cooled")
    lesson.predict("cooled").skip()
    assert (stage._cover, stage._bet) == ("", "")
