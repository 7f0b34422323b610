"""One convolution, timed: our kernels, PyTorch's bands, oneDNN in two layouts."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from roundoff.errors import RoundoffError
from roundoff.nan import kernels
from roundoff.nan.convolution import _in_bands
from roundoff.nan.quick import crossover
from roundoff.nan.skips import ConvShape, conv_shape, nan_counts, skip_mask
from roundoff.nan_trials.layers import Case
from roundoff.nan_trials.machine import kernel_level, processor
from roundoff.nan_trials.masks import nan_mask
from roundoff.nan_trials.pairs import interleave, middle, speed_up

THRESHOLD = 0.5


@dataclass
class Row:
    """One measurement; times are medians in ms, ratios paired medians (ours = 1).

    `skipped`: share of windows; `ideal`: 1 / (1 - skipped). `vs_last`, `vs_default`:
    dense PyTorch over ours; `bands_vs_last`: dense over the path without a compiler.
    `choice`: what the library picks by itself, `chosen` its speed-up.
    """

    series: str
    layer: str
    dimensions: int
    side: int
    channels: int
    kernel: int
    dilation: int
    mask: str
    nan_share: float
    skipped: float
    ideal: float
    threads: int
    clock: str
    kernels: str
    ours_ms: float
    last_ms: float
    default_ms: float
    vs_last: float
    vs_default: float
    bands_vs_last: float
    choice: str
    chosen: float
    machine: str


class Trial:
    """The contestants on one input. Raises `RoundoffError` without the kernels."""

    def __init__(self, case: Case):
        if kernels.library() is None:
            raise RoundoffError(
                "time trials: the compiled extension of roundoff.nan is not there; "
                "install a C compiler and reinstall Roundoff"
            )
        self.case, layer = case, case.layer
        g = torch.Generator().manual_seed(1)
        cells = (layer.kernel,) * len(layer.plane)
        dense = torch.randn(layer.batch, layer.inputs, *layer.plane, generator=g)
        self.weight = torch.randn(layer.outputs, layer.inputs, *cells, generator=g)
        self.weight /= prod(self.weight.shape[1:]) ** 0.5
        self.bias = torch.randn(layer.outputs, generator=g)
        self.default, self.last = dense, kernels.channels_last(dense)
        self.weight_last = kernels.channels_last(self.weight)
        self.convolve = F.conv2d if len(cells) == 2 else F.conv3d
        self.padding = layer.dilation * (layer.kernel // 2)
        self.shape: ConvShape = conv_shape(
            dense, self.weight.shape, 1, self.padding, layer.dilation, 1
        )
        self.x = self.last.clone()
        self.x.masked_fill_(nan_mask(case.mask, layer.plane, case.share), math.nan)
        self.counts = kernels.scan(self.x)
        self.packed = kernels.pack_weight(self.weight, self.bias)
        self.skipped = 0.0

    def ours(self) -> Tensor:
        """Plan, compute, write NaN."""
        plan = kernels.Plan(self.x.shape, self.shape, THRESHOLD, "mean", self.counts)
        self.skipped = plan.share(kernels.SKIPPED)
        return plan.run(self.x, self.packed, write_nan=True)[0]

    def channels_last(self) -> Tensor:
        """oneDNN, channels last, no NaN anywhere."""
        dilation = self.case.layer.dilation
        return self.convolve(
            self.last, self.weight_last, self.bias, 1, self.padding, dilation
        )

    def default_layout(self) -> Tensor:
        """PyTorch as most networks call it."""
        dilation = self.case.layer.dilation
        return self.convolve(
            self.default, self.weight, self.bias, 1, self.padding, dilation
        )

    def in_bands(self) -> Tensor:
        """Bands of rows, PyTorch only; NaN counted from the data."""
        missing = self.x.isnan()
        counts = nan_counts(self.x, self.shape)
        skipped = skip_mask(counts, self.shape, THRESHOLD)
        known = torch.where(missing, 0.0, self.x)
        return _in_bands(
            known, missing, counts, skipped, self.weight, self.bias, self.shape, "mean"
        )


@torch.inference_mode()
def measure(case: Case, repeats: int, clock: str = "wall") -> Row:
    """Interleaved repetitions of all contestants on one input."""
    trial, layer = Trial(case), case.layer
    runs: dict[str, Callable[[], Tensor]] = {
        "ours": trial.ours,
        "last": trial.channels_last,
        "default": trial.default_layout,
    }
    if len(layer.plane) == 2:
        runs["bands"] = trial.in_bands
    times = interleave(runs, repeats)
    last, ours = times["last"], times["ours"]
    picks = trial.skipped >= crossover(trial.shape)
    vs_last = speed_up(last, ours, clock)
    return Row(
        series=case.series,
        layer=str(layer),
        dimensions=len(layer.plane),
        side=layer.plane[0],
        channels=layer.inputs,
        kernel=layer.kernel,
        dilation=layer.dilation,
        mask=case.mask,
        nan_share=case.share,
        skipped=trial.skipped,
        ideal=1 / max(1e-9, 1 - trial.skipped),
        threads=torch.get_num_threads(),
        clock=clock,
        kernels=kernel_level(),
        ours_ms=middle(ours, clock),
        last_ms=middle(last, clock),
        default_ms=middle(times["default"], clock),
        vs_last=vs_last,
        vs_default=speed_up(times["default"], ours, clock),
        bands_vs_last=speed_up(last, times["bands"], clock)
        if "bands" in times
        else math.nan,
        choice="skip" if picks else "oneDNN",
        chosen=vs_last if picks else 1.0,
        machine=processor(),
    )
