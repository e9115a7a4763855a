import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from oracles import Residual, descend
from torch import nn

import entropic_edu as ee
from entropic_edu.physics.steps import sharpness
from entropic_edu.physics.train import Run, train
from entropic_edu.physics.valleys import DoubleWell, Hyperbola, Tilted, Waist

ROUND_OFF = {"rtol": 1e-9, "atol": 1e-11}  # float64, a few dozen steps
RULES = {
    "sgd without momentum": ({"optimizer": "sgd", "momentum": 0.0}, partial(torch.optim.SGD, lr=0.2)),
    "heavy ball": ({"optimizer": "sgd", "momentum": 0.8}, partial(torch.optim.SGD, lr=0.2, momentum=0.8)),
    "nesterov": (
        {"optimizer": "nesterov", "momentum": 0.8},
        partial(torch.optim.SGD, lr=0.2, momentum=0.8, nesterov=True),
    ),
    "adam": ({"optimizer": "adam", "momentum": 0.8}, partial(torch.optim.Adam, lr=0.2, betas=(0.8, 0.999))),
}
SCHEDULES = {
    "constant": lambda steps, optimizer: torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0),
    "cosine": lambda steps, optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps),
    "step": lambda steps, optimizer: torch.optim.lr_scheduler.MultiStepLR(
        optimizer, [round(share * steps) for share in (0.3, 0.6, 0.8, 0.9)], gamma=0.2
    ),
}


def seeded(number=7):
    return torch.Generator().manual_seed(number)


def network(generator, model=None, **settings):
    x = torch.randn(42, 5, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (42,), generator=generator)
    model = model or nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    return ee.Network(model, x, y, weight_decay=0.01, **settings)


def batches_of(land, epochs, generator, rows=None, batch_size=8):
    """The batches that a run with this generator sees, in order."""
    return [batch for _ in range(epochs) for batch in land.epoch(batch_size, generator, rows)]


def same(one, two):
    """Whether two runs agree bit for bit in all that they hold."""
    names = ("theta", "history_step", "history_loss", "history_learning_rate", "optimizer_state", "generator_state")
    return (one.step, one.steps, one.recipe, one.complete) == (two.step, two.steps, two.recipe, two.complete) and all(
        torch.equal(getattr(one, name), getattr(two, name)) for name in names
    )


class Breaking(ee.Network):
    """A network on which Ctrl-C arrives in the middle of an epoch, at the gradient number ``fuse``."""

    fuse = -1

    def gradient_on(self, theta, batch):
        self.fuse -= 1
        if self.fuse == 0:
            raise KeyboardInterrupt
        return super().gradient_on(theta, batch)


# --- the same as torch.optim -----------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("rule", RULES)
def test_a_run_is_the_plain_loop_of_torch_on_the_module_with_the_same_batches(rule, schedule, generator):
    settings, optimizer = RULES[rule]
    land = network(generator, Residual().double())
    start = land.initial(generator)
    run = train(
        land, generator=seeded(), start=start, batch_size=8, learning_rate=0.2, epochs=4, schedule=schedule, **settings
    )
    batches = [(batch.x, batch.y) for batch in batches_of(land, 4, seeded())]
    assert run.step == run.steps == len(batches) == 20
    plain = descend(
        land.model, start, F.cross_entropy, batches, optimizer, partial(SCHEDULES[schedule], 20), weight_decay=0.01
    )
    torch.testing.assert_close(run.theta, plain, **ROUND_OFF)
    assert float((run.theta - start).norm()) > 0.1


def test_weight_decay_of_the_landscape_is_that_of_torchs_sgd(generator):
    land = network(generator)
    start = land.initial(generator)
    run = train(land, generator=seeded(), start=start, batch_size=8, learning_rate=0.2, epochs=3, schedule="constant")
    batches = [(batch.x, batch.y) for batch in batches_of(land, 3, seeded())]
    optimizer = partial(torch.optim.SGD, lr=0.2, momentum=0.9, weight_decay=0.01)
    torch.testing.assert_close(run.theta, descend(land.model, start, F.cross_entropy, batches, optimizer), **ROUND_OFF)


