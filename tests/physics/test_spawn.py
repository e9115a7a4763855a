import dataclasses
import inspect
import itertools

import pytest
import torch
from torch import nn

import entropic_edu as ee
from entropic_edu import models, valleys
from entropic_edu.physics.curvature import dense_hessian, extreme_eigenvalues
from entropic_edu.physics.spawn import Family, _along, _snapshot, born, spawn

QUICK = {
    "batch_size": 8,
    "learning_rate": 0.05,
    "momentum": 0.9,
    "epochs": 5,
    "points": 5,
}  # 5 steps an epoch, 25 in all


def small(generator, activation=nn.ReLU, dtype=torch.float64, test=True, weight_decay=0.01):
    """40 samples in three classes and 35 parameters in float64."""
    model = models.mlp(3, 5, 3, activation=activation).to(dtype)
    x, xt = (torch.randn(n, 3, generator=generator, dtype=dtype) for n in (40, 20))
    y, yt = (torch.randint(3, (n,), generator=generator) for n in (40, 20))
    return ee.Network(model, x, y, weight_decay=weight_decay, test=(xt, yt) if test else None)


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


def curves(family):
    return [family.loss, family.data_loss, family.trace, family.top_eigenvalue, family.test_accuracy]


def equal(one, two):
    """Whether two families hold the same, bit for bit."""
    pairs = [(getattr(one, f.name), getattr(two, f.name)) for f in dataclasses.fields(Family)]
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)


@pytest.fixture(scope="module")
def digits():
    """Two trunks of a small net on 600 digits: 37 steps an epoch, 555 in all."""
    data = ee.data.digits()
    land = ee.Network(models.mlp(64, 32, 32, 10), data.x[:600], data.y[:600], weight_decay=5e-4, test=data.test)
    family = spawn(land, at=[0, 37, 277, 555], trunks=2, batch_size=16, epochs=15, points=9, generator=seeded(0))
    return land, family


# --- the late game -----------------------------------------------------------------------------------------------


def test_barriers_shrink_from_the_first_step_to_a_late_one(digits):
    _, family = digits
    for curve in (family.data_loss, family.trace, family.top_eigenvalue):
        barrier = family.barrier(curve)
        assert (family.relative_to_end(curve)[:, 0] > 0.5).all()  # measured with four trunks: 0.96 to 9.8
        assert (barrier[:, 2] < 0.2 * barrier[:, 0]).all()  # at most 0.17
        torch.testing.assert_close(family.relative_to_first(barrier)[:, 0].mean(), torch.tensor(1.0))


def test_children_of_the_last_step_are_the_trunk_at_its_end(digits):
    _, family = digits
    assert torch.equal(family.ends[:, -1, 0], family.ends[:, -1, 1])
    for curve in curves(family):
        assert torch.equal(family.barrier(curve)[:, -1], torch.zeros(2))


