"""Losses of the segmentation training."""

import torch
from torch import Tensor
from torch.nn import functional as F


def class_weights(labels: Tensor, classes: int, power: float = 0.4) -> Tensor:
    """Weight of each class: its frequency to minus `power`, mean 1 over voxels.

    Rare structures count more, but far from inversely: (classes,) float32.
    """
    counts = torch.bincount(labels.flatten().long(), minlength=classes).float()
    frequency = counts.clamp_min(1) / counts.sum()
    weights = frequency**-power
    return weights / (weights * frequency).sum()


def soft_dice(logits: Tensor, labels: Tensor) -> Tensor:
    """One minus the mean soft Dice of the classes present, over the whole batch.

    `logits` (N, C, H, W), `labels` (N, H, W) integer (Milletari et al. 2016).
    """
    shares = logits.softmax(1)
    truth = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(shares.dtype)
    overlap = (shares * truth).sum((0, 2, 3))
    total = shares.sum((0, 2, 3)) + truth.sum((0, 2, 3))
    present = truth.sum((0, 2, 3)) > 0
    present[0] = False
    dice = (2 * overlap + 1) / (total + 1)
    return 1 - dice[present].mean() if present.any() else 0 * dice.sum()


def combined_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Weighted cross-entropy plus soft Dice, in float32."""
    logits = logits.float()
    return F.cross_entropy(logits, labels, weights) + soft_dice(logits, labels)
