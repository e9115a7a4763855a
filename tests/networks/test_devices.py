"""Where networks compute when nobody says where."""

import pytest
import torch

import entropic_edu as ee


@pytest.mark.parametrize(
    ("cuda", "mps", "taken"), [(True, False, "cuda"), (True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_the_fastest_device_at_hand_is_taken(cuda, mps, taken, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert ee.device() == torch.device(taken)
