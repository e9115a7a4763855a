from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score
from torch import nn

from entropic_edu.networks.outputs import Scoring, returning_tensor, scoring_for, tensor_of

Z = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
H = torch.zeros(5)


@pytest.mark.parametrize(
    "result",
    [
        Z,
        (Z, H),
        [None, Z],
        (Z, (H, H)),  # an LSTM
        {"logits": Z, "hidden": H},
        {"out": Z},
        SimpleNamespace(logits=Z, hidden_states=H),
    ],
)
def test_the_loss_sees_the_first_tensor_or_the_logits(result):
    assert tensor_of(result) is Z


def test_a_function_chooses_otherwise():
    assert tensor_of({"out": Z, "aux": H}, lambda r: r["out"]) is Z
    assert tensor_of((H, Z), lambda r: r[1]) is Z


@pytest.mark.parametrize(
    ("result", "outputs", "message"),
    [
        ({"out": Z, "aux": H}, None, r"returns dict with the keys \['out', 'aux'\].*outputs="),
        (SimpleNamespace(scores=Z), None, "returns SimpleNamespace"),
        (None, None, "returns NoneType"),
        ((), None, "returns tuple"),
        ((Z, H), lambda r: r, "of which outputs= made tuple"),
        (Z.argmax(-1), None, "int64, which have no derivative; return scores"),
    ],
)
def test_what_holds_no_tensor_by_rule_is_refused(result, outputs, message):
    with pytest.raises(ValueError, match=message):
        tensor_of(result, outputs)


def accuracy(z, y, loss, parts=1):
    """Summed over parts, as Network sums it."""
    scoring = scoring_for(z, y, loss)
    sums = [scoring.right(*some) for some in zip(z.chunk(parts), y.chunk(parts), strict=True)]
    return float(sum(right for right, _ in sums)) / float(sum(number for _, number in sums))


def focal(z, y):
    p = torch.sigmoid(z)
    return (
        torch.where(y > 0.5, 1 - p, p).square() * F.binary_cross_entropy_with_logits(z, y.to(z), reduction="none")
    ).mean()


def first_axis(z, y):
    return F.cross_entropy(z.flatten(0, 1), y.flatten())


def of_one_logit(z, y):
    return F.binary_cross_entropy_with_logits(z[:, 0], y.flatten().to(z))


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize(
    ("loss", "shape", "target", "expected"),
    [  # what NumPy and scikit-learn say
        ("cross_entropy", (30, 4), "classes", lambda z, y: accuracy_score(y, z.argmax(1))),
        (nn.CrossEntropyLoss(), (30, 4, 5), "classes", lambda z, y: np.mean(z.argmax(1) == y)),
        (nn.CrossEntropyLoss(), (30, 4, 3, 5), "classes", lambda z, y: np.mean(z.argmax(1) == y)),
        (nn.CrossEntropyLoss(), (30, 4, 4), "classes", lambda z, y: np.mean(z.argmax(1) == y)),
        (nn.CrossEntropyLoss(ignore_index=2), (30, 4, 5), "classes",
         lambda z, y: accuracy_score(y[y != 2], z.argmax(1)[y != 2])),
        (first_axis, (30, 5, 4), "last", lambda z, y: np.mean(z.argmax(-1) == y)),
        ("cross_entropy", (30, 4), "shares", lambda z, y: np.mean(z.argmax(1) == y.argmax(1))),
        (nn.BCEWithLogitsLoss(), (30, 1), "binary", lambda z, y: np.mean((z > 0) == y)),
        (nn.BCEWithLogitsLoss(pos_weight=torch.tensor(5.0)), (30, 1), "binary", lambda z, y: np.mean((z > 0) == y)),
        (nn.BCEWithLogitsLoss(), (30,), "binary", lambda z, y: np.mean((z > 0) == y)),
        (of_one_logit, (30, 1), "numbers", lambda z, y: accuracy_score(y, z[:, 0] > 0)),
        (nn.BCELoss(), (30, 1), "binary", lambda z, y: np.mean((z > 0.5) == y)),
        (lambda z, y: F.binary_cross_entropy(z, y.to(z)), (30, 1), "binary", lambda z, y: np.mean((z > 0.5) == y)),
        (focal, (30, 1), "binary", lambda z, y: np.mean((z > 0) == y)),
        (nn.BCEWithLogitsLoss(), (30, 6), "binary", lambda z, y: np.mean((z > 0) == y)),
        (lambda z, y: F.mse_loss(z, y.to(z)), (30, 1), "integers", lambda z, y: np.mean((z > 0.5) == y)),
    ],
    ids=map(str, range(16)),
)  # fmt: skip
def test_accuracy_is_what_the_kind_of_outputs_means(loss, shape, target, expected, parts, generator):
    z = torch.randn(shape, generator=generator, dtype=torch.float64)
    binary = (z + 0.5 * torch.randn(shape, generator=generator) > 0).long()  # so that most are right
    y = {
        "classes": torch.randint(4, shape[:1] + shape[2:], generator=generator),
        "last": torch.randint(4, shape[:-1], generator=generator),
        "shares": torch.rand(shape, generator=generator, dtype=torch.float64),
        "binary": binary.double(),
        "integers": binary,
        "numbers": binary[:, 0] if len(shape) > 1 else binary,
    }[target]
    z = torch.sigmoid(z) if isinstance(loss, nn.BCELoss) or "0.5" in str(expected.__code__.co_consts) else z
    assert accuracy(z, y, loss, parts) == pytest.approx(float(expected(z.numpy(), y.numpy())), abs=1e-12)


