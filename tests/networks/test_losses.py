"""Losses and the targets that they take, for outputs of any shape."""

import functools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from entropic_edu.networks.losses import (
    CrossEntropy,
    Custom,
    NotConvexError,
    SquaredError,
    drawing,
    is_written_out,
    knows_label_noise,
    loss_of,
)


def numbers(classes, *shape):
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(2))


def normal(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 4, 2)])
def test_class_numbers_are_counted_along_axis_1(shape):
    outputs, y = normal(2, *shape), numbers(3, 5, *shape[1:]).int()
    taken = loss_of("cross_entropy").targets(y, outputs, "training")
    assert taken.dtype == torch.int64
    assert torch.equal(taken, y.long())
    hot = loss_of("mse").targets(y, outputs, "training")
    assert hot.shape == (5, *shape)
    assert torch.equal(hot.argmax(1), y.long())
    assert torch.equal(hot.sum(1), torch.ones(y.shape, dtype=torch.float64))


@pytest.mark.parametrize(
    ("shape", "y", "words"),
    [
        ((3,), numbers(3, 5)[:, None], r"class numbers 0 to 2 of shape \(N,\), since .* 3 outputs; got .*\(5, 1\)"),
        ((3,), numbers(3, 5) + 1, r"0 to 2 of shape \(N,\)"),
        ((3, 4, 4), numbers(3, 5), r"0 to 2 of shape \(N, 4, 4\)"),
        ((3, 4, 4), numbers(3, 5, 4, 4) - 1, r"0 to 2 of shape \(N, 4, 4\).* got -1 to 1"),
        ((7, 3), numbers(3, 5, 7), r"axis 1 of \(N, 7, 3\); for classes last take .*flatten\(0, 1\)"),
        ((3,), normal(5), r"integer type.*y\.long\(\)"),
        ((3,), normal(5, 2), r"of the outputs' shape \(N, 3\), got training targets \(5, 2\)"),
        ((), numbers(2, 5), "one number for each sample.*BCEWithLogitsLoss"),
    ],
)
def test_cross_entropy_says_which_targets_it_takes(shape, y, words):
    with pytest.raises(ValueError, match=words):
        loss_of("cross_entropy").targets(y, normal(2, *shape), "training")


def test_squared_error_takes_targets_of_the_outputs_shape():
    loss = loss_of("mse")
    for shape in ((), (3,), (2, 4, 4)):
        y = normal(5, *shape)
        assert loss.targets(y, normal(2, *shape), "training") is y
    whole = loss.targets(numbers(9, 5), normal(2), "training")
    assert torch.equal(whole, numbers(9, 5).double())
    with pytest.raises(ValueError, match=r"shape \(N,\), got \(5, 1\); for one output use y\[:, 0\]"):
        loss.targets(normal(5, 1), normal(2), "training")
    with pytest.raises(ValueError, match=r"shape \(N, 1\), got \(5,\); for one output use y\[:, None\]"):
        loss.targets(normal(5), normal(2, 1), "training")


@pytest.mark.parametrize(("name", "y"), [("cross_entropy", numbers(3, 5)), ("mse", normal(5, 3))])
def test_the_general_form_of_a_loss_is_the_same_loss(name, y):
    loss, z = loss_of(name, 0.5 if name == "mse" else 0.0), normal(5, 3) - 0.3
    general = loss.general()
    assert isinstance(general, Custom)
    assert general.general() is general
    assert (general.name, general.label_noise) == (loss.name, loss.label_noise)
    assert general.label_ratio(y) == loss.label_ratio(y)
    torch.testing.assert_close(general.mean(z, y), loss.mean(z, y))
    torch.testing.assert_close(general.slopes(z, y), loss.slopes(z, y))
    for rows in ("curvature_rows", "gradient_rows"):
        ours, theirs = (getattr(form, rows)(z, y) for form in (general, loss))
        squares = [torch.einsum("knc,knd->ncd", r, r) for r in (ours, theirs)]
        torch.testing.assert_close(*squares)
    assert not general.loops  # both have rules for vmap


def test_what_a_loss_is_made_of_goes_by_names():
    for made in (
        lambda: CrossEntropy(0.3),
        lambda: CrossEntropy("cross_entropy", label_noise=0.3),
        lambda: SquaredError("mse", label_noise=0.3),
        lambda: Custom(True, name="own", mean=F.l1_loss, label_noise=0.0),
    ):
        with pytest.raises(TypeError, match="positional"):
            made()


