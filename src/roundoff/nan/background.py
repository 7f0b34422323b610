"""Exact mode: what the background becomes in every layer is recorded, then copied.

A pixel that has seen nothing but background holds, in every layer, what it would hold
if the whole image were background. So the network runs once on an image of nothing but
background and its convolutions are recorded; after that, windows of such pixels are
copied from the record, to the same bits. Padding needs no care: the record had it too.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from roundoff.nan import kernels
from roundoff.nan.skips import SkipCount

LEAST_SHARE = 0.02  # a smaller share of the pixels is not worth following


@dataclass(frozen=True)
class Compact:
    """A channels-last image of few distinct pixels: rows and columns repeat.

    `values`: float32 [classes, C]. `classes`: int32 [*plane], the class of each pixel.
    """

    values: Tensor
    classes: Tensor

    @classmethod
    def of(cls, data: Tensor) -> "Compact":
        """Without loss, of one sample [1, C, *plane]."""
        pixels = kernels.channels_last(data)[0].movedim(0, -1)
        classes = torch.zeros((), dtype=torch.int32)
        for axis in range(pixels.dim() - 1):
            slices = pixels.movedim(axis, 0)
            bits = slices.flatten(1).contiguous().view(torch.int32)
            new = torch.ones(len(bits), dtype=torch.bool)
            new[1:] = (bits[1:] != bits[:-1]).any(1)
            pixels = slices[new].movedim(0, axis)
            place = new.cumsum(0, dtype=torch.int32) - 1
            classes = classes[..., None] * int(new.sum()) + place
        return cls(pixels.flatten(0, -2).contiguous(), classes.contiguous())

    def alike(self, data: Tensor) -> Tensor:
        """Where `data` [N, C, *plane] has the same bits: uint8 [N, *plane]."""
        if len(self.values) == 1:
            value = self.values[0]
            return torch.cat([kernels.alike(x, value) for x in data.split(1)])
        expected = self.values[self.classes.long()].view(torch.int32)
        pixels = data.movedim(1, -1).contiguous().view(torch.int32)
        return (pixels == expected).all(-1).to(torch.uint8)


@dataclass
class Record:
    """One call of one convolution on nothing but background."""

    recording: bool = True
    input: Compact | None = None
    output: Compact | None = None

    def background_of(self, data: Tensor, has_nan: bool) -> Tensor | None:
        """Which pixels of a convolution's input are background; None: none worth it."""
        if self.recording:
            if has_nan:
                return None
            self.input = Compact.of(data)
            return torch.ones(data.shape[0], *data.shape[2:], dtype=torch.uint8)
        if self.input is None or self.input.classes.shape != data.shape[2:]:
            return None
        return worth_following(self.input.alike(data))


def worth_following(same: Tensor) -> Tensor | None:
    """A background mask, or None where it is too small to gain by."""
    return same if same.float().mean() >= LEAST_SHARE else None


@dataclass
class References:
    """The records of one network on one background, and its output there."""

    records: dict[tuple[int, int], Record] = field(default_factory=dict)
    output: Tensor | None = None
    totals: dict[int, SkipCount] = field(default_factory=dict)
    calls: Counter = field(default_factory=Counter)
    recording: bool = True

    def record(self, conv: nn.Module) -> Record | None:
        """The record of this call: a convolution may be called more than once."""
        key = (id(conv), self.calls[id(conv)])
        self.calls[id(conv)] += 1
        if self.recording:
            return self.records.setdefault(key, Record())
        return self.records.get(key)

    def close(self, output: Tensor) -> None:
        """End the recording."""
        self.recording, self.output = False, output
        for record in self.records.values():
            record.recording = False


_active: list[References] = []


def active() -> References | None:
    """The records that convolutions copy from now, if any."""
    return _active[-1] if _active else None


@contextmanager
def copying(references: References) -> Iterator[None]:
    """Let converted convolutions record to, or copy from, these references."""
    references.calls.clear()
    _active.append(references)
    try:
        yield
    finally:
        _active.pop()