def test_many_networks_have_an_accuracy_each(generator):
    z, y = torch.randn(3, 30, 4, generator=generator), torch.randint(4, (30,), generator=generator)
    right, number = scoring_for(z[0], y, "cross_entropy").right(z, y)
    np.testing.assert_array_equal(
        (right / number).numpy(), [np.float32(accuracy_score(y, one.argmax(-1))) for one in z]
    )


@pytest.mark.parametrize("number", [1, 30])
@pytest.mark.parametrize(("outputs", "targets"), [((1,), ()), ((1,), (1,)), ((), ()), ((), (1,)), ((2, 3), (6,))])
def test_many_networks_with_labels_have_an_accuracy_each_also_of_one_sample(outputs, targets, number, generator):
    z = torch.randn(3, 30, *outputs, generator=generator)
    y = torch.randint(2, (30, *targets), generator=generator)
    scoring = scoring_for(z[0], y, nn.BCEWithLogitsLoss())
    right, counted = scoring.right(z[:, :number], y[:number])
    expected = [accuracy_score(y[:number].flatten(), one[:number].flatten() > 0) for one in z]
    np.testing.assert_allclose((right / counted).numpy(), expected, rtol=1e-6)
    assert scoring.right(z[0, :number], y[:number])[0].shape == ()


@pytest.mark.parametrize(
    ("z", "y", "loss"),
    [
        (torch.zeros(9, 1), torch.linspace(0, 1, 9)[:, None], "mse"),
        (torch.zeros(9, 1), torch.ones(9, 1), "mse"),  # real targets that happen to be 1
        (torch.zeros(9, 2), torch.ones(9, 2), nn.MSELoss()),
        (torch.zeros(9), torch.linspace(0, 1, 9), nn.HuberLoss()),
        (torch.zeros(9, 9, 9), torch.zeros(9, 9, dtype=torch.long), first_axis),  # either axis may be of classes
        (torch.zeros(9, 3), torch.ones(9, 1), "cross_entropy"),
        (torch.zeros(9, 1), -torch.ones(9, dtype=torch.long), lambda z, y: F.relu(1 - y * z[:, 0]).mean()),
        (torch.zeros(9, 1), torch.full((9, 1), 3), lambda z, y: F.poisson_nll_loss(z, y)),  # counts
        (torch.zeros(9), torch.zeros(9, dtype=torch.long), lambda z, y: (z.exp() - y * z).mean()),
    ],
)
def test_where_no_share_is_right_there_is_no_accuracy(z, y, loss):
    assert scoring_for(z, y, loss) is None


def test_a_function_gives_the_accuracy_that_nothing_tells(generator):
    z, y = torch.randn(30, 2, generator=generator), torch.randn(30, 2, generator=generator)

    def near(z, y):
        return ((z - y).norm(dim=-1) < 1).double().mean()

    right, number = scoring_for(z, y, "mse", near).right(z, y)
    assert float(right / number) == pytest.approx(float(near(z, y)))


