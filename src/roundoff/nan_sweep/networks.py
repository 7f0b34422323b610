"""The networks of the sweep, slice by slice, in every view or direction."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from roundoff.errors import RoundoffError
from roundoff.models.base import ModelSpec
from roundoff.models.fastsurfer.pipeline import FastSurfer
from roundoff.models.fastsurfer.views import VIEWS
from roundoff.models.fondue.pipeline import ORDERS, Denoiser, stack
from roundoff.nan.policy import clean_image, clean_logits


@dataclass(frozen=True)
class Subject:
    """A model and one volume (X, Y, Z) for it, with its brain.

    `given` is what the network sees (noise included), `scan` what it would have been.
    """

    model: FastSurfer | Denoiser
    scan: NDArray
    given: NDArray
    brain: NDArray[np.bool_]
    voxel_size: float

    @property
    def segments(self) -> bool:
        """Whether the model segments (else it denoises)."""
        return isinstance(self.model, FastSurfer)

    @property
    def views(self) -> tuple[str, ...]:
        """Views or directions the model cuts a volume in."""
        return tuple(self.model.networks if self.segments else self.model.directions)

    def network(self, view: str) -> nn.Module:
        """The network of a view, in evaluation mode."""
        return (
            self.model.networks[view] if self.segments else self.model.network
        ).eval()

    def order(self, view: str) -> tuple[int, int, int]:
        """Volume axes as (slice, row, column)."""
        return axes_of(view)

    def count(self, view: str) -> int:
        """Number of slices of a view."""
        return self.scan.shape[self.order(view)[0]]

    def plane(self, volume: NDArray, view: str, number: int) -> NDArray:
        """One slice of a volume, rows and columns as the network sees them."""
        return volume.transpose(self.order(view))[number]

    def numbers(self, view: str, stride: int) -> list[int]:
        """Every stride-th slice, centred: 4, 12, 20, ... for a stride of 8."""
        return list(range(stride // 2, self.count(view), stride))

    def fullest(self, view: str) -> int:
        """The slice with the most brain."""
        axis = self.order(view)[0]
        others = tuple({0, 1, 2} - {axis})
        return int(self.brain.sum(axis=others).argmax())

    def inputs(self, view: str, number: int) -> tuple[Tensor, float]:
        """The arguments of the network's forward pass for one slice."""
        if self.segments:
            network = self.model.networks[view]
            image = torch.from_numpy(np.ascontiguousarray(self.given))
            cut = VIEWS[view].slices(image, torch.tensor([number]), network.in_channels)
            return cut.to(
                torch.float32
            ) / 255.0, network.base_resolution / self.voxel_size
        model = self.model
        turned = torch.from_numpy(self.scaled(self.given)).permute(self.order(view))
        part = torch.tensor([number])
        slices = stack(turned, part, model.network.in_channels, model.stacking)
        return slices, self.voxel_size / model.base_resolution

    def scaled(self, volume: NDArray) -> NDArray[np.float32]:
        """Intensities from 0 to 1 by the scan's own range, as the denoiser does."""
        low, high = float(self.scan.min()), float(self.scan.max())
        return ((volume - low) / (high - low)).astype(np.float32)

    def clean(self, output: Tensor) -> Tensor:
        """The output with the rule for NaN: logits 0 in all classes, pixels 0."""
        return clean_logits(output) if self.segments else clean_image(output)


def axes_of(view: str) -> tuple[int, int, int]:
    """Volume axes as (slice, row, column) of a view or direction."""
    if view in ORDERS:
        return ORDERS[view]
    row, column, axis = VIEWS[view].order
    return axis, row, column


def build_subject(
    spec: ModelSpec,
    weights: Mapping[str, Path],
    scan: NDArray,
    given: NDArray,
    brain: NDArray,
) -> Subject:
    """Build the model; raises `RoundoffError` for one that cannot be swept."""
    model = spec.build(weights)
    if not isinstance(model, FastSurfer | Denoiser):
        raise RoundoffError(
            f"nan_sweep.models: {spec.name} is no FastSurfer and no FONDUE model; the "
            "sweep knows no other. Convert it with roundoff.nan.convert instead."
        )
    return Subject(model, scan, given, brain, spec.grid.voxel_size)
