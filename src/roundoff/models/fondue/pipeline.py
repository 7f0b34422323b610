"""FONDUE on a whole volume: three directions, averaged."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from roundoff.errors import RoundoffError
from roundoff.models.base import Prediction, Progress
from roundoff.models.checkpoints import load_into, load_tensors, require_key
from roundoff.models.fondue.network import FondueLT

ORDERS = {"first": (0, 1, 2), "second": (1, 2, 0), "third": (2, 0, 1)}
"""Volume axes as (slice, row, column) in each direction."""
STACKING = ("released", "neighbours")
INTENSITY = ("0-255", "0-1", "original")


class Denoiser:
    """FONDUE_LT as a `BrainModel`: one network, run along each axis, averaged.

    `stacking`: what the seven channels are. "released": the slice shifted by -3 to 3
    pixels along its last axis, which is what the published code does; "neighbours":
    the slice and three on either side. Beyond a border the border repeats.
    `base_resolution`: pixel size (mm) the network was trained at, 1 as released; with
    scans of that pixel size the inner grid is as large as it was in training.
    `step` > 1 runs every step-th slice only and uses its values for its neighbours.
    Map: `denoised`, in the unit `intensity` names (the input's range or a fixed one).
    """

    def __init__(
        self,
        network: FondueLT,
        *,
        stacking: str = "released",
        intensity: str = "0-255",
        directions: Sequence[str] = tuple(ORDERS),
        batch_size: int = 2,
        base_resolution: float = 1.0,
        step: int = 1,
    ):
        self.network = network
        self.stacking = stacking
        self.intensity = intensity
        self.directions = tuple(directions)
        self.batch_size = batch_size
        self.base_resolution = base_resolution
        self.step = step

    def modules(self) -> Mapping[str, FondueLT]:
        """The one network."""
        return {"network": self.network}

    @torch.inference_mode()
    def predict(
        self, volume: np.ndarray, voxel_size: float, progress: Progress | None = None
    ) -> Prediction:
        """Denoise a volume (3-D, isotropic voxels of `voxel_size` mm)."""
        low, high = _range(volume)
        scaled = (volume.astype(np.float64) - low) / (high - low)
        image = torch.from_numpy(scaled.astype(np.float32))
        total = torch.zeros_like(image)
        zoom = voxel_size / self.base_resolution
        tell = progress or (lambda fraction, words: None)
        count = sum(image.shape[ORDERS[d][0]] for d in self.directions)
        done = 0
        for direction in self.directions:
            order = ORDERS[direction]
            turned, target = image.permute(order), total.permute(order)
            width = self.batch_size * self.step
            for start in range(0, len(turned), width):
                tell(done / count, f"{direction} direction, slice {start}")
                part = slice(start, min(start + width, len(turned)))
                numbers = centres(part, self.step)
                slices = stack(turned, numbers, self.network.in_channels, self.stacking)
                values = self.network(slices, zoom)[:, 0]
                size = part.stop - part.start
                target[part] += values.repeat_interleave(self.step, dim=0)[:size]
                done += size
        tell(1.0, "average")
        denoised = total / len(self.directions)
        if self.intensity == "0-255":
            denoised = denoised * 255.0
        elif self.intensity == "original":
            denoised = denoised * float(high - low) + float(low)
        return Prediction(maps={"denoised": denoised.numpy()})


def centres(part: slice, step: int) -> Tensor:
    """The slice that stands for each group of `step` slices of `part`."""
    numbers = torch.arange(part.start, part.stop, step) + step // 2
    return numbers.clamp(max=part.stop - 1)


def stack(volume: Tensor, numbers: Tensor, channels: int, stacking: str) -> Tensor:
    """Slices `numbers` of the first axis, with their channels: (N, channels, H, W)."""
    half = channels // 2
    if stacking == "neighbours":
        wanted = numbers[:, None] + torch.arange(-half, half + 1)
        wanted = wanted.clamp(0, len(volume) - 1)
        picked = volume[wanted.reshape(-1)].contiguous()
        return picked.reshape(*wanted.shape, *volume.shape[1:])
    width = volume.shape[2]
    columns = torch.arange(-half, half + 1)[:, None] + torch.arange(width)
    columns = columns.clamp(0, width - 1)
    shifted = volume[numbers][:, :, columns.reshape(-1)]
    return shifted.unflatten(2, (channels, width)).transpose(1, 2).contiguous()


def _range(volume: np.ndarray) -> tuple[float, float]:
    if volume.ndim != 3:
        raise RoundoffError(f"FONDUE: expected a 3-D volume, got {volume.shape}")
    low, high = float(volume.min()), float(volume.max())
    if not high > low:
        raise RoundoffError(f"FONDUE: the volume is constant ({low})")
    return low, high


def build(
    weights: Mapping[str, Path],
    *,
    reuse_final4: bool = True,
    stacking: str = "released",
    intensity: str = "0-255",
    directions: Sequence[str] = tuple(ORDERS),
    batch_size: int = 2,
    base_resolution: float = 1.0,
    slices: int = 1,
) -> Denoiser:
    """Factory of the registry: `network` is FONDUE_LT.pt, or weights of its shape.

    The defaults are what the published code does; see `FondueLT` and `Denoiser`.
    `slices`: run every n-th slice only.
    """
    if not isinstance(slices, int) or slices < 1:
        raise RoundoffError(f"option slices is {slices!r}, expected 1 or more")
    if "network" not in weights:
        raise RoundoffError("FONDUE weights: the role 'network' is missing")
    _check_option("stacking", stacking, STACKING)
    _check_option("intensity", intensity, INTENSITY)
    if not base_resolution > 0:
        raise RoundoffError(
            f"option base_resolution is {base_resolution!r}, expected a size in mm"
        )
    if not directions:
        raise RoundoffError("option directions is empty, expected one to three")
    for direction in directions:
        _check_option("directions", direction, tuple(ORDERS))
    path = weights["network"]
    tensors = load_tensors(path)
    first = require_key(tensors, "conv0_0.conv1.weight", path)
    network = FondueLT(first.shape[0], first.shape[1], reuse_final4=reuse_final4)
    return Denoiser(
        load_into(network, tensors, path),
        stacking=stacking,
        intensity=intensity,
        directions=directions,
        batch_size=batch_size,
        base_resolution=base_resolution,
        step=slices,
    )


def _check_option(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise RoundoffError(
            f"option {name} is {value!r}, expected one of {', '.join(known)}"
        )
