import copy
import re

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

import entropic_edu as ee
from entropic_edu.networks.checkpoints import check_constants, some, vector_of


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


class Wrapper(nn.Module):
    """As a LightningModule: the network and what belongs to its training."""

    def __init__(self, inner):
        super().__init__()
        self.model, self.loss = inner, nn.CrossEntropyLoss(weight=torch.ones(2))


def vector(source, plain=None, others=True):
    plain = plain or model()
    named = dict(plain.named_parameters())
    return vector_of(list(named), [p.shape for p in named.values()], source, plain.state_dict() if others else ())


NET = model()
THETA = nn.utils.parameters_to_vector(NET.parameters()).detach()
COMPILED = torch.compile(NET, backend="eager")
HALF_COMPILED = nn.Sequential(NET[0], NET[1], torch.compile(NET[2], backend="eager"))


@pytest.mark.parametrize(
    "source",
    [
        NET,
        NET.state_dict(),
        COMPILED,
        COMPILED.state_dict(),
        HALF_COMPILED,
        nn.DataParallel(NET),
        nn.DataParallel(NET).state_dict(),
        nn.DataParallel(COMPILED).state_dict(),
        AveragedModel(NET).state_dict(),
        Wrapper(NET),
        {"state_dict": Wrapper(NET).state_dict(), "epoch": 3},
        {"model_state_dict": NET.state_dict(), "optimizer": {}},
        {"model": NET, "args": None},
        {**NET.state_dict(), "0._extra_state": None},
        dict(reversed(NET.state_dict().items())),
        THETA,
        THETA.numpy(),
        torch.stack([THETA, THETA])[0],
    ],
    ids=lambda source: type(source).__name__,
)
def test_every_form_of_a_network_gives_its_vector(source):
    assert torch.equal(vector(source), THETA)


def test_a_landscape_of_a_wrapped_model_takes_the_plain_state():
    assert torch.equal(vector(NET.state_dict(), Wrapper(model())), THETA)


def test_runs_give_their_vectors_with_their_leading_dimension():
    x, y = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 2
    plain = nn.Linear(3, 2)
    run = ee.train(ee.Network(plain, x, y), generator=torch.Generator().manual_seed(0), epochs=1, batch_size=5, runs=2)
    assert torch.equal(vector(run, plain), run.theta)
    assert run.theta.shape == (2, 8)


def test_a_parameter_named_theta_does_not_make_a_module_a_run():
    class Physics(nn.Module):
        def __init__(self):
            super().__init__()
            self.theta, self.scale = nn.Parameter(torch.ones(2)), nn.Parameter(torch.zeros(1))

    assert vector(Physics(), Physics()).tolist() == [1, 1, 0]


class Tied(nn.Module):
    def __init__(self, tied=True):
        super().__init__()
        self.embed, self.head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
        if tied:
            self.head.weight = self.embed.weight


def test_tied_weights_count_once_and_have_each_of_their_names():
    tied = Tied()
    flat = tied.embed.weight.detach().flatten()
    for source in (tied, tied.state_dict()):
        assert torch.equal(vector(source, Tied()), flat)
        assert torch.equal(vector(source, Tied(False)), torch.cat([flat, flat]))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), r"missing: 2.weight, 2.bias"),
        (nn.Sequential(*model(), nn.ReLU(), nn.Linear(2, 2)), r"unexpected: 4.weight, 4.bias"),
        (nn.Sequential(nn.Linear(5, 4), *model()[1:]), r"another shape: 0.weight \(4, 5\) for \(4, 3\)"),
        (nn.ModuleDict({"net": model()}), "missing: 0.weight, .*unexpected: net.0.weight"),
        ({"model.0.weight": torch.ones(4, 3), "0.weight": torch.ones(4, 3)}, "missing: 0.bias"),
        (THETA[:-1], r"has 34 parameters, got a vector of shape \(33,\)"),
        (THETA[0], r"got a vector of shape \(\)"),
        ({"epoch": 3}, r"keys \['epoch'\] and no state_dict"),
        ({}, "no state_dict"),
        (dict.fromkeys(range(9)), r"keys \[0, 1, 2, 3, 4, 5, 6, 7\] and no"),
        ("net.pt", r"got str; read a file by torch.load\(path\) first"),
        (None, "got NoneType"),
    ],
)
def test_another_network_is_refused_with_the_names_that_do_not_fit(source, message):
    with pytest.raises(ValueError, match=message):
        vector(source)


ONE = torch.ones(1)
PREFIXES = {  # names of the landscape, of the source, and what is said; nothing where it fits
    "wrapped": ("a b", "model.a module.b", ""),
    "beside what is not the network's": ("a b", "model.a model.b c", ""),
    "within the wrapper": ("a", "model.a model.c", "unexpected: model.c$"),
    "plain": ("a b", "a c", "missing: b; unexpected: c$"),
    "wrapped as the landscape is": ("model.a model.b", "model.a c", "missing: model.b; unexpected: c$"),
    "two that would fall together": ("model.a", "module.a a", "missing: model.a; unexpected: module.a, a$"),
    "two that are wanted": ("a model.a", "module.a", "missing: a, model.a; unexpected: module.a$"),
    "compiled within": ("a.b", "a._orig_mod.b", ""),
    "another name": ("a", "thea", "missing: a; unexpected: thea$"),
}


@pytest.mark.parametrize(("names", "given", "words"), PREFIXES.values(), ids=PREFIXES)
def test_only_prefixes_of_wrappers_are_stripped_and_only_where_that_is_unambiguous(names, given, words):
    names, source = names.split(), {name: i * ONE for i, name in enumerate(given.split())}
    if not words:
        assert vector_of(names, [(1,)] * len(names), source).tolist() == list(range(len(names)))
        return
    with pytest.raises(ValueError, match="of another model") as refused:
        vector_of(names, [(1,)] * len(names), source)
    assert re.search(words, str(refused.value).split(". ")[1])


@pytest.mark.parametrize(("count", "more"), [(1, ""), (6, ""), (7, " and 1 more"), (9, " and 3 more")])
def test_of_many_names_the_first_are_given(count, more):
    names = list("abcdefghi")[:count]
    assert some(names) == ", ".join(names[:6]) + more


def test_a_network_with_other_buffers_or_frozen_weights_is_refused():
    frozen, other = model(), model()
    frozen[0].requires_grad_(False)
    names = [name for name, p in frozen.named_parameters() if not p.requires_grad]
    constants = {name: value for name, value in frozen.state_dict().items() if name in names or "running" in name}
    other[1].num_batches_tracked += 1  # counts and changes nothing
    for same in (other, other.state_dict(), nn.DataParallel(other), THETA, {"2.weight": torch.ones(2, 4)}):
        check_constants(constants, same)
    other[1].running_mean += 1
    with pytest.raises(ValueError, match=r'other values than the landscape in 1.running_mean,.*"reestimate"'):
        check_constants(constants, nn.DataParallel(other).state_dict())
    other = copy.deepcopy(frozen)
    with torch.no_grad():
        other[0].bias += 1
    with pytest.raises(ValueError, match=r"0.bias"):
        check_constants(constants, other)
