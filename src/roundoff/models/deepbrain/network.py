"""The brain-extraction U-Net of deepbrain 0.1, rebuilt from its frozen graph."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from roundoff.errors import RoundoffError
from roundoff.models.deepbrain.frozen_graph import Node, read_graph

CONVOLUTIONS = 10
TRANSPOSED = 3
# Inference order of the graph: C convolution with bias, R ReLU, P max-pooling,
# T transposed convolution, K concatenation, S sigmoid.
ORDER = "CRCRP CRCRP CRCRP TKCR TKCR TKCR C S".replace(" ", "")
LETTERS = {
    "Conv3D": "C",
    "Relu": "R",
    "MaxPool3D": "P",
    "Conv3DBackpropInputV2": "T",
    "ConcatV2": "K",
    "Sigmoid": "S",
}


class UpSample(nn.Module):
    """Transposed convolution 3x3x3 of stride 2, TensorFlow's padding SAME, no bias.

    TensorFlow aligns output 2j with kernel element 0 and drops the last of the 2n+1
    values; no combination of PyTorch's paddings does, so the crop is explicit.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(in_channels, out_channels, 3, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, D, H, W) to (N, out, 2D, 2H, 2W)."""
        return F.conv_transpose3d(x, self.weight, stride=2)[..., :-1, :-1, :-1]


class BrainExtractionUNet(nn.Module):
    """Three levels of 8, 16 and 32 channels; 0.17 million parameters.

    Two convolutions per level on the way down, then max-pooling 2; nothing between
    the last pooling and the first transposed convolution; one convolution per level
    on the way up, after concatenation [upsampled, skip]. Dropout (training only) is
    left out. Input (N, 1, D, H, W) float32 with maximum 1, sides divisible by 8;
    output: the logit of "brain", same shape.
    """

    def __init__(self, widths: tuple[int, int, int] = (8, 16, 32)):
        super().__init__()
        a, b, c = widths
        channels = [(1, a), (a, a), (a, b), (b, b), (b, c), (c, c)]
        channels += [(2 * c, c), (2 * b, b), (2 * a, a)]
        self.convs = nn.ModuleList(nn.Conv3d(i, o, 3, padding=1) for i, o in channels)
        self.head = nn.Conv3d(a, 1, 1)
        self.ups = nn.ModuleList([UpSample(c, c), UpSample(c, b), UpSample(b, a)])
        self.pool = nn.MaxPool3d(2)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Image to logit; see the class for shapes."""
        skips = []
        for level in range(3):
            x = self.relu(self.convs[2 * level](x))
            x = self.relu(self.convs[2 * level + 1](x))
            skips.append(x)
            x = self.pool(x)
        for level in range(3):
            x = torch.cat([self.ups[level](x), skips.pop()], dim=1)
            x = self.relu(self.convs[6 + level](x))
        return self.head(x)


def load_network(path: str | Path) -> BrainExtractionUNet:
    """The network with the weights of a frozen graph file (`graph.pb`).

    The operators, strides and paddings along the graph must be those this module
    carries out. Raises RoundoffError naming the first difference otherwise.
    """
    nodes = read_graph(path)
    _check_structure(nodes, path)
    network = BrainExtractionUNet()
    for name, parameter in _parameters(network).items():
        _copy(nodes, name, parameter, path)
    return network.eval().requires_grad_(False)


def _parameters(network: BrainExtractionUNet) -> dict[str, nn.Parameter]:
    """The network's parameters by the name the graph gives them."""
    named = {}
    for i, conv in enumerate([*network.convs, network.head]):
        layer = f"conv3d_{i}" if i else "conv3d"
        named[f"{layer}/kernel"], named[f"{layer}/bias"] = conv.weight, conv.bias
    for i, up in enumerate(network.ups):
        layer = f"conv3d_transpose_{i}" if i else "conv3d_transpose"
        named[f"{layer}/kernel"] = up.weight
    return named


def _copy(
    nodes: dict[str, Node], name: str, parameter: nn.Parameter, path: str | Path
) -> None:
    node = nodes.get(name)
    value = node.constant() if node is not None and node.op == "Const" else None
    if value is None:
        raise RoundoffError(f"weights: {path} has no float constant {name!r}")
    if value.ndim == 5:  # kernels: (D, H, W, in, out); transposed: (D, H, W, out, in)
        value = np.transpose(value, (4, 3, 0, 1, 2))
    if value.shape != tuple(parameter.shape):
        raise RoundoffError(
            f"weights: {path} holds {name!r} of shape {value.shape}, "
            f"expected {tuple(parameter.shape)}: this is another network"
        )
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))


def _check_structure(nodes: dict[str, Node], path: str | Path) -> None:
    order = "".join(LETTERS[n.op] for n in nodes.values() if n.op in LETTERS)
    if order != ORDER:
        raise RoundoffError(
            f"weights: {path} runs the operators {order or 'none known'}, expected "
            f"{ORDER}: this is not the graph of deepbrain 0.1"
        )
    steps = {"Conv3D": (1, "SAME"), "MaxPool3D": (2, "VALID")}
    steps["Conv3DBackpropInputV2"] = (2, "SAME")
    for node in nodes.values():
        if node.op in steps:
            stride, padding = steps[node.op]
            found = node.numbers("strides"), node.text("padding")
            expected = (1, stride, stride, stride, 1), padding
            if found != expected:
                raise RoundoffError(
                    f"weights: {path} node {node.name!r} has strides and padding "
                    f"{found}, expected {expected}"
                )
