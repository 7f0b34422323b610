"""Conversions between number types: a narrowing one rounds."""

import torch

from roundoff.rounding.dispatch import Call, operator
from roundoff.rounding.ops.pointwise import narrowed


def _narrows(source: torch.dtype, target: torch.dtype) -> bool:
    if not (source.is_floating_point and target.is_floating_point):
        return False
    return torch.finfo(target).eps > torch.finfo(source).eps or {source, target} == {
        torch.float16,
        torch.bfloat16,
    }


@operator("aten._to_copy.default", "aten.to.dtype", "aten.to.dtype_layout")
def to_copy(call: Call, x: torch.Tensor, *args, **kwargs) -> torch.Tensor:
    """One rounding per element where floats are narrowed, none otherwise."""
    dtype = kwargs.get("dtype") or next(
        (a for a in args if isinstance(a, torch.dtype)), x.dtype
    )
    if not _narrows(x.dtype, dtype):
        if x.is_floating_point():
            call.exact()
        return call.func(x, *args, **kwargs)
    kwargs = {**kwargs, "dtype": dtype}
    memory = kwargs.get("memory_format") or torch.preserve_format
    return (
        narrowed(call, x.detach(), dtype).contiguous(memory_format=memory)
        if (memory != torch.preserve_format)
        else narrowed(call, x.detach(), dtype)
    )


@operator("aten.copy_.default", "aten.copy.default")
def copy(call: Call, target, source, non_blocking: bool = False) -> torch.Tensor:
    """Write source into target, rounding a narrowing conversion."""
    if _narrows(source.dtype, target.dtype):
        source = narrowed(call, source.detach(), target.dtype)
    elif target.is_floating_point():
        call.exact()
    return call.func(target, source, non_blocking)
