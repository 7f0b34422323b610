"""The outputs of a network's blocks on one input, sample after sample."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from roundoff.instruments.base import Instrument


def capture_samples(
    network: nn.Module,
    inputs: Sequence[Tensor | float],
    instrument: Instrument,
    seeds: Sequence[int],
) -> dict[str, np.ndarray]:
    """Run the network once per seed under the instrument and keep every block's output.

    Returns block name to float32 array (N, C, H, W), in the order the blocks ran. Of
    several outputs of a block the first is kept (of an encoder: the pooled one).
    """
    kept: dict[str, list[np.ndarray]] = {}
    for seed in seeds:
        with _hooks(network, kept), torch.inference_mode(), instrument.sample(seed):
            network(*inputs)
    return {name: np.stack(outputs) for name, outputs in kept.items()}


@contextmanager
def _hooks(network: nn.Module, kept: dict[str, list[np.ndarray]]) -> Iterator[None]:
    def keep(name: str):
        def hook(module: nn.Module, args, output: Tensor | tuple[Tensor, ...]) -> None:
            first = output if isinstance(output, Tensor) else output[0]
            kept.setdefault(name, []).append(first.detach().numpy()[0].copy())

        return hook

    handles = [
        module.register_forward_hook(keep(name))
        for name, module in network.named_children()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
