"""Torch tensors as flat NumPy arrays in the memory order of the result."""

import numpy as np
import torch

HALVES = (torch.float16, torch.bfloat16)
PRECISION = {torch.float16: 11, torch.bfloat16: 8}


def working(dtype: torch.dtype) -> torch.dtype:
    """Precision a kernel computes in: half types are computed in float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def flat(tensor: torch.Tensor) -> np.ndarray:
    """1-D array over the storage of a dense tensor (no copy)."""
    return tensor.detach().as_strided((tensor.numel(),), (1,)).numpy()


def contiguous(tensor: torch.Tensor) -> np.ndarray:
    """Row-major array of a tensor's values (copied only if it must be)."""
    return tensor.detach().contiguous().numpy()


def same_order(tensor: torch.Tensor, like: torch.Tensor) -> np.ndarray:
    """Flat array of `tensor`, broadcast and converted to the layout of `like`."""
    fits = tensor.shape == like.shape and tensor.dtype == like.dtype
    if fits and tensor.stride() == like.stride():
        return flat(tensor)
    return flat(torch.empty_like(like).copy_(tensor))


def result_like(tensors: list[torch.Tensor], dtype: torch.dtype) -> torch.Tensor:
    """Uninitialised result of a pointwise operator: broadcast shape, kept layout."""
    shape = torch.broadcast_shapes(*(t.shape for t in tensors))
    for tensor in tensors:
        if tensor.shape == shape:
            return torch.empty_like(tensor, dtype=dtype, requires_grad=False)
    return torch.empty(shape, dtype=dtype)