def test_runs_side_by_side_are_each_a_run_of_its_own(generator):
    land = network(generator)
    run = train(land, generator=seeded(), runs=3, batch_size=8, learning_rate=0.2, epochs=3)
    again = seeded()
    starts = [land.initial(again) for _ in range(3)]
    batches = batches_of(land, 3, again, rows=3)
    assert run.theta.shape == (3, land.dim)
    assert run.loss.shape == (3,)
    for number, start in enumerate(starts):
        own = [(batch.x[number], batch.y[number]) for batch in batches]
        plain = descend(
            land.model,
            start,
            F.cross_entropy,
            own,
            partial(torch.optim.SGD, lr=0.2, momentum=0.9),
            partial(SCHEDULES["cosine"], 15),
            weight_decay=0.01,
        )
        torch.testing.assert_close(run.theta[number], plain, **ROUND_OFF)


def test_a_full_batch_takes_one_step_an_epoch(generator):
    land = network(generator)
    start = land.initial(generator)
    run = train(land, generator=generator, start=start, batch_size=None, learning_rate=0.2, epochs=6)
    plain = descend(
        land.model,
        start,
        F.cross_entropy,
        [(land.x, land.y)] * 6,
        partial(torch.optim.SGD, lr=0.2, momentum=0.9),
        partial(SCHEDULES["cosine"], 6),
        weight_decay=0.01,
    )
    assert run.step == 6
    torch.testing.assert_close(run.theta, plain, **ROUND_OFF)


# --- seeds, history, going on ----------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_run_bit_for_bit_and_another_seed_another(generator):
    land = network(generator)
    one, two, other = (train(land, generator=seeded(s), epochs=3, batch_size=8) for s in (1, 1, 2))
    assert same(one, two)
    assert not torch.equal(one.theta, other.theta)


def test_training_leaves_the_global_stream_and_its_start_alone(generator):
    land = network(generator)
    start = land.initial(generator)
    kept, before = start.clone(), torch.random.get_rng_state()
    train(land, generator=generator, start=start, epochs=2, batch_size=8)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(start, kept)


def test_history_holds_the_whole_objective_and_the_rate_of_the_last_step_of_each_epoch(generator):
    land = network(generator)
    thetas = []
    run = train(
        land, generator=generator, epochs=4, batch_size=8, learning_rate=0.2, progress=lambda s: thetas.append(s.result)
    )
    assert run.history_step.tolist() == [0, 5, 10, 15, 20]
    torch.testing.assert_close(run.history_loss, torch.stack([land.loss(r.theta) for r in thetas]), **ROUND_OFF)
    rates = [0.2] + [0.1 * (1 + math.cos(math.pi * step / 20)) for step in (4, 9, 14, 19)]
    assert run.history_learning_rate.tolist() == pytest.approx(rates, rel=1e-6)  # float32
    assert [r.complete for r in thetas] == [False] * 4 + [True]
    assert float(run.loss) < float(run.history_loss[0])
    assert f"Trained 20 of 20 steps (complete): objective {float(run.loss):.4g}." == run.summary()


@pytest.mark.parametrize("rule", RULES)
def test_a_run_that_was_stopped_goes_on_to_the_same_end(rule, generator):
    settings = {"batch_size": 8, "learning_rate": 0.05, "epochs": 5, **RULES[rule][0]}
    land = network(generator)
    whole = train(land, generator=seeded(), **settings)
    own = seeded()
    half = train(land, generator=own, stop_at=10, **settings)
    assert (half.step, half.steps, half.complete) == (10, 25, False)
    assert "Trained 10 of 25 steps (stopped early)" in half.summary()
    assert same(train(land, generator=own, start=half, **settings), whole)


def test_stopping_in_the_middle_of_an_epoch_stops_at_that_step(generator):
    land = network(generator)
    start = land.initial(generator)
    run = train(land, generator=seeded(), start=start, batch_size=8, epochs=5, stop_at=7, learning_rate=0.2)
    assert (run.step, run.complete) == (7, False)
    batches = [(batch.x, batch.y) for batch in batches_of(land, 2, seeded())][:7]
    plain = descend(
        land.model,
        start,
        F.cross_entropy,
        batches,
        partial(torch.optim.SGD, lr=0.2, momentum=0.9),
        partial(SCHEDULES["cosine"], 25),
        weight_decay=0.01,
    )
    torch.testing.assert_close(run.theta, plain, **ROUND_OFF)


