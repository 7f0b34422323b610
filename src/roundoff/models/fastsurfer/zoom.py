"""Resolution normalisation inside FastSurferVINN: crop or pad from the top left."""

import torch
from torch import Tensor
from torch.nn import functional as F


def zoom2d(
    x: Tensor, scale: tuple[float, float], target: tuple[int, int]
) -> tuple[Tensor, tuple[float, float]]:
    """Resample `x` (N, C, H, W) bilinearly to exactly `target` pixels.

    `scale` is the output over the input pixel size, per axis. Where `target` pixels
    cover more than the input, the result is padded with zeros at the end of the axis;
    where they cover less, the input is cropped there. Returns the image and the scale
    really applied (sizes are whole pixels), which undoes the step when inverted.
    An identity (scale 1, equal sizes) returns `x` itself: bilinear weights would be
    1 and 0, exact in every rounding mode.
    """
    plans = [_plan(n, s, t) for n, s, t in zip(x.shape[2:], scale, target, strict=True)]
    applied = (plans[0][3], plans[1][3])
    if applied == (1.0, 1.0) and tuple(x.shape[2:]) == target:
        return x, applied
    (rows, height, pad_h, _), (columns, width, pad_w, _) = plans
    resized = F.interpolate(
        x[:, :, :rows, :columns], (height, width), mode="bilinear", align_corners=False
    )
    return F.pad(resized, (0, pad_w, 0, pad_h)), applied


def _plan(size: int, scale: float, target: int) -> tuple[int, int, int, float]:
    """Pixels kept, pixels they become, zeros added behind, and the scale applied."""
    covered = int(target * scale)
    if covered > size:
        resized = int(size / scale)
        return size, resized, target - resized, size / resized
    return covered, target, 0, covered / target


def as_pair(scale_factor: float | Tensor | None) -> tuple[float, float]:
    """One scale for the whole batch, as a pair (rows, columns).

    Raises ValueError when a tensor holds different scales for different images.
    """
    if scale_factor is None:
        return 1.0, 1.0
    values = torch.as_tensor(scale_factor, dtype=torch.float64).reshape(-1)
    if not bool((values == values[0]).all()):
        raise ValueError(
            f"scale_factor holds different values {values.tolist()}: the slices of a "
            "batch must come from one volume; run volumes one after the other"
        )
    return float(values[0]), float(values[0])
