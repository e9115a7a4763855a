"""Models of other libraries, as practitioners bring them: pip install "entropic-edu[peers]", then make soak.

What they show of the package is in ``test_cases`` with small models; here are the libraries' own.
"""

import functools
import importlib.util
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import entropic_edu as ee
from entropic_edu.physics.curvature import hessian_vector_product

pytestmark = [
    pytest.mark.soak,
    pytest.mark.filterwarnings("ignore"),  # what these libraries say when they are imported
]


@functools.cache
def library(name):
    """Import a library of the extra "peers", or skip with the reason."""
    _without_operators()
    return pytest.importorskip(name, reason=f'{name} is not installed: pip install "entropic-edu[peers]"')


@functools.cache
def _without_operators():
    """Let torchvision be imported beside a CPU build of torch, whose wheel has operators for CUDA only."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None:
        return
    try:
        torch.ops.load_library(str(next(Path(spec.origin).parent.glob("_C*.so"))))
    except OSError:
        for operator in ("nms", "qnms"):
            torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float most) -> Tensor")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(number=12, size=32, classes=3):
    x = torch.randn(number, 3, size, size, generator=seeded(1))
    return x, torch.randint(classes, (number,), generator=seeded(2))


def through_all_verbs(land, ends=None, **settings):
    """Train or take two ends, join them, measure and release; return the profile, whose numbers are all there."""
    given = {"generator": seeded(), "batch_size": 6, "learning_rate": 1e-3}
    ends = ee.train(land, runs=2, epochs=1, **given).theta if ends is None else ends
    road = ee.connect(land, *ends, method="string", pivots=4, sweeps=4, points=4, **given)
    profile = ee.probe(land, road, generator=seeded(), points=2, **({"num_probes": 1, "lanczos_steps": 2} | settings))
    assert profile.unavailable == {}
    assert bool(profile.noise.isfinite().all() and profile.trace.isfinite().all())
    ee.drift(land, road, walkers=1, steps=2, project_every=1, **given)
    return profile


def product_by_double_backward(model, loss, theta, vector):
    """Hv in float64, from torch alone."""
    model = model.double()
    torch.nn.utils.vector_to_parameters(theta.double(), model.parameters())
    parameters = list(model.parameters())
    slopes = torch.autograd.grad(loss(model), parameters, create_graph=True)
    inner = torch.cat([s.flatten() for s in slopes]) @ vector.double()
    return torch.cat([h.flatten() for h in torch.autograd.grad(inner, parameters)])


def test_resnet18_on_small_pictures_goes_through_all_verbs():
    models = library("torchvision").models
    x, y = pictures(8)
    land = ee.Network(models.resnet18(num_classes=3), x, y, batch_norm="reestimate", statistics=None)
    through_all_verbs(land)
    with pytest.raises(ValueError, match="batch norm in"):
        ee.Network(models.resnet18(num_classes=3), x, y)


def test_products_of_resnet18_are_those_of_double_backward():
    models = library("torchvision").models
    x, y = pictures(6, 16)
    model = models.resnet18(num_classes=3)
    land = ee.Network(model, x, y, batch_norm="reestimate", statistics=None).to(torch.float64)
    theta = land.flatten(model)
    vector = torch.randn(land.dim, generator=seeded(3), dtype=torch.float64)
    expected = product_by_double_backward(model, lambda m: F.cross_entropy(m(x.double()), y), theta, vector)
    torch.testing.assert_close(hessian_vector_product(land, theta, vector), expected, rtol=1e-9, atol=1e-9)


def test_transfer_learning_on_a_frozen_backbone():
    models = library("torchvision").models
    model = models.resnet18(num_classes=3).requires_grad_(False)
    model.fc = nn.Linear(512, 3)
    x, y = pictures(12)
    land = ee.Network(model, x, y, freeze_buffers=True)
    assert land.dim == 512 * 3 + 3
    profile = through_all_verbs(land)
    features = nn.Sequential(*list(model.children())[:-1], nn.Flatten()).eval()(x).detach()
    alone = ee.Network(model.fc, features, y)  # the head by itself, on the backbone's features
    trace = ee.exact_trace(alone, alone.flatten(model.fc), weight_decay=False)
    torch.testing.assert_close(ee.exact_trace(land, land.flatten(model), weight_decay=False), trace, rtol=1e-3, atol=0)
    assert bool((profile.trace_error == 0).all())


def test_a_folder_of_torchvision_pictures_is_a_dataset():
    transforms = library("torchvision").transforms
    pil = pytest.importorskip("PIL.Image")
    images = [pil.fromarray(torch.full((8, 8, 3), 20 * k, dtype=torch.uint8).numpy()) for k in range(10)]
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))

    class Folder(torch.utils.data.Dataset):
        transform = None

        def __len__(self):
            return len(images)

        def __getitem__(self, index):
            return (images[index] if self.transform is None else self.transform(images[index])), index % 2

    with pytest.raises(ValueError, match="ToTensor"):
        ee.Network(model, Folder())
    folder = Folder()
    folder.transform = transforms.ToTensor()
    land = ee.Network(model, DataLoader(folder, batch_size=4))
    torch.testing.assert_close(land.x[3], torch.full((3, 8, 8), 60 / 255), check_stride=False)


@pytest.mark.parametrize("name", ["test_resnet", "test_mambaout", "test_vit", "test_efficientnet"])
def test_small_models_of_timm(name):
    timm = library("timm")
    model = timm.create_model(name, num_classes=3, img_size=32) if name == "test_vit" else None
    model = model or timm.create_model(name, num_classes=3)
    x, y = pictures(8, 160 if name == "test_mambaout" else 32)
    if name == "test_efficientnet":  # its batch norm has an activation of its own
        with pytest.raises(ValueError, match="BatchNormAct2d"):
            ee.Network(model, x, y, batch_norm="reestimate")
        land = ee.Network(model, x, y, freeze_buffers=True)
        expected = F.cross_entropy(model.eval()(x), y)
    else:
        options = {"batch_norm": "reestimate", "statistics": None} if name == "test_resnet" else {}
        land = ee.Network(model, x, y, **options)
        expected = F.cross_entropy(model.train()(x), y)
    torch.testing.assert_close(land.loss(land.flatten(model)), expected, rtol=1e-3, atol=1e-4)
    through_all_verbs(land, [land.flatten(model), 0.9 * land.flatten(model)])


def test_a_transformer_of_hugging_face_with_inputs_by_name():
    transformers = library("transformers")
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, num_labels=3
    )
    model = transformers.BertForSequenceClassification(config)
    x = {
        "input_ids": torch.randint(20, (8, 5), generator=seeded(1)),
        "attention_mask": torch.ones(8, 5, dtype=torch.long),
    }
    y = torch.randint(3, (8,), generator=seeded(2))
    with pytest.raises(ValueError, match="dropout in"):
        ee.Network(model, x, y)
    land = ee.Network(model, x, y, freeze_buffers=True)
    torch.testing.assert_close(land.loss(land.flatten(model)), F.cross_entropy(model.eval()(**x).logits, y))
    through_all_verbs(land, [land.flatten(model), 0.9 * land.flatten(model)])
    batches = [
        {"input_ids": x["input_ids"][i], "attention_mask": x["attention_mask"][i], "labels": y[i]} for i in range(8)
    ]
    same = ee.Network(model, batches, freeze_buffers=True)
    torch.testing.assert_close(same.loss(land.flatten(model)), land.loss(land.flatten(model)))


def test_a_language_model_of_hugging_face_names_what_its_starts_share():
    transformers = library("transformers")
    config = transformers.GPT2Config(
        vocab_size=11, n_positions=6, n_embd=8, n_layer=1, n_head=2, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0
    )
    x = torch.randint(11, (8, 6), generator=seeded(1))
    land = ee.Network(
        transformers.GPT2LMHeadModel(config),
        x,
        x.roll(-1, 1),
        loss=lambda z, y: F.cross_entropy(z.flatten(0, 1), y.flatten()),
    )
    with pytest.warns(UserWarning, match=r"c_attn\.weight"):
        land.initial(seeded())
    theta = land.flatten(land.model)
    through_all_verbs(land, [theta, 0.9 * theta])


def test_estimators_of_skorch_and_modules_of_lightning():
    skorch, lightning = library("skorch"), library("pytorch_lightning")
    x, y = torch.randn(20, 4, generator=seeded(1)), torch.randint(3, (20,), generator=seeded(2))
    estimator = skorch.NeuralNetClassifier(
        nn.Sequential(nn.Linear(4, 3)), criterion=nn.CrossEntropyLoss, max_epochs=2, verbose=0, train_split=None
    ).fit(x.numpy(), y.numpy())
    with pytest.raises(ValueError, match=r"pass its \.module_"):
        ee.Network(estimator, x, y)
    land = ee.Network(estimator.module_, x, y)
    torch.testing.assert_close(
        land.loss(land.flatten(estimator.module_)), F.cross_entropy(estimator.module_(x), y), check_device=False
    )

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(4, 3)

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch, _):
            return F.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    module, loader = Module(), DataLoader(TensorDataset(x, y), batch_size=5)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    lightning.Trainer(max_epochs=1, accelerator="cpu", **quiet).fit(module, loader)
    land = ee.Network(module, loader)
    torch.testing.assert_close(land.loss(land.flatten(module)), F.cross_entropy(module(x), y))
    checkpoint = {"epoch": 1, "state_dict": module.state_dict()}
    assert torch.equal(land.flatten(checkpoint), land.flatten(module))
