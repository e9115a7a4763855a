import pytest
import torch
from torch import nn

import entropic_edu as ee
from entropic_edu.models import mlp, small_cnn


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
    with pytest.raises(ValueError, match=r"at least two positive widths, got .*; try mlp"):
        mlp(*widths)


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
    with pytest.raises(ValueError, match="takes 1 to 5 channels, got 6"):
        small_cnn((1,) * 6)


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
