import pytest
import torch
import torch.nn.functional as F
from torch import nn

import entropic_edu as ee
from entropic_edu.networks.models import mlp, normed_cnn, resnet20, small_cnn


def number_of_parameters(model):
    return sum(p.numel() for p in model.parameters())


def images(generator, number=6, dtype=torch.float64):
    return torch.randn(number, 3, 32, 32, generator=generator, dtype=dtype), torch.arange(number) % 10


def test_an_mlp_has_a_weight_for_each_pair_and_a_bias_for_each_unit():
    assert number_of_parameters(mlp(64, 64, 64, 10)) == 64 * 64 + 64 + 64 * 64 + 64 + 64 * 10 + 10 == 8970


def test_an_mlp_ends_in_a_linear_layer_and_takes_any_activation():
    assert [type(layer) for layer in mlp(4, 5, 6, 2, activation=nn.Tanh)] == [
        nn.Linear, nn.Tanh, nn.Linear, nn.Tanh, nn.Linear,
    ]  # fmt: skip
    assert [type(layer) for layer in mlp(4, 2)] == [nn.Linear]


@pytest.mark.parametrize("widths", [(), (4,), (4, 0, 2)])
def test_an_mlp_without_inputs_and_outputs_is_refused(widths):
    with pytest.raises(
        ValueError,
        match=r"at least two positive widths, got .*; try|width must be a whole number, .*got 0",
    ):
        mlp(*widths)


def test_a_normalised_mlp_has_no_bias_in_hidden_layers_and_scales_nothing():
    model = mlp(64, 96, 96, 10, norm="layer")
    assert number_of_parameters(model) == 64 * 96 + 96 * 96 + 96 * 10 + 10
    kinds = [nn.Linear, nn.LayerNorm, nn.ReLU]
    assert [type(layer) for layer in model] == [*kinds, *kinds, nn.Linear]
    assert [type(layer) for layer in mlp(4, 2, norm="layer")] == [nn.Linear]
    with pytest.raises(ValueError, match="norm must be \"layer\" or None, got 'batch'"):
        mlp(4, 5, 2, norm="batch")


def test_the_normalised_cnn_has_the_parameters_of_its_kernels_and_halves_any_size(generator):
    kernels = 24 * 3 * 9 + 48 * 24 * 4 + 96 * 48 * 4
    assert number_of_parameters(normed_cnn()) == kernels + 10 * (96 * 2 * 2 + 1) == 27538
    model = normed_cnn((2, 3), classes=4, size=8, activation=nn.Tanh)
    assert model(torch.randn(5, 3, 8, 8, generator=generator)).shape == (5, 4)
    for channels, size in (((), 16), ((4, 4, 4), 20)):
        with pytest.raises(ValueError, match=rf"the {len(channels)} convolutions .* got size={size}"):
            normed_cnn(channels, size=size)
    with pytest.raises(ValueError, match="size must be a whole number, at least 1; got 0"):
        normed_cnn((4,), size=0)


