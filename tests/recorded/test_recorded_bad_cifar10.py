"""The bad minima of CIFAR-10: what their networks are trained on, and where noise goes."""

import pytest
import torch

from entropic_edu import recorded
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


def test_noise_leads_away_from_both_steep_places_of_the_road_on_every_pair():
    kept = recorded.load("bad_cifar10")
    noisy, still = (
        kept[f"{noise}/position"][:, -1].double().mean(-1) for noise in ("label", "none")
    )  # (pairs, starts)
    beyond = noisy - still
    assert len(beyond) == 5
    assert torch.equal(beyond.sign(), torch.tensor([-1.0, -1.0, 1.0, -1.0], dtype=torch.float64).expand(5, 4))
    assert bool((beyond.mean(0).abs() > 5 * beyond.std(0) / 5**0.5).all())
    trace = kept["along"][..., 4]
    assert bool((trace.argmax(1) == 4).all())  # halfway; and on the bad side it is lowest where walkers stop, near 7/8
    assert bool((trace[:, 5:].argmin(1) == 2).all())
    good, bad = kept["along"][:, [0, -1], 2].unbind(1)
    assert bool((good > bad + 0.05).all())
