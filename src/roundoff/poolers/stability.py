"""How many bits a pooler leaves: alone, in its gradients, in a trained network.

Everything is measured in evaluation mode, where poolers are deterministic, so that only
the rounding differs between samples.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from roundoff import RandomRounding
from roundoff.poolers.network import SmallCnn
from roundoff.poolers.windows import windows
from roundoff.uncertainty.significant_bits import bits_of_slab


def bits(samples: Sequence[Tensor]) -> float:
    """Mean General significant bits, relative to the mean, where they are defined."""
    stack = np.stack([s.detach().float().numpy().ravel() for s in samples])
    values = bits_of_slab(stack).general
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def sampled(
    run: Callable[[], list[Tensor]], seeds: Sequence[int]
) -> list[list[Tensor]]:
    """The outputs of `run` under random rounding, one list of samples per output."""
    found = []
    for seed in seeds:
        with RandomRounding(seed=seed):
            found.append([t.detach().clone() for t in run()])
    return [list(outputs) for outputs in zip(*found, strict=True)]


def pooler_bits(pool: nn.Module, x: Tensor, seeds: Sequence[int]) -> dict[str, float]:
    """Bits of a pooler's output and input gradient, on one and the same input."""

    def run() -> list[Tensor]:
        leaf = x.detach().clone().requires_grad_()
        out = pool(leaf)
        (grad,) = torch.autograd.grad((out * out).sum(), leaf)
        return [out, grad]

    outputs, gradients = sampled(run, seeds)
    return {"pooler_output": bits(outputs), "pooler_gradient": bits(gradients)}


def network_bits(
    network: SmallCnn, x: Tensor, y: Tensor, seeds: Sequence[int]
) -> tuple[dict[str, float], list[list[Tensor]]]:
    """Bits of the logits and of the first weights' gradient; what each pool was given.

    Second: for each pooler of the network, its input in every sample.
    """
    network.eval()
    seen: list[Tensor] = []
    hooks = [
        pool.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        for pool in network.pools
    ]
    first = network.convs[0].weight

    def run() -> list[Tensor]:
        seen.clear()
        logits = network(x)
        (grad,) = torch.autograd.grad(F.cross_entropy(logits, y), first)
        return [logits, grad, *seen]

    try:
        logits, gradients, *inputs = sampled(run, seeds)
    finally:
        for hook in hooks:
            hook.remove()
    classes = torch.stack([out.argmax(1) for out in logits])
    found = {
        "logits": bits(logits),
        "weight_gradient": bits(gradients),
        "classes_changed": float((classes != classes[0]).any(0).float().mean()),
    }
    return found, inputs


def ties(inputs: Sequence[Tensor], kernel_size: int = 2) -> dict[str, float]:
    """What becomes of the winner of a window over samples of one pooler's input.

    `flips`: share of windows whose first maximum is not at one place in all samples.
    `tied`: share with more than one maximum in the first sample. `flips_above_zero`:
    of the windows whose maximum is above zero, where no tie of zeros (ReLU) decides.
    """
    cells = [windows(x, kernel_size, None) for x in inputs]
    places = torch.stack([c.argmax(-1) for c in cells])
    flips = (places != places[0]).any(0)
    most = cells[0].amax(-1)
    tied = (cells[0] == most[..., None]).sum(-1) > 1
    above = most > 0
    return {
        "flips": float(flips.float().mean()),
        "flips_above_zero": float(flips[above].float().mean()) if above.any() else 0.0,
        "tied": float(tied.float().mean()),
    }


def stability_table(
    network: SmallCnn, x: Tensor, y: Tensor, seeds: Sequence[int]
) -> pd.DataFrame:
    """Columns: quantity, pool (1 to 3, or 0 for the network), value."""
    whole, inputs = network_bits(network, x, y, seeds)
    rows = [{"quantity": k, "pool": 0, "value": v} for k, v in whole.items()]
    for number, (pool, given) in enumerate(
        zip(network.pools, inputs, strict=True), start=1
    ):
        found = pooler_bits(pool, given[0], seeds) | ties(given)
        found["input"] = bits(given)
        rows += [{"quantity": k, "pool": number, "value": v} for k, v in found.items()]
    return pd.DataFrame(rows)
