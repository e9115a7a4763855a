import copy
import threading

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel

from entropic_edu.networks.modules import dropouts, pooled_first, redraw, unwrapped

X = torch.linspace(-1, 1, 12).reshape(4, 3)


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def compiled_in_place():
    net = model()
    net.compile(backend="eager")
    return net


@pytest.mark.parametrize(
    "wrapped",
    [
        model(),
        torch.compile(model(), backend="eager"),
        nn.DataParallel(torch.compile(model(), backend="eager")),
        AveragedModel(model()),
        compiled_in_place(),
    ],
    ids=["plain", "compiled", "parallel", "averaged", "compiled in place"],
)
def test_what_torch_wraps_around_a_model_comes_off(wrapped):
    plain = unwrapped(wrapped)
    assert list(dict(plain.named_parameters())) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert torch.equal(plain(X), model()(X))


@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0")  # of what compiles, about Python itself
def test_compiled_parts_come_out_of_a_model_too_and_the_model_is_not_changed():
    net = model()
    net[0] = torch.compile(net[0], backend="eager")
    plain = unwrapped(net)
    assert list(dict(plain.named_parameters())) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert "0._orig_mod.weight" in dict(net.named_parameters())
    with torch.no_grad():
        plain[0].weight.zero_()
    assert torch.equal(net(X), model()(X))


RELU, POOL, TANH = nn.ReLU, lambda: nn.MaxPool2d(2), nn.Tanh


@pytest.mark.parametrize(
    ("layers", "swapped"),
    [
        ([RELU, POOL], [1, 0]),
        ([RELU, POOL, RELU, POOL, RELU], [1, 0, 3, 2, 4]),
        ([POOL, RELU, TANH, POOL, RELU], [0, 1, 2, 3, 4]),
        ([TANH, POOL, RELU], [0, 1, 2]),
        ([RELU, lambda: nn.AvgPool2d(2)], [0, 1]),
        ([RELU, POOL, POOL], [1, 2, 0]),  # the ReLU goes on down the chain
    ],
)
def test_max_pooling_comes_before_the_relu_in_front_of_it_with_the_same_values_and_slopes(layers, swapped, generator):
    chain = nn.Sequential(*(make() for make in layers))
    whole = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), chain, nn.Flatten()).double()
    x = torch.randn(3, 1, 8, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    before, kinds = list(chain), [type(each) for each in chain]
    made = pooled_first(whole)
    assert [type(each) for each in made[1]] == [kinds[place] for place in swapped]
    assert list(chain) == before  # of the model itself nothing is changed
    assert torch.equal(made(x), whole(x))
    slopes = [torch.autograd.grad(each(x).sin().sum(), x)[0] for each in (made, whole)]
    torch.testing.assert_close(*slopes)


class Doubling(nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)


def replaced(chain):
    chain[0].forward = torch.tanh
    return chain


UNTOUCHED = {
    "a hook": lambda chain: (chain[1].register_forward_hook(lambda module, args, result: 2 * result), chain)[1],
    "a hook before": lambda chain: (chain[0].register_forward_pre_hook(lambda module, args: args), chain)[1],
    "a forward of its own": replaced,
    "a chain of another kind": lambda chain: Doubling(*chain),
    "places": lambda chain: nn.Sequential(nn.ReLU(), nn.MaxPool2d(2, return_indices=True)),
}


@pytest.mark.parametrize("change", UNTOUCHED.values(), ids=UNTOUCHED)
def test_pooling_stays_where_someone_may_look_between_layers_or_wants_the_places_of_the_largest(change, generator):
    chain = change(nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)))
    x = torch.randn(3, 1, 8, 8, generator=generator)
    made = pooled_first(chain)
    assert [type(layer) for layer in made] == [nn.ReLU, nn.MaxPool2d]
    found, expected = made(x), chain(x)
    torch.testing.assert_close(found, expected)


def test_new_parametrizations_are_no_hooks():
    for wrap in (parametrizations.weight_norm, parametrizations.spectral_norm, parametrizations.orthogonal):
        net = nn.Sequential(wrap(nn.Linear(3, 3)))
        assert torch.equal(unwrapped(net.eval())(X), net(X))


class KeepsFeatures(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.features = nn.Linear(3, 2), {}

    def forward(self, x):
        self.features["last"] = self.layer(x)
        return self.features["last"]


class HoldsLock(nn.Linear):
    def __init__(self):
        super().__init__(3, 2)
        self.lock = threading.Lock()


class SpectralConvolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 2, dtype=torch.cfloat))


def after_a_pass(net):
    net(X)
    return net


def old(wrap):
    return nn.Sequential(nn.Sequential(wrap(nn.Linear(3, 2))))


def no_instance():
    return type("Estimator", (), {"module_": model()})()


