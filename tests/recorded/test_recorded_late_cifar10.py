"""The late game of CIFAR-10: what its networks are, and which barrier goes first."""

import pytest
import torch

from entropic_edu import recorded
from entropic_edu.course.late_game import measures
from entropic_edu.data import find_cifar10
from entropic_edu.networks.models import normed_cnn
from entropic_edu.recorded import cifar10, late_cifar10

images = pytest.mark.skipif(find_cifar10() is None, reason="no copy of CIFAR-10; set ENTROPIC_EDU_DATA to one")


def test_without_norms_the_outputs_change_with_the_scale_of_a_layer_and_its_shape_is_the_same():
    normed = normed_cnn((2, 2, 4), size=8)
    plain = late_cifar10.without_norms(normed)
    x = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for model, changes in ((normed, False), (plain, True)):
        before = model(x)
        with torch.no_grad():
            for parameter in model[0].parameters():
                parameter *= 3.0
        assert torch.allclose(model(x), before, atol=1e-3) != changes
    shapes = [[p.shape for name, p in m.named_parameters() if name.endswith("weight")] for m in (normed, plain)]
    assert shapes[0] == shapes[1]


@images
def test_a_child_is_trained_to_the_end_and_the_curves_are_those_of_the_line():
    recipe = late_cifar10.RECIPE | late_cifar10.TINY | {"at": {"plain": [0, 4, 6]}, "probed": 20}
    made = late_cifar10.grown("plain", 0, recipe)
    family, length = made["family"], made["length"]
    assert family.steps == 6
    assert length[0] > 0
    assert length[-1] == 0  # parted at the end they are one
    torch.testing.assert_close(family.data_loss[0, -1, 0], family.data_loss[0, -1, 0, :1].expand(3))
    land = late_cifar10.landscape("plain", recipe)
    ends = torch.stack([land.initial(torch.Generator().manual_seed(seed)) for seed in (1, 2)])
    curves = late_cifar10.curves(land, ends, 0, recipe)
    middle = ends.mean(0)
    torch.testing.assert_close(curves["data_loss"][1], land.data_loss(middle))
    exact = torch.trace(torch.autograd.functional.hessian(land.data_loss, middle.double().float()))
    torch.testing.assert_close(curves["trace"][1], exact, rtol=1e-3, atol=1e-3)
    samples = [land.subset(torch.tensor([i])).gradient(middle) for i in range(20)]  # those probed
    noise = torch.stack(samples).var(0, correction=0).sum()
    torch.testing.assert_close(curves["noise"][1], noise, rtol=1e-4, atol=0)
    assert made["noise"].shape == (3, 3)


@images
def test_the_images_are_those_of_the_story():
    assert torch.equal(late_cifar10.landscape("plain").x, cifar10.landscape().x)


def left(network, barrier):
    """What is left of a barrier at each k, as a share of k = 0, by trunk, (T, K)."""
    family = recorded.load("late_cifar10")[f"{network}/family"]
    return family.relative_to_first(getattr(family, f"{barrier}_barrier").double())


def test_without_norms_the_loss_barrier_goes_first_on_every_trunk():
    loss, trace = left("plain", "loss"), left("plain", "trace")
    assert (loss[:, 1:6] < trace[:, 1:6]).all()
    assert loss[:, 5].max() < 0.5  # at k = 1,000
    assert trace[:, 5].min() > 0.8
    assert max(float(loss[:, -1].max()), float(trace[:, -1].max())) < 0.1


def test_with_norms_and_noisy_labels_both_fall_early_and_the_trace_is_the_later_one_on_average():
    loss, trace = left("normed", "loss"), left("normed", "trace")
    assert (loss.mean(0) < trace.mean(0))[2:5].all()  # k = 30, 60 and 150
    assert trace.mean(0)[2] < 0.3
    assert max(float(loss[:, -1].max()), float(trace[:, -1].max())) < 0.01


def test_the_later_children_part_the_more_noise_adds_to_the_rise_of_the_loss_but_never_clearly_more_than_that():
    kept = recorded.load("late_cifar10")
    for network, last in (("plain", 5), ("normed", 4)):  # k = 1,000 and 150
        family, given = kept[f"{network}/family"], kept.recipe["train"]
        climbs = measures.climbs(family.loss[:, :, 0], family.trace[:, :, 0], kept[f"{network}/noise"])
        loss, entropic = map(measures.rise, climbs)
        ratio = measures.over_loss(loss, given["learning_rate"] / given["batch_size"] * entropic)
        assert (ratio.value[: last + 1].diff() > 0).all()
        assert ratio.value[last] - ratio.value[0] > 4 * (ratio.error[last] ** 2 + ratio.error[0] ** 2).sqrt()
        assert (ratio.value[: last + 1] - 2 * ratio.error[: last + 1] < 1).all()
