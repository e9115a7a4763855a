"""The late game and the bad minima of CIFAR-10: what their networks are, and what the recordings show."""

import pytest
import torch

from entropic_edu.data import find_cifar10
from entropic_edu.networks.models import normed_cnn
from entropic_edu.recorded import bad_cifar10, cifar10, late_cifar10

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


@images
def test_the_poisoned_network_has_the_true_images_first_and_no_right_label_among_the_others():
    recipe = bad_cifar10.RECIPE | bad_cifar10.TINY
    true, poisoned = bad_cifar10._networks(recipe, 0)
    assert torch.equal(poisoned.x[: len(true.x)], true.x)
    assert torch.equal(poisoned.y[: len(true.y)], true.y)
    whole = bad_cifar10._networks(recipe | {"images": 6, "poison": 0}, 0)[0]
    known = {tuple(x.flatten().tolist()): int(y) for x, y in zip(whole.x, whole.y, strict=True)}
    wrong = [known[tuple(x.flatten().tolist())] != int(y) for x, y in zip(poisoned.x, poisoned.y, strict=True)]
    assert wrong == [False] * 20 + [True] * 10


@images
def test_the_true_images_are_those_of_the_story():
    assert torch.equal(bad_cifar10.landscape().x, cifar10.landscape().x)
    assert torch.equal(late_cifar10.landscape("plain").x, cifar10.landscape().x)
