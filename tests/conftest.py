"""What every test may use: a seeded generator. One thread, so that tests run side by side do not slow each other."""

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)
