"""Activations that round: leaky and smooth rectifiers."""

import numpy as np
import torch

from roundoff.rounding.dispatch import Call, operator
from roundoff.rounding.kernels.elementwise import Leaky, Silu
from roundoff.rounding.ops.elementwise import one
from roundoff.rounding.ops.pointwise import (
    per_channel,
    pointwise,
    through_double,
)

aten = torch.ops.aten


@operator("aten._prelu_kernel.default")
def prelu(call: Call, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """x where positive, else weight·x: one product per element, chosen or not."""
    if weight.numel() == 1 or x.dim() < 2:
        return pointwise(call, Leaky(), x, weight.reshape(-1)[:1].squeeze())
    if weight.numel() == x.shape[1]:
        return per_channel(call, Leaky(), x, weight.reshape(-1))
    return pointwise(call, Leaky(), x, weight)


@operator("aten.leaky_relu.default")
def leaky_relu(call: Call, x: torch.Tensor, slope: float = 0.01) -> torch.Tensor:
    """x where positive, else slope·x."""
    return pointwise(call, Leaky(), x, slope)


@operator("aten.silu.default")
def silu(call: Call, x: torch.Tensor) -> torch.Tensor:
    """x / (1 + exp(-x))."""
    if x.dtype == torch.float64 or call.libm != "internal":
        return through_double(
            call,
            torch.nn.functional.silu,
            x,
            extended=lambda v: v / (1 + np.exp(-v)),
        )
    return pointwise(call, Silu(one(x.dtype)), x)


@operator("aten.gelu.default")
def gelu(call: Call, x: torch.Tensor, approximate: str = "none") -> torch.Tensor:
    """x/2·(1 + erf(x/√2)), or its tanh form; erf and tanh are rounded once."""
    if approximate == "tanh":
        cube = call.run(aten.mul.Tensor, call.run(aten.mul.Tensor, x, x), x)
        inner = call.run(aten.add.Tensor, x, cube, alpha=0.044715)
        inner = call.run(aten.mul.Tensor, inner, 0.7978845608028654)
        turn = call.run(aten.tanh.default, inner)
    else:
        turn = call.run(aten.erf.default, call.run(aten.mul.Tensor, x, 2**-0.5))
    half = call.run(aten.mul.Tensor, x, 0.5)
    return call.run(aten.mul.Tensor, half, call.run(aten.add.Tensor, turn, 1.0))


@operator("aten.elu.default")
def elu(call: Call, x, alpha=1.0, scale=1.0, input_scale=1.0) -> torch.Tensor:
    """scale·x where positive, else scale·alpha·expm1(input_scale·x), rounded once."""
    inner = x if input_scale == 1 else call.run(aten.mul.Tensor, x, input_scale)
    low = call.run(aten.expm1.default, inner)
    low = low if alpha * scale == 1 else call.run(aten.mul.Tensor, low, alpha * scale)
    high = x if scale == 1 else call.run(aten.mul.Tensor, x, scale)
    return torch.where(x > 0, high, low)


@operator("aten.softplus.default")
def softplus(call: Call, x, beta=1, threshold=20) -> torch.Tensor:
    """log(1 + exp(beta·x)) / beta, x itself above the threshold."""
    scaled = call.run(aten.mul.Tensor, x, float(beta))
    low = call.run(aten.log1p.default, call.run(aten.exp.default, scaled))
    low = call.run(aten.div.Tensor, low, float(beta))
    return torch.where(scaled > threshold, x, low)


@operator("aten.log_sigmoid_forward.default")
def log_sigmoid(call: Call, x: torch.Tensor):
    """min(x, 0) - log1p(exp(-|x|)), and the buffer PyTorch keeps for backward."""
    buffer = call.run(aten.exp.default, -x.abs())
    tail = call.run(aten.log1p.default, buffer)
    return call.run(aten.sub.Tensor, torch.clamp(x, max=0), tail), buffer


@operator("aten.hardsigmoid.default")
def hardsigmoid(call: Call, x: torch.Tensor) -> torch.Tensor:
    """clamp(x + 3, 0, 6) / 6."""
    shifted = torch.clamp(call.run(aten.add.Tensor, x, 3.0), 0, 6)
    return call.run(aten.div.Tensor, shifted, 6.0)


@operator("aten.hardswish.default")
def hardswish(call: Call, x: torch.Tensor) -> torch.Tensor:
    """x·clamp(x + 3, 0, 6) / 6."""
    shifted = torch.clamp(call.run(aten.add.Tensor, x, 3.0), 0, 6)
    return call.run(aten.div.Tensor, call.run(aten.mul.Tensor, x, shifted), 6.0)


@operator("aten.mish.default")
def mish(call: Call, x: torch.Tensor) -> torch.Tensor:
    """x·tanh(softplus(x))."""
    turn = call.run(aten.tanh.default, call.run(aten.softplus.default, x))
    return call.run(aten.mul.Tensor, x, turn)