class Follower:
    """Runs a converted network and copies what only background decides."""

    KEPT = 4  # backgrounds remembered: image sizes times background values

    def __init__(self, convolutions: dict[str, nn.Module], maps: bool = False):
        """`maps`: every sample must pass the convolutions, which draw maps of it."""
        self.convolutions, self.maps = list(convolutions.values()), maps
        self.known: dict[tuple, References] = {}

    def run(self, model: nn.Module, args: tuple, kwargs: dict):
        """`model(*args, **kwargs)`, the first argument being the image."""
        x = args[0] if args else None
        if not _can_follow(x, (*args[1:], *kwargs.values())):
            return model(*args, **kwargs)
        value = _corner(x)
        same = Compact(value[None], torch.zeros(x.shape[2:], dtype=torch.int32)).alike(
            kernels.channels_last(x)
        )
        if bool(value.isnan().any()) or worth_following(same) is None:
            return model(*args, **kwargs)
        references = self._references(model, value, args, kwargs)
        empty = same.bool().flatten(1).all(1)
        known = isinstance(references.output, Tensor) and not self.maps
        if known and bool(empty.any()):
            return self._without_empty(model, references, empty, args, kwargs)
        with copying(references):
            return model(*args, **kwargs)

    def _references(self, model, value: Tensor, args, kwargs) -> References:
        x = args[0]
        sources = (*model.parameters(), *model.buffers())
        key = (
            tuple(x.shape[1:]),
            value.numpy().tobytes(),
            repr((args[1:], kwargs)),
            tuple((id(t), -1 if t.is_inference() else t._version) for t in sources),
        )
        if key not in self.known:
            while len(self.known) >= self.KEPT:
                self.known.pop(next(iter(self.known)))
            self.known[key] = self._recorded(model, value, args, kwargs)
        return self.known[key]

    def _recorded(self, model, value: Tensor, args, kwargs) -> References:
        x = args[0]
        view = (1, -1) + (1,) * (x.dim() - 2)
        image = value.view(view).expand(1, *x.shape[1:]).contiguous()
        before = [(c.count, c.skipped) for c in self.convolutions]
        made = References()
        with torch.no_grad(), copying(made):
            output = model(image, *args[1:], **kwargs)
        output = output.plain() if hasattr(output, "plain") else output
        whole = isinstance(output, Tensor) and output.shape[:1] == (1,)
        made.close(output.clone() if whole else None)
        for conv, (count, skipped) in zip(self.convolutions, before, strict=True):
            done = conv.count
            made.totals[id(conv)] = SkipCount(
                done.total - count.total,
                done.total - count.total,
                done.total_macs - count.total_macs,
                done.total_macs - count.total_macs,
            )
            conv.count, conv.skipped = count, skipped
        return made

    def _without_empty(self, model, references, empty: Tensor, args, kwargs):
        """Samples of nothing but background are the recorded output itself."""
        for conv in self.convolutions:
            for _ in range(int(empty.sum())):
                conv.count += references.totals[id(conv)]
        whole = references.output
        result = whole.expand(len(empty), *whole.shape[1:]).clone()
        if not bool(empty.all()):
            with copying(references):
                rest = model(args[0][~empty], *args[1:], **kwargs)
            rest = rest.plain() if hasattr(rest, "plain") else rest
            result[~empty] = rest
        return result


def _can_follow(x, others: tuple) -> bool:
    """Whether the input is one the kernels know, and nothing else goes by sample."""
    return (
        isinstance(x, Tensor)
        and x.dim() in (4, 5)
        and not torch.is_grad_enabled()
        and kernels.usable(x)
        and not any(isinstance(o, Tensor) and o.numel() > 1 for o in others)
    )


def _corner(x: Tensor) -> Tensor:
    """The pixel [C] found most often in the corners of the samples."""
    corners = x.movedim(1, -1)
    for axis in range(1, x.dim() - 1):
        corners = torch.cat([corners.narrow(axis, i, 1) for i in (0, -1)], axis)
    values, counts = corners.flatten(0, -2).unique(dim=0, return_counts=True)
    return values[counts.argmax()].contiguous()
