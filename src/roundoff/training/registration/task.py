"""Registration as a task of the training loop: network, samples, objective."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from roundoff.errors import RoundoffError
from roundoff.models.synthmorph.network import VelocityUNet
from roundoff.training.registration.initial import initialise
from roundoff.training.registration.losses import (
    distance,
    gradient_penalty,
    integrate,
    mean_dice,
    move,
)
from roundoff.training.registration.pairs import Pair, Pairs, one_hot

MEMORY = ("plain", "checkpoint")


@dataclass(frozen=True)
class Recipe:
    """The network and its objective.

    `smoothness`: weight of the gradient penalty (1 in SynthMorph, at full size).
    `guide`: weight of the distance to the partners a generator knows, relative to
    the distance before (0 in SynthMorph). `memory`: "plain", or "checkpoint", which
    computes the features of each layer twice instead of keeping them. `forces`:
    size of the first layer's filters when they start as `force_filters` (0: random).
    """

    encoder: tuple[int, ...] = (64, 64, 64, 64)
    decoder: tuple[int, ...] = (64, 64, 64, 64)
    final: tuple[int, ...] = (64, 64)
    int_steps: int = 5
    smoothness: float = 1.0
    guide: float = 0.0
    flow_scale: float = 1e-5  # deviation of the flow layer's first weights
    forces: float = 0.0
    memory: str = "plain"

    def __post_init__(self) -> None:
        if self.memory not in MEMORY:
            raise RoundoffError(
                f"memory is {self.memory!r}, expected {' or '.join(MEMORY)}"
            )


class FrugalUNet(VelocityUNet):
    """The same network, keeping one map per layer for the backward pass."""

    def _conv(self, name: str, x: Tensor) -> Tensor:
        return checkpoint(super()._conv, name, x, use_reentrant=False)


@dataclass(frozen=True)
class Batch:
    """Images (N, 2, D, H, W); one-hot maps (N, L, D, H, W) of the moving and the fixed
    image; origins (N, 2, 3, D/2, H/2, W/2) as in `Pair`."""

    images: Tensor
    moving: Tensor
    fixed: Tensor
    origins: Tensor


@dataclass(frozen=True)
class RegistrationTask:
    """SynthMorph's training: warped one-hot maps of one image against the other's."""

    pairs: Pairs
    recipe: Recipe

    def network(self) -> VelocityUNet:
        """The untrained velocity network."""
        r = self.recipe
        kind = VelocityUNet if r.memory == "plain" else FrugalUNet
        network = kind(r.encoder, r.decoder, r.final)
        initialise(network, r.flow_scale, r.forces)
        return network

    def batch(self, numbers: Sequence[int]) -> Batch:
        """Pairs of these numbers."""
        return collate([self.pairs.draw(n) for n in numbers], self.structures)

    def reseeded(self, seed: int) -> "RegistrationTask":
        """The same task on other pairs."""
        return replace(self, pairs=replace(self.pairs, seed=seed))

    @property
    def structures(self) -> int:
        """Channels of the one-hot maps."""
        return max(source.structures for source in self.pairs.sources)

    def loss(self, network: nn.Module, batch: Batch, done: float) -> dict[str, Tensor]:
        """Loss, mean Dice before and after, over the batch."""
        field = integrate(network(batch.images), self.recipe.int_steps)
        moved = move(batch.moving, upsampled(field, batch.moving.shape[2:]))
        after = mean_dice(moved, batch.fixed).mean()
        loss = 1 - after + self.recipe.smoothness * gradient_penalty(field)
        if self.recipe.guide:
            loss = loss + self.recipe.guide * guidance(field, batch)
        before = mean_dice(batch.moving, batch.fixed).mean()
        return {"loss": loss, "dice": after, "dice_before": before}


def collate(pairs: Sequence[Pair], structures: int) -> Batch:
    """Stack pairs."""
    labels = np.stack([p.labels for p in pairs])
    return Batch(
        torch.stack([p.images for p in pairs]),
        one_hot(labels[:, 0], structures),
        one_hot(labels[:, 1], structures),
        torch.stack([p.origins for p in pairs]),
    )


def upsampled(field: Tensor, shape: Sequence[int]) -> Tensor:
    """Displacements at half resolution as displacements at full resolution."""
    return F.interpolate(2 * field, tuple(shape), mode="trilinear", align_corners=True)


def guidance(field: Tensor, batch: Batch) -> Tensor:
    """Mean square distance to the true partners, over that without a warp.

    Each pair by itself, then the mean: what processes share must be a mean of pairs.
    """
    inside = batch.fixed.sum(1, keepdim=True)
    weight = F.avg_pool3d(inside, 2)
    moving, fixed = batch.origins[:, 0], batch.origins[:, 1]
    before = distance(moving, fixed, weight).clamp_min(1e-3)
    return (distance(move(moving, field), fixed, weight) / before).mean()
