"""The layers that `Carried` tensors pass through without losing their counts."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from roundoff.nan import kernels
from roundoff.nan.carried import HANDLERS, Carried


def handles(*functions: Callable) -> Callable:
    """Register a function as what these PyTorch functions do to `Carried` tensors."""

    def register(handler: Callable) -> Callable:
        HANDLERS.update(dict.fromkeys(functions, handler))
        return handler

    return register


def _elementwise(x: Tensor, function: Callable[[Tensor], Tensor], inplace: bool):
    """NaN stays NaN, pixel by pixel; undefined values may become anything."""
    if not isinstance(x, Carried):
        return NotImplemented
    x = Carried.of(x)
    made = x.like(function(x.values))
    return x.become(made) if inplace else made


@handles(F.relu)
def _relu(x, inplace=False):
    return _elementwise(x, torch.relu, inplace)


@handles(torch.relu, Tensor.relu)
def _plain_relu(x):
    return _elementwise(x, torch.relu, False)


@handles(torch.relu_, Tensor.relu_)
def _relu_in_place(x):
    return _elementwise(x, torch.relu, True)


@handles(F.dropout, F.dropout2d, F.dropout3d)
def _dropout(x, p=0.5, training=True, inplace=False):
    return NotImplemented if training else x


@handles(F.leaky_relu)
def _leaky_relu(x, negative_slope=0.01, inplace=False):
    return _prelu(x, torch.tensor([negative_slope]), inplace)


@handles(F.prelu, torch.prelu)
def _prelu(x, weight, inplace=False):
    if not isinstance(x, Carried) or weight.dtype != torch.float32:
        return NotImplemented
    x = Carried.of(x)
    data, slope = x.values, weight.detach().contiguous()
    made = x.like(kernels.leaky(data, x.counts, slope))
    return x.become(made) if inplace else made


@handles(F.batch_norm)
def _batch_norm(
    x,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
):
    if training or running_mean is None or not isinstance(x, Carried):
        return NotImplemented
    statistics = (running_mean, running_var, weight, bias)
    if x.pending is not None and x.pending.can_normalise():
        return Carried(x.shape, pending=x.pending.normalised(*statistics, eps))
    x = Carried.of(x)
    return x.like(F.batch_norm(x.values, *statistics, False, momentum, eps))


@handles(torch.maximum, Tensor.maximum)
def _maximum(a, b):
    a = a if isinstance(a, Carried) else _wrapped(a, b)
    b = b if isinstance(b, Carried) else _wrapped(b, a)
    if a is NotImplemented or b is NotImplemented or a.shape != b.shape:
        return NotImplemented
    if a.pending is None and b.pending is not None:
        a, b = b, a
    if a.pending is not None:
        _ready(b)
        return a.pending.run(maximum_with=b)
    _ready(a)
    _ready(b)
    if a.counts is None and b.counts is None:
        made = Carried(a.shape, torch.maximum(a.values, b.values))
    else:
        values, counts = kernels.maxout(a.values, a.counts, b.values, b.counts)
        made = Carried(a.shape, values, counts)
    made.background = joint_background(a, b)
    return made


def _ready(x: Carried) -> None:
    """Run what is pending and count again where needed."""
    _ = x.values
    Carried.of(x)


def joint_background(*tensors: Carried) -> Tensor | None:
    """The background of an elementwise function of tensors."""
    masks = [t.background for t in tensors]
    if any(mask is None for mask in masks):
        return None
    return torch.stack(masks).amin(0)


def _wrapped(x, like: Carried):
    if not isinstance(x, Tensor) or x.shape != like.shape or not kernels.usable(x):
        return NotImplemented
    return Carried.of(x)


@handles(torch.cat, torch.concat, torch.concatenate)
def _cat(tensors, dim=0):
    tensors = list(tensors)
    if dim != 1 or any(not isinstance(t, Carried) for t in tensors):
        return NotImplemented
    parts = [t.plain() for t in tensors]
    for t in tensors:
        Carried.of(t)
    made = kernels.channels_last(torch.cat(parts, 1))
    counts = None
    if any(t.counts is not None for t in tensors):
        known = [t.counts.int() for t in tensors if t.counts is not None]
        counts = sum(known).to(torch.uint16)
    return Carried(made.shape, made, counts, joint_background(*tensors))


@handles(F.interpolate)
def _interpolate(x, *args, **kwargs):
    """Resizing spreads NaN to its neighbours, so they are counted anew.

    In the default layout: PyTorch's channels-last kernel does not give back a constant
    it is given (it weighs four pixels at once), which would undo ties.
    """
    made = Carried.of(F.interpolate(x.plain().contiguous(), *args, **kwargs))
    if x.background is not None:
        seen = F.interpolate(1.0 - x.background[:, None].float(), *args, **kwargs)
        # Weights below zero (bicubic) may cancel: such a mask is not to be trusted.
        if bool((seen >= 0).all()):
            made.background = (seen[:, 0] == 0).to(torch.uint8)
    return made