def test_what_is_written_out_and_what_knows_label_noise_depends_on_loss_and_targets():
    labels, shares = numbers(3, 5), normal(5, 3).softmax(-1)
    named, squared, own = loss_of("cross_entropy"), loss_of("mse"), loss_of(lambda z, y: F.cross_entropy(z, y))
    losses = {  # whether it is written out, and knows label noise, with class numbers and with real targets
        "cross-entropy": (named, (True, False), (True, False)),
        "squared error": (squared, (True, True), (True, True)),
        "its general form": (squared.general(), (False, False), (True, True)),
        "cross-entropy's general form": (named.general(), (False, False), (False, False)),
        "a callable": (own, (False, False), (False, False)),
    }
    for loss, written, knows in losses.values():
        assert tuple(is_written_out(loss, y) for y in (labels, shares)) == written
        assert tuple(knows_label_noise(loss, y) for y in (labels, shares)) == knows


def test_what_label_noise_adds_is_counted_for_each_number_or_place_of_a_sample():
    drawn = replace(loss_of("cross_entropy", 0.3), classes=3)
    assert (drawn.label_ratio(numbers(3, 5)), drawn.label_ratio(numbers(3, 5, 4, 2))) == (1, 1 / 8)
    assert drawn.general().label_ratio(numbers(3, 5, 4, 2)) == 1 / 8
    assert loss_of("cross_entropy").label_ratio(numbers(3, 5)) == 0
    jittered, ratio = loss_of("mse", 0.3), pytest.approx(2 * 0.09 / 4)
    assert jittered.label_ratio(normal(5, 4)) == ratio
    assert jittered.general().label_ratio(normal(5, 2, 2)) == ratio
    assert loss_of(F.l1_loss, 0.3).label_ratio(normal(5, 4)) == 0


def test_a_probability_is_at_most_1_and_a_jitter_may_be_more():
    assert loss_of("cross_entropy", 1.0).label_noise == 1
    assert loss_of("mse", 1.5).label_noise == 1.5
    with pytest.raises(ValueError, match=r"a probability for class targets, got 1\.01"):
        loss_of("cross_entropy", 1.01)


def test_whole_numbers_of_the_outputs_shape_are_numbers_unless_outputs_are_rows():
    loss = loss_of("mse")
    for shape in ((), (3, 4), (2, 4, 4)):
        y = numbers(9, 5, *shape)
        assert torch.equal(loss.targets(y, normal(2, *shape), "training"), y.double())
    with pytest.raises(ValueError, match=r"class numbers 0 to 2 of shape \(N,\)"):
        loss.targets(numbers(3, 5, 3), normal(2, 3), "training")


@pytest.mark.parametrize(("bend", "convex"), [(0.0, True), (1e-6, True), (1e-3, False), (0.5, False)])
def test_round_off_is_no_concavity_and_a_thousandth_is(bend, convex):
    loss, z, y = loss_of(lambda z, y: (z[:, 0] ** 2 - bend * z[:, 1] ** 2).mean()), normal(4, 2), normal(4)
    if convex:
        assert loss.curvature_rows(z, y).shape == (2, 4, 2)
        return
    with pytest.raises(NotConvexError, match="not convex in the outputs"):
        loss.curvature_rows(z, y)


def test_without_label_noise_targets_are_not_jittered_and_nothing_is_drawn(generator):
    before = generator.get_state()
    for loss, y in ((loss_of("mse"), normal(5, 3)), (loss_of("cross_entropy"), numbers(3, 5))):
        assert loss.jitter(y, generator, 2.0) is y
    assert torch.equal(generator.get_state(), before)


def test_jitter_of_real_targets_is_normal_and_as_strong_as_it_is_asked_for(generator):
    y = normal(200, 100)
    once, thrice = (loss_of("mse", 0.5).jitter(y, torch.Generator().manual_seed(3), f) - y for f in (1.0, 3.0))
    torch.testing.assert_close(thrice, 3 * once)
    assert abs(float(once.mean())) < 4 * 0.5 / 20000**0.5  # four standard errors
    assert float(once.std()) == pytest.approx(0.5, abs=4 * 0.5 / 40000**0.5)
    assert once.dtype == y.dtype


def test_jitter_of_class_numbers_draws_each_class_anew_with_a_probability(generator):
    y = torch.full((20000,), 2)
    drawn = replace(loss_of("cross_entropy", 0.6), classes=4).jitter(y, generator, 7.0)
    chances = torch.bincount(drawn, minlength=4) / len(y)
    expected = torch.tensor([0.15, 0.15, 0.55, 0.15])
    assert len(chances) == 4
    assert bool(((chances - expected).abs() < 4 * (expected / 20000).sqrt()).all())  # four standard errors


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("name", ["cross_entropy", "mse"])
def test_slopes_and_rows_of_stacked_networks_are_those_of_each(name, classes, noise):
    loss, z = loss_of(name, noise), normal(4, 5, classes)
    loss = replace(loss, classes=classes) if noise and name == "cross_entropy" else loss
    y = numbers(classes, 5) if name == "cross_entropy" else normal(5, classes) + 1
    for kind in ("slopes", "curvature_rows", "gradient_rows"):
        compute = getattr(loss, kind)
        torch.testing.assert_close(compute(z, y), torch.stack([compute(each, y) for each in z]))
    if name == "cross_entropy":
        own = normal(4, 5, classes).cos().square()  # weights that need not add up to 1
        each = torch.stack([loss.slopes(one, weights) for one, weights in zip(z, own, strict=True)])
        torch.testing.assert_close(loss.slopes(z, own), each)


