"""The benchmarks of convolutional nets: their operations in closed form, and the file that a GPU run leaves."""

import json

import torch
from test_benchmarks import benchmark  # noqa: F401  (a fixture)

from entropic_edu.networks.models import resnet20, small_cnn

# pixels, inputs, outputs of the 3 x 3 convolutions; forward, weights' gradient and, but for the first, inputs' gradient
SMALL = [(1024, 3, 16), (256, 16, 32), (64, 32, 32)]
RESNET = [
    (1024, 3, 16), *[(1024, 16, 16)] * 6, (256, 16, 32), *[(256, 32, 32)] * 5, (64, 32, 64), *[(64, 64, 64)] * 5,
]  # fmt: skip


def test_the_operations_of_a_gradient_are_those_of_its_products(benchmark):  # noqa: F811
    flops, picture = benchmark("cnn").flops, torch.zeros(1, 3, 32, 32)
    for model, layers, last in ((small_cnn(), SMALL, 512 * 10), (resnet20().eval(), RESNET, 64 * 10)):
        forward = [2 * pixels * 9 * inputs * outputs for pixels, inputs, outputs in layers] + [2 * last]
        assert flops(model, picture) == 3 * sum(forward) - forward[0]


def test_a_run_on_the_gpu_leaves_every_number_it_measured(benchmark, tmp_path):  # noqa: F811
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    out = tmp_path / "gpu.json"
    rows = benchmark("gpu").main(out, 60.0, torch.device("cpu"), small=True, tests=False)
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
    assert json.loads(out.read_text()) == rows
    assert [path.name for path in tmp_path.iterdir()] == ["gpu.json"]
    assert not [row for row in rows if "error" in row]
    ways = [(row["model"], row["tf32"], row["way"]) for row in rows if row["what"] == "ways"]
    assert len(ways) == len(set(ways)) == 3 * 2 * 4
    assert sum(row["what"] == "whole" for row in rows) == 3 * 3
    assert rows[-1] == {"what": "end", "complete": True}


def test_a_run_out_of_time_begins_nothing_new(benchmark, tmp_path):  # noqa: F811
    rows = benchmark("gpu").main(tmp_path / "gpu.json", 0.0, torch.device("cpu"), small=True, tests=False)
    assert [row["what"] for row in rows] == ["device", "end"]
    assert rows[-1]["complete"] is False