def normalised(z, groups):
    """Each sample's channels less their mean, over their standard deviation, group by group."""
    parts = z.reshape(len(z), groups, -1)
    parts = (parts - parts.mean(-1, keepdim=True)) / (parts.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    return parts.reshape(z.shape)


@pytest.mark.parametrize(("channels", "size"), [((4,), 6), ((3, 4), 8), ((2, 3, 5), 16)])
def test_the_normalised_cnn_is_its_equations_written_out(channels, size, generator):
    model = normed_cnn(channels, classes=4, size=size, activation=nn.Tanh).double()
    *kernels, weight, bias = model.parameters()
    h = x = torch.randn(5, 3, size, size, generator=generator, dtype=torch.float64)
    for number, kernel in enumerate(kernels):
        h = F.conv2d(h, kernel, stride=2, padding=0 if number else 1)
        h = torch.tanh(normalised(h, 1))
    torch.testing.assert_close(model(x), h.flatten(1) @ weight.T + bias)
    assert [tuple(kernel.shape[2:]) for kernel in kernels] == [(3, 3), (2, 2), (2, 2)][: len(channels)]


@pytest.mark.parametrize("channels", [(5,), (4, 6), (8, 12, 9), (16, 2, 24, 8, 3)])
@pytest.mark.parametrize("norm", [None, "group"])
def test_the_small_cnn_is_its_equations_written_out_with_as_many_groups_as_divide_8(norm, channels, generator):
    model, (x, _) = small_cnn(channels, classes=4, activation=nn.Tanh, norm=norm).double(), images(generator, 3)
    *layers, weight, bias = model.parameters()
    h = x
    for kernel, shift, *rest in zip(*(4 if norm else 2) * [iter(layers)], strict=True):
        h = F.conv2d(h, kernel, shift, padding=1)
        if norm:
            groups = max(number for number in (1, 2, 4, 8) if len(kernel) % number == 0)
            h = normalised(h, groups) * rest[0][:, None, None] + rest[1][:, None, None]
        h = torch.tanh(h).unfold(2, 2, 2).unfold(3, 2, 2).amax((-2, -1))
    assert h.shape[1:] == (channels[-1], 32 // 2 ** len(channels), 32 // 2 ** len(channels))
    torch.testing.assert_close(model(x), h.flatten(1) @ weight.T + bias)


@pytest.mark.parametrize("model", [mlp(3 * 16 * 16, 7, 6, 10, norm="layer"), normed_cnn((4, 6))])
def test_the_scale_of_a_normalised_layer_does_not_change_the_outputs(model, generator):
    model, x = model.double(), torch.randn(5, 3, 16, 16, generator=generator, dtype=torch.float64)
    x = x.flatten(1) if isinstance(model[0], nn.Linear) else x
    before = model(x)
    with torch.no_grad():
        model[0].weight *= 3
        model[3].weight /= 2
    torch.testing.assert_close(model(x), before, rtol=1e-3, atol=1e-3)  # ε of the norms: 1e-5 of a variance


def test_the_small_cnn_has_the_parameters_of_its_kernels():
    kernels = 16 * (3 * 9 + 1) + 32 * (16 * 9 + 1) + 32 * (32 * 9 + 1)
    assert number_of_parameters(small_cnn()) == kernels + 10 * (32 * 4 * 4 + 1) == 19466
    assert number_of_parameters(small_cnn(norm="group")) == 19466 + 2 * (16 + 32 + 32)  # a scale and a shift each


@pytest.mark.parametrize("channels", [(5,), (4, 6), (16, 32, 32), (2, 2, 2, 2, 7)])
@pytest.mark.parametrize("norm", [None, "group"])
def test_the_small_cnn_maps_images_to_class_scores_with_any_channels(channels, norm, generator):
    model = small_cnn(channels, classes=7, activation=nn.GELU, norm=norm)
    assert model(images(generator, dtype=torch.float32)[0]).shape == (6, 7)


@pytest.mark.parametrize("norm", [None, "group"])
def test_each_sample_passes_the_small_cnn_by_itself(norm, generator):
    model, (x, _) = small_cnn(norm=norm).double(), images(generator)
    torch.testing.assert_close(model(x)[2:3], model(x[2:3]), rtol=0, atol=1e-12)  # round-off of other sum orders


def test_the_small_cnn_refuses_batch_norm_and_too_many_halvings():
    with pytest.raises(ValueError, match=r'norm must be "group" or None, got \'batch\''):
        small_cnn(norm="batch")
    for number in (0, 6):
        with pytest.raises(ValueError, match=f"takes 1 to 5 channels, got {number}"):
            small_cnn((1,) * number)


@pytest.mark.parametrize("norm", [None, "group"])
def test_the_small_cnn_as_a_landscape_has_the_loss_and_gradients_of_the_plain_module(norm, generator):
    model, (x, y) = small_cnn((4, 8, 8), norm=norm).double(), images(generator)
    land = ee.Network(model, x, y, weight_decay=0.1)
    theta = torch.stack([land.initial(generator) for _ in range(3)])
    gradients = land.gradient(theta)
    for row, loss, gradient in zip(theta, land.loss(theta), gradients, strict=True):
        plain = land.module(row)
        expected = nn.functional.cross_entropy(plain(x), y) + 0.05 * sum(p.square().sum() for p in plain.parameters())
        by_autograd = torch.autograd.grad(expected, list(plain.parameters()))
        # The landscape keeps images in channels_last: other sum orders, so equal up to round-off.
        torch.testing.assert_close(loss, expected.detach(), rtol=1e-12, atol=0)
        torch.testing.assert_close(gradient, torch.cat([g.flatten() for g in by_autograd]), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("norm", [None, "group"])
def test_the_noise_of_the_small_cnn_is_that_of_its_samples_one_by_one(norm, generator):
    x, y = images(generator, 5)
    land = ee.Network(small_cnn((4, 4), norm=norm).double(), x, y)
    theta = land.initial(generator)
    each = torch.stack([ee.Network(land.module(theta), x[i : i + 1], y[i : i + 1]).gradient(theta) for i in range(5)])
    expected = torch.cov(each.T, correction=0).trace()
    torch.testing.assert_close(ee.gradient_covariance(land, theta).trace, expected, rtol=1e-9, atol=0)


# --- ResNet-20 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("width", [4, 16])
def test_the_resnet_has_the_parameters_of_its_layers(norm, width):
    w, kernel = width, 9
    first = kernel * 3 * w
    stages = 6 * kernel * w * w + kernel * (w * 2 * w + 5 * (2 * w) ** 2) + kernel * (2 * w * 4 * w + 5 * (4 * w) ** 2)
    scales = 2 * (7 * w + 6 * 2 * w + 6 * 4 * w)
    number = number_of_parameters(resnet20(norm, width))
    assert number == first + stages + scales + 10 * (4 * w + 1)
    if width == 16:
        assert number == 269_722  # "0.27M" in table 6 of He et al. (2016)


def test_the_resnet_is_that_of_the_paper_unless_told_otherwise():
    assert number_of_parameters(resnet20()) == 269_722
    assert resnet20()[-1].out_features == 10


def test_the_resnet_has_twenty_layers_with_weights_and_nineteen_norms():
    layers = list(resnet20("batch").modules())
    assert sum(isinstance(layer, (nn.Conv2d, nn.Linear)) for layer in layers) == 20
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in layers) == 19


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_the_resnet_is_its_equations_written_out(norm, generator):
    model, (x, _) = resnet20(norm, 4).double(), images(generator, 3)
    halved = {6, 9}  # places of the blocks that halve the image
    h = model[2](model[1](model[0](x)))
    for place in range(3, 12):
        block = model[place]
        shortcut = h
        if place in halved:
            shortcut = torch.cat([h, torch.zeros_like(h)], 1)[:, :, ::2, ::2]  # option A: new channels are zero
        h = torch.relu(block.second_norm(block.second(torch.relu(block.first_norm(block.first(h))))) + shortcut)
    assert h.shape == (3, 16, 8, 8)
    torch.testing.assert_close(model(x), model[-1](h.mean((2, 3))), rtol=1e-12, atol=1e-12)


def test_each_sample_passes_the_resnet_with_group_norm_by_itself_also_under_vmap(generator):
    model, (x, _) = resnet20("group", 4, classes=7, activation=nn.GELU).double(), images(generator)
    assert model(x).shape == (6, 7)
    torch.testing.assert_close(model(x)[2:3], model(x[2:3]), rtol=0, atol=1e-12)
    weights = {name: torch.stack([p, 2 * p]).detach() for name, p in model.named_parameters()}
    both = torch.vmap(lambda w: torch.func.functional_call(model, w, (x,)))(weights)
    torch.testing.assert_close(both[0], model(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_the_resnet_as_a_landscape_has_the_loss_and_gradients_of_the_plain_module(norm, generator):
    model, (x, y) = resnet20(norm, 2).double(), images(generator)
    land = ee.Network(model, x, y, batch_norm="reestimate", statistics=None)
    theta = land.initial(generator)
    plain = land.module(theta).train()
    expected = nn.functional.cross_entropy(plain(x), y)
    by_autograd = torch.autograd.grad(expected, list(plain.parameters()))
    torch.testing.assert_close(land.loss(theta), expected.detach(), rtol=1e-10, atol=0)
    torch.testing.assert_close(
        land.gradient(theta), torch.cat([g.flatten() for g in by_autograd]), rtol=1e-8, atol=1e-10
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"norm": None}, 'must be "group" or "batch", got None'),
        ({"width": 0}, "width must be a whole number"),
    ],
)
def test_a_resnet_of_nothing_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        resnet20(**settings)
