"""Convolutions, plain and transposed: every multiply-add rounds."""

import math

import torch

from roundoff.rounding.dispatch import Call, NoKernel, operator
from roundoff.rounding.kernels import conv as kernels
from roundoff.rounding.ops.layout import contiguous, working
from roundoff.rounding.ops.pointwise import narrowed


def multiply_adds(out_shape, weight_shape, groups: int) -> int:
    """Products of a convolution: outputs times taps per output."""
    return math.prod(out_shape) * math.prod(weight_shape[1:])


def _memory_format(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """y in the memory format torch would give it: that of the input."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    wanted = formats.get(x.dim())
    if wanted and not x.is_contiguous() and x.is_contiguous(memory_format=wanted):
        return y.contiguous(memory_format=wanted)
    return y


@operator("aten.convolution.default")
def convolution(
    call: Call,
    x,
    weight,
    bias,
    stride,
    padding,
    dilation,
    transposed,
    output_padding,
    groups,
):
    """1-3 dimensions, strided, dilated, grouped, depthwise, transposed."""
    if x.numel() == 0 or weight.numel() == 0:
        call.count(0)
        return call.func(
            x,
            weight,
            bias,
            stride,
            padding,
            dilation,
            transposed,
            output_padding,
            groups,
        )
    dims = weight.dim() - 2
    batched = x if x.dim() == weight.dim() else x.unsqueeze(0)
    dtype = working(x.dtype)
    arrays = [
        None if t is None else contiguous(t.to(dtype)) for t in (batched, weight, bias)
    ]
    sizes = [
        tuple(v) * (dims if len(v) == 1 else 1) for v in (stride, padding, dilation)
    ]
    plan = call.plan()
    if transposed:
        extra = tuple(output_padding) * (dims if len(output_padding) == 1 else 1)
        y = kernels.conv_transpose(
            *arrays, sizes[0], sizes[1], extra, groups, sizes[2], plan=plan
        )
        products = multiply_adds(batched.shape, weight.shape, groups)
        call.count(products + (y.size if bias is not None else 0))
    else:
        y = kernels.convolution(*arrays, *sizes, groups, plan=plan)
        call.count(multiply_adds(y.shape, weight.shape, groups))
        call.order(
            kernels.convolution_order(
                plan.order, batched.shape, weight.shape[2:], groups
            ).name
        )
    y = narrowed(call, torch.from_numpy(y), x.dtype)
    y = _memory_format(batched, y)
    return y if x.dim() == weight.dim() else y.squeeze(0)


@operator("aten.mkldnn_convolution.default")
def onednn_convolution(call: Call, x, weight, bias, padding, stride, dilation, groups):
    """oneDNN's own operator of optimised models: the same sums."""
    if x.is_mkldnn or weight.is_mkldnn:
        raise NoKernel
    zeros = [0] * (weight.dim() - 2)
    return call.run(
        torch.ops.aten.convolution.default,
        x,
        weight,
        bias,
        stride,
        padding,
        dilation,
        False,
        zeros,
        groups,
    )
