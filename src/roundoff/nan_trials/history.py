"""The published comparison: a scalar Python loop with NaN handling and without.

Gonzalez-Pepe et al., arXiv 2601.17180, compare one pure-Python convolution loop with
itself, on a plane of uniform numbers with a 2x2 kernel; PyTorch is not in the race.
Here with the same mask, one clock and the true sizes in every panel, and PyTorch's own
convolution beside it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from roundoff.nan_trials.machine import processor
from roundoff.nan_trials.pairs import interleave, middle, speed_up

WEIGHT = ((1.0, 0.0), (0.0, -1.0))
BIAS, THRESHOLD = 0.5, 0.5
DIVISORS = (1.5, 2, 3, 4, 10)  # nominal NaN share 1 - (n // d) / n: 33 to 90 %
SIDES = (10, 20, 28, 50)

PUBLISHED = {  # mean speed-up over true sizes 10, 20, 28, 50, 256; CPU, float32
    "random": (0.77, 1.11, 1.70, 1.98, 2.38),
    "border": (0.76, 0.96, 1.33, 1.40, 2.04),
}
"""Published means at the five nominal shares, from the paper's figures."""


@dataclass
class HistoryRow:
    """One size and mask: the loop against itself, and PyTorch on the same input."""

    side: int
    mask: str
    nominal: float
    nan_share: float
    skipped: float
    loop_ms: float
    nan_loop_ms: float
    torch_ms: float
    speed_up: float
    clock: str
    machine: str


def nominal_share(side: int, divisor: float) -> float:
    """The share the published study names a mask by."""
    return 1 - (side // divisor) / side


def history_mask(kind: str, side: int, share: float) -> NDArray[np.bool_]:
    """bool [side, side]: each element by chance, or a border grown until the share."""
    if kind == "random":
        return np.random.default_rng(0).random((side, side)) < share
    mask = np.zeros((side, side), bool)
    width = 0
    while mask.mean() < share:
        width += 1
        mask[:] = True
        mask[width : side - width, width : side - width] = False
    return mask


def loop(x: Tensor, apply_nan: bool) -> tuple[Tensor, int]:
    """The scalar loop on one plane [n, n]: output [n - 1, n - 1], windows skipped.

    Every element is a tensor of its own, as in the published code: that, and not the
    arithmetic, is what its time is made of.
    """
    rows, columns = x.shape[0] - 1, x.shape[1] - 1
    out = torch.full((rows, columns), torch.nan)
    weight, skipped = torch.tensor(WEIGHT), 0
    for i in range(rows):
        for j in range(columns):
            fill = None
            if apply_nan:
                gone, fill = _missing(x, i, j)
                if gone:
                    skipped += 1
                    continue
            out[i, j] = _dot(x, weight, i, j, fill)
    return out, skipped


def _missing(x: Tensor, i: int, j: int) -> tuple[bool, Tensor | None]:
    """Whether to skip (counting stops as soon as that is clear), else what to fill."""
    count = 0
    for u in range(2):
        for v in range(2):
            if torch.isnan(x[i + u, j + v]):
                count += 1
                if count / 4 >= THRESHOLD:
                    return True, None
    return False, x[i : i + 2, j : j + 2].nanmean() if count else None


def _dot(x: Tensor, weight: Tensor, i: int, j: int, fill: Tensor | None) -> Tensor:
    total = torch.tensor(BIAS)
    for u in range(2):
        for v in range(2):
            value = x[i + u, j + v]
            if fill is not None and torch.isnan(value):
                value = fill
            total = total + weight[u, v] * value
    return total


def history_rows(
    sides: Iterable[int] = SIDES, repeats: int = 5, clock: str = "cpu"
) -> list[HistoryRow]:
    """Time the loop with and without NaN, and PyTorch, for all masks and shares."""
    # Processor time: both variants by one clock, whatever else the machine does.
    cases = [(n, m, d) for n in sides for m in PUBLISHED for d in DIVISORS]
    return [_row(*case, repeats, clock) for case in cases]


def _row(side: int, kind: str, divisor: float, repeats: int, clock: str) -> HistoryRow:
    nominal = nominal_share(side, divisor)
    dense = np.random.default_rng(1).random((side, side)).astype(np.float32)
    mask = history_mask(kind, side, nominal)
    dense = torch.from_numpy(dense)
    x = dense.masked_fill(torch.from_numpy(mask), torch.nan)
    weight, bias = torch.tensor(WEIGHT)[None, None], torch.tensor([BIAS])
    times = interleave(
        {
            "plain": lambda: loop(dense, False),
            "nan": lambda: loop(x, True),
            "torch": lambda: F.conv2d(dense[None, None], weight, bias),
        },
        repeats,
    )
    return HistoryRow(
        side,
        kind,
        nominal,
        float(mask.mean()),
        loop(x, True)[1] / (side - 1) ** 2,
        middle(times["plain"], clock),
        middle(times["nan"], clock),
        middle(times["torch"], "wall"),  # far below the tick of the processor clock
        speed_up(times["plain"], times["nan"], clock),
        clock,
        processor(),
    )