def test_the_midpoint_accuracy_is_that_of_the_mean_of_two_siblings(digits):
    land, family = digits
    middle = family.test_accuracy[..., len(family.positions) // 2].mean(-1)  # over the one pair
    for t, k in itertools.product(range(2), range(4)):
        assert middle[t, k] == land.accuracy(family.ends[t, k].mean(0), "test")


# --- what siblings share -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_children_share_the_trunks_state_exactly(optimizer, generator):
    land = small(generator)
    run = ee.train(land, batch_size=8, epochs=5, runs=2, stop_at=7, optimizer=optimizer, generator=generator)
    children = born(run, 3)
    assert (children.step, children.steps, children.recipe) == (7, 25, run.recipe)
    for t, c in itertools.product(range(2), range(3)):
        assert torch.equal(children.theta[3 * t + c], run.theta[t])
        assert torch.equal(children.optimizer_state[:, 3 * t + c], run.optimizer_state[:, t])
        assert torch.equal(children.history_loss[:, 3 * t + c], run.history_loss[:, t])


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam"])
def test_without_noise_siblings_never_part_and_go_where_the_trunk_would(optimizer, generator):
    # Full batches leave no order to differ in: a child that lost momentum or its place in the schedule would end apart.
    family = spawn(
        small(generator),
        at=[0, 1, 6, 20],
        trunks=2,
        batch_size=None,
        epochs=20,
        optimizer=optimizer,
        learning_rate=0.02,
        points=3,
        generator=seeded(),
    )
    trunk_end = family.ends[:, -1:, :1].expand_as(family.ends)
    torch.testing.assert_close(family.ends, trunk_end, rtol=1e-12, atol=1e-13)  # round-off of float64 in 20 steps
    assert not torch.allclose(family.ends[0], family.ends[1], atol=0.01)  # each trunk has its own start
    assert family.loss_barrier.max() < 1e-12


def test_siblings_see_other_batches_and_each_pair_has_its_line(generator):
    land = small(generator)
    family = spawn(land, at=[0, 5], children=3, trunks=2, generator=seeded(), **QUICK)
    assert family.ends.shape == (2, 2, 3, land.dim)
    assert all(curve.shape == (2, 2, 3, 5) for curve in curves(family))
    ends = family.ends.flatten(0, 2)
    distance = torch.cdist(ends, ends) + torch.eye(12)
    assert distance.min() > 1e-3  # no two of the 12 children are the same
    for number, (a, b) in enumerate(itertools.combinations(range(3), 2)):
        for child, point in ((a, 0), (b, -1)):
            torch.testing.assert_close(family.loss[0, 1, number, point], land.loss(family.ends[0, 1, child]))


def test_children_of_one_step_do_not_depend_on_the_others_between_epochs(generator):
    land = small(generator)
    many = spawn(land, at=[0, 5, 15], trunks=2, generator=seeded(), **QUICK)
    alone = spawn(land, at=[15], trunks=2, generator=seeded(), **QUICK)
    assert torch.equal(many.ends[:, 2], alone.ends[:, 0])
    assert torch.equal(many.trace[:, 2], alone.trace[:, 0])


def test_the_trunk_takes_the_steps_up_to_the_last_k_once_and_children_all_that_are_left(generator):
    calm, rows = small(generator), []

    class Counted(ee.Network):
        def gradient_on(self, theta, batch):
            rows.append(len(theta))
            return super().gradient_on(theta, batch)

    land = Counted(calm.model, calm.x, calm.y, strategy="loop")
    spawn(land, at=[0, 7], children=3, trunks=2, generator=seeded(), **QUICK)
    assert rows == [6] * 25 + [2] * 7 + [6] * 18


def test_where_torch_has_no_curvature_the_losses_are_measured_all_the_same(generator):
    class Rough(valleys.Hyperbola):
        def hessian_vector_product(self, theta, vector, *, weight_decay=True):
            raise RuntimeError("no second derivative")

    settings = {"epochs": 4, "points": 3, "batch_size": None, "learning_rate": 0.01, "at": [0, 2]}
    rough, plain = (spawn(land, generator=seeded(), **settings) for land in (Rough(), valleys.Hyperbola()))
    assert torch.equal(rough.loss, plain.loss)
    assert all(curve.isnan().all() for curve in (rough.trace, rough.trace_error, rough.top_eigenvalue))
    assert rough.test_accuracy is None
    assert "Not available: curvature (no second derivative)." in rough.summary()


def test_the_same_seed_gives_the_same_family(generator):
    land = small(generator)
    one, two, other = (spawn(land, at=[0, 7], generator=seeded(s), **QUICK) for s in (1, 1, 2))
    assert equal(one, two)
    assert not torch.equal(one.ends, other.ends)


# --- the curves --------------------------------------------------------------------------------------------------


def test_curves_are_what_the_landscape_says_on_the_line(generator):
    land = small(generator)
    family = spawn(land, at=[0, 7], trunks=2, generator=seeded(), **QUICK)
    assert torch.equal(family.trace_error, torch.zeros_like(family.trace))
    for t, k in itertools.product(range(2), range(2)):
        a, b = family.ends[t, k]
        for p, where in enumerate((0, 0.25, 0.5, 0.75, 1)):
            theta = a + where * (b - a)
            hessian = dense_hessian(land, theta, weight_decay=False)
            found = [curve[t, k, 0, p] for curve in curves(family)]
            exact = [land.loss(theta), land.data_loss(theta), hessian.trace(), torch.linalg.eigvalsh(hessian)[-1]]
            # round-off for the first three; Lanczos stops at a relative error bound of 1e-3, and errs by its square
            for value, right, tolerance in zip(found, exact, (1e-12, 1e-11, 1e-10, 1e-5), strict=False):
                torch.testing.assert_close(value, right, rtol=tolerance, atol=0)
            assert found[4] == land.accuracy(theta, "test")


def test_matched_norms_leave_the_functions_and_take_the_curvature_of_small_norms(generator):
    x, y = torch.randn(40, 3, generator=generator).double(), torch.randint(3, (40,), generator=generator)
    land = ee.Network(models.mlp(3, 5, 3, norm="layer").double(), x, y, weight_decay=0.01)
    far = QUICK | {"learning_rate": 1.0, "epochs": 20}
    raw, matched = (spawn(land, at=[0, 100], generator=seeded(), match_norms=match, **far) for match in (False, True))
    assert torch.equal(raw.ends, matched.ends)
    torch.testing.assert_close(matched.data_loss, raw.data_loss, rtol=1e-3, atol=0)  # up to the ε of the norm
    assert torch.equal(matched.trace[..., [0, -1]], raw.trace[..., [0, -1]])
    a, b = matched.ends[0, 0]
    theta = (a + b) / 2
    part = land.layout.slices["0.weight"]
    theta[part] *= (a[part].norm() + b[part].norm()) / 2 / theta[part].norm()
    size = 2 * (matched.loss - matched.data_loss)[0, 0, 0, 2] / land.weight_decay  # ‖θ‖² by the weight-decay term
    torch.testing.assert_close(size, theta.square().sum(), rtol=1e-9, atol=0)
    torch.testing.assert_close(matched.data_loss[0, 0, 0, 2], land.data_loss(theta))
    assert not torch.isclose(size, ((a + b) / 2).square().sum(), rtol=0.01)
    exact = dense_hessian(land, theta, weight_decay=False).trace()
    assert abs(float(matched.trace[0, 0, 0, 2] - exact)) < 4 * float(matched.trace_error[0, 0, 0, 2])
    assert torch.equal(raw.trace[:, 1], matched.trace[:, 1])  # parted at the end they are one


def test_matched_norms_change_nothing_where_no_layer_is_normalised(generator):
    land = small(generator)
    assert equal(*(spawn(land, at=[0], generator=seeded(), match_norms=match, **QUICK) for match in (False, True)))


def test_a_smooth_network_gets_hutchinsons_trace_with_its_error_and_shared_probes(generator):
    land = small(generator, activation=nn.Tanh, test=False)
    family = spawn(land, at=[0, 7], generator=seeded(), **QUICK)
    a, b = family.ends[0, 0]
    exact = torch.stack([dense_hessian(land, a + t * (b - a), weight_decay=False).trace() for t in family.positions])
    off = family.trace[0, 0, 0] - exact
    assert (family.trace_error > 0).all()
    assert (off.abs() < 4 * family.trace_error[0, 0, 0]).all()  # standard errors
    assert family.test_accuracy is None
    # Probes are shared: what they get wrong is nearly the same along the line. Fresh ones would scatter by the error.
    assert off.std() < 0.3 * family.trace_error[0, 0, 0].mean()
    # So they are between lines: without noise the lines of all k are one point, and one estimate.
    still = spawn(land, at=[0, 2], batch_size=None, epochs=3, points=3, generator=seeded())
    torch.testing.assert_close(still.trace[0, 0], still.trace[0, 1], rtol=1e-10, atol=0)


def test_the_top_of_a_spectrum_takes_as_many_products_as_in_a_profile(generator):
    land = small(generator, activation=nn.Tanh)
    theta = torch.stack([land.initial(generator), land.initial(generator)])
    top = _along(land, theta, generator, 5, {})[4]
    for steps in (23, 24, 25):
        ends = extreme_eigenvalues(land, theta, steps=steps, generator=seeded(5), weight_decay=False, tolerance=1e-3)
        assert torch.equal(ends.largest, top) == (steps == 24)


def test_a_valley_is_spawned_on_too_and_its_trace_is_exact(generator):
    land = valleys.Hyperbola(noise_scale=1.0)
    family = spawn(land, at=[0, 20], batch_size=4, learning_rate=0.01, epochs=20, points=3, generator=seeded())
    a, b = family.ends[0, 0]
    traces = torch.stack([dense_hessian(land, t).trace() for t in (a, (a + b) / 2, b)])
    torch.testing.assert_close(family.trace[0, 0, 0], traces)
    assert torch.equal(family.trace_error, torch.zeros_like(family.trace))
    assert family.loss_barrier[0, 1] == 0


def hand_made():
    """Two trunks, three k, two pairs, three points."""
    first, between, last = (
        torch.tensor(each)
        for each in (
            [[[1.0, 5, 2], [2, 4, 1]], [[4, 9, 2], [4, 5, 2]]],
            [[[7.0, 8, 7], [7, 9, 7]], [[7, 7, 7], [7, 9, 7]]],
            [[[1.0, 1.5, 1], [2, 1, 2]], [[3, 4, 2], [4, 3, 1]]],
        )
    )
    curve = torch.stack([first, between, last], 1)
    return Family(
        torch.tensor([1, 4, 10]), torch.linspace(0, 1, 3), torch.zeros(2, 3, 4, 1), *[curve] * 5, steps=10,
        recipe={"a": 1},
    )  # fmt: skip


def test_barrier_and_its_shares_by_hand():
    family = hand_made()
    # trunk 0: (5-2 + 4-2)/2, (1 + 2)/2, (0.5 + 0)/2; trunk 1: (9-4 + 5-4)/2, (0 + 2)/2, (1 + 0)/2
    assert family.loss_barrier.tolist() == [[2.5, 1.5, 0.25], [3.0, 1.0, 0.5]]
    assert family.barrier(family.loss).tolist() == family.loss_barrier.tolist()
    shares = torch.tensor(
        [[2.5 / 2, 1.5 / 7, 0.25 / 1.5], [3 / 4, 1 / 7, 0.5 / 3.5]]
    )  # over the mean of the higher ends
    assert torch.allclose(family.relative_to_end(family.trace), shares)
    assert torch.allclose(family.relative_to_first(family.trace_barrier), family.trace_barrier / 2.75)
    assert torch.allclose(family.error(family.trace_barrier), torch.tensor([0.25, 0.25, 0.125]))  # half the difference
    assert family.error(family.trace_barrier[:1]).isinf().all()
    assert "from 2.75 ± 0.25 to 0.375 ± 0.12" in family.summary()
    start = "4 children of each of 2 trunks, parted at 3 steps from 1 to 10 of 10: from the first to the last the loss"
    assert family.summary().startswith(start)
    alone = dataclasses.replace(family, **{name: getattr(family, name)[:1] for name in ("ends", "data_loss", "trace")})
    assert "from 2.5 to 0.25, the trace barrier from 2.5 to 0.25," in alone.summary()  # one trunk: no error


def test_shares_of_nothing_are_refused():
    family = hand_made()
    with pytest.raises(ValueError, match="The barrier is 0 at the first k, 1; begin at an earlier k"):
        family.relative_to_first(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"This curve is -8\.5 at the ends; compare the barriers"):
        family.relative_to_end(family.trace - 10)


# --- stopping, keeping, drawing ----------------------------------------------------------------------------------


def test_every_finished_step_yields_a_snapshot(generator):
    stream = inspect.unwrap(spawn)(small(generator), at=[0, 5, 25], trunks=2, generator=seeded(), **QUICK)
    snapshots = list(stream)
    assert [(s.done, s.total) for s in snapshots] == [(2, 6), (4, 6), (6, 6)]
    assert [s.result.at.tolist() for s in snapshots] == [[0], [0, 5], [0, 5, 25]]
    assert [s.result.complete for s in snapshots] == [False, False, True]
    assert "k 5: loss barrier" in snapshots[1].note


def test_a_snapshot_notes_the_barriers_of_the_last_step():
    family = hand_made()
    snapshot = _snapshot(dataclasses.replace(family, trace=2 * family.trace), 6)
    assert (snapshot.done, snapshot.note) == (6, "k 10: loss barrier 0.375, trace barrier 0.75")


def test_an_interrupt_in_progress_or_a_closed_stream_leaves_the_finished_steps(generator):
    land, at = small(generator), [0, 5, 25]
    whole = spawn(land, at=at, trunks=2, generator=seeded(), **QUICK)

    def stop(snapshot):
        if snapshot.done == 4:
            raise KeyboardInterrupt

    stopped = spawn(land, at=at, trunks=2, generator=seeded(), progress=stop, **QUICK)
    stream = inspect.unwrap(spawn)(land, at=at, trunks=2, generator=seeded(), **QUICK)
    next(stream)
    closed = next(stream).result
    stream.close()
    for family in (stopped, closed):
        assert not family.complete
        assert "stopped early" in family.summary()
        assert family.at.tolist() == [0, 5]
        assert torch.equal(family.ends, whole.ends[:, :2])
        assert torch.equal(family.trace, whole.trace[:, :2])


class Interrupted(ee.Network):
    """Ctrl-C in the midst of a training."""

    left = 10**9

    def gradient_on(self, theta, batch):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().gradient_on(theta, batch)


def test_an_interrupt_within_a_training_does_not_pass_for_its_end(generator):
    # The plain train would return a shorter run here, and its children would be measured as if they were trained.
    calm = small(generator)
    land = Interrupted(calm.model, calm.x, calm.y, test=calm.test, weight_decay=0.01)
    land.left = 25 + 5 + 12  # all children of k = 0, the trunk to 5, then 12 of 20 steps of its children
    family = spawn(land, at=[0, 5, 25], generator=seeded(), **QUICK)
    assert family.at.tolist() == [0]
    assert not family.complete
    land.left = 3  # nothing is finished, so there is nothing to return
    with pytest.raises(KeyboardInterrupt):
        spawn(land, at=[0, 5, 25], generator=seeded(), **QUICK)


@pytest.mark.parametrize("test", [True, False])
def test_a_family_survives_its_file_bit_for_bit(test, generator, tmp_path):
    family = spawn(small(generator, test=test), at=[0, 7], trunks=2, generator=seeded(), **QUICK)
    family.save(tmp_path / "family.st")
    again = Family.load(tmp_path / "family.st")
    assert equal(family, again)
    assert again.recipe["batch_size"] == 8
    assert again.steps == 25


def test_a_family_draws_itself():
    assert hand_made().plot().get_ylabel() == "barrier / value at the ends"


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"at": [0, 26]}, r"at must lie in \[0, 25\], the steps of this training, got \[0, 26\]"),
        ({"at": [-1, 5]}, r"at takes steps from 0, ascending and each once, got \[-1, 5\]"),
        ({"at": [5, 0]}, r"ascending and each once, got \[5, 0\]; try \[0, 5\]"),
        ({"at": [0, 5, 5]}, r"each once, got \[0, 5, 5\]; try \[0, 5\]"),
        ({"at": []}, "at takes at least one step, whole numbers"),
        ({"at": [0, 2.5]}, r"whole numbers, such as \[0, 50, 200, 800\]; got \[0, 2.5\]"),
        ({"children": 1}, "children must be a whole number, at least 2; got 1"),
        ({"trunks": 0}, "trunks must be a whole number, at least 1; got 0"),
        ({"points": 4}, "points must be odd and at least 3, .* got 4"),
        ({"points": 1}, "points must be a whole number, at least 3; got 1"),
        ({"epochs": 0}, "epochs must be a whole number, at least 1; got 0"),
        ({"batch_size": 41}, "got batch_size=41"),
    ],
)
def test_wrong_settings_are_named(wrong, message, generator):
    with pytest.raises(ValueError, match=message):
        spawn(small(generator), generator=seeded(), **{"at": [0, 5], **QUICK, **wrong})
