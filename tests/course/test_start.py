"""Lesson 00: runs that differ by seed, and twins."""

import pytest
from explorers import run_code

from entropic_edu.course.start.seeds import seeds as of_seeds
from entropic_edu.course.start.twins import twins as of_twins


@pytest.fixture(scope="module")
def seeds():
    return of_seeds(0)


@pytest.fixture(scope="module")
def twins():
    return of_twins(0)


def test_some_runs_end_on_the_left_and_some_on_the_right(seeds):
    y = run_code(seeds.code(run=1, runs_shown="one"))["release"].theta[-1, :, 1]
    assert 1 <= int((y > 0).sum()) <= 7
    assert f"ends at y = {float(y[2]):+.2f}" in seeds.draw(run=3, runs_shown="one").sentence


def test_the_sentence_of_eight_gives_mean_and_standard_error(seeds):
    y = run_code(seeds.code(run=1, runs_shown="one"))["release"].theta[-1, :, 1].double()
    expected = f"{float(y.mean()):+.2f} ± {float(y.std() / 8**0.5):.2f}"
    assert expected in seeds.draw(runs_shown="eight").sentence


def test_another_seed_makes_other_runs(seeds):
    assert of_seeds(1).sentence != seeds.sentence


@pytest.mark.parametrize(("batch_size", "ratio"), [(1, 4.0), (4, 2.0), (64, 0.5), (256, 0.25)])
def test_twins_are_one_walk_at_two_sizes(twins, batch_size, ratio):
    sentence = twins.draw(batch_size=batch_size, draws="same").sentence
    assert f"{ratio:.2f} times as wide" in sentence
    assert "correlation +1.00" in sentence
    assert "correlation +1.00" not in twins.draw(batch_size=batch_size, draws="new").sentence


def test_the_code_of_the_twins_makes_their_numbers(twins):
    names = run_code(twins.code(batch_size=64, draws="same"))
    beside = run_code(twins.code(batch_size=16, draws="same"))
    assert float(names["x"].std() / beside["x"].std()) == pytest.approx(0.5)


def test_the_live_run_of_lesson_00_completes_and_keeps_its_settings(seeds):
    sentence = seeds.run()
    assert "20,000 steps" in sentence
    assert sentence.startswith("Live: ")
    seeds.set(run=1)
