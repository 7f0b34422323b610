"""`_foreach_*` operators of optimisers: one call of the plain operator per tensor."""

from typing import Any

import torch

from roundoff.rounding.dispatch import Call, NoKernel, operator

aten = torch.ops.aten


def _per_tensor(value: Any, i: int, count: int) -> Any:
    """Element i of a list argument, or the argument itself."""
    if isinstance(value, list | tuple) and len(value) == count:
        return value[i]
    if isinstance(value, torch.Tensor) and value.dim() == 1 and len(value) == count:
        return value[i].item()
    return value


@operator("foreach")
def foreach(call: Call, tensors: list[torch.Tensor], *rest: Any, **options: Any):
    """Dispatch `_foreach_name` as `name` for each tensor, in place where it is."""
    name = call.func.overloadpacket.__name__.removeprefix("_foreach_")
    packet = getattr(aten, name, None)
    if packet is None:
        raise NoKernel
    results = []
    with call.mode():
        for i, tensor in enumerate(tensors):
            values = [_per_tensor(value, i, len(tensors)) for value in rest]
            if name.rstrip("_") in ("addcmul", "addcdiv") and len(values) == 3:
                value = values.pop()
                results.append(packet(tensor, *values, value=value))
            else:
                results.append(packet(tensor, *values, **options))
    return None if name.endswith("_") else results