SETS = {  # what z (P, N, C) is compared with: shared by the networks, or each one's own
    "class numbers": ("cross_entropy", lambda c: numbers(c, 5)),
    "own class numbers": ("cross_entropy", lambda c: numbers(c, 4, 5)),
    "shares of classes": ("cross_entropy", lambda c: normal(5, c).softmax(-1)),
    "own shares": ("cross_entropy", lambda c: normal(4, 5, c).softmax(-1)),
    "numbers": ("mse", lambda c: normal(5, c) + 1),
    "own numbers": ("mse", lambda c: normal(4, 5, c) + 1),
}


@pytest.mark.parametrize("classes", [3, 40])  # a softmax over few is written out
@pytest.mark.parametrize(("name", "make"), SETS.values(), ids=SETS)
def test_what_is_written_out_is_torchs_loss_with_its_derivatives(name, make, classes):
    """Means, slopes and slopes along a direction of four networks, by torch's own loss and autograd."""
    loss, z, y = loss_of(name), 2 * normal(4, 5, classes), make(classes)
    torchs = {"cross_entropy": F.cross_entropy, "mse": F.mse_loss}[name]
    own = [y[i] if len(y) == 4 else y for i in range(4)]

    def means(z):
        return torch.stack([torchs(each, target) for each, target in zip(z, own, strict=True)])

    def slopes(z):
        return torch.func.grad(lambda z: means(z).sum())(z)

    torch.testing.assert_close(loss.means(z.clone(), y), means(z))
    torch.testing.assert_close(loss.mean_slopes(z.clone(), y), slopes(z))
    if len(y) == 5:
        z_dot = normal(4, 5, classes).cos()
        (along,) = torch.func.vjp(slopes, z)[1](z_dot)  # the Hessian is symmetric
        torch.testing.assert_close(loss.slopes_along(z, z_dot, y), (slopes(z), along))
    for each, target in zip(z, own, strict=True):
        torch.testing.assert_close(loss.slopes(each, target), 5 * torch.func.grad(torchs)(each, target))
        one = torch.func.hessian(lambda z, y: torchs(z[None], y[None]))
        hessians = torch.stack([one(*sample) for sample in zip(each, target, strict=True)])
        rows = loss.curvature_rows(each, target)
        torch.testing.assert_close(torch.einsum("knc,knd->ncd", rows, rows), hessians)


@pytest.mark.parametrize("classes", [10, 40])
def test_a_small_mean_loss_keeps_its_digits(classes):
    y = torch.arange(12).view(2, 6) % classes
    z = 14.0 * F.one_hot(y, classes).float() + torch.linspace(20, 30, 12).view(2, 6, 1)
    exact = torch.stack(
        [F.cross_entropy(*each) for each in zip(z.double(), y, strict=True)]
    )  # some 1e-5, of outputs up to 44
    for targets in (y, F.one_hot(y, classes).float()):
        torch.testing.assert_close(
            CrossEntropy(classes=classes, label_noise=0.0).means(z, targets), exact.float(), rtol=0.02, atol=0
        )


def test_shares_that_do_not_add_up_to_1_weigh_a_samples_slope_and_curvature():
    loss, z, y = loss_of("cross_entropy"), normal(5, 3), normal(5, 3).square()
    one = torch.func.hessian(lambda z, y: F.cross_entropy(z[None], y[None]))
    rows = loss.curvature_rows(z, y)
    hessians = torch.stack([one(*sample) for sample in zip(z, y, strict=True)])
    torch.testing.assert_close(torch.einsum("knc,knd->ncd", rows, rows), hessians)
    torch.testing.assert_close(loss.slopes(z, y), 5 * torch.func.grad(F.cross_entropy)(z, y))


@pytest.mark.parametrize("shape", [(), (4,)])
@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_the_mean_targets_of_drawn_classes_have_the_mean_loss(noise, shape):
    z, y, classes = normal(5, 3, *shape), numbers(3, 5, *shape), 3
    loss = replace(loss_of("cross_entropy", noise), classes=classes)
    drawn = torch.stack([F.cross_entropy(z, torch.full_like(y, c)) for c in range(classes)]).mean()
    expected = (1 - noise) * F.cross_entropy(z, y) + noise * drawn
    means = loss.averaged(y, z.dtype)
    torch.testing.assert_close(means.sum(1), torch.ones_like(y, dtype=z.dtype))
    torch.testing.assert_close(loss.mean(z, means), expected)