@pytest.mark.parametrize("given", [torch.ones(30), np.ones(3), "all", None])
def test_an_accuracy_that_is_not_one_number_is_refused(given):
    with pytest.raises(ValueError, match=rf"must give one number.*gave {type(given).__name__} of shape \("):
        scoring_for(Z, H, "mse", lambda z, y: given).right(Z, H)


@pytest.mark.parametrize("given", [0.25, 1, torch.tensor(0.25), np.float32(0.25)])
def test_an_accuracy_may_come_as_any_number_and_counts_by_samples(given):
    right, number = scoring_for(Z, H, "mse", lambda z, y: given).right(Z, H)
    assert (float(right), float(number), right.dtype) == (5 * float(given), 5, torch.float64)


@pytest.mark.parametrize(("loss", "threshold"), [(nn.BCEWithLogitsLoss(), 0.0), (nn.BCELoss(), 0.5)])
def test_an_output_at_the_threshold_says_0(loss, threshold):
    z, y = torch.tensor([threshold, threshold + 0.1, threshold - 0.1]), torch.tensor([0.0, 1.0, 1.0])
    right, number = scoring_for(z, y, loss).right(z, y)
    assert (int(right), int(number)) == (2, 3)


@pytest.mark.parametrize(("tilt", "threshold"), [(1.0, 0.0), (1.0001, 0.0), (1.001, None), (2.0, None)])
def test_a_threshold_lies_where_a_loss_treats_both_labels_alike_to_a_thousandth(tilt, threshold):
    weight, z, y = torch.tensor(tilt), torch.zeros(9, 1), torch.arange(9)[:, None] % 2
    scoring = scoring_for(z, y, lambda z, y: F.binary_cross_entropy_with_logits(z, y.to(z), pos_weight=weight))
    assert (scoring and scoring.threshold) == threshold


def test_a_loss_that_is_best_at_the_wrong_label_has_no_threshold():
    z, y = torch.zeros(9, 1), torch.arange(9)[:, None] % 2
    assert scoring_for(z, y, lambda z, y: -F.binary_cross_entropy_with_logits(z, y.to(z))) is None
    assert scoring_for(z, y, lambda z, y: z.square().mean()) is None  # which sees no label


@pytest.mark.parametrize("loss", ["cross_entropy", F.cross_entropy, nn.CrossEntropyLoss(), nn.NLLLoss()])
def test_targets_that_torch_ignores_do_not_count(loss):
    z, y = torch.eye(4), torch.tensor([0, -100, 1, -100])
    right, number = scoring_for(z, y, loss).right(z, y)
    assert (int(right), int(number)) == (1, 2)


def test_classes_lie_along_the_last_axis_and_labels_begin_above_0_unless_told_otherwise():
    right, number = Scoring("classes").right(torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]]), torch.tensor([1, 0]))
    assert (int(right), int(number)) == (1, 2)
    right, number = Scoring("labels").right(torch.tensor([-0.5, 0.0, 0.5, 1.5]), torch.tensor([1.0, 0.0, 1.0, 1.0]))
    assert (int(right), int(number)) == (3, 4)


@pytest.mark.parametrize(
    ("shape", "most", "axis"),
    [
        ((9, 2), 1, -1),
        ((9, 4), 3, -1),
        ((9, 4), 4, None),
        ((9, 1), 0, None),
        ((9, 4, 4), 3, None),
        ((9, 5, 4), 3, -1),
        ((5, 9, 2), 1, -1),
    ],
)
def test_of_a_loss_that_is_not_known_classes_lie_along_the_one_axis_that_the_targets_lack(shape, most, axis):
    z, y = torch.zeros(shape), torch.full(shape[:1] + (() if len(shape) == 2 else (shape[1],)), most)
    scoring = scoring_for(z, y, lambda z, y: z.square().mean())
    assert (scoring and (scoring.kind, scoring.axis)) == (None if axis is None else ("classes", axis))


def test_a_copy_of_a_model_returns_the_tensor_that_the_loss_sees():
    model = nn.LSTM(3, 2)
    called = returning_tensor(model)
    x = torch.ones(4, 3)
    assert torch.equal(called(x), model(x)[0])
    assert torch.equal(returning_tensor(model, lambda r: r[1][0])(x), model(x)[1][0])
