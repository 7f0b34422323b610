"""Small networks of the kinds that are converted, apart from those Roundoff ships."""

from itertools import pairwise

import torch
from torch import Tensor, nn


class PlainUNet(nn.Module):
    """Two levels with index pooling, batch norm, ReLU and concatenated skips."""

    def __init__(self, channels: int, width: int = 6):
        super().__init__()
        self.down1 = self._block(channels, width)
        self.down2 = self._block(width, width)
        self.bottom = self._block(width, width)
        self.up2 = self._block(2 * width, width)
        self.up1 = self._block(2 * width, width)
        self.head = nn.Conv2d(width, 3, 1)
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.unpool = nn.MaxUnpool2d(2)

    @staticmethod
    def _block(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(0.1),
        )

    def forward(self, x: Tensor) -> Tensor:
        first = self.down1(x)
        x, places1 = self.pool(first)
        second = self.down2(x)
        x, places2 = self.pool(second)
        x = self.unpool(self.bottom(x), places2)
        x = self.unpool(self.up2(torch.cat([x, second], 1)), places1)
        return self.head(self.up1(torch.cat([x, first], 1)))


class MnistCnn(nn.Module):
    """Four convolutions, ReLU and plain pooling without indices."""

    def __init__(self, width: int = 4):
        super().__init__()
        sizes = (1, width, width, width)
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(sizes)
        )
        self.pool = nn.MaxPool2d(2)
        self.last = nn.Conv2d(width, 5, 3, padding=1)
        self.last_pool = nn.MaxPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = self.pool(torch.relu(conv(x)))
        return self.last_pool(self.last(x)).flatten(1)


class SeparableNet(nn.Module):
    """Depthwise and pointwise convolutions and padded pooling, as Xception has."""

    def __init__(self, width: int = 6):
        super().__init__()
        self.entry = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.pointwise = nn.Conv2d(width, 2 * width, 1, bias=False)
        self.grouped = nn.Conv2d(
            2 * width, 2 * width, 3, padding=2, dilation=2, groups=2
        )
        self.norm = nn.BatchNorm2d(2 * width)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pointwise(self.depthwise(torch.relu(self.entry(x))))
        return self.pool(self.norm(self.grouped(torch.relu(x))))
