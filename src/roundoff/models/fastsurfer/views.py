"""The three views of FastSurfer: slices out of a volume, logits back into it."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class View:
    """One slicing direction of a volume in LIA order.

    `order`: volume axes as (row, column, slice). The network sees slices of shape
    (row, column), each with its neighbours on either side as channels.
    """

    name: str
    order: tuple[int, int, int]

    @property
    def back(self) -> tuple[int, int, int, int]:
        """Axes of (slice, class, row, column) in volume order, classes last."""
        place = {self.order[0]: 2, self.order[1]: 3, self.order[2]: 0}
        return place[0], place[1], place[2], 1

    def count(self, shape: tuple[int, ...]) -> int:
        """Number of slices of a volume of that shape."""
        return shape[self.order[2]]

    def section(self, start: int, stop: int) -> tuple[slice, slice, slice]:
        """Index of the volume that holds slices `start` to `stop`."""
        index = [slice(None)] * 3
        index[self.order[2]] = slice(start, stop)
        return tuple(index)

    def slices(self, volume: Tensor, numbers: Tensor, channels: int) -> Tensor:
        """Stacks of neighbouring slices (N, channels, rows, columns).

        Beyond the border the border slice repeats. `volume` is 3-D, any dtype.
        """
        half = channels // 2
        offsets = torch.arange(-half, channels - half)
        wanted = (numbers[:, None] + offsets).clamp(0, self.count(volume.shape) - 1)
        planes = volume.permute(self.order[2], self.order[0], self.order[1])
        # Contiguous: other strides make convolutions round differently.
        picked = planes[wanted.reshape(-1)].contiguous()
        return picked.reshape(*wanted.shape, *planes.shape[1:])


VIEWS = {
    "axial": View("axial", (2, 0, 1)),
    "coronal": View("coronal", (0, 1, 2)),
    "sagittal": View("sagittal", (2, 1, 0)),
}

WEIGHTS = {"axial": 0.4, "coronal": 0.4, "sagittal": 0.2}
"""Share of each view in the aggregated score (Henschel et al. 2020)."""


def expand_classes(logits: Tensor, classes: tuple[int, ...]) -> Tensor:
    """Logits (N, C, H, W) of a network without sides, repeated for both sides.

    `classes[k]` is the row of the network that stands for class k.
    """
    return logits.index_select(1, torch.tensor(classes))
