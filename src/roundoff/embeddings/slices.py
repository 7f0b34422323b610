"""One slice of a head as FastSurfer's networks see it."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from roundoff.errors import RoundoffError
from roundoff.models.fastsurfer.views import VIEWS


def choose_slice(brain: NDArray, view: str, wanted: int | None = None) -> int:
    """The slice asked for, or the one that shows most of the brain (X, Y, Z)."""
    axis = VIEWS[view].order[2]
    if wanted is None:
        others = tuple(a for a in range(3) if a != axis)
        return int(brain.sum(axis=others).argmax())
    if not 0 <= wanted < brain.shape[axis]:
        raise RoundoffError(
            f"embeddings.slice: {wanted} is outside the {view} view, which has slices "
            f"0 to {brain.shape[axis] - 1}"
        )
    return wanted


def plane(volume: NDArray, view: str, number: int) -> NDArray:
    """Slice `number` of a volume, rows and columns as the network sees them."""
    row, column, axis = VIEWS[view].order
    return np.take(volume.transpose(row, column, axis), number, axis=2)


def slice_inputs(
    network: nn.Module, volume: NDArray, view: str, number: int, voxel_size: float
) -> tuple[Tensor, float]:
    """The arguments of a network's forward pass for one slice."""
    image = torch.from_numpy(np.ascontiguousarray(volume))
    stack = VIEWS[view].slices(image, torch.tensor([number]), network.in_channels)
    return stack.to(torch.float32) / 255.0, network.base_resolution / voxel_size
