"""The bifurcation zone: do backpropagation with s = 0 and with s = 1 differ?

theta is in the zone S01 when backprop_0 and backprop_1 differ for some batch. In exact
arithmetic random weights are in it with probability 0; on floating-point grids some
preactivation is exactly zero now and then. The share of random initialisations in the
zone estimates its volume (paper, section 3).
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from roundoff.relu_zero.data import Batch
from roundoff.relu_zero.relu import set_slope, watched

DTYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}
# What a pass runs in, by number of the batch: nothing, or random rounding.
Arithmetic = Callable[[int], AbstractContextManager]


@dataclass(frozen=True)
class Outcome:
    """Where the gradients of a network first differ.

    `first_batch`: its number from 0, or None if they never do. `images`, `inputs`,
    `zeros`: images seen until then, ReLU inputs among them, and how many were exactly
    zero.
    """

    first_batch: int | None
    images: int
    inputs: int
    zeros: int

    @property
    def differs(self) -> bool:
        """Whether the weights are in the bifurcation zone."""
        return self.first_batch is not None


def ieee(batch: int) -> AbstractContextManager:
    """Ordinary arithmetic."""
    return nullcontext()


def initialised(make: Callable[[], nn.Module], seed: int, precision: str) -> nn.Module:
    """A network drawn with PyTorch's default initialisation, in a precision.

    Drawn in float32 and rounded to the half types, so that all of them get the same
    weights; float64 weights are drawn in float64. The global generator is left alone.
    """
    dtype = DTYPES[precision]
    before = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            torch.set_default_dtype(torch.promote_types(dtype, torch.float32))
            network = make()
        finally:
            torch.set_default_dtype(before)
    network = network.to(dtype)
    return with_wide_products(network) if dtype == torch.float16 else network


class WideLinear(nn.Linear):
    """A half-precision linear layer computed in float32 and rounded once.

    That is what PyTorch's half-precision product does; here its float32 product is
    several times faster on processors without half-precision arithmetic. Gradients are
    computed and rounded in the same way.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs) to (N, outputs), both in the type of the weights."""
        wide = F.linear(x.float(), self.weight.float(), self.bias.float())
        return wide.to(x.dtype)


def with_wide_products(network: nn.Module) -> nn.Module:
    """The same network with every `nn.Linear` turned into a `WideLinear`."""
    for module in network.modules():
        if type(module) is nn.Linear:
            module.__class__ = WideLinear
    return network


def first_difference(
    network: nn.Module, batches: Iterable[Batch], arithmetic: Arithmetic = ieee
) -> Outcome:
    """Go through batches, without updating weights, until the gradients differ.

    `batches`: inputs in the network's type, labels. Without an exact zero among the
    ReLU inputs of a batch its two gradients are the same, so they are computed, and
    compared bit for bit in the first layer, only where there is one. `arithmetic(i)`
    is entered anew for each pass over batch i: passes that must share their roundings
    get the same ones.
    """
    images = inputs = zeros = 0
    for number, (x, labels) in enumerate(batches):
        total, found = count_zeros(network, x, arithmetic(number))
        images, inputs, zeros = images + len(x), inputs + total, zeros + found
        if found and gradients_differ(network, x, labels, arithmetic, number):
            return Outcome(number, images, inputs, zeros)
    return Outcome(None, images, inputs, zeros)


def count_zeros(
    network: nn.Module, x: torch.Tensor, context: AbstractContextManager
) -> tuple[int, int]:
    """Number of ReLU inputs of a forward pass, and of exact zeros among them."""
    with watched(network) as seen:
        with context, torch.no_grad():
            network(x)
        values = [value for values in seen.values() for value in values]
    total = sum(value.numel() for value in values)
    return total, total - sum(int(value.count_nonzero()) for value in values)


def gradients_differ(
    network: nn.Module,
    x: torch.Tensor,
    labels: torch.Tensor,
    arithmetic: Arithmetic = ieee,
    number: int = 0,
) -> bool:
    """Whether the first layer's weight gradients with s = 0 and s = 1 differ."""
    gradients = []
    for slope in (0.0, 1.0):
        set_slope(network, slope)
        with arithmetic(number):
            gradients.append(first_gradient(network, x, labels))
    set_slope(network, 0.0)
    return not torch.equal(*gradients)


def first_gradient(
    network: nn.Module, x: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Gradient of the mean cross-entropy with respect to the first layer's weights.

    The cross-entropy of half-precision outputs is taken in float32.
    """
    outputs = network(x)
    if outputs.dtype in (torch.float16, torch.bfloat16):
        outputs = outputs.float()
    loss = F.cross_entropy(outputs, labels)
    return torch.autograd.grad(loss, next(network.parameters()))[0]
