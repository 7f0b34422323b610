"""Max-unpooling equals PyTorch's own, and is accepted where that one is refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from roundoff.models.unpooling import MaxUnpool2d


@given(
    st.tuples(*[st.integers(1, 4)] * 2, *[st.integers(4, 17)] * 2),
    st.booleans(),
    st.integers(2, 3),
)
def test_values_are_those_of_pytorch(shape, ceil_mode, size):
    x = torch.randn(shape)
    pooled, indices = F.max_pool2d(x, size, ceil_mode=ceil_mode, return_indices=True)
    found = MaxUnpool2d(size)(pooled, indices, output_size=x.shape)
    expected = F.max_unpool2d(pooled, indices, size, output_size=x.shape)
    assert torch.equal(found, expected)


def test_output_size_defaults_to_the_multiple():
    pooled, indices = F.max_pool2d(torch.randn(1, 2, 8, 6), 2, return_indices=True)
    assert MaxUnpool2d(2)(pooled, indices).shape == (1, 2, 8, 6)


def test_nan_and_infinity_pass():
    x = torch.tensor([[[[float("nan"), 1.0], [2.0, float("inf")]]]])
    pooled, indices = F.max_pool2d(x, 2, return_indices=True)
    found = MaxUnpool2d(2)(pooled, indices)
    expected = F.max_unpool2d(pooled, indices, 2)
    assert torch.allclose(found, expected, rtol=0, atol=0, equal_nan=True)


def test_deterministic_mode_accepts_it():
    pooled, indices = F.max_pool2d(torch.randn(1, 2, 8, 6), 2, return_indices=True)
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.raises(RuntimeError, match="deterministic"):
            F.max_unpool2d(pooled, indices, 2)
        MaxUnpool2d(2)(pooled, indices)
    finally:
        torch.use_deterministic_algorithms(False)


def test_it_is_found_as_a_pytorch_unpooling():
    assert isinstance(MaxUnpool2d(2), torch.nn.MaxUnpool2d)
