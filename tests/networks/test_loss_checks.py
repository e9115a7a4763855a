import functools
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from entropic_edu.networks.loss_checks import (
    SoftmaxWarning,
    Weighted,
    as_mean,
    check_loss,
    mixes_samples,
    moved,
    telling,
)

W = torch.tensor([1.0, 9.0, 0.25])


@pytest.fixture
def z(generator):
    return torch.randn(30, 3, generator=generator)


@pytest.fixture
def y(generator):
    return torch.randint(3, (30,), generator=generator)


# --- weighted means ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("ignored", [-100, 2])
@pytest.mark.parametrize("weight", [None, W])
@pytest.mark.parametrize("inner", [(), (4,), (2, 3)])
def test_parts_of_a_weighted_loss_add_up_to_the_number_of_torch(weight, ignored, smoothing, inner, generator):
    z, y = torch.randn(30, 3, *inner, generator=generator).double(), torch.randint(3, (30, *inner), generator=generator)
    y[::7] = ignored
    weight = weight if weight is None else weight.double()
    criterion = nn.CrossEntropyLoss(weight, ignore_index=ignored, label_smoothing=smoothing)
    mean = as_mean(criterion, y)
    assert isinstance(mean, Weighted)
    parts = [slice(0, 1), slice(1, 11), slice(11, 30)]
    numerator = sum(mean.numerator(z[part], y[part]) for part in parts)
    denominator = sum(mean.denominator(y[part]) for part in parts)
    torch.testing.assert_close(numerator / denominator, criterion(z, y))
    torch.testing.assert_close(sum(len(y[p]) / 30 * mean(z[p], y[p]) for p in parts), criterion(z, y))
    check_loss(mean, z, y)
    assert criterion.reduction == "mean"


def test_the_same_holds_for_likelihoods_and_in_other_precisions(z, y):
    criterion = nn.NLLLoss(W)
    mean = moved(as_mean(criterion, y), dtype=torch.float64)
    expected = F.nll_loss(z.double(), y, W.double())
    torch.testing.assert_close(mean(z.double(), y), expected)
    torch.testing.assert_close(torch.vmap(lambda z, y: mean(z[None], y[None]))(z.double(), y).mean(), expected)


def test_plain_losses_stay_as_they_are(z, y):
    shares = torch.softmax(z, -1)
    for criterion, targets in [
        (nn.CrossEntropyLoss(), y),
        (nn.CrossEntropyLoss(W), shares),
        (nn.MSELoss(), z),
        (F.cross_entropy, y),
    ]:
        assert as_mean(criterion, targets) is criterion
        check_loss(criterion, z, targets)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_targets_that_are_all_ignored_are_refused(y, reduction):
    with pytest.raises(ValueError, match="All 30 targets are 7, which the loss ignores"):
        as_mean(nn.CrossEntropyLoss(ignore_index=7, reduction=reduction), torch.full_like(y, 7))


@pytest.mark.parametrize("shift", [1, -1])
def test_classes_without_a_weight_are_refused(y, shift):
    with pytest.raises(ValueError, match="3 class weights, so classes are 0 to 2; the targets go from"):
        as_mean(nn.CrossEntropyLoss(torch.ones(3)), y + shift)


def test_truth_values_are_no_class_numbers(y):
    with pytest.raises(ValueError, match=r"got targets of torch.bool; use y.long\(\)"):
        as_mean(nn.CrossEntropyLoss(torch.ones(3)), y > 0)


def test_targets_that_all_weigh_nothing_are_refused(y):
    with pytest.raises(ValueError, match="weights of the loss add up to 0 over all 30 targets"):
        as_mean(nn.CrossEntropyLoss(torch.tensor([0.0, 1.0, 1.0])), torch.zeros_like(y))


def test_targets_of_one_class_may_have_weights_and_without_any_that_count_the_weights_add_up_to_0():
    z = torch.tensor([[1.0, 0.0, 2.0], [0.5, 1.0, 0.0]])
    for label in range(3):
        y = torch.full((2,), label)
        torch.testing.assert_close(as_mean(nn.CrossEntropyLoss(W), y)(z, y), F.cross_entropy(z, y, W))
    with pytest.raises(ValueError, match=r"add up to 0 over all 5 targets \(ignore_index=7\)"):
        Weighted(nn.CrossEntropyLoss(torch.ones(1), ignore_index=7), torch.full((5,), 7))


