"""First weights of the registration network."""

import torch
from torch import Tensor, nn

from roundoff.errors import RoundoffError

PER_AXIS = 4  # filters: both signs of the difference with both signs of the slope


def initialise(network: nn.Module, flow_scale: float, forces: float = 0.0) -> None:
    """He initialisation (PyTorch's own fades over many layers); a flow near zero.

    `flow_scale`: deviation of the flow layer's weights. `forces` > 0: the first
    convolution starts with that multiple of `force_filters`.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, network.slope)
            nn.init.zeros_(module.bias)
    nn.init.normal_(network.flow.weight, std=flow_scale)
    if not forces:
        return
    filters = forces * force_filters()
    first = network.enc0.weight.data
    if len(first) < len(filters):
        raise RoundoffError(
            f"forces: the first layer has {len(first)} features, {len(filters)} needed"
        )
    first[: len(filters)] = filters


def force_filters() -> Tensor:
    """Filters whose rectified outputs add up to the force of optical flow.

    The force along an axis is the difference of the images times their slope, a
    product no single layer forms. But |d + g| - |d - g| has its sign, and that is a
    sum of rectified d + g, d - g, -d + g, -d - g, with the smoothed difference d and
    the mean slope g. Without such filters training first has to find them, which
    takes most of a short one. Returns (12, 2, 3, 3, 3), moving image first.
    """
    smooth, slope = torch.tensor([1.0, 2, 1]) / 4, torch.tensor([-1.0, 0, 1])
    filters = []
    for axis in range(3):
        lines = [slope if a == axis else smooth for a in range(3)]
        gradient = torch.einsum("i,j,k->ijk", *lines) / 2
        blur = torch.einsum("i,j,k->ijk", smooth, smooth, smooth)
        for d in (1, -1):
            for g in (1, -1):
                pair = [d * blur + g * gradient, -d * blur + g * gradient]
                filters.append(torch.stack(pair))
    return torch.stack(filters)
