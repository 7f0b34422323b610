"""Networks of the study; all of them use `ReLUZero`."""

from collections.abc import Callable

import torch
from torch import nn

from roundoff.errors import RoundoffError
from roundoff.relu_zero.relu import ReLUZero

VGG11 = (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool")


def mlp(
    hidden: tuple[int, ...] = (256, 256, 256),
    inputs: int = 784,
    classes: int = 10,
    batch_norm: bool = False,
) -> nn.Sequential:
    """Fully connected network: images (N, ...) of `inputs` pixels to (N, `classes`)."""
    layers: list[nn.Module] = [nn.Flatten()]
    for width in hidden:
        layers.append(nn.Linear(inputs, width))
        if batch_norm:
            layers.append(nn.BatchNorm1d(width))
        layers.append(ReLUZero())
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, classes))


def bare_cnn(
    channels: tuple[int, ...] = (16, 32, 64), inputs: int = 1, classes: int = 10
) -> nn.Sequential:
    """Small convolutional network without biases, for images (N, `inputs`, 28, 28).

    Where a patch is all zero, so is its preactivation, exactly: an empty background
    puts many ReLUs at zero in every precision. These zeros do not make s matter: what
    passes back through them meets inputs that are zero, so it changes no weight.
    """
    layers: list[nn.Module] = []
    for index, width in enumerate(channels):
        stride = 1 if index == 0 else 2
        layers += [nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)]
        layers += [ReLUZero()]
        inputs = width
    pool = [nn.AdaptiveAvgPool2d(4), nn.Flatten()]
    return nn.Sequential(*layers, *pool, nn.Linear(inputs * 16, classes))


def vgg11(batch_norm: bool = False, classes: int = 10) -> nn.Sequential:
    """VGG11 for 32x32 colour images (N, 3, 32, 32): one linear layer at its end."""
    layers: list[nn.Module] = []
    inputs = 3
    for entry in VGG11:
        if entry == "pool":
            layers.append(nn.MaxPool2d(2))
            continue
        layers.append(nn.Conv2d(inputs, entry, 3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(entry))
        layers.append(ReLUZero())
        inputs = entry
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs, classes))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions without biases, and the input added (He et al. 2016)."""

    def __init__(self, inputs: int, width: int, stride: int, batch_norm: bool):
        super().__init__()
        norm = nn.BatchNorm2d if batch_norm else nn.Identity
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.norm1, self.relu1 = norm(width), ReLUZero()
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2, self.relu2 = norm(width), ReLUZero()
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != width:
            self.shortcut.append(nn.Conv2d(inputs, width, 1, stride, bias=False))
            self.shortcut.append(norm(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) to (N, width, H / stride, W / stride)."""
        y = self.relu1(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y)) + self.shortcut(x)
        return self.relu2(y)


def resnet18(batch_norm: bool = False, classes: int = 10) -> nn.Sequential:
    """ResNet18 for 32x32 colour images: 3x3 stem of stride 1, no pooling after it.

    Without `batch_norm` its normalisations are left out, as in the paper.
    """
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, padding=1, bias=False)]
    if batch_norm:
        layers.append(nn.BatchNorm2d(64))
    layers.append(ReLUZero())
    inputs = 64
    for stage, width in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(BasicBlock(inputs, width, stride, batch_norm))
            inputs = width
    pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, *pool, nn.Linear(inputs, classes))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mlp256": lambda: mlp((256,) * 3),
    "mlp2048": lambda: mlp((2048,) * 3),
    "mlp2048_bn": lambda: mlp((2048,) * 3, batch_norm=True),
    "bare_cnn": bare_cnn,
    "vgg11": vgg11,
    "vgg11_bn": lambda: vgg11(True),
    "resnet18": resnet18,
    "resnet18_bn": lambda: resnet18(True),
}


def build(name: str) -> nn.Module:
    """A freshly initialised network by name. Raises `RoundoffError` for another."""
    if name not in NETWORKS:
        known = ", ".join(NETWORKS)
        raise RoundoffError(f"no network is called {name!r}. Known: {known}.")
    return NETWORKS[name]()
