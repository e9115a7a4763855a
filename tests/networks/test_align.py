import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

import entropic_edu as ee
from entropic_edu.data import digits
from entropic_edu.networks.align import Alignment, align, permute
from entropic_edu.networks.models import mlp, small_cnn


def network(model, shape, generator, classes=3):
    x = torch.randn(7, *shape, generator=generator, dtype=torch.float64)
    return ee.Network(model.double(), x, torch.arange(7) % classes)


@pytest.fixture(params=["mlp", "mlp without bias", "cnn", "cnn with two linear layers"])
def land(request, generator):
    models = {
        "mlp": (mlp(6, 16, 15, 14, 3, activation=nn.Tanh), (6,)),
        "mlp without bias": (nn.Sequential(nn.Linear(6, 9, bias=False), nn.ReLU(), nn.Linear(9, 3)), (6,)),
        "cnn": (small_cnn((6, 5, 7), classes=3), (3, 32, 32)),
        "cnn with two linear layers": (
            nn.Sequential(small_cnn((6, 5), classes=8), nn.GELU(), nn.Sequential(nn.Linear(8, 3))),
            (3, 32, 32),
        ),
    }
    return network(*models[request.param], generator)


def shuffled(land, theta, generator):
    """The same network with its units in random order, moved one unit at a time in a copy of the module."""
    model = land.module(theta)
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    with torch.no_grad():
        for layer, following in itertools.pairwise(layers):
            units = layer.weight.shape[0]
            block = following.weight.shape[1] // units  # inputs of the next layer that belong to one unit
            old_layer, old_following = [p.clone() for p in layer.parameters()], following.weight.clone()
            for new, old in enumerate(torch.randperm(units, generator=generator).tolist()):
                for parameter, before in zip(layer.parameters(), old_layer, strict=True):
                    parameter[new] = before[old]
                for i in range(block):
                    following.weight[:, new * block + i] = old_following[:, old * block + i]
    return land.flatten(model)


def test_the_aligned_network_computes_what_b_did(land, generator):
    a, b = land.initial(generator), land.initial(generator)
    found = align(land, a, b, generator=generator)
    assert not torch.equal(found.theta, b)
    # The same sums in another order: round-off.
    torch.testing.assert_close(land.outputs(found.theta, land.x), land.outputs(b, land.x), rtol=0, atol=1e-12)


def test_a_network_with_renamed_units_is_recovered_exactly(land, generator):
    # Weight matching may end in a local optimum; with layers this wide it found the way back in 300 of 300 trials.
    theta = land.initial(generator)
    for _ in range(5):
        other = shuffled(land, theta, generator)
        found = align(land, theta, other, generator=generator)
        assert found.distance_before > 1
        assert found.distance_after == 0
        assert torch.equal(found.theta, theta)


def test_the_distance_never_grows_and_is_that_of_the_vectors(land, generator):
    for _ in range(5):
        a, b = land.initial(generator), land.initial(generator)
        found = align(land, a, b, generator=generator)
        assert found.distance_before == pytest.approx(float((a - b).norm()), rel=1e-12)
        assert found.distance_after == pytest.approx(float((a - found.theta).norm()), rel=1e-12)
        assert found.distance_after < found.distance_before


def test_one_more_sweep_brings_no_more(land, generator):
    a, b = land.initial(generator), land.initial(generator)
    found = align(land, a, b, generator=generator)
    assert found.sweeps > 1
    again = align(land, a, found.theta, generator=generator)
    assert again.sweeps == 1
    assert torch.equal(again.theta, found.theta)


def test_one_hidden_layer_gets_the_best_of_all_permutations(generator):
    land = network(mlp(4, 5, 3), (4,), generator)
    for _ in range(5):
        a, b = land.initial(generator), land.initial(generator)
        every = [permute(land, b, [torch.tensor(p)]) for p in itertools.permutations(range(5))]
        best = min(float((a - theta).norm()) for theta in every)
        found = align(land, a, b, generator=generator)
        assert found.distance_after == pytest.approx(best, rel=1e-12)  # round-off


def test_the_permutations_lead_from_b_to_the_aligned_network(land, generator):
    a, b = land.initial(generator), land.initial(generator)
    found = align(land, a, b, generator=generator)
    assert torch.equal(permute(land, b, found.permutations), found.theta)


def test_permuting_renames_units_one_by_one(generator):
    land = network(mlp(2, 3, 1), (2,), generator, classes=1)
    theta = torch.arange(13.0, dtype=torch.float64)  # weights of 3 units in pairs, their biases, outgoing weights, bias
    renamed = permute(land, theta, [torch.tensor([2, 0, 1])])
    assert renamed.tolist() == [4, 5, 0, 1, 2, 3, 8, 6, 7, 11, 9, 10, 12]


def test_permuting_takes_a_whole_path(land, generator):
    pivots = torch.stack([land.initial(generator) for _ in range(3)])
    order = align(land, pivots[0], pivots[2], generator=generator).permutations
    renamed = permute(land, pivots, order)
    assert torch.equal(renamed, torch.stack([permute(land, pivot, order) for pivot in pivots]))
    torch.testing.assert_close(land.loss(renamed), land.loss(pivots), rtol=1e-12, atol=0)


