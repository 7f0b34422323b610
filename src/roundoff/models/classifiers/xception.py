"""Xception (Chollet 2017, arXiv 1610.02357), with the key names of its weights."""

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from roundoff.models.checkpoints import load_into, load_tensors

# In, out, convolutions, stride, ReLU first, widening with the first convolution.
BLOCKS = [
    (64, 128, 2, 2, False, True),
    (128, 256, 2, 2, True, True),
    (256, 728, 2, 2, True, True),
    *[(728, 728, 3, 1, True, True)] * 8,
    (728, 1024, 2, 2, True, False),
]


class SeparableConv2d(nn.Module):
    """A depthwise 3x3 convolution (groups = channels), then a pointwise one."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, 1, 1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        return self.pointwise(self.conv1(x))


class Block(nn.Module):
    """Separable convolutions with a shortcut, and max pooling where the stride is 2."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        convs: int,
        stride: int,
        relu: bool,
        early: bool,
    ):
        super().__init__()
        middle = outputs if early else inputs
        widths = [inputs, *[middle] * (convs - 1), outputs]
        layers: list[nn.Module] = []
        for number, (a, b) in enumerate(pairwise(widths)):
            if number or relu:
                # Not in place: the shortcut reads the block's input.
                layers.append(nn.ReLU(inplace=bool(number)))
            layers += [SeparableConv2d(a, b), nn.BatchNorm2d(b)]
        if stride > 1:
            layers.append(nn.MaxPool2d(3, stride, 1))
        self.rep = nn.Sequential(*layers)
        self.skip = self.skipbn = None
        if outputs != inputs or stride > 1:
            self.skip = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.skipbn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both ways."""
        short = x if self.skip is None else self.skipbn(self.skip(x))
        return self.rep(x) + short


class Xception(nn.Module):
    """22 855 952 parameters for 1000 classes; images (N, 3, 299, 299) in -1 to 1.

    Module names are those of the Cadène and timm weights (`fc`).
    """

    def __init__(self, classes: int = 1000):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, 2, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        for number, sizes in enumerate(BLOCKS, start=1):
            self.add_module(f"block{number}", Block(*sizes))
        self.conv3 = SeparableConv2d(1024, 1536)
        self.bn3 = nn.BatchNorm2d(1536)
        self.conv4 = SeparableConv2d(1536, 2048)
        self.bn4 = nn.BatchNorm2d(2048)
        self.fc = nn.Linear(2048, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes). NaN left by NaN operations count as 0 in the mean."""
        x = self.bn1(self.conv1(x)).relu()
        x = self.bn2(self.conv2(x)).relu()
        for number in range(1, len(BLOCKS) + 1):
            x = getattr(self, f"block{number}")(x)
        x = self.bn3(self.conv3(x)).relu()
        x = self.bn4(self.conv4(x)).relu()
        return self.fc(torch.nan_to_num(x, nan=0.0).mean((2, 3)))


def load_xception(path: str | Path) -> Xception:
    """Xception with weights of a file, by key, without running pickled code.

    `last_linear` is taken for `fc`, and pointwise weights stored as matrices for 1x1
    kernels, as older files have them. Raises `RoundoffError` naming the wrong key.
    """
    tensors = {}
    for key, value in load_tensors(path).items():
        name = key.replace("last_linear.", "fc.")
        if name.endswith("pointwise.weight") and value.dim() == 2:
            value = value[:, :, None, None]
        tensors[name] = value
    network = Xception(
        tensors["fc.weight"].shape[0] if "fc.weight" in tensors else 1000
    )
    load_into(network, tensors, path)
    return network.eval()
