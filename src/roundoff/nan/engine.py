"""Convolution of `Carried` tensors: skipped, copied, or left to oneDNN."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from roundoff.nan import kernels
from roundoff.nan.background import Compact, Record, active
from roundoff.nan.carried import Carried
from roundoff.nan.carried_ops import joint_background
from roundoff.nan.quick import crossover, takes
from roundoff.nan.skips import conv_shape

KEPT = 4  # an output position that the kernels leave as it is
NEAR = 0.15  # crossover up to which the kernels compute all that has NaN


def fits(conv: nn.Module, x: Tensor) -> bool:
    """Whether the kernels can run this convolution on this input."""
    return (
        conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
        and takes(x, conv.weight, conv.groups)
    )


@dataclass(frozen=True)
class Pending:
    """A convolution that waits for the normalisation and maximum behind it."""

    conv: nn.Module
    source: Carried
    statistics: tuple | None = None  # of a batch norm: mean, variance, weight, bias
    eps: float = 0.0
    counted: list = field(default_factory=list)  # shared: a convolution counts once
    record: Record | None = None  # what this convolution makes of background

    def can_normalise(self) -> bool:
        """Whether a batch norm can still be folded into the weights."""
        return self.statistics is None

    def normalised(self, mean, variance, weight, bias, eps: float) -> "Pending":
        """The same convolution followed by a batch norm."""
        return replace(self, statistics=(mean, variance, weight, bias), eps=eps)

    def run(self, maximum_with: Carried | None = None) -> Carried:
        """Convolve, then take the maximum with another tensor if given."""
        return _Run(self, maximum_with).result()


class _Run:
    """One convolution of one input."""

    def __init__(self, pending: Pending, other: Carried | None):
        self.conv, self.source, self.other = pending.conv, pending.source, other
        self.counted, self.record = pending.counted, pending.record
        self.weights = prepared(self.conv, pending.statistics, pending.eps)
        self.data, conv = self.source.values, self.conv
        self.shape = conv_shape(
            self.data, conv.weight.shape, conv.stride, conv.padding, conv.dilation, 1
        )

    def result(self) -> Carried:
        """Plan, choose a way, run, and count."""
        source, back = self.source, self._background()
        if source.counts is None and back is None:
            self._count(None)
            return self._dense()
        if self.record is not None and self.record.recording and back is not None:
            self._count(None)
            return self._recorded()
        plan = kernels.Plan(
            self.data.shape,
            self.shape,
            self.conv.threshold,
            self.conv.fill,
            source.counts,
            back,
        )
        limit = crossover(self.shape)
        # Correcting oneDNN where there is NaN takes passes over the whole input: where
        # the kernels come near oneDNN anyway they are quicker at any share.
        near = source.counts is not None and limit <= NEAR
        worth = plan.share(kernels.SKIPPED, kernels.COPIED) >= limit
        if worth or near or self.conv.always_skip:
            self._count(plan, kernels.SKIPPED, kernels.COPIED)
            return self._skipping(plan)
        self._count(plan, kernels.SKIPPED)
        return self._corrected(plan) if source.counts is not None else self._dense()

    def _background(self) -> Tensor | None:
        """The background of the input, if it is known what becomes of it here."""
        record, source = self.record, self.source
        if record is None or (record.recording and source.counts is not None):
            return None
        return source.background if record.recording or record.output else None

    def _recorded(self) -> Carried:
        """All windows by the kernels, and the outcome remembered."""
        plan = kernels.Plan(self.data.shape, self.shape, 2.0, self.conv.fill)
        values, counts = plan.run(self.data, self.weights.packed)
        made = Carried(values.shape, values)
        if counts.view(torch.int16).any():
            made.counts = counts
        else:
            self.record.output = Compact.of(values)
            made.background = torch.ones_like(counts, dtype=torch.uint8)
        return made if self.other is None else torch.maximum(made, self.other)

    def _count(self, plan: kernels.Plan | None, *saved: int) -> None:
        if self.counted:
            return
        self.counted.append(True)
        conv, outputs = self.conv, self.shape.output(self.data.shape[2:])
        total = self.data.shape[0] * torch.Size(outputs).numel()
        skipped = sum(plan.totals[k] for k in saved) if plan else 0
        conv.count += self.shape.count(skipped, total)
        if conv.maps:
            mask = torch.zeros(self.data.shape[0], *outputs, dtype=torch.bool)
            for kind in saved if plan else ():
                mask |= plan.kind == kind
            conv.skipped = mask[:, None]

    def _skipping(self, plan: kernels.Plan) -> Carried:
        output, other = self.record and self.record.output, self.other
        copied = bool(plan.totals[kernels.COPIED])
        values, counts = plan.run(
            self.data,
            self.weights.packed,
            other=None if other is None else other.values,
            other_counts=None if other is None else other.counts,
            constant=(output.values, output.classes) if copied else None,
        )
        kept = self.source.counts is None and (other is None or other.counts is None)
        clean = kept and not counts.view(torch.int16).any()
        made = Carried(values.shape, values, None if clean else counts)
        if copied:
            made.background = (plan.kind == kernels.COPIED).to(torch.uint8)
            if other is not None:
                made.background = joint_background(made, other)
        return made

    def _dense(self) -> Carried:
        """oneDNN; the background, if any, is no longer followed."""
        result = self._onednn(self.data)
        made = Carried(result.shape, result)
        if self.other is None:
            return made
        return torch.maximum(made, self.other)

    def _onednn(self, data: Tensor) -> Tensor:
        convolve = F.conv2d if data.dim() == 4 else F.conv3d
        conv = self.conv
        result = convolve(
            data, *self.weights.dense, conv.stride, conv.padding, conv.dilation
        )
        return kernels.channels_last(result)

    def _corrected(self, plan: kernels.Plan) -> Carried:
        """Few windows to skip: oneDNN for all, then those with NaN once more."""
        data = self.source.plain()
        result = self._onednn(torch.where(data.isnan(), 0.0, data))
        counts = torch.zeros_like(plan.kind, dtype=torch.uint16)
        clean = (plan.kind == kernels.CLEAN) | (plan.kind == kernels.COPIED)
        kind = torch.where(clean, KEPT, plan.kind)
        plan.run(
            self.data, self.weights.packed, kind=kind, out=result, out_counts=counts
        )
        made = Carried(result.shape, result, counts)
        return made if self.other is None else torch.maximum(made, self.other)


@dataclass(frozen=True)
class Prepared:
    """Weights in the forms the kernels and oneDNN want, batch norm folded in."""

    packed: tuple[Tensor, Tensor]
    dense: tuple[Tensor, Tensor | None]


def prepared(conv: nn.Module, statistics: tuple | None, eps: float) -> Prepared:
    """The weights of a convolution (and of the norm behind it), kept until changed."""
    sources = (conv.weight, conv.bias, *(statistics or ()))
    key = (eps, *[None if t is None else (id(t), _version(t)) for t in sources])
    if conv.prepared is None or conv.prepared[0] != key:
        weight, bias = _folded(conv, statistics, eps)
        made = Prepared(
            kernels.pack_weight(weight, bias), (kernels.channels_last(weight), bias)
        )
        # The sources are kept too: an address is unique only while its owner lives.
        conv.prepared = (key, made, sources)
    return conv.prepared[1]


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


def _folded(conv, statistics, eps) -> tuple[Tensor, Tensor | None]:
    weight = conv.weight.detach()
    bias = None if conv.bias is None else conv.bias.detach()
    if statistics is None:
        return weight, bias
    mean, variance, gain, shift = (
        None if t is None else t.double() for t in statistics
    )
    scale = torch.rsqrt(variance + eps)
    scale = scale if gain is None else scale * gain
    moved = -mean if bias is None else bias.double() - mean
    moved = moved * scale if shift is None else moved * scale + shift
    view = (-1,) + (1,) * (weight.dim() - 1)
    return (weight.double() * scale.view(view)).float(), moved.float()


def convolve(conv: nn.Module, x: Tensor, follow_background: bool) -> Carried:
    """The output of a converted convolution, to be computed when it is needed."""
    unknown = not isinstance(x, Carried) or x.exposed
    source = Carried.of(x)
    data, references = source.values, active() if follow_background else None
    record = None if references is None else references.record(conv)
    if record is not None and unknown:
        source.background = record.background_of(data, source.counts is not None)
    conv_out = conv_shape(
        source, conv.weight.shape, conv.stride, conv.padding, conv.dilation, 1
    ).output(source.shape[2:])
    shape = (source.shape[0], conv.out_channels, *conv_out)
    return Carried(shape, pending=Pending(conv, source, record=record))
