"""Segmentation of one view as a task of the training loop: network, slices, loss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from roundoff.models.fastsurfer.network import FastSurferVINN
from roundoff.training.engine import Schedule
from roundoff.training.segmentation.losses import class_weights, combined_loss
from roundoff.training.segmentation.slices import Slices

WEIGHING = range(1 << 31, (1 << 31) + 320)  # numbers of slices no training draws


@dataclass(frozen=True)
class Recipe:
    """Size of the network. `bfloat16`: autocast of the forward pass; weights stay
    float32."""

    filters: int = 14
    filters_interpol: int = 8
    bfloat16: bool = True


@dataclass(frozen=True)
class SegmentationTask:
    """FastSurferVINN of one view on slices of a pool; `weights`: of the classes."""

    slices: Slices
    recipe: Recipe
    weights: Tensor

    def network(self) -> FastSurferVINN:
        """The untrained network of the view."""
        network = FastSurferVINN(
            len(self.weights),
            num_filters=self.recipe.filters,
            num_filters_interpol=self.recipe.filters_interpol,
            base_resolution=2.0,
        )
        return network.to(memory_format=torch.channels_last)

    def batch(self, numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Slices (N, channels, H, W) float32 of these numbers, labels (N, H, W)."""
        images, labels = zip(*(self.slices.draw(n) for n in numbers), strict=True)
        images = torch.stack(images).to(memory_format=torch.channels_last)
        return images, torch.stack(labels)

    def loss(
        self, network: nn.Module, batch: tuple[Tensor, Tensor], done: float
    ) -> dict[str, Tensor]:
        """Weighted cross-entropy plus soft Dice, over the batch."""
        images, labels = batch
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bfloat16):
            logits = network(images)
        return {"loss": combined_loss(logits, labels, self.weights)}

    def reseeded(self, seed: int) -> "SegmentationTask":
        """The same task on other slices."""
        return replace(self, slices=replace(self.slices, seed=seed))


def make_task(slices: Slices, recipe: Recipe) -> SegmentationTask:
    """The training of a view; rare classes weigh more."""
    labels = torch.stack([slices.draw(number)[1] for number in WEIGHING])
    weights = class_weights(labels, int(slices.table.max()) + 1)
    return SegmentationTask(slices, recipe, weights)


def make_schedule(
    steps: int, learning_rate: float, batch: int, seed: int, window: int = 50
) -> Schedule:
    """Rise over a fifth of the steps, then fall."""
    return Schedule(
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        weight_decay=1e-4,
        warm_up=steps // 5,
        descent=0.8,
        clip=5.0,
        window=window,
        seed=seed,
    )


def copy_matching(network: nn.Module, tensors: Mapping[str, Tensor]) -> int:
    """Copy the tensors that fit by key and shape; return how many did."""
    own = network.state_dict()
    fitting = {k: v for k, v in tensors.items() if k in own and v.shape == own[k].shape}
    network.load_state_dict(fitting, strict=False)
    return len(fitting)
