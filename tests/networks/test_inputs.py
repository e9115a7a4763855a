import pytest
import torch
from torch import nn

from entropic_edu.networks.inputs import call, channels_last, each, joined, mapped, one_tensor, split

A, B = torch.arange(10.0).reshape(5, 2), torch.arange(5)


class Sum(nn.Module):
    def forward(self, a, b, scale=1.0):
        return scale * (a.sum(-1) + b)


class Together(nn.Module):
    def forward(self, batch):
        a, b = batch.values() if isinstance(batch, dict) else batch
        return a.sum(-1) + b


@pytest.mark.parametrize("inputs", [A, (A, B), {"a": A, "b": B}], ids=["one", "tuple", "dict"])
def test_several_inputs_are_indexed_split_and_joined_as_one(inputs):
    index = torch.tensor([3, 0])
    picked = mapped(lambda t: t[index], inputs)
    assert type(picked) is type(inputs)
    for part, whole in zip(each(picked), each(inputs), strict=True):
        assert torch.equal(part, whole[index])
    parts = split(inputs, 2)
    assert [len(each(part)[0]) for part in parts] == [2, 2, 1]
    again = joined(parts)
    assert type(again) is type(inputs)
    assert all(torch.equal(a, b) for a, b in zip(each(again), each(inputs), strict=True))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([A, A[:, :1]], r"differ in shape, \[\(1,\), \(2,\)\]; pad"),
        ([torch.ones(1, 2, 3), torch.ones(1, 4, 3)], "differ in shape"),
        ([A, torch.ones(1, 3), torch.ones(1, 4), torch.ones(1, 5)], r"shape, \[\(2,\), \(3,\), \(4,\)\]; pad"),
        ([(A, B), (A, torch.ones(3, 1))], "differ in shape"),
        ([{"a": A, "b": B}, {"a": A[:, :1], "b": B}], "differ in shape"),
        ([(A, B), (A, B, B)], "in their inputs, 2 and 3; give each the same"),
        ([(A, B), A], "in their inputs, 2 and 1"),
        ([{"a": A, "b": B}, {"a": A, "c": B}], r"in their inputs, \['a', 'b'\] and \['a', 'c'\]"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(parts, words):
    with pytest.raises(ValueError, match=words):
        joined(parts)


def test_parts_are_joined_by_name_in_the_order_of_the_first():
    whole = joined([{"a": A, "b": B}, {"b": B + 1, "a": A + 1}])
    assert list(whole) == ["a", "b"]
    assert torch.equal(whole["a"], torch.cat([A, A + 1]))
    assert torch.equal(whole["b"], torch.cat([B, B + 1]))


def test_samples_of_walkers_are_split_along_their_own_dimension():
    inputs = mapped(lambda t: t.expand(3, *t.shape), (A, B))
    assert [tuple(t.shape) for part in split(inputs, 4, 1) for t in each(part)] == [
        (3, 4, 2),
        (3, 4),
        (3, 1, 2),
        (3, 1),
    ]


class Optional(nn.Module):
    def forward(self, batch, scale=1.0):
        return scale * (batch["a"].sum(-1) + batch["b"])


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (Optional(), {"a": A, "b": B}),
        (Sum(), (A, B)),
        (Sum(), {"a": A, "b": B}),
        (Sum(), {"b": B, "a": A}),
        (Sum(), (A, B, torch.tensor(1.0))),
        (Together(), (A, B)),
        (Together(), {"a": A, "b": B}),
    ],
)
def test_a_model_is_called_as_its_forward_wants(model, inputs):
    assert torch.equal(call(model, inputs), A.sum(-1) + B)


@pytest.mark.parametrize(
    ("model", "inputs", "message"),
    [
        (nn.Linear(3, 2), A, r"Linear failed on 5 of your samples, inputs \(5, 2\) of torch.float32: .*mat1 and mat2"),
        (nn.Linear(2, 2), A.long(), r"of torch.int64.*floats for layers"),
        (nn.Embedding(9, 2), A, r"integers \(x.long\(\)\) for embeddings"),
        (nn.Conv2d(3, 2, 3), torch.ones(2, 8, 8, 3), r"\(B, C, H, W\) for convolutions"),
        (nn.Linear(2, 2), (A, B), r"inputs \(5, 2\) of torch.float32, \(5,\) of torch.int64"),
        (nn.Embedding(3, 2), B, "index out of range"),
    ],
)
def test_inputs_that_a_model_cannot_take_are_refused_with_their_shapes(model, inputs, message):
    with pytest.raises(ValueError, match=message):
        call(model, inputs)


def test_a_model_of_one_tensor_stays_and_of_one_input_by_name_it_goes_by_numbers():
    model = nn.Linear(2, 1)
    called, data = one_tensor(model, A, A[:2])
    assert called is model
    assert [data[0] is A, torch.equal(data[1], A[:2])] == [True, True]
    called, (train, test) = one_tensor(model, {"input": A}, {"input": A[:2]})
    assert torch.equal(called(train), model(A))
    assert torch.equal(called(test), model(A[:2]))
    called, (whole,) = one_tensor(model, (A,))
    assert torch.equal(called(whole), model(A))


@pytest.mark.parametrize("inputs", [(A, B), {"b": B, "a": A}], ids=["tuple", "dict"])
def test_a_model_of_several_inputs_goes_by_the_numbers_of_samples(inputs):
    class Scaled(Sum):
        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(torch.tensor(2.0))

    model = Scaled()
    called, (train, test) = one_tensor(model, inputs, mapped(lambda t: t[:2] + 1, inputs))
    expected = torch.cat([A.sum(-1) + B, A[:2].sum(-1) + B[:2] + 3])
    assert torch.equal(called(train), expected[:5])
    assert torch.equal(called(test), expected[5:])
    assert torch.equal(torch.vmap(lambda n: called(n[None])[0])(train[[4, 1]]), expected[[4, 1]])
    assert called.double()(train).dtype == torch.float64
    assert torch.equal(call(model, (A, B)), expected[:5])  # which is not changed


def test_of_several_inputs_numbers_are_cast_with_the_parameters_and_class_numbers_are_not():
    class Kinds(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(torch.tensor(2.0))

        def forward(self, a, b):
            seen.append((a.dtype, b.dtype))
            return self.factor * a.sum(-1)

    seen = []
    called, (train,) = one_tensor(Kinds(), (A, B))
    called.double()(train)
    called.half()(train[1:])
    assert seen == [(torch.float64, torch.int64), (torch.float16, torch.int64)]


def test_pictures_have_their_channels_last_unless_forward_views_them():
    x = torch.arange(4 * 3 * 5 * 5.0).reshape(4, 3, 5, 5)
    convolution = nn.Conv2d(3, 2, 3)
    flattened = nn.Sequential(convolution, nn.Flatten())

    class Viewed(nn.Module):
        def forward(self, x):
            return convolution(x).view(len(x), -1)

    for model, last in ((convolution, True), (flattened, True), (Viewed(), False)):
        for some in (x, x[:2], x[:1]):
            laid_out = channels_last(model, some)
            assert torch.equal(laid_out, some)
            assert laid_out.is_contiguous(memory_format=torch.channels_last) is last
            torch.testing.assert_close(model(laid_out), model(some))
