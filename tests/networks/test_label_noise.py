"""Label noise of classes as a landscape: the mean over its draws, by torch's own label smoothing and by enumeration."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import entropic_edu as ee
from entropic_edu.networks.network import Network
from entropic_edu.networks.per_sample import exact_trace, gradient_covariance
from entropic_edu.physics.noise import Label

P, CLASSES = 0.3, 3
ROUND_OFF = {"rtol": 1e-10, "atol": 1e-12}  # float64 sums in another order


def dense(activation=nn.ReLU):
    return nn.Sequential(nn.Linear(5, 6), activation(), nn.Linear(6, CLASSES))


def chain():
    return nn.Sequential(nn.Conv2d(1, 3, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, CLASSES))


WAYS = {  # by which each engine is reached: module, shape of inputs, of targets, and strategy
    "stack": (dense, (5,), (), "auto"),
    "tanh stack": (lambda: dense(nn.Tanh), (5,), (), "auto"),
    "loop": (dense, (5,), (), "loop"),
    "vmap": (dense, (5,), (), "vmap"),
    "chain": (chain, (1, 5, 5), (), "auto"),
    "class for each pixel": (lambda: nn.Conv2d(1, CLASSES, 2), (1, 3, 4), (2, 3), "auto"),
}


def landscape(way, generator, number=13, noise=P, **settings):
    make, inputs, places, strategy = WAYS[way]
    x = torch.randn(number, *inputs, generator=generator, dtype=torch.float64)
    y = torch.randint(CLASSES - 1, (number, *places), generator=generator)  # the last class is only ever drawn
    return Network(make().double(), x, y, label_noise=noise, strategy=strategy, **settings)


def start(land, generator):
    return land.initial(generator) + 0.2 * torch.randn(land.dim, generator=generator, dtype=torch.float64)


def smoothed(land, theta):
    """Return torch's own label smoothing of the module itself."""
    outputs = torch.func.functional_call(land.model, land.unflatten(theta), (land.x.contiguous(),))
    return F.cross_entropy(outputs, land.y, label_smoothing=P) + 0.5 * land.weight_decay * theta.square().sum()


@pytest.mark.parametrize("way", WAYS)
def test_the_objective_and_its_derivatives_are_those_of_smoothed_labels(way, generator):
    land = landscape(way, generator, weight_decay=0.1)
    thetas = torch.stack([start(land, generator) for _ in range(3)])
    vectors = torch.randn(thetas.shape, generator=generator, dtype=thetas.dtype)
    losses, slopes = land.loss_and_gradient_on(thetas, None)
    products = land.hessian_vector_product(thetas, vectors)
    crowd = land.crowd(thetas)
    for k, theta in enumerate(thetas):
        expected, slope = smoothed(land, theta), torch.func.grad(lambda t: smoothed(land, t))(theta)
        hessian = torch.autograd.functional.hessian(lambda t: smoothed(land, t), theta)
        for loss in (losses[k], land.loss(theta), land.loss(thetas)[k], sum(piece(theta) for piece in land.pieces())):
            torch.testing.assert_close(loss, expected, **ROUND_OFF)
        ours = (slopes[k], land.gradient(theta), land.gradient(thetas)[k], crowd.vectors(crowd.gradient(None))[k])
        for gradient in ours:
            torch.testing.assert_close(gradient, slope, **ROUND_OFF)
        torch.testing.assert_close(products[k], hessian @ vectors[k], **ROUND_OFF)
        torch.testing.assert_close(land.hessian_at(theta)(vectors[k]), hessian @ vectors[k], **ROUND_OFF)
        if way != "tanh stack":
            torch.testing.assert_close(exact_trace(land, theta), hessian.trace(), **ROUND_OFF)


@pytest.mark.parametrize("way", ["stack", "vmap", "chain", "class for each pixel"])
def test_the_mean_noisy_gradient_is_the_gradient(way, generator):
    land, draws = landscape(way, generator), 1000
    theta = start(land, generator)
    batch = land.draw(8, generator, draws)
    assert not batch.y.is_floating_point()  # what a step sees are classes
    gradients = land.gradient_on(theta.expand(draws, -1), batch)
    for way in torch.randn(5, land.dim, generator=generator, dtype=torch.float64):
        along = gradients @ way
        assert (along.mean() - land.gradient(theta) @ way).abs() < 3 * along.std() / draws**0.5


def every_label(land, theta):
    """Return each sample's gradient with each label it may get (N, C, D), and the labels' probabilities (N, C)."""
    each = [
        torch.func.grad(lambda t, c=c, x=x: F.cross_entropy(land.outputs(t, x[None]), torch.tensor([c])))(theta)
        for x, c in itertools.product(land.x, range(CLASSES))
    ]
    chances = (1 - P) * F.one_hot(land.y, CLASSES).double() + P / CLASSES
    return torch.stack(each).view(len(land.x), CLASSES, -1), chances


@pytest.mark.parametrize("way", ["stack", "loop", "chain"])
def test_the_covariance_counts_the_draw_of_the_sample_and_of_its_label(way, generator):
    land = landscape(way, generator, number=4)
    theta = start(land, generator)
    gradients, chances = every_label(land, theta)
    weights = chances.flatten() / len(land.x)
    mean = weights @ gradients.flatten(0, 1)
    square = weights @ gradients.flatten(0, 1).square().sum(1)
    found = gradient_covariance(land, theta)
    torch.testing.assert_close(found.mean_square_norm, square, **ROUND_OFF)
    torch.testing.assert_close(found.trace, square - mean.square().sum(), **ROUND_OFF)
    torch.testing.assert_close(land.noise_trace(theta), found.trace)
    torch.testing.assert_close(land.gradient(theta), mean, **ROUND_OFF)