# --- checkpoints -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runs", [None, 2])
@pytest.mark.parametrize("rule", RULES)
def test_an_interrupted_run_resumes_to_the_uninterrupted_result_bit_for_bit(rule, runs, generator, tmp_path):
    settings = {"batch_size": 8, "learning_rate": 0.05, "epochs": 5, "runs": runs, **RULES[rule][0]}
    land = network(generator)
    whole = train(land, generator=seeded(), **settings)

    def ctrl_c(snapshot):
        if snapshot.done == 10:
            raise KeyboardInterrupt

    file = tmp_path / "run.st"
    stopped = train(land, generator=seeded(), checkpoint=file, progress=ctrl_c, **settings)
    assert (stopped.step, stopped.complete) == (10, False)
    assert same(Run.load(file), stopped)
    resumed = train(land, generator=seeded(), checkpoint=file, resume=True, **settings)
    assert same(resumed, whole)
    assert same(Run.load(file), whole)
    assert same(train(land, generator=seeded(), checkpoint=file, resume=True, **settings), whole)  # nothing left to do


def test_ctrl_c_in_the_middle_of_an_epoch_keeps_the_last_whole_one(generator, tmp_path):
    base, file = network(generator), tmp_path / "run.st"
    land = Breaking(base.model, base.x, base.y, weight_decay=0.01)
    whole = train(land, generator=seeded(), batch_size=8, epochs=5)
    land.fuse = 13
    stopped = train(land, generator=seeded(), batch_size=8, epochs=5, checkpoint=file)
    assert (stopped.step, stopped.complete) == (10, False)
    assert torch.equal(stopped.theta, train(land, generator=seeded(), batch_size=8, epochs=5, stop_at=10).theta)
    assert same(train(land, generator=seeded(), batch_size=8, epochs=5, checkpoint=file, resume=True), whole)


def test_any_other_fault_keeps_the_checkpoint_too_and_is_not_hidden(generator, tmp_path):
    def fault(snapshot):
        if snapshot.done == 10:
            raise RuntimeError("the widget broke")

    land, file = network(generator), tmp_path / "run.st"
    with pytest.raises(RuntimeError, match="the widget broke"):
        train(land, generator=seeded(), batch_size=8, epochs=5, checkpoint=file, progress=fault)
    assert Run.load(file).step == 10


def test_a_stream_that_is_closed_before_its_first_epoch_leaves_no_checkpoint(generator, tmp_path):
    file = tmp_path / "run.st"
    stream = ee.stream.train(network(generator), generator=seeded(), batch_size=8, epochs=2, checkpoint=file)
    assert next(stream).done == 0
    stream.close()
    assert not file.exists()
    stream = ee.stream.train(network(generator), generator=seeded(), batch_size=8, epochs=2, checkpoint=file)
    assert [next(stream).done for _ in range(2)][1] > 0
    stream.close()
    assert Run.load(file).step == 5  # of 42 samples in batches of 8 two are left out


def test_a_fault_in_the_first_epoch_leaves_no_checkpoint(tmp_path):
    class Broken(Hyperbola):
        def gradient_on(self, theta, batch):
            raise RuntimeError("no gradient today")

    with pytest.raises(RuntimeError, match="no gradient today"):
        train(Broken(), generator=seeded(), batch_size=8, learning_rate=0.01, epochs=2, checkpoint=tmp_path / "run.st")
    assert not (tmp_path / "run.st").exists()


def test_without_a_checkpoint_to_resume_a_run_begins_at_its_start(generator, tmp_path):
    land = network(generator)
    fresh = train(land, generator=seeded(), batch_size=8, epochs=2, checkpoint=tmp_path / "no.st", resume=True)
    assert same(fresh, train(land, generator=seeded(), batch_size=8, epochs=2))


