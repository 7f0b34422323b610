"""Activations with their NaN counted beside them, as a tensor that layers pass on.

A `Carried` tensor knows how many channels of each pixel are NaN, so that no layer has
to look for them, and where every channel is NaN the values themselves are left
unwritten. It may also know its background: the pixels that have seen nothing else.
Functions it does not know get an ordinary tensor with every NaN in place.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from roundoff.nan import kernels


class Carried(Tensor):
    """float32 [N, C, *plane], channels last, with its NaN counted beside it.

    `counts`: uint16 [N, *plane], or None without any NaN. `background`: uint8
    [N, *plane], 1 where the pixel has seen nothing but the network's background, or
    None (see `roundoff.nan.background`). `pending`: a convolution not yet run, to which
    the layers behind it may still add their work.
    """

    @staticmethod
    def __new__(cls, shape, data=None, counts=None, background=None, pending=None):
        """`data` with channels last in memory, or a `pending` convolution."""
        made = Tensor._make_wrapper_subclass(cls, tuple(shape), dtype=torch.float32)
        made._data, made.counts, made.background = data, counts, background
        made.pending, made.exposed = pending, False
        return made

    @classmethod
    def of(cls, x: Tensor) -> "Carried":
        """Wrap a tensor: its NaN are counted, once."""
        if isinstance(x, Carried):
            x._refresh()
            return x
        data = kernels.channels_last(x.detach())
        return cls(data.shape, data, _counts(data))

    def like(self, data: Tensor) -> "Carried":
        """What a function of each value by itself made of this tensor's values."""
        return Carried(data.shape, data, self.counts, self.background)

    @property
    def values(self) -> Tensor:
        """The values; undefined where every channel of a pixel is NaN."""
        if self.pending is not None:
            done = self.pending.run()
            self._data, self.counts = done._data, done.counts
            self.background, self.pending = done.background, None
        return self._data

    def known_counts(self) -> Tensor | None:
        """NaN per pixel, or None without any; runs what is pending."""
        _ = self.values
        self._refresh()
        return self.counts

    def plain(self) -> Tensor:
        """An ordinary tensor with every NaN in place (the same memory)."""
        data = self.values
        if self.counts is not None:
            kernels.define(data, self.counts)
        return data

    def become(self, other: "Carried") -> "Carried":
        """Take another tensor's content, as an operation in place does."""
        self._data, self.counts = other.values, other.counts
        self.background, self.pending = other.background, None
        return self

    def _refresh(self) -> None:
        """Count again if a function that may write into it has seen the memory."""
        if self.exposed:
            self.exposed = False
            self.counts, self.background = _counts(self._data), None

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in METADATA:
            with torch._C.DisableTorchFunctionSubclass():
                return function(*args, **kwargs)
        handler = HANDLERS.get(function)
        if handler is not None:
            result = handler(*args, **kwargs)
            if result is not NotImplemented:
                return result
        return function(*tree_map(_expose, args), **tree_map(_expose, kwargs))

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return function(*tree_map(_expose, args), **tree_map(_expose, kwargs or {}))

    def __repr__(self, **_):
        return f"Carried({self.plain()!r})"


class PoolIndices(Tensor):
    """Indices of a pooling whose windows are kept as bitmaps until someone looks.

    `cells`: uint8 [N, C, *grid], the cells that unpooling writes. `pooled`: what was
    pooled. `make` gives the index tensor, int64 [N, C, *grid].
    """

    @staticmethod
    def __new__(cls, cells, windows, make):
        made = Tensor._make_wrapper_subclass(cls, cells.shape, dtype=torch.int64)
        made.cells, made.windows, made.make, made.made = cells, windows, make, None
        return made

    def plain(self) -> Tensor:
        """The index tensor, computed on first use."""
        if self.made is None:
            self.made = self.make()
        return self.made

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function in METADATA:
            with torch._C.DisableTorchFunctionSubclass():
                return function(*args, **(kwargs or {}))
        return function(*tree_map(_expose, args), **tree_map(_expose, kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return function(*tree_map(_expose, args), **tree_map(_expose, kwargs or {}))


HANDLERS: dict[Callable, Callable] = {}
"""Functions that `Carried` tensors pass through without losing their counts."""

METADATA = {
    Tensor.shape.__get__,
    Tensor.dtype.__get__,
    Tensor.device.__get__,
    Tensor.ndim.__get__,
    Tensor.requires_grad.__get__,
    Tensor.is_cuda.__get__,
    Tensor.layout.__get__,
    Tensor.size,
    Tensor.dim,
    Tensor.numel,
    Tensor.is_floating_point,
    Tensor.__len__,
}


def plain(x: Tensor) -> Tensor:
    """An ordinary tensor of any tensor."""
    return x.plain() if isinstance(x, Carried | PoolIndices) else x


def _expose(item):
    if isinstance(item, Carried):
        data = item.plain()
        item.exposed = True
        return data
    return plain(item) if isinstance(item, Tensor) else item


def _counts(data: Tensor) -> Tensor | None:
    counts = kernels.scan(data)
    return counts if counts.view(torch.int16).any() else None