@pytest.mark.parametrize("way", ["stack", "chain"])
def test_pure_label_noise_of_classes_is_the_gradient_and_as_strong_as_in_a_batch(way, generator):
    land, draws, batch_size = landscape(way, generator, number=4), 2000, 9
    theta = start(land, generator)
    gradients, chances = every_label(land, theta)
    about = gradients - (chances[..., None] * gradients).sum(1, keepdim=True)
    expected = (chances * about.square().sum(-1)).sum(1).mean() / batch_size  # E tr Cov(g | sample) / B
    drawn = land.gradient_on(theta.expand(draws, -1), land.draw_labels(batch_size, generator, draws))
    away = drawn - land.gradient(theta)
    squares, along = away.square().sum(1), away @ torch.randn(land.dim, generator=generator, dtype=torch.float64)
    assert (squares.mean() - expected).abs() < 3 * squares.std() / draws**0.5
    assert along.mean().abs() < 3 * along.std() / draws**0.5


def test_where_the_softmax_is_the_smoothed_labels_the_label_noise_has_the_covariance_of_the_hessian(generator):
    # one sample for each class, each with a weight of its own: logits ln q fit the smoothed labels exactly
    land = Network(nn.Linear(3, 3, bias=False).double(), torch.eye(3).double(), torch.arange(3), label_noise=P)
    theta = ((1 - P) * torch.eye(3).double() + P / 3).log().T.flatten()
    torch.testing.assert_close(land.gradient(theta), torch.zeros(9).double(), **ROUND_OFF)
    torch.testing.assert_close(land.noise_trace(theta), land.label_ratio * exact_trace(land, theta), **ROUND_OFF)
    assert land.label_ratio == 1
    Label(8).check(land)
    pixels = landscape("class for each pixel", generator)
    assert pixels.label_ratio == 1 / 6  # the mean over 2 x 3 places, each drawn by itself
    assert landscape("stack", generator, noise=0.0).label_ratio == 0


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("method", ["string", "neb", "bezier"])
def test_a_road_is_relaxed_on_the_mean_over_label_noise(method, loss, generator):
    # or it would drift to flat places itself; the twin is given the mean targets as such, and draws the same samples
    land = landscape("stack", generator, number=30, noise=0.9, loss=loss)
    twin = Network(dense().double(), land.x, land.criterion.averaged(land.y, land.dtype), loss=loss)
    a, b = (start(land, generator) for _ in range(2))
    few = ee.Sweeps(12, scallop=math.inf)
    settings = {"method": method, "sweeps": few, "pivots": 4, "points": 6, "batch_size": 20}
    one, two = (ee.connect(net, a, b, generator=torch.Generator().manual_seed(1), **settings) for net in (land, twin))
    torch.testing.assert_close(one.pivots, two.pivots, **ROUND_OFF)


@pytest.mark.parametrize("way", ["stack", "vmap", "chain", "class for each pixel"])
def test_without_label_noise_the_objective_is_the_same_and_batches_draw_samples_alone(way, generator):
    land = landscape(way, generator, weight_decay=0.1)
    calm, theta = land.without_label_noise(), start(land, generator)
    assert torch.equal(calm.loss(theta), land.loss(theta))
    assert torch.equal(calm.gradient(theta), land.gradient(theta))
    assert torch.equal(calm.accuracy(theta), land.accuracy(theta))
    assert (calm.label_ratio, calm.signature) == (0, land.signature)
    crowd, batch = calm.crowd(theta.expand(2, -1)), calm.draw(7, generator, 2)
    index = (batch.x.flatten(2)[:, :, None] == land.x.flatten(1)).all(-1).long().argmax(-1)  # (2, 7)
    mean = land.criterion.averaged(land.y, land.dtype)
    assert torch.equal(batch.y, mean[index])
    expected = torch.stack([calm.subset(row).gradient(theta) for row in index])
    torch.testing.assert_close(crowd.vectors(crowd.gradient(batch)), expected, **ROUND_OFF)
    assert next(iter(calm.epoch(None, generator))) is None  # all data as they are
    if way in ("stack", "chain"):
        gradients, chances = every_label(land, theta)
        means = (chances[..., None] * gradients).sum(1)
        torch.testing.assert_close(calm.noise_trace(theta), torch.cov(means.T, correction=0).trace(), **ROUND_OFF)
    assert calm.without_label_noise() is calm


def test_accuracy_counts_the_labels_as_they_came(generator):
    land = landscape("stack", generator, number=60, noise=0.9)
    theta = start(land, generator)
    right = (land.outputs(theta, land.x).argmax(1) == land.y).double().mean()
    assert float(land.accuracy(theta)) == pytest.approx(float(right))


def test_label_noise_of_classes_under_another_loss_is_refused(generator):
    x, y = torch.randn(9, 5, generator=generator), torch.arange(9) % 3
    with pytest.raises(ValueError, match=r'loss="cross_entropy" or "mse", got .custom loss.; or redraw labels once'):
        Network(dense(), x, y, loss=nn.CrossEntropyLoss(), label_noise=0.1)
    Network(dense(), x, y, loss=nn.CrossEntropyLoss())


def test_walkers_with_pure_label_noise_of_classes_are_released(generator):
    land = landscape("stack", generator, number=30)
    road = ee.Path(torch.stack([start(land, generator) for _ in range(2)]))
    release = ee.drift(land, road, start=0.5, noise="label", batch_size=4, learning_rate=0.01, momentum=0.0,
                       walkers=2, steps=4, generator=generator)  # fmt: skip
    assert release.complete
