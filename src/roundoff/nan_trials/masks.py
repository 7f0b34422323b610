"""Where the NaN are: a head in its field of view, a border, or anywhere."""

from math import prod

import torch
from torch import Tensor

MASKS = ("brain", "border", "random")
WIDTHS = (0.9, 0.75, 0.8)  # half axes of the head, as shares of half the field of view


def nan_mask(kind: str, plane: tuple[int, ...], share: float) -> Tensor:
    """bool [*plane], True where NaN: exactly the same share whatever the kind.

    "brain": outside an ellipsoid; "border": a frame; "random": scattered.
    """
    count = round(share * prod(plane))
    mask = torch.zeros(prod(plane), dtype=torch.bool)
    if count:
        score = _score(kind, plane).flatten()
        mask[score.argsort(descending=True, stable=True)[:count]] = True
    return mask.reshape(plane)


def _score(kind: str, plane: tuple[int, ...]) -> Tensor:
    axes = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in plane], indexing="ij")
    if kind == "random":
        return torch.rand(plane, generator=torch.Generator().manual_seed(0))
    if kind == "border":
        return torch.stack([a.abs() for a in axes]).amax(0)
    if kind == "brain":
        return sum((a / w) ** 2 for a, w in zip(axes, WIDTHS, strict=False))
    raise ValueError(f"mask must be one of {', '.join(MASKS)}, not {kind!r}")