@pytest.mark.parametrize("change", [{"learning_rate": 0.2}, {"epochs": 6}, {"runs": 2}, {"optimizer": "adam"}])
def test_a_checkpoint_of_another_recipe_is_refused(change, generator, tmp_path):
    land, file = network(generator), tmp_path / "run.st"
    settings = {"batch_size": 8, "learning_rate": 0.05, "epochs": 5}
    train(land, generator=seeded(), checkpoint=file, stop_at=5, **settings)
    with pytest.raises(ValueError, match=r"run\.st was made with .*'learning_rate': 0\.05.*same settings, or delete"):
        train(land, generator=seeded(), checkpoint=file, resume=True, **{**settings, **change})


# --- what goes wrong -------------------------------------------------------------------------------------------


def test_a_step_past_the_stability_limit_warns_before_it_begins():
    land = DoubleWell(barrier=0.01, g_wide=4.0, g_narrow=4.0)  # λ_max is 4, and heavy ball of 0.5 is stable to 3
    settings = {
        "generator": seeded(),
        "momentum": 0.5,
        "batch_size": None,
        "epochs": 1,
        "start": torch.tensor([0, 1.0]),
    }
    with pytest.warns(ee.StabilityWarning, match=r"0\.8 \* 4 = 3\.2 is past the stability limit 3 .* below 0\.75"):
        train(land, learning_rate=0.8, **settings)
    train(land, learning_rate=0.74, **settings)  # and no warning, which would be an error here
    train(land, learning_rate=0.8, optimizer="adam", **settings)
    with pytest.warns(ee.StabilityWarning, match=r"limit 1\.5"):  # Nesterov: 2(1 + m)/(1 + 2m)
        train(land, learning_rate=0.38, optimizer="nesterov", **settings)


@pytest.mark.filterwarnings("ignore::entropic_edu.StabilityWarning")
def test_a_run_that_diverges_stops_with_step_loss_and_product(generator):
    land = network(generator)
    with pytest.raises(
        ee.DivergenceError,
        match=r"diverged by step \d+: loss .+, learning_rate \* lambda_max = .+; lower learning_rate",
    ):
        train(land, generator=generator, batch_size=8, learning_rate=3e3, epochs=60, schedule="constant")


@pytest.mark.filterwarnings("ignore::entropic_edu.StabilityWarning")
def test_divergence_names_the_product_at_the_start():
    land = DoubleWell(barrier=0.01, g_wide=4.0, g_narrow=4.0)
    start = torch.tensor([0.1, 1.0], dtype=torch.float64)
    with pytest.raises(ee.DivergenceError, match=r"learning_rate \* lambda_max = 6 where they started"):
        train(land, generator=seeded(), start=start, learning_rate=1.5, momentum=0.0, batch_size=None, epochs=600)


def test_settings_out_of_range_are_refused_in_words(generator):
    land = network(generator)
    for settings, words in (
        ({"epochs": 0}, "epochs must be a whole number, at least 1; got 0"),
        ({"learning_rate": -0.1}, "learning_rate must be positive and finite, got -0.1"),
        ({"momentum": 1.0}, r"momentum lies in \[0, 1\), got 1.0"),
        ({"optimizer": "nesterov", "momentum": 0.0}, "nesterov needs momentum > 0"),
        ({"optimizer": "lion"}, 'optimizer must be "sgd", "nesterov" or "adam", got \'lion\''),
        ({"schedule": "linear"}, 'schedule must be "cosine", "step" or "constant", got \'linear\''),
        ({"batch_size": 43}, "takes 1 to 42 of the 42 training samples, got batch_size=43"),
        ({"start": torch.zeros(3, dtype=torch.float64)}, r"takes theta of shape .* got \(3,\)"),
        ({"start": torch.full((land.dim,), float("nan"), dtype=torch.float64)}, "loss at the start is not finite"),
    ):
        with pytest.raises(ValueError, match=words):
            train(land, generator=generator, **{"batch_size": 8, "epochs": 1, **settings})


# --- it learns -------------------------------------------------------------------------------------------------


def test_a_small_network_learns_all_digits():
    digits = ee.data.digits()
    land = ee.Network(ee.models.mlp(64, 64, 64, 10), *digits.train, test=digits.test, weight_decay=1e-4)
    run = train(land, generator=seeded(), epochs=40)
    assert float(land.accuracy(run.theta)) == 1.0
    assert float(land.accuracy(run.theta, "test")) > 0.95


