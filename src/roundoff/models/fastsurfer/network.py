"""FastSurferVINN (version 2) and FastSurferCNN (version 1), as checkpoints say."""

from collections.abc import Sequence
from math import ceil

import torch
from torch import Tensor, nn

from roundoff.models.fastsurfer.blocks import (
    Classifier,
    CompetitiveBlock,
    Decoder,
    Encoder,
)
from roundoff.models.fastsurfer.zoom import as_pair, zoom2d

STRIDE = 16  # four poolings of 2


class _UNet(nn.Module):
    """Four encoders, a bottleneck and four decoders, all of one width."""

    def __init__(self, in_channels: int, width: int, kernels: tuple[int, ...]):
        super().__init__()
        self.encode1 = Encoder(
            in_channels, width, kernels, entry_norm=True, first_maxout=False
        )
        self.encode2 = Encoder(width, width, kernels)
        self.encode3 = Encoder(width, width, kernels)
        self.encode4 = Encoder(width, width, kernels)
        self.bottleneck = CompetitiveBlock(width, width, kernels)
        self.decode4 = Decoder(width, width, kernels)
        self.decode3 = Decoder(width, width, kernels)
        self.decode2 = Decoder(width, width, kernels)
        self.decode1 = Decoder(width, width, kernels)

    def _unet(self, x: Tensor) -> Tensor:
        kept = []
        for encode in (self.encode1, self.encode2, self.encode3, self.encode4):
            x, skip, indices = encode(x)
            kept.append((skip, indices))
        x = self.bottleneck(x)
        for decode in (self.decode4, self.decode3, self.decode2, self.decode1):
            x = decode(x, *kept.pop())
        return x

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out", nonlinearity="leaky_relu"
                )


def _kernels(kernel: int | Sequence[int], convs: int = 4) -> tuple[int, ...]:
    kernels = (kernel,) * convs if isinstance(kernel, int) else tuple(kernel)
    if len(kernels) < 2 or any(k < 1 or k % 2 == 0 for k in kernels):
        raise ValueError(
            f"kernel must be an odd size, or one odd size for each of at least two "
            f"convolutions of a block, not {kernel!r}"
        )
    return kernels


class FastSurferVINN(_UNet):
    """The voxel-size independent network of FastSurfer 2 (Henschel et al. 2022).

    An input block at the native pixel size, bilinear resampling to the network's
    own resolution, a U-Net of competitive dense blocks with index pooling and
    unpooling, resampling back, and an output block that sees the input block again.

    `base_resolution` (mm) is the pixel size the U-Net works at, and `inner_size` its
    side in pixels (256 in the official networks); by default the inner grid covers
    the field of view of the slice. `kernel`: one size, or one per convolution.
    """

    def __init__(
        self,
        num_classes: int = 79,
        in_channels: int = 7,
        num_filters: int = 71,
        num_filters_interpol: int = 32,
        kernel: int | Sequence[int] = 3,
        base_resolution: float = 1.0,
        inner_size: int | None = None,
    ):
        kernels = _kernels(kernel)
        super().__init__(num_filters_interpol, num_filters, kernels)
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.base_resolution = base_resolution
        self.inner_size = inner_size
        self.inp_block = CompetitiveBlock(
            in_channels,
            num_filters_interpol,
            kernels,
            norm="gn",
            entry_norm=True,
            first_maxout=False,
        )
        self.outp_block = CompetitiveBlock(
            num_filters + num_filters_interpol,
            num_filters,
            kernels,
            norm="gn",
            first_maxout=False,
        )
        self.classifier = Classifier(num_filters, num_classes)
        self._initialise()

    def _inner(self, size: int, scale: float) -> int:
        if self.inner_size is not None:
            return self.inner_size
        return size if scale == 1 else STRIDE * ceil(size / scale / STRIDE)

    def forward(self, x: Tensor, scale_factor: float | Tensor | None = None) -> Tensor:
        """Slices (N, in_channels, H, W), float32 in 0-1, to logits (N, classes, H, W).

        `scale_factor` is base resolution / voxel size, one for the batch (default 1).
        """
        scale = as_pair(scale_factor)
        skip = self.inp_block(x)
        height, width = skip.shape[2:]
        target = self._inner(height, scale[0]), self._inner(width, scale[1])
        inner, applied = zoom2d(skip, scale, target)
        decoded = self._unet(inner)
        back, _ = zoom2d(decoded, (1 / applied[0], 1 / applied[1]), (height, width))
        return self.classifier(self.outp_block(torch.cat([back, skip], dim=1)))


class FastSurferCNN(_UNet):
    """The network of FastSurfer 1 (Henschel et al. 2020): fixed 1 mm resolution.

    Its releases differ in kernel sizes and number of convolutions per block, so both
    come from the checkpoint. (N, in_channels, H, W) to logits (N, num_classes, H, W).
    """

    def __init__(
        self,
        num_classes: int = 79,
        in_channels: int = 7,
        num_filters: int = 64,
        kernel: int | Sequence[int] = 5,
    ):
        super().__init__(in_channels, num_filters, _kernels(kernel))
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.base_resolution = 1.0
        self.classifier = Classifier(num_filters, num_classes)
        self._initialise()

    def forward(self, x: Tensor, scale_factor: float | Tensor | None = None) -> Tensor:
        """Slices to logits; any `scale_factor` but 1 is refused (no resampling)."""
        if as_pair(scale_factor) != (1.0, 1.0):
            raise ValueError(
                "FastSurferCNN (version 1) works at 1 mm only; conform the image to "
                "1 mm or use a FastSurferVINN checkpoint"
            )
        return self.classifier(self._unet(x))
