"""The registration network of SynthMorph and VoxelMorph (2018): U-Net, velocity."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from roundoff.errors import RoundoffError
from roundoff.models.synthmorph.transform import integrate, rescale, warp_image

SLOPE = 0.2  # of every LeakyReLU
SLAB = 32  # planes of the first level computed at a time, where it is large
LARGE = 2 << 30  # bytes


class VelocityUNet(nn.Module):
    """Two images to a stationary velocity field at half (or full) resolution.

    `encoder`, `decoder`, `final`: features of the convolutions; the decoder has one
    per encoder level (one more at full resolution), the final ones follow at the
    output resolution. `strided`: the 2018 design, in which encoder convolutions
    have stride 2; otherwise each is followed by max-pooling 2 and skips are taken
    before it. Concatenation order: upsampled, skip.
    """

    def __init__(
        self,
        encoder: Sequence[int],
        decoder: Sequence[int],
        final: Sequence[int] = (),
        *,
        in_channels: int = 2,
        strided: bool = False,
        slope: float = SLOPE,
    ):
        super().__init__()
        self.levels, self.strided, self.slope = len(encoder), strided, slope
        self.decoders, self.finals = len(decoder), len(final)
        kept = list(encoder[:-1]) if strided else list(encoder)
        width = in_channels
        for i, features in enumerate(encoder):
            padding = 0 if strided else 1
            conv = nn.Conv3d(width, features, 3, 1 + strided, padding)
            self.add_module(f"enc{i}", conv)
            width = features
        for i, features in enumerate(decoder):
            inputs = width + (kept[-i] if i else 0)
            self.add_module(f"dec{i}", nn.Conv3d(inputs, features, 3, padding=1))
            width = features
        for i, features in enumerate(final):
            self.add_module(f"final{i}", nn.Conv3d(width, features, 3, padding=1))
            width = features
        self.flow = nn.Conv3d(width, 3, 3, padding=1)
        nn.init.normal_(self.flow.weight, std=1e-5)
        nn.init.zeros_(self.flow.bias)

    @property
    def svf_resolution(self) -> int:
        """Voxels of the input per voxel of the velocity field, along an axis."""
        steps = self.levels - (self.decoders - 1)
        return 2**steps

    @property
    def multiple(self) -> int:
        """What every side of the input must be divisible by."""
        return 2**self.levels

    def _conv(self, name: str, x: Tensor) -> Tensor:
        return F.leaky_relu(getattr(self, name)(x), self.slope)

    def _first_is_large(self, x: Tensor) -> bool:
        """Whether the first level is too large to hold and no decoder needs it."""
        values = x[:, 0].numel() * self.enc0.out_channels
        return self.svf_resolution > 1 and values * x.element_size() > LARGE

    def _first_in_slabs(self, x: Tensor) -> Tensor:
        """The first level after pooling, a slab of planes (and a halo of 1) at a time.

        256 features at full resolution take 7 GB; after pooling, 0.9 GB.
        """
        parts, depth = [], x.shape[2]
        for start in range(0, depth, SLAB):
            stop = min(start + SLAB, depth)
            low, high = max(start - 1, 0), min(stop + 1, depth)
            slab = self._conv("enc0", x[:, :, low:high])
            parts.append(F.max_pool3d(slab[:, :, start - low : stop - low], 2))
        return torch.cat(parts, dim=2)

    def forward(self, pair: Tensor) -> Tensor:
        """(N, 2, D, H, W), moving image first, to velocity (N, 3, d, h, w), voxels."""
        if any(side % self.multiple for side in pair.shape[2:]):
            raise RoundoffError(
                f"registration: sides {tuple(pair.shape[2:])} must be divisible by "
                f"{self.multiple}; crop or pad the images"
            )
        x, skips = pair, []
        for i in range(self.levels):
            if self.strided:  # TensorFlow's padding SAME: behind, not before
                x = self._conv(f"enc{i}", F.pad(x, (0, 1) * 3))
                skips.append(x)
            elif i == 0 and self._first_is_large(x):
                x = self._first_in_slabs(x)
                skips.append(None)
            else:
                x = self._conv(f"enc{i}", x)
                skips.append(x)
                x = F.max_pool3d(x, 2)
        if self.strided:
            skips.pop()
        for i in range(self.decoders):
            if i:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
                x = torch.cat([x, skips.pop()], dim=1)
            x = self._conv(f"dec{i}", x)
        for i in range(self.finals):
            x = self._conv(f"final{i}", x)
        return self.flow(x)


class Registration(nn.Module):
    """Velocity network, integration, and the warp at full resolution.

    `int_steps` squarings on a grid `int_resolution` times coarser than the images
    (0 steps: the network's field is the displacement itself).
    """

    def __init__(
        self, unet: VelocityUNet, *, int_steps: int = 7, int_resolution: int = 2
    ):
        super().__init__()
        self.unet = unet
        self.int_steps = int_steps
        self.int_resolution = max(int_resolution, unet.svf_resolution)

    def forward(self, moving: Tensor, fixed: Tensor) -> tuple[Tensor, Tensor]:
        """Images (D, H, W) in 0-1 to (moved (D, H, W), warp (3, D, H, W) in voxels)."""
        warp = self.warp(moving, fixed)
        return warp_image(moving[None], warp)[0], warp

    def warp(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """Displacement u (3, D, H, W), voxels: moved(x) = moving(x + u(x))."""
        shape = tuple(moving.shape)
        field = self.unet(torch.stack([moving, fixed])[None])[0]
        resolution = self.unet.svf_resolution
        if resolution < self.int_resolution:
            coarse = tuple(side // self.int_resolution for side in shape)
            field = rescale(field, resolution / self.int_resolution, coarse)
            resolution = self.int_resolution
        if self.int_steps:
            field = integrate(field, self.int_steps)
        return field if resolution == 1 else rescale(field, float(resolution), shape)
