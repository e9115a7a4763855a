"""Results draw themselves through one dispatch."""

import subprocess
import sys

import pytest
import torch

import entropic_edu as ee
from entropic_edu import figures
from entropic_edu.physics.results import Result

ROAD = ee.Path(torch.eye(3), losses=torch.tensor([0.1, 0.3, 0.2]))


def test_a_result_draws_itself_as_its_kind_is_drawn():
    axes = ROAD.plot()
    assert axes.get_ylabel() == figures.draw(ROAD).get_ylabel() == "objective"
    assert ROAD.plot(axes) is axes


def test_a_result_without_a_picture_says_which_kinds_have_one():
    with pytest.raises(TypeError, match="Run, Path, Profile, Release, Family, none of a Result; plot its fields"):
        Result().plot()


def test_measuring_a_valley_loads_nothing_that_draws():
    code = (
        "import sys, torch\n"
        "from entropic_edu.physics import path, results, train\n"
        "path.Path(torch.eye(3)).summary()\n"
        "assert not {'matplotlib', 'entropic_edu.figures'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