def test_descent_on_the_hyperbola_reaches_the_minimum_of_its_gradient_flow():
    # Gradient flow keeps u² - v², and uv = 1 at the end: u² = ½(c + √(c² + 4)) in closed form.
    start = torch.tensor([2.0, 0.3], dtype=torch.float64)
    run = train(
        Hyperbola(), generator=seeded(), start=start, batch_size=None, learning_rate=1e-3, momentum=0.0, epochs=3000,
        schedule="constant",
    )  # fmt: skip
    kept = float(start[0] ** 2 - start[1] ** 2)
    u = math.sqrt(0.5 * (kept + math.sqrt(kept**2 + 4)))
    # steps of η change u² - v² by a factor 1 - η²(uv - 1)², so by less than 3e-4 in all
    assert run.theta.tolist() == pytest.approx([u, 1 / u], abs=5e-4)


@pytest.mark.parametrize("land", [Waist(), DoubleWell(), Tilted(), Hyperbola()], ids=lambda land: type(land).__name__)
def test_valleys_train_from_many_starts_with_noise(land):
    run = train(land, generator=seeded(), runs=16, batch_size=64, learning_rate=0.02, epochs=300)
    assert run.theta.shape == (16, 2)
    assert float(run.loss.mean()) < float(run.history_loss[0].mean())


# --- steps and checkpoints at their bounds --------------------------------------------------------------------------


def test_a_checkpoint_is_written_once_more_than_two_seconds_have_passed(generator, tmp_path, monkeypatch):
    file, clock, kept = tmp_path / "run.st", [0.0], []
    monkeypatch.setattr("entropic_edu.physics.train.time.monotonic", lambda: clock[0])

    def second(snapshot):
        clock[0] += 1.0
        kept.append(Run.load(file).step if file.exists() else 0)

    train(
        Hyperbola(), generator=generator, batch_size=4, learning_rate=0.01, epochs=8, checkpoint=file, progress=second
    )
    assert kept == [0, 0, 0, 3, 3, 3, 6, 6, 6]


def test_a_summary_of_several_runs_says_the_lowest_and_the_highest():
    run = train(Hyperbola(), generator=seeded(), batch_size=4, learning_rate=0.01, epochs=3, runs=4, stop_at=2)
    low, high = float(run.loss.min()), float(run.loss.max())
    assert run.summary() == f"Trained 2 of 3 steps (stopped early): objective {low:.4g} to {high:.4g} in 4 runs."


@pytest.mark.parametrize("rows", [[1e9, 1.0, 1e8], [1.0, 1e9, 1e8], [1.0, 1.0, math.nan], [1.0, 1.0, 1.0]])
def test_the_first_vector_that_is_lost_is_named_and_no_other(rows):
    land = Waist()
    stepper = ee.optimizers.Stepper(torch.zeros(3, 2, dtype=torch.float64), "sgd", 0.1, 0.0)
    theta = torch.tensor([[row, 0.0] for row in rows], dtype=torch.float64)
    lost = [row for row in rows if row != 1.0]
    if not lost:
        stepper.check(land, 7, theta)
        return
    loss = float(land.loss(torch.tensor([lost[0], 0.0], dtype=torch.float64)))
    with pytest.raises(
        ee.DivergenceError,
        match=rf"by step 7: loss {loss:.3g}, learning_rate \* lambda_max = 1\.6 ".replace("+", r"\+"),
    ):
        stepper.check(land, 7, theta)


def test_a_run_of_parameters_alone_has_no_history():
    assert [len(each) for each in Run(torch.zeros(2), 0, 5).history] == [0, 0, 0]


def test_what_starts_at_the_origin_has_not_diverged():
    run = train(Waist(), start=torch.zeros(2), batch_size=None, epochs=3, generator=torch.Generator().manual_seed(0))
    assert bool((run.theta == 0).all())