def test_the_same_seed_gives_the_same_alignment_and_nothing_else_is_touched(land, generator):
    a, b = land.initial(generator), land.initial(generator)
    kept, stream = (a.clone(), b.clone()), torch.get_rng_state()
    one, two = (align(land, a, b, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one.theta, two.theta)
    assert torch.equal(torch.get_rng_state(), stream)
    assert torch.equal(a, kept[0])
    assert torch.equal(b, kept[1])


def test_alignment_lowers_the_barrier_between_two_nets_trained_on_digits():
    generator, data = torch.Generator().manual_seed(0), digits()
    land = ee.Network(mlp(64, 64, 10), *data.train, weight_decay=5e-4)
    ends = torch.stack([land.initial(generator) for _ in range(2)])
    velocity = torch.zeros_like(ends)
    for step in range(600):  # both at once: heavy ball, learning rate falling to zero
        velocity = 0.9 * velocity + land.gradient(ends, 64, generator)
        ends = ends - 0.1 * (1 - step / 600) * velocity
    a, b = ends
    found = align(land, a, b, generator=generator)

    def barrier(other):
        t = torch.linspace(0, 1, 11)[:, None]
        return float((land.loss(a + t * (other - a)) - land.loss(torch.stack([a, b])).max()).max())

    assert found.theta.dtype == torch.float32
    assert barrier(found.theta) < 0.5 * barrier(b)


def test_the_summary_holds_the_distances_and_the_number_of_units_that_moved(generator):
    land = network(mlp(4, 5, 3), (4,), generator)
    b = land.initial(generator)
    found = align(land, permute(land, b, [torch.tensor([1, 0, 2, 3, 4])]), b, generator=generator)
    assert found.summary() == (
        f"Renaming 2 of 5 hidden units brought the networks from distance {found.distance_before:.4g} to 0."
    )


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return x + self.inner(x)


@pytest.mark.parametrize(
    ("model", "shape", "told"),
    [
        (small_cnn((8, 8), norm="group"), (3, 32, 32), r"got GroupNorm at layer '1'.*build the model with norm=None"),
        (nn.Sequential(nn.Linear(4, 4), Residual(), nn.Linear(4, 3)), (4,), "got Residual at layer '1'"),
        (Residual(), (4,), "got Residual as the model"),
        (nn.Sequential(nn.Linear(4, 4), nn.Softmax(-1), nn.Linear(4, 3)), (4,), "got Softmax at layer '1'"),
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, groups=2), nn.Flatten(), nn.Linear(64, 3)),
            (3, 8, 8),
            "got Conv2d at layer '1'",
        ),
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 4), nn.Flatten(), nn.Linear(64, 3)),
            (3, 6, 6),
            "got Linear at layer '1'",
        ),
        (nn.Sequential(nn.Linear(4, 5), nn.Flatten(), nn.Linear(10, 3)), (2, 4), "got Linear at layer '2'"),
        (nn.Sequential(nn.Linear(4, 4), nn.MaxPool2d(2), nn.Linear(2, 3)), (4, 4), "got MaxPool2d at layer '1'"),
    ],
)
def test_a_model_whose_units_cannot_be_renamed_is_refused_by_layer(model, shape, told, generator):
    model = model.double()
    x = torch.randn(5, *shape, generator=generator, dtype=torch.float64)
    land = ee.Network(model, x, model(x).detach(), loss="mse")
    theta = land.initial(generator)
    with pytest.raises(ValueError, match=told):
        align(land, theta, theta, generator=generator)


def test_shared_and_frozen_parameters_are_refused_by_name(generator):
    layer = nn.Linear(4, 4)
    land = network(nn.Sequential(layer, nn.ReLU(), layer, nn.Linear(4, 3)), (4,), generator)
    with pytest.raises(ValueError, match=r"\['2.bias', '2.weight'\] are frozen, shared"):
        align(land, land.initial(generator), land.initial(generator), generator=generator)
    model = mlp(4, 4, 3)
    model[0].bias.requires_grad_(False)
    land = network(model, (4,), generator)
    with pytest.raises(ValueError, match=r"\['0.bias'\] are frozen, shared"):
        align(land, land.initial(generator), land.initial(generator), generator=generator)


def test_vectors_of_another_shape_or_with_holes_are_refused(generator):
    land = network(mlp(4, 5, 3), (4,), generator)
    theta = land.initial(generator)
    with pytest.raises(ValueError, match=r"finite b of shape \(43,\), got shape \(2, 43\)"):
        align(land, theta, torch.stack([theta, theta]), generator=generator)
    hole = theta.clone()
    hole[3] = torch.nan
    with pytest.raises(ValueError, match=r"finite a of shape \(43,\).*1 entries NaN"):
        align(land, hole, theta, generator=generator)


@pytest.mark.parametrize("orders", [[], [[0, 1, 2, 3]], [[0, 1, 2, 3, 3]], [[0, 1, 2, 3, 4]] * 2])
def test_permutations_that_do_not_fit_are_refused(orders, generator):
    land = network(mlp(4, 5, 3), (4,), generator)
    with pytest.raises(ValueError, match=r"hidden layers of \[5\] units and needs one permutation"):
        permute(land, land.initial(generator), [torch.tensor(order) for order in orders])


def test_two_alignments_with_the_same_numbers_are_two():
    one = Alignment(torch.zeros(3), (torch.arange(2),), 1.0, 0.5, 2)
    assert one != replace(one)


@pytest.mark.parametrize(("order", "moved"), [([0, 1, 2], 0), ([1, 0, 2], 2), ([1, 2, 0], 3)])
def test_the_summary_counts_the_units_that_moved(order, moved):
    made = Alignment(torch.zeros(3), (torch.tensor(order), torch.arange(2)), 1.25, 0.5, 2)
    assert made.summary() == f"Renaming {moved} of 5 hidden units brought the networks from distance 1.25 to 0.5."