@pytest.mark.filterwarnings("ignore:.torch.*(weight_norm|jit)", "ignore:Lazy modules", "ignore:.*deprecated")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Sequential, r"the class Sequential; pass an instance of it, Sequential\(...\)"),
        (lambda: model().state_dict(), "got OrderedDict; build the module first; a state_dict goes to land.flatten"),
        (no_instance, r"got Estimator; pass its .module_"),
        (lambda: nn.functional.relu, "must be an nn.Module, got function"),
        (lambda: None, "got NoneType"),
        (lambda: torch.jit.script(model()), "compiled by torch.jit.*pass the Python module"),
        (lambda: torch.jit.trace(model(), X), "compiled by torch.jit"),
        (lambda: nn.Sequential(torch.jit.script(model())), "compiled by torch.jit"),
        (lambda: nn.Sequential(nn.LazyLinear(2)), r"0.weight, 0.bias have no shape yet; call the model once"),
        (lambda: nn.Linear(3, 2, device="meta"), "weight, bias are on the meta device"),
        (SpectralConvolution, "weight are complex; a landscape is a function of a real vector"),
        (lambda: nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2).double()), r"float32 on cpu \(0.weight\), .*float64"),
        (lambda: nn.Sequential(nn.Embedding(5, 3, max_norm=1.0)), r"'0' has max_norm=1.0"),
        (lambda: nn.EmbeddingBag(5, 3, max_norm=1.0), "max_norm"),
        (lambda: nn.Embedding(5, 3, sparse=True), "sparse=False"),
        (lambda: old(nn.utils.weight_norm), r"'0.0' computes weight by a hook.*parametrizations"),
        (lambda: old(nn.utils.spectral_norm), "computes weight by a hook"),
        (lambda: old(lambda layer: prune.l1_unstructured(layer, "bias", 1)), r"computes bias by a hook.*prune.remove"),
        (lambda: after_a_pass(KeepsFeatures()), r"holds features from its last forward pass: store x.detach\(\)"),
        (HoldsLock, "cannot be copied; remove what belongs to a process: locks"),
    ],
)
def test_what_cannot_be_a_function_of_a_real_vector_is_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        unwrapped(make())


# --- what is drawn at random -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.1), nn.AlphaDropout(0.0)), ["1"]),
        (nn.Sequential(nn.MultiheadAttention(4, 2, dropout=0.1)), ["0"]),
        (nn.Sequential(nn.LSTM(3, 2, num_layers=2, dropout=0.1), nn.GRU(3, 2)), ["0"]),
        (nn.Sequential(nn.GRU(3, 2, num_layers=2), nn.MultiheadAttention(4, 2), nn.Dropout(0.0)), []),
        (nn.TransformerEncoderLayer(4, 2, 8, 0.1), ["self_attn", "dropout", "dropout1", "dropout2"]),
        (nn.TransformerEncoderLayer(4, 2, 8, 0.0), []),
    ],
)
def test_what_drops_at_random_is_named(module, names):
    assert dropouts(module) == names


@pytest.mark.filterwarnings("ignore:dropout option adds dropout")
def test_a_recurrent_layer_drops_between_its_layers_and_a_single_one_does_not():
    assert dropouts(nn.Sequential(nn.RNN(3, 2, dropout=0.5), nn.RNN(3, 2, 2, dropout=0.5))) == ["1"]


def drawn(model, seed):
    model = copy.deepcopy(model)
    torch.manual_seed(seed)
    return model, redraw(model)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)),
        lambda: nn.TransformerEncoderLayer(4, 2, 8, 0.0),
        lambda: nn.Sequential(nn.LSTM(3, 4), nn.LayerNorm(4)),
        lambda: nn.MultiheadAttention(4, 2, kdim=3, vdim=3),
    ],
)
def test_all_that_modules_draw_is_drawn_anew(make):
    model = make()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 7
    (one, left), (again, _), (two, _) = (drawn(model, seed) for seed in (1, 1, 2))
    assert left == []
    for (name, before), a, b, same in zip(
        model.named_parameters(), one.parameters(), two.parameters(), again.parameters(), strict=True
    ):
        constant = bool((a == a.flatten()[0]).all())
        assert constant or not torch.equal(a, b), name
        assert torch.equal(a, same)
        assert not torch.equal(a, before), name


def test_a_start_of_attention_is_as_torch_would_make_it():
    def stds(module):
        return torch.stack([p.std() if p.numel() > 1 else p.sum() for p in module.parameters()])

    torch.manual_seed(0)
    fresh, again = nn.MultiheadAttention(64, 2), nn.MultiheadAttention(64, 2)
    redraw(again)
    torch.testing.assert_close(stds(again), stds(fresh), rtol=0.05, atol=1e-9)  # biases begin at 0 in both


def test_what_nothing_draws_is_named_and_constants_are_not():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.token, self.scale = nn.Parameter(torch.randn(3)), nn.Parameter(torch.ones(3))
            self.gain = nn.Parameter(torch.tensor(2.0))
            self.head, self.frozen = nn.Linear(3, 2), nn.Parameter(torch.randn(3), requires_grad=False)

    assert redraw(Tokens()) == ["token"]
    normed = redraw(parametrizations.weight_norm(nn.Linear(3, 2)))  # its reset reaches only what is computed
    assert normed == ["parametrizations.weight.original0", "parametrizations.weight.original1"]
    with pytest.raises(ValueError, match=r"No module of this model has reset_parameters"):
        redraw(nn.ReLU())
