"""Physics alone: it can be used where there are no pictures, no widgets and no data."""

import subprocess
import sys

import pytest

NOT_NEEDED = ("matplotlib", "ipywidgets", "IPython", "anywidget", "sklearn", "pooch", "PIL", "sympy")
TRAINS = """
import torch, entropic_edu as ee
ee.train(ee.valleys.Waist(), generator=torch.Generator().manual_seed(0), epochs=3, learning_rate=0.01)
"""
WALKS = """
import torch, entropic_edu as ee
land, g = ee.valleys.Waist(), torch.Generator().manual_seed(0)
road = ee.connect(land, *land.floor(2), sweeps=8, generator=g)
profile = ee.probe(land, road, points=3, generator=g)
ee.predict(profile, batch_size=4, learning_rate=0.01)
ee.drift(land, road, steps=3, learning_rate=0.01, generator=g)
"""
MEASURES = """
import torch, entropic_edu as ee
land, g = ee.Network(ee.models.mlp(2, 3, 2), torch.eye(2), torch.tensor([0, 1])), torch.Generator().manual_seed(0)
land.trace(land.initial(g), generator=g)
"""
CASES = {"import": "import entropic_edu.physics", "train": TRAINS, "walk": WALKS, "measure": MEASURES}


@pytest.mark.parametrize("code", CASES.values(), ids=CASES)
def test_nothing_is_loaded_that_the_experiment_does_not_need(code):
    says = f"import sys\nprint([name for name in {NOT_NEEDED} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{says}"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