# --- what is no mean over samples --------------------------------------------------------------------------------


def focal(z, y):
    return (
        (1 - torch.softmax(z, -1).gather(1, y[:, None])[:, 0]) ** 2 * F.cross_entropy(z, y, reduction="none")
    ).mean()


@pytest.mark.parametrize(
    "criterion",
    [
        "cross_entropy",
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss(label_smoothing=0.1),
        focal,
        functools.partial(F.cross_entropy, label_smoothing=0.1),
        nn.MultiMarginLoss(weight=W),
        lambda z, y: nn.BCEWithLogitsLoss(pos_weight=W)(z, F.one_hot(y, 3).to(z)),
        lambda z, y: F.kl_div(F.log_softmax(z, -1), F.one_hot(y, 3).to(z), reduction="batchmean"),
        lambda z, y: nn.BCELoss()(torch.sigmoid(z), F.one_hot(y, 3).to(z)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_means_over_samples_pass(criterion, dtype, z, y):
    if isinstance(criterion, nn.Module):
        criterion = moved(criterion, dtype=dtype)
    if getattr(criterion, "__name__", "") != "<lambda>" or dtype == torch.float32:
        check_loss(criterion, z.to(dtype), y)


def test_outputs_that_are_probabilities_pass_where_the_loss_takes_them(z, y):
    labels = F.one_hot(y, 3).float()
    check_loss(nn.BCELoss(), torch.sigmoid(z), labels)
    check_loss(nn.NLLLoss(), F.log_softmax(z, -1), y)
    check_loss(nn.NLLLoss(), torch.zeros_like(z), y)  # a last layer that begins at 0


@pytest.mark.parametrize("scale", [1.0, 0.0])  # equal outputs, as of a last layer that begins at 0
@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        (nn.CrossEntropyLoss, r"the class CrossEntropyLoss; pass an instance, CrossEntropyLoss\(\)"),
        (nn.CrossEntropyLoss(reduction="sum"), 'sum over samples.*reduction="mean"'),
        (lambda z, y: F.cross_entropy(z, y, reduction="sum"), "sum over samples"),
        (nn.CrossEntropyLoss(reduction="none"), r"shape \(30,\) for outputs \(30, 3\).*\.mean\(\)"),
        (nn.CrossEntropyLoss(W), r"no mean over samples.*pass nn.CrossEntropyLoss\(weight="),
        (lambda z, y: F.cross_entropy(z, y, W), "no mean over samples"),
        (lambda z, y: F.cross_entropy(z, y, ignore_index=1), r"no mean over samples|The loss is nan"),
        (lambda z, y: F.cross_entropy(z - z.mean(0), y), "no mean over samples"),
        (lambda z, y: (torch.cdist(z, z) * (y == y[:, None])).mean(), "no mean over samples"),
        (lambda z, y: F.cross_entropy(z, y).sqrt(), "no mean over samples"),
        (lambda z, y: F.cross_entropy(z, y) * torch.rand(()), "differs between two equal calls"),
        (lambda z, y: F.cross_entropy(z, y).item(), "is of float"),
        (lambda z, y: (z.argmax(-1) != y).float().mean(), "no derivative"),
        (lambda z, y: F.cross_entropy(z, y) + torch.inf, "The loss is inf"),
        (lambda z, y: z.logits.mean(), "failed on outputs .*no attribute 'logits'"),
        (lambda z: z.mean(), "failed on outputs .*positional argument"),
        (nn.BCEWithLogitsLoss(), r"failed on outputs \(30, 3\) of torch.float32 and targets \(30,\) of torch.int64"),
    ],
)
def test_what_is_no_mean_over_samples_is_refused(criterion, message, scale, z, y):
    with pytest.raises(ValueError, match=message):
        check_loss(criterion, scale * z, y.sort().values)


@pytest.mark.parametrize(
    ("criterion", "message"),
    [(nn.MSELoss(), "pairs every output with every target"), (nn.BCEWithLogitsLoss(), "failed on outputs")],
)
def test_targets_of_another_shape_are_refused_with_the_way_out(criterion, message, z, y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch's own word on broadcasting says less
        with pytest.raises(ValueError, match=rf"{message}.*y\[:, None\]"):
            check_loss(criterion, z[:, :1], y.float())


@pytest.mark.parametrize(
    ("shape", "targets", "fitting"),
    [
        ((30, 3), (30, 1, 3), r"y.reshape\(-1, 3\)"),
        ((30, 2, 2), (30, 4), r"y.reshape\(-1, 2, 2\)"),
        ((30, 1), (30,), r"y\[:, None\]"),
    ],
)
def test_targets_with_as_many_numbers_are_to_have_the_outputs_shape(shape, targets, fitting):
    y = torch.ones(targets)
    z = torch.linspace(-1, 1, y.numel()).reshape(shape)
    with pytest.raises(ValueError, match=rf"failed on outputs.*; give targets as {fitting}\.$"):
        check_loss(nn.BCEWithLogitsLoss(), z, y)


def test_whole_numbers_of_the_outputs_shape_are_to_be_real_where_a_loss_wants_them():
    with pytest.raises(ValueError, match=r"failed on outputs.*; give y.float\(\)\.$"):
        check_loss(nn.BCEWithLogitsLoss(), torch.zeros(30, 3), torch.ones(30, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"odd\.$"):
        check_loss(odd, torch.zeros(30, 3), torch.ones(30, 3))


def odd(z, y):
    raise ValueError("odd")


def test_telling_samples_hold_a_rare_class():
    x, y = torch.zeros(6000, 2), (torch.arange(6000) == 4321).long()
    index = telling(y)
    assert set(index.tolist()) == {number * 6000 // 64 for number in range(64)} | {4321}  # evenly, and the first
    assert y[index].unique().tolist() == [0, 1]
    with pytest.raises(ValueError, match="no mean over samples"):
        check_loss(lambda z, y: F.cross_entropy(z, y, W[:2]), x[index], y[index])
    assert telling(torch.rand(9)).tolist() == list(range(9))
    assert telling(torch.rand(100), 10).tolist() == list(range(0, 100, 10))


def test_telling_samples_of_sequences_hold_a_class_that_is_rare_at_any_place():
    y = torch.zeros(3000, 4, dtype=torch.int64)
    y[:1500] = 1
    y[2345, 3], y[77, 1] = 2, 3
    index = telling(y)
    assert {2345, 77} < set(index.tolist())
    assert len(index) <= 68
    assert y[index, 0].tolist() == sorted(y[index, 0].tolist())
    assert len(telling(torch.arange(500), 9)) == 17  # nine evenly, nine first ones, 0 is both


@pytest.mark.parametrize("criterion", ["cross_entropy", F.cross_entropy, nn.CrossEntropyLoss()], ids=["a", "b", "c"])
def test_a_final_softmax_is_warned_of_and_other_outputs_are_not(criterion, z, y):
    with pytest.warns(SoftmaxWarning, match="leave out the final softmax"):
        check_loss(criterion, torch.softmax(z, -1), y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for outputs in (z, F.log_softmax(z, -1), torch.relu(z), torch.zeros_like(z)):
            check_loss(criterion, outputs, y)


@pytest.mark.parametrize(
    ("outputs", "warned"),
    [
        (torch.full((30, 2), 0.5), True),
        (torch.full((2, 4), 0.25), True),
        (torch.full((30, 2, 5), 0.5), True),
        (torch.full((1, 4), 0.25), False),  # one sample may add up to 1 by chance
        (torch.ones(30, 1), False),
        (torch.full((30, 4), 0.2499), True),
        (torch.full((30, 4), 0.2496), False),
        (torch.tensor([[1.5, -0.5]] * 30), False),
    ],
)
@pytest.mark.parametrize("kind", ["plain", "weighted", "likelihood"])
def test_only_rows_of_probabilities_are_warned_of_and_only_with_cross_entropy(outputs, warned, kind):
    y = torch.arange(len(outputs)).expand(*outputs.shape[2:], -1).movedim(-1, 0) % outputs.shape[1]
    weight = torch.arange(1.0, 1 + outputs.shape[1])
    criterion = {"plain": nn.CrossEntropyLoss(), "weighted": nn.CrossEntropyLoss(weight)}.get(kind, nn.NLLLoss(weight))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        check_loss(as_mean(criterion, y), outputs, y)
    assert [each.category for each in said] == [SoftmaxWarning] * (warned and kind != "likelihood")


def test_probabilities_that_are_all_equal_hide_nothing():
    y = torch.ones(30, 1)
    for z in (torch.full((30, 1), 0.5), torch.ones(30, 1)):
        check_loss(F.binary_cross_entropy, z, y)
        with pytest.raises(ValueError, match="no mean over samples"):
            check_loss(lambda z, y: F.binary_cross_entropy(z, y) + (z - z.mean(0)).square().mean(), z, y)


@pytest.mark.parametrize(("dtype", "small"), [(torch.float64, 1e-14), (torch.float32, 1e-6), (torch.bfloat16, 1e-3)])
def test_parts_may_differ_from_the_whole_by_round_off_of_their_dtype_alone(dtype, small):
    z, y = torch.ones(30, 2, dtype=dtype), torch.zeros(30, 2, dtype=dtype)
    drift = lambda size: lambda z, y: F.mse_loss(z, y) * (1 + size * len(z))  # noqa: E731
    check_loss(drift(small / 10), z, y)
    with pytest.raises(ValueError, match="no mean over samples"):
        check_loss(drift(min(100 * small, 0.02)), z, y)


def test_a_loss_of_two_samples_is_checked_and_of_one_it_cannot_be(z, y):
    squared = lambda z, y: F.cross_entropy(z, y) ** 2  # noqa: E731
    check_loss(squared, z[:1], y[:1])
    with pytest.raises(ValueError, match="no mean over samples"):
        check_loss(squared, z[:2], y[:2])


def test_no_random_number_is_drawn_from_the_global_stream(z, y):
    before = torch.random.get_rng_state()
    check_loss(nn.CrossEntropyLoss(), z, y)
    assert torch.equal(torch.random.get_rng_state(), before)


# --- losses with tensors, and forward passes -------------------------------------------------------------------------


def test_tensors_of_a_loss_are_cast_and_the_loss_given_is_not_changed(z, y):
    module, partial = nn.CrossEntropyLoss(W), functools.partial(F.cross_entropy, weight=W)
    for criterion in (module, partial):
        wide = moved(criterion, dtype=torch.float64)
        torch.testing.assert_close(wide(z.double(), y), F.cross_entropy(z.double(), y, W.double()))
        assert criterion(z, y).dtype == torch.float32
    assert moved(focal, dtype=torch.float64) is focal
    assert moved("mse") == "mse"


class Centred(nn.Linear):
    def forward(self, x):
        h = super().forward(x)
        return h - h.mean(0)


@pytest.mark.parametrize(
    ("model", "mixes"),
    [
        (nn.Linear(3, 2), False),
        (
            nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True)),
            True,
        ),
        (Centred(3, 2), True),
        (nn.BatchNorm1d(3, track_running_stats=False).eval(), True),
        (nn.BatchNorm1d(3).eval(), False),
        (nn.Flatten(0), True),
        (nn.Softmax(0), True),
    ],
)
def test_a_forward_pass_that_mixes_samples_is_seen(model, mixes, z):
    if isinstance(model, nn.BatchNorm1d) and not model.track_running_stats:
        assert mixes_samples(lambda x: model(x.repeat(2, 1))[: len(x)], z) is mixes  # torch refuses one sample
    else:
        assert mixes_samples(model, z) is mixes
    assert not mixes_samples(model, z[:1])  # one sample has no other to mix with


def crowded(step, x):
    return x + (len(x) - 1) * step


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 3.45e-4), (torch.float64, 1.49e-8)])
@pytest.mark.parametrize("size", [1.0, 10.0])
def test_outputs_mix_if_they_change_by_more_than_the_root_of_round_off(dtype, near, size):
    x = torch.full((30, 3), size, dtype=dtype)
    for share, mixes in ((0.0, False), (0.8, False), (1.25, True)):
        assert mixes_samples(functools.partial(crowded, share * near * size), x) is mixes
    assert not mixes_samples(torch.zeros_like, x)
    assert not mixes_samples(lambda x: x, x[:1])


@pytest.mark.parametrize("number", [2, 3, 30])
def test_two_samples_show_that_a_forward_pass_mixes_them(number, z):
    assert mixes_samples(Centred(3, 2), z[:number])
    assert not mixes_samples(nn.Linear(3, 2), z[:number])


def test_several_inputs_are_looked_at_together(z):
    assert not mixes_samples(lambda x: x[0] + x[1], (z, z.square()))
    assert mixes_samples(lambda x: x["a"] - x["b"].mean(0), {"a": z, "b": z})
