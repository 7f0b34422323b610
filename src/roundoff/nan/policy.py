"""What NaN means at the end of a network: merging views, decisions, images."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

NaNPolicy = Literal["finite", "propagate"]


def merge_views(
    logits: Sequence[Tensor], weights: Sequence[float], *, nan_policy: NaNPolicy
) -> Tensor:
    """Weighted sum of the logits [N, C, ...] of several views of the same voxels.

    "propagate", as published: NaN in one view gives NaN. "finite": at each voxel only
    views whose logits are all finite count, their weights renormalised to the same
    total; a voxel without any such view is NaN in every class.
    """
    _check(nan_policy)
    if len(logits) != len(weights) or not logits:
        raise ValueError(
            f"give one weight per view: {len(logits)} views, {len(weights)} weights"
        )
    if nan_policy == "propagate":
        return sum(w * view for w, view in zip(weights, logits, strict=True))
    total, counted = 0.0, 0.0
    for weight, view in zip(weights, logits, strict=True):
        finite = view.isfinite().all(1, keepdim=True)
        total = total + torch.where(finite, weight * view, 0.0)
        counted = counted + weight * finite.to(view.dtype)
    scale = sum(weights) / torch.where(counted > 0, counted, float("nan"))
    # Where every view counts the sum is left as it is, to the last bit.
    return torch.where(counted == _total(weights, counted), total, total * scale)


def _total(weights: Sequence[float], like: Tensor) -> Tensor:
    """All weights added in the order and precision that `merge_views` adds them."""
    total = torch.zeros((), dtype=like.dtype, device=like.device)
    for weight in weights:
        total = total + weight * torch.ones_like(total)
    return total


def decide(logits: Tensor, *, nan_policy: NaNPolicy) -> Tensor:
    """Class of every voxel, int64 [N, ...], from logits [N, C, ...].

    "propagate": NaN ranks above every number and the first NaN class wins. "finite":
    a voxel with any NaN is class 0, the background.
    """
    _check(nan_policy)
    missing = logits.isnan()
    if nan_policy == "propagate":
        # torch.argmax ranks NaN highest but does not promise the first of several.
        return torch.where(
            missing.any(1), missing.to(torch.uint8).argmax(1), logits.argmax(1)
        )
    return torch.where(missing.any(1), 0, logits.argmax(1))


def clean_logits(logits: Tensor, missing: Tensor | None = None) -> Tensor:
    """Logits with 0 in every class of a voxel that has NaN.

    Such a voxel adds nothing to a sum of views, and where no view knows it the first
    class wins the arg-maximum: the policy "finite" for programs that only add and
    compare. `missing`: bool [N, 1, ...], which voxels have NaN, if already known.
    """
    if missing is None:
        missing = logits.isnan().any(1, keepdim=True)
    return torch.where(missing, 0.0, logits)


def clean_image(image: Tensor, source: Tensor | None = None) -> Tensor:
    """An image with NaN replaced by 0, or by `source` (of a broadcastable shape)."""
    return torch.where(image.isnan(), 0.0 if source is None else source, image)


def _check(nan_policy: str) -> None:
    if nan_policy not in ("finite", "propagate"):
        raise ValueError(
            f"nan_policy must be 'finite' or 'propagate', not {nan_policy!r}"
        )