@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_with_label_noise_slopes_and_gradient_rows_are_the_means_over_all_draws(noise):
    z, y, classes = normal(5, 3), numbers(3, 5), 3
    loss, plain = replace(loss_of("cross_entropy", noise), classes=classes), loss_of("cross_entropy")
    chances = (1 - noise) * F.one_hot(y, classes).to(z) + noise / classes  # (N, C) of what is drawn
    drawn = torch.stack([plain.slopes(z, torch.full_like(y, c)) for c in range(classes)])
    torch.testing.assert_close(loss.slopes(z, y), torch.einsum("nc,cnk->nk", chances, drawn))
    rows = loss.gradient_rows(z, y)
    found, expected = torch.einsum("knc,knd->ncd", rows, rows), torch.einsum("nc,cni,cnj->nij", chances, drawn, drawn)
    torch.testing.assert_close(found, expected)
    real, target = loss_of("mse", noise), normal(5, 3)
    rows, slopes = real.gradient_rows(z, target), real.slopes(z, target)
    jitter = (2 * noise / 3) ** 2 * torch.eye(3, dtype=z.dtype)
    torch.testing.assert_close(torch.einsum("knc,knd->ncd", rows, rows), slopes[:, :, None] * slopes[:, None] + jitter)


def test_label_noise_draws_from_as_many_classes_as_there_are_outputs_where_its_mean_is_known():
    labels, shape = numbers(3, 5), torch.Size((2, 7))
    noisy, custom = loss_of("cross_entropy", 0.3), loss_of(lambda z, y: F.cross_entropy(z, y), 0.3)
    assert drawing(noisy, labels, shape) == replace(noisy, classes=7)
    assert drawing(noisy, normal(5, 7).softmax(-1), shape) is noisy  # shares are not drawn
    assert drawing(loss_of("cross_entropy"), labels, shape).classes == 0
    assert drawing(loss_of("mse", 0.3), normal(5, 7), shape).classes == 0
    with pytest.raises(ValueError, match=r"whose mean over the drawn classes is known.*got 'custom"):
        drawing(custom, labels, shape)


def unruly(z, y):
    """A mean of losses with a branch, for which vmap has no rule."""
    return ((z - y) ** 4).flatten(1).sum(1).mean() if float(z.detach().sum()) < 1e9 else z.sum()


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_a_loss_without_a_rule_for_vmap_is_differentiated_sample_by_sample(shape):
    z, y = normal(4, *shape), normal(4, *shape) + 1
    if shape == ():
        z, y = z.clone(), y.clone()
    loss = loss_of(lambda z, y: unruly(z.reshape(len(z), -1), y.reshape(len(y), -1)))
    torch.testing.assert_close(loss.slopes(z, y), 4 * (z - y) ** 3)
    rows = loss.curvature_rows(z, y)
    size = z[0].numel()
    assert rows.shape == (size, *z.shape)
    found = torch.einsum("knc,knd->ncd", *2 * [rows.reshape(size, 4, size)])
    torch.testing.assert_close(found, torch.diag_embed(12 * (z - y).reshape(4, -1) ** 2))
    assert loss.loops == {"samples"}
    assert loss == replace(loss, loops=set())  # how it is computed makes it no other loss
    assert "samples" not in repr(loss)


def test_a_sample_that_does_not_count_has_no_slope_and_no_curvature():
    def counted(z, y):
        return F.mse_loss(z, y) if float(y.sum()) > 0 else z.new_ones(())

    loss, y = loss_of(counted), torch.tensor([[0.0] * 3, [1.0] * 3], dtype=torch.float64)
    z = torch.tensor([[1.0, -1.0, 0.0], [2.0, -3.0, 1.0]], dtype=torch.float64)  # which add up to 0
    assert not loss.slopes(z, y)[0].any()
    assert not loss.curvature_rows(z, y)[:, 0].any()
    torch.testing.assert_close(loss.curvature_rows(z, y)[:, 1].square().sum(0), torch.full((3,), 2 / 3).double())
    torch.testing.assert_close(loss.slopes(z, y)[1], 2 / 3 * (z - y)[1])


def test_what_a_loss_holds_moves_and_is_cast_with_it():
    weight = torch.tensor([1.0, 9.0, 0.25])
    for criterion in (nn.CrossEntropyLoss(weight=weight), functools.partial(F.cross_entropy, weight=weight)):
        loss = loss_of(criterion, label_noise=0.0)
        moved = loss.moved(torch.device("cpu"), torch.float64)
        assert moved.name == loss.name
        assert moved.mean(normal(5, 3), numbers(3, 5)).dtype == torch.float64
    plain = loss_of("cross_entropy", 0.25)
    assert plain.moved(torch.device("cpu"), torch.float64) == plain
