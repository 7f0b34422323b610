"""FastSurfer on a conformed head: three views, aggregation, labels."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from roundoff.errors import RoundoffError
from roundoff.models.base import Prediction, Progress
from roundoff.models.fastsurfer.checkpoint import load_network
from roundoff.models.fastsurfer.sides import split_sides
from roundoff.models.fastsurfer.views import VIEWS, WEIGHTS, View, expand_classes
from roundoff.models.labels import ClassTable, load_class_table

ACCUMULATORS = {"float16": torch.float16, "float32": torch.float32}
SLAB = 8  # volume planes whose scores are compared at a time


class FastSurfer:
    """Three networks, one per view, as a `BrainModel`.

    Scores are logits summed with the views' weights, without softmax, in an
    accumulator of `accumulator` type: each view's contribution is added in float32 and
    rounded to it once. Maps: `logit`, the score of the winning class, and `margin`, its
    lead over the runner-up (both float32). Labels: FreeSurfer values; `steps` holds
    them before cortical labels are split by side, where that changes any.

    `step` > 1 runs every step-th slice only and uses its scores for its neighbours.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        table: ClassTable,
        *,
        view_weights: Mapping[str, float] = WEIGHTS,
        accumulator: str = "float16",
        batch_size: int = 1,
        step: int = 1,
    ):
        self.networks = dict(networks)
        self.table = table
        self.view_weights = dict(view_weights)
        self.accumulator = ACCUMULATORS[accumulator]
        self.batch_size = batch_size
        self.step = step

    def modules(self) -> Mapping[str, nn.Module]:
        """The network of each view."""
        return self.networks

    @torch.inference_mode()
    def predict(
        self, volume: np.ndarray, voxel_size: float, progress: Progress | None = None
    ) -> Prediction:
        """Segment a head in LIA order, intensities 0-255, `voxel_size` in mm."""
        if volume.ndim != 3:
            raise RoundoffError(
                f"FastSurfer: expected a 3-D volume, got {volume.shape}"
            )
        image = torch.from_numpy(np.ascontiguousarray(volume))
        scores = torch.zeros(*image.shape, len(self.table), dtype=self.accumulator)
        tell = progress or (lambda fraction, words: None)
        total = sum(len(self._batches(view, image)) for view in self._views())
        done = 0
        for view in self._views():
            for first, stop in self._batches(view, image):
                tell(done / total, f"{view.name} view, slice {first}")
                self._add(scores, view, image, voxel_size, first, stop)
                done += 1
        tell(1.0, "labels")
        before, maps = self._decide(scores)
        del scores  # gigabytes, which the rest needs no more
        after = split_sides(before)
        steps = {} if np.array_equal(before, after) else {"unsplit": before}
        coarse = self.accumulator != torch.float32
        precision = dict.fromkeys(maps, "float16") if coarse else {}
        return Prediction(maps, after, steps, precision)

    def _views(self) -> Iterator[View]:
        return (VIEWS[name] for name in self.networks)

    def _batches(self, view: View, image: Tensor) -> list[tuple[int, int]]:
        """First and last-plus-one slice that each batch of the view decides."""
        count, width = view.count(image.shape), self.batch_size * self.step
        return [(i, min(i + width, count)) for i in range(0, count, width)]

    def _add(
        self,
        scores: Tensor,
        view: View,
        image: Tensor,
        voxel_size: float,
        first: int,
        stop: int,
    ) -> None:
        network = self.networks[view.name]
        numbers = torch.arange(first, stop, self.step) + self.step // 2
        numbers = numbers.clamp(max=stop - 1)
        slices = view.slices(image, numbers, network.in_channels)
        scale = network.base_resolution / voxel_size
        logits = network(slices.to(torch.float32) / 255.0, scale)
        if logits.shape[1] != len(self.table):
            logits = expand_classes(logits, self.table.sagittal)
        shares = (logits * self.view_weights[view.name]).split(1)
        for number, share in zip(range(first, stop, self.step), shares, strict=True):
            for place in range(number, min(number + self.step, stop)):
                part = scores[view.section(place, place + 1)]
                part.copy_(part.float() + share.permute(view.back))

    def _decide(self, scores: Tensor) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Label values and maps of aggregated scores, a slab at a time."""
        ids = torch.tensor(self.table.ids, dtype=torch.int32)
        labels = torch.empty(scores.shape[:3], dtype=torch.int32)
        logit = torch.empty(scores.shape[:3])
        margin = torch.empty(scores.shape[:3])
        for start in range(0, scores.shape[0], SLAB):
            slab = slice(start, start + SLAB)
            part = scores[slab].float()
            best = part.argmax(dim=-1, keepdim=True)
            winner = part.gather(-1, best)
            runner_up = part.scatter_(-1, best, -torch.inf).amax(dim=-1)
            labels[slab] = ids[best[..., 0]]
            logit[slab] = winner[..., 0]
            margin[slab] = winner[..., 0] - runner_up
        return labels.numpy(), {"logit": logit.numpy(), "margin": margin.numpy()}


def build(
    weights: Mapping[str, Path],
    *,
    class_table: str = "fastsurfer_79",
    base_resolution: float = 1.0,
    inner_size: int | None = None,
    accumulator: str = "float16",
    view_weights: Mapping[str, float] = WEIGHTS,
    batch_size: int = 1,
    slices: int = 1,
) -> FastSurfer:
    """Factory of the registry: a checkpoint per view (axial, coronal, sagittal).

    `class_table` names the meaning of the network's classes; sizes come from the
    checkpoints. `base_resolution` (mm) and `inner_size` (pixels) are those of the
    network's resolution normalisation; `slices`: run every n-th slice only.
    Raises RoundoffError naming the option or checkpoint that does not fit.
    """
    _check_options(weights, accumulator, view_weights, batch_size, slices)
    table = load_class_table(class_table)
    networks = {}
    for view in VIEWS:
        networks[view] = load_network(
            weights[view], base_resolution=base_resolution, inner_size=inner_size
        )
        _check_classes(networks[view].num_classes, table, view, weights[view])
    return FastSurfer(
        networks,
        table,
        view_weights=view_weights,
        accumulator=accumulator,
        batch_size=batch_size,
        step=slices,
    )


def _check_options(weights, accumulator, view_weights, batch_size, slices) -> None:
    if set(weights) != set(VIEWS):
        raise RoundoffError(
            f"FastSurfer weights: one checkpoint per view ({', '.join(VIEWS)}) is "
            f"needed, got {', '.join(weights) or 'none'}"
        )
    if accumulator not in ACCUMULATORS:
        raise RoundoffError(
            f"option accumulator is {accumulator!r}, expected float16 or float32"
        )
    if set(view_weights) != set(VIEWS):
        raise RoundoffError(
            f"option view_weights is {dict(view_weights)}, expected a number for each "
            f"of {', '.join(VIEWS)}"
        )
    for name, value in (("batch_size", batch_size), ("slices", slices)):
        if not isinstance(value, int) or value < 1:
            raise RoundoffError(f"option {name} is {value!r}, expected 1 or more")


def _check_classes(found: int, table: ClassTable, view: str, path: Path) -> None:
    allowed = {len(table)} | ({table.sagittal_classes} if view == "sagittal" else set())
    if found not in allowed:
        raise RoundoffError(
            f"FastSurfer weights: {path} ({view}) has {found} classes, the class table "
            f"has {' or '.join(map(str, sorted(allowed)))}: name another class_table"
        )
