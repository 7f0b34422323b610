"""FONDUE_LT (Adame-Gonzalez et al.), a UNet++ whose nodes fuse by maximum."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from roundoff.models.unpooling import MaxUnpool2d

LEVELS = 7
HEADS = 6
MULTIPLE = 32  # of the inner size: five poolings


class Block(nn.Module):
    """Three convolutions 3x3 with two maxouts and one scalar PReLU.

    As input block the first convolution takes the image itself, and there is no maximum
    with it (channel counts differ). (N, in, H, W) to (N, filters, H, W).
    """

    def __init__(self, in_channels: int, filters: int, *, is_input: bool = False):
        super().__init__()
        self.is_input = is_input
        self.relu1 = nn.PReLU()
        self.conv1 = nn.Conv2d(in_channels, filters, 3, padding=1)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1)
        self.conv3 = nn.Conv2d(filters, filters, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block; the input block's first maximum is of activated values."""
        if self.is_input:
            first = active = self.relu1(self.conv1(x))
        else:
            first = torch.maximum(self.conv1(self.relu1(x)), x)
            active = self.relu1(first)
        second = torch.maximum(self.conv2(active), first)
        return self.conv3(self.relu1(second))


class FondueLT(nn.Module):
    """The variant FONDUE_LT: 28 nodes on 7 levels, residual denoising.

    Node `conv{i}_{j}` sits on level i, column j. Level 0 has the slice's own pixels;
    a bilinear resize leads to level 1, whose pixels are about 1 mm whatever the voxel
    size, and poolings 2x2 with indices to the others. Node (i, j) takes the maximum
    of all nodes before it on its level and of node (i+1, j-1) unpooled (resized, for
    i = 0). Each node of level 0 but the first gives an estimate of the noise.

    `reuse_final4`: the fifth and sixth estimates use the fourth's head, as
    released; without it each has its own. `final5`, `final6` and `lambda_1..4` are in
    the checkpoints all the same.
    """

    def __init__(
        self, filters: int = 64, in_channels: int = 7, *, reuse_final4: bool = True
    ):
        super().__init__()
        self.filters, self.in_channels = filters, in_channels
        self.reuse_final4 = reuse_final4
        for i in range(1, 5):
            self.register_parameter(
                f"lambda_{i}", nn.Parameter(torch.full((1,), 1 / 4))
            )
        for i in range(1, HEADS + 1):
            share = nn.Parameter(torch.full((1,), 1 / HEADS))
            self.register_parameter(f"alpha_{i}", share)
        for column in range(LEVELS):
            for level in range(LEVELS - column):
                entry = (level, column) == (0, 0)
                inputs = in_channels if entry else filters
                block = Block(inputs, filters, is_input=entry)
                self.add_module(f"conv{level}_{column}", block)
        for i in range(1, HEADS + 1):
            self.add_module(f"final{i}", nn.Conv2d(filters, 1, 1))
        self.pool = nn.MaxPool2d(2, stride=2, ceil_mode=True, return_indices=True)
        self.unpool = MaxUnpool2d(2, stride=2)

    def forward(self, x: Tensor, zoom: float = 1.0) -> Tensor:
        """Slices (N, in_channels, H, W) in 0-1 to the denoised (N, 1, H, W).

        `zoom` is the pixel size in mm. The slice itself is the middle channel.
        """
        native = tuple(x.shape[2:])
        latest, indices = self._first_column(x, zoom)
        fused = list(latest)  # per level: maximum of its nodes so far
        residual, shares = None, None
        for column in range(1, LEVELS):
            lower = latest
            latest = []
            for level in range(LEVELS - column):
                below = self._up(lower[level + 1], level, fused, indices, native)
                node = getattr(self, f"conv{level}_{column}")(
                    torch.maximum(fused[level], below)
                )
                fused[level] = torch.maximum(fused[level], node)
                latest.append(node)
            share = getattr(self, f"alpha_{column}")
            estimate = share * self._head(column)(latest[0])
            residual = estimate if residual is None else residual + estimate
            shares = share if shares is None else shares + share
        middle = x[:, self.in_channels // 2, None]
        return F.hardtanh(middle - residual / shares, 0.0, 1.0)

    def _first_column(self, x: Tensor, zoom: float) -> tuple[list[Tensor], list]:
        nodes, indices = [self.conv0_0(x)], [None]
        inner = tuple(inner_size(n, zoom) for n in x.shape[2:])
        value = resize(nodes[0], inner)
        for level in range(1, LEVELS):
            if level > 1:
                value, places = self.pool(nodes[-1])
                indices.append(places)
            nodes.append(getattr(self, f"conv{level}_0")(value))
        return nodes, indices

    def _up(self, value: Tensor, level: int, fused, indices, native) -> Tensor:
        if level == 0:
            return resize(value, native)
        return self.unpool(value, indices[level], output_size=fused[level].shape)

    def _head(self, column: int) -> nn.Module:
        number = min(column, 4) if self.reuse_final4 else column
        return getattr(self, f"final{number}")


def inner_size(pixels: int, zoom: float) -> int:
    """Pixels of level 1 along an axis of that many pixels of `zoom` mm."""
    return MULTIPLE * round(pixels * zoom / MULTIPLE + 1)


def resize(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Bilinear resize (N, C, H, W) to `size` pixels."""
    return F.interpolate(x, size, mode="bilinear", align_corners=False)
