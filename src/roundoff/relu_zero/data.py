"""Images as networks take them, batch by batch."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from roundoff.data.classification import Split

# Channel means and standard deviations of the training images, as usually stated.
CIFAR_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR_STD = (0.2023, 0.1994, 0.2010)

Batch = tuple[torch.Tensor, torch.Tensor]


def tensors(split: Split) -> Batch:
    """Images (N, C, H, W) uint8 and labels (N,) int64 as tensors, without copying."""
    return torch.from_numpy(split.images), torch.from_numpy(split.labels).long()


def scaled(images: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """uint8 pixels to 0 .. 1; colour images normalised by channel.

    Half types are rounded from float32; float64 is computed in float64.
    """
    working = torch.promote_types(dtype, torch.float32)
    values = images.to(working) / 255
    if images.shape[1] == 3:
        mean = torch.tensor(CIFAR_MEAN, dtype=working, device=images.device)
        std = torch.tensor(CIFAR_STD, dtype=working, device=images.device)
        values = (values - mean[:, None, None]) / std[:, None, None]
    return values.to(dtype)


def in_order(images: torch.Tensor, labels: torch.Tensor, size: int) -> Iterator[Batch]:
    """Batches in the order of the data set, the last one as short as it comes."""
    for start in range(0, len(images), size):
        yield images[start : start + size], labels[start : start + size]


def shuffled(
    images: torch.Tensor,
    labels: torch.Tensor,
    size: int,
    generator: torch.Generator,
    augment: bool = False,
) -> Iterator[Batch]:
    """Batches in random order; `augment` shifts by up to 4 pixels and flips."""
    order = torch.randperm(len(images), generator=generator).to(images.device)
    for start in range(0, len(images), size):
        chosen = order[start : start + size]
        batch = images[chosen]
        yield (augmented(batch, generator) if augment else batch), labels[chosen]


def augmented(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Random crops after padding by 4 zeros, and left-right flips, (N, C, H, W)."""
    count, _, height, width = images.shape
    padded = F.pad(images, (4, 4, 4, 4))
    shifts = torch.randint(0, 9, (count, 2), generator=generator).tolist()
    flips = (torch.rand(count, generator=generator) < 0.5).tolist()
    crops = [
        padded[i, :, y : y + height, x : x + width] for i, (y, x) in enumerate(shifts)
    ]
    return torch.stack(
        [c.flip(-1) if f else c for c, f in zip(crops, flips, strict=True)]
    )
