"""Shorthand for handlers written as a sequence of further rounded operators."""

from typing import Any

import torch

from roundoff.rounding.dispatch import Call

aten = torch.ops.aten


class Arithmetic:
    """`r.mul(x, y)` dispatches aten.mul under the rounding of one call, and so on."""

    def __init__(self, call: Call):
        self._run = call.run

    def add(self, x: Any, y: Any, alpha: float = 1) -> torch.Tensor:
        return self._run(aten.add.Tensor, x, y, alpha=alpha)

    def sub(self, x: Any, y: Any) -> torch.Tensor:
        return self._run(aten.sub.Tensor, x, y)

    def mul(self, x: Any, y: Any) -> torch.Tensor:
        return self._run(aten.mul.Tensor, x, y)

    def div(self, x: Any, y: Any) -> torch.Tensor:
        return self._run(aten.div.Tensor, x, y)

    def exp(self, x: torch.Tensor) -> torch.Tensor:
        return self._run(aten.exp.default, x)

    def sum(self, x: torch.Tensor, dims: list[int] | None = None, keep=False):
        return self._run(aten.sum.dim_IntList, x, dims, keep)

    def cast(self, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        return self._run(aten._to_copy.default, x, dtype=dtype)
