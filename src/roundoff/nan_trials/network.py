"""FastSurferVINN at its official size, end to end, converted and not."""

import copy
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from roundoff.models.fastsurfer.checkpoint import load_network
from roundoff.models.fastsurfer.network import FastSurferVINN
from roundoff.nan import ConvertedModel, convert
from roundoff.nan_trials.machine import kernel_level, processor
from roundoff.nan_trials.masks import nan_mask
from roundoff.nan_trials.pairs import interleave, middle, speed_up

BASE = "folded, channels last"


@dataclass
class NetworkRow:
    """One contestant: time in ms, speed-up over the folded channels-last network."""

    network: str
    side: int
    threads: int
    clock: str
    kernels: str
    ms: float
    speed_up: float
    skipped_macs: float
    labels_equal: float  # share of the head's pixels
    machine: str


def folded(model: nn.Module) -> nn.Module:
    """The strongest dense network: batch norm folded into weights, channels last.

    For networks of FastSurfer's competitive blocks; others come back with channels
    last alone.
    """
    copied = copy.deepcopy(model)
    for block in copied.modules():
        for i in range(getattr(block, "steps", 0)):
            conv, norm = f"conv{i}", f"{block.norm}{i + 1}"
            fused = fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm))
            setattr(block, conv, fused)
            setattr(block, norm, nn.Identity())
    return copied.to(memory_format=torch.channels_last)


def contestants(model: nn.Module, threshold: float = 0.5) -> dict[str, nn.Module]:
    """The network in all its forms."""
    return {
        BASE: folded(model),
        "as written": model,
        f"conservative {threshold:g}": convert(model, "conservative", threshold),
        "exact": convert(model, "exact"),
        "exact + conservative": convert(model, "conservative", threshold, exact=True),
    }


def untrained(filters: int = 71) -> FastSurferVINN:
    """The official layers with random weights of a fixed seed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        small = {} if filters == 71 else {"num_filters_interpol": max(4, filters // 2)}
        return FastSurferVINN(79, num_filters=filters, **small).eval()


@torch.inference_mode()
def network_rows(
    repeats: int,
    clock: str = "wall",
    weights: Path | None = None,
    side: int = 256,
    filters: int = 71,
) -> list[NetworkRow]:
    """Time all forms on one slice of noise, two thirds exactly constant background."""
    model = untrained(filters) if weights is None else load_network(weights)
    head = ~nan_mask("brain", (side, side), 2 / 3)
    x = torch.rand(1, model.in_channels, side, side) * head
    nets = contestants(model)
    outputs = {name: net(x) for name, net in nets.items()}
    times = interleave(
        {n: (lambda net=net: net(x)) for n, net in nets.items()}, repeats
    )
    labels = outputs[BASE].argmax(1)
    return [
        NetworkRow(
            name,
            side,
            torch.get_num_threads(),
            clock,
            kernel_level(),
            middle(times[name], clock),
            speed_up(times[BASE], times[name], clock),
            _skipped(net),
            _same(outputs[name].argmax(1), labels, head),
            processor(),
        )
        for name, net in nets.items()
    ]


def _skipped(net: nn.Module) -> float:
    converted = isinstance(net, ConvertedModel)
    return net.skip_summary()["macs"] if converted else math.nan


def _same(labels: Tensor, wanted: Tensor, head: Tensor) -> float:
    return float((labels == wanted)[0][head].float().mean())
