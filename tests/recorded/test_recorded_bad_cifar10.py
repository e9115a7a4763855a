"""The bad minima of CIFAR-10: what their networks are trained on."""

import pytest
import torch

from entropic_edu.data import find_cifar10
from entropic_edu.recorded import bad_cifar10, cifar10

images = pytest.mark.skipif(find_cifar10() is None, reason="no copy of CIFAR-10; set ENTROPIC_EDU_DATA to one")


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
