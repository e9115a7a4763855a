"""Means, their errors, and the one ratio of a road's middle to its ends."""

import math

import pytest
import torch

from entropic_edu.physics.mean import Estimate, Mean, exact, middle_over_ends, ratio


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("thirds", [1, 2, 3, 4, 8, 11, 32, 33])
def test_the_points_at_a_third_and_at_two_thirds_belong_to_the_middle_in_any_precision(dtype, thirds):
    # Whole numbers decide: of 0 ... 3n the middle third is n ... 2n, ends included.
    count = 3 * thirds + 1
    for position in (torch.linspace(0, 1, count, dtype=dtype), torch.arange(count, dtype=dtype) / (count - 1)):
        is_middle = torch.zeros(count, dtype=dtype)
        is_middle[thirds : 2 * thirds + 1] = 1.0
        is_middle[[0, -1]] = 1e-3
        assert float(middle_over_ends(position, is_middle)) == pytest.approx(1e3)
        outside = 1 - is_middle.round()
        assert float(middle_over_ends(position, outside)) == 0


def test_the_ratio_of_a_valley_does_not_depend_on_the_precision_of_its_positions():
    # The valley of the issue: 25 points gave 10.84 in float32 and 11.14 in float64, since 2/3 was left out.
    position = torch.linspace(0, 1, 25)
    values = 1 + 15 * torch.exp(-(((position - 0.5) / 0.2) ** 2))
    assert float(middle_over_ends(position, values)) == pytest.approx(
        float(middle_over_ends(torch.linspace(0, 1, 25, dtype=torch.float64), values.double())), rel=1e-6
    )  # 1e-6: float32's round-off


def test_many_roads_are_measured_at_once():
    position = torch.tensor([0.0, 0.5, 1.0])
    values = torch.tensor([[[1.0, 2.0, 3.0], [2.0, 2.0, 2.0]]])
    assert middle_over_ends(position, values).tolist() == [[1.0, 1.0]]


def test_a_road_without_points_in_the_middle_has_no_ratio():
    assert middle_over_ends(torch.tensor([0.0, 0.2, 1.0]), torch.ones(3)).isnan()


def test_positions_of_other_points_are_refused():
    with pytest.raises(ValueError, match="got shapes \\(3,\\) and \\(2, 4\\)"):
        middle_over_ends(torch.linspace(0, 1, 3), torch.ones(2, 4))


def test_a_mean_is_written_with_its_error_and_alone_where_none_is_known():
    each = torch.tensor([1.0, 2.0, 3.0, 6.0], dtype=torch.float64)
    mean, error = 3.0, math.sqrt((4 + 1 + 0 + 9) / 3 / 4)
    assert f"{Mean.over(each):.3f}" == f"{mean:.3f} ± {error:.3f}"
    assert f"{100 * Mean.over(each):.0f}" == f"{100 * Mean.over(each).value:.0f} ± {100 * error:.0f}"
    assert f"{Mean.over(each[:1]):.1f}" == f"{exact(each[0]):.1f}" == "1.0"
    assert f"{Mean(each[0], torch.tensor(torch.inf)):.1f}" == "1.0"
    assert f"{Mean(-0.01 * each[0], 0.2 * each[0]):.1f}" == "0.0 ± 0.2"


def test_the_mean_is_over_the_dimension_that_is_named():
    each = torch.arange(6, dtype=torch.float64).view(2, 3)
    assert torch.equal(Mean.over(each).value, torch.tensor([1.0, 4.0], dtype=torch.float64))
    assert torch.equal(Mean.over(each, 0).value, torch.tensor([1.5, 2.5, 3.5], dtype=torch.float64))
    assert torch.allclose(Mean.over(each, 0).error, torch.full((3,), 1.5, dtype=torch.float64))  # 3/√2/√2
    assert float(Mean.over(each, 0).at(1).value) == pytest.approx(2.5)


@pytest.mark.parametrize("form", [".2f", "+.2f", "-.2f", " .2f", ".3e", "+.1e", "9.2f", "g", ".0%"])
@pytest.mark.parametrize("value", [1.25, -1.25, 0.0, 1e4])
def test_a_mean_takes_the_forms_of_a_float_for_itself_and_for_its_error(form, value):
    mean = Mean(torch.tensor(value, dtype=torch.float64), torch.tensor(0.125, dtype=torch.float64))
    assert f"{mean:{form}}" == f"{value:{form}} ± {0.125:{form}}"


@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (1, -1)])
def test_the_error_of_a_ratio_is_how_much_it_scatters(signs):
    """Columns that vary together, 400 experiments of 50: the errors' mean square is the scatter to its own 4 %."""
    draw = torch.Generator().manual_seed(0)
    below = 2 + 0.5 * torch.randn(400, 50, generator=draw, dtype=torch.float64)
    above = 3 * below + torch.randn(400, 50, generator=draw, dtype=torch.float64)
    found = ratio(signs[0] * above, signs[1] * below)
    assert float(found.value.mean()) == pytest.approx(3 * signs[0] * signs[1], rel=0.01)
    assert float(found.error.square().mean().sqrt()) == pytest.approx(float(found.value.std()), rel=0.12)
    assert torch.equal(ratio(above[:, :1], below[:, :1]).error, torch.zeros(400, dtype=torch.float64))


@pytest.mark.parametrize("factor", [-2.0, 0.5, torch.tensor(-0.25)])
def test_in_other_units_a_mean_keeps_an_error_above_zero(factor):
    mean = Mean(torch.tensor([3.0, -1.0]), torch.tensor([0.5, 0.25]))
    for turned in (mean * factor, factor * mean if isinstance(factor, float) else mean * factor):
        torch.testing.assert_close(turned.value, torch.tensor([3.0, -1.0]) * factor)
        torch.testing.assert_close(turned.error, torch.tensor([0.5, 0.25]) * abs(factor))


@pytest.mark.parametrize("count", [2, 3, 40])
def test_an_estimate_is_the_mean_over_its_probes_with_the_same_error(count):
    samples = torch.randn(2, 3, count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found, mean = Estimate.of(samples), Mean.over(samples)
    torch.testing.assert_close((found.value, found.error), (mean.value, mean.error))
    assert found.samples is samples
    assert Estimate.of(samples[..., :1]).error.tolist() == [[math.inf] * 3] * 2