def stepper_of(rule, theta):
    kind, momentum = RULES[rule][0].values()
    return ee.optimizers.Stepper(theta, kind, 0.1, momentum)


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
@pytest.mark.parametrize("rule", RULES)
def test_an_optimizer_remembers_what_its_rule_needs_and_no_more(rule, shape):
    stepper, gradient = stepper_of(rule, torch.zeros(shape)), torch.arange(1.0, 4).expand(shape).contiguous()
    held = {"sgd without momentum": 0, "adam": 2}.get(rule, 1)
    assert stepper.state().shape == (0, *shape)
    stepper.step(gradient)
    state = stepper.state()
    assert state.shape == (held, *shape)
    if held == 2:
        torch.testing.assert_close(state[1], 0.001 * gradient.square())
    # what is kept along a direction is momentum: Adam's average of squares is none
    stepper.keep_momentum_along(torch.tensor([0.0, 0.6, 0.8]).expand(shape))
    kept = stepper.state()
    if held:
        torch.testing.assert_close(kept[0], state[0, ..., :1] * torch.tensor([0.0, 2.16, 2.88]))
    assert torch.equal(kept[1:], state[1:])


@pytest.mark.parametrize("rule", RULES)
def test_a_step_adds_the_weight_decay_that_its_gradient_lacks(rule):
    start, gradient = torch.randn(2, 1000), torch.randn(2, 1000)
    with_it, without = stepper_of(rule, start), stepper_of(rule, start)
    for _ in range(3):
        with_it.step(gradient + 0.3 * with_it.position, 0.5)
        without.step(gradient.clone(), 0.5, 0.3)
    torch.testing.assert_close(without.position, with_it.position, rtol=1e-5, atol=1e-6)
    plain = stepper_of(rule, start)
    plain.step(gradient, 0.5)
    assert float((plain.position - with_it.position).abs().max()) > 0.01


@pytest.mark.parametrize("rule", RULES)
def test_a_state_that_was_taken_over_stays_as_it_is(rule):
    first, second = (stepper_of(rule, torch.zeros(2, 3)) for _ in range(2))
    first.step(torch.ones(2, 3))
    state = first.state()
    before = state.clone()
    second.restore(state, 1)
    second.step(torch.full((2, 3), 5.0))
    assert torch.equal(state, before)


def test_the_steepness_that_is_told_is_that_at_the_first_start():
    land, rows = Waist(), torch.tensor([[0.0, 0.0], [0.0, 2.0], [0.0, 1.0]], dtype=torch.float64)
    assert sharpness(land, rows) == sharpness(land, rows[0]) == pytest.approx(16)
    stepper = ee.optimizers.Stepper(rows, "sgd", 0.1, 0.0)
    with pytest.raises(ee.DivergenceError, match=r"learning_rate \* lambda_max = 1\.6 where they started"):
        stepper.check(land, 1, 1e9 * (1 + rows))


def test_what_starts_far_out_has_not_diverged():
    far = torch.tensor([[0.0, 1e5], [1e4, 0.0]], dtype=torch.float64)
    ee.optimizers.Stepper(far, "sgd", 0.1, 0.0).check(Waist(), 1)


def test_a_checkpoint_is_read_only_where_that_is_asked_for_and_resuming_needs_one(generator, tmp_path):
    land, file = network(generator), tmp_path / "run.st"
    settings = {"batch_size": 8, "epochs": 2}
    other = train(land, generator=seeded(3), checkpoint=file, stop_at=5, **settings)
    fresh = train(land, generator=seeded(), **settings)
    assert same(train(land, generator=seeded(), resume=True, **settings), fresh)
    assert same(Run.load(file), other)
    assert same(train(land, generator=seeded(), checkpoint=file, **settings), fresh)
    assert same(Run.load(file), fresh)


def test_a_run_of_a_single_step_leaves_a_checkpoint(tmp_path):
    file = tmp_path / "run.st"
    run = train(Hyperbola(), generator=seeded(), batch_size=4, learning_rate=0.01, epochs=1, checkpoint=file)
    assert run.step == 1
    assert same(Run.load(file), run)


def test_a_run_that_stops_asks_for_no_more_batches(generator):
    class Counted(ee.Network):
        asked = 0

        def epoch(self, batch_size, generator, rows=None):
            for batch in super().epoch(batch_size, generator, rows):
                self.asked += 1
                yield batch

    base = network(generator)
    land = Counted(base.model, base.x, base.y)
    train(land, generator=seeded(), batch_size=8, epochs=3, stop_at=6)
    assert land.asked <= 7  # of ten in two epochs; one more to see that it is not needed
