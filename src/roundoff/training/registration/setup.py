"""From settings to a registration training: sources, task, schedule."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from roundoff.training.engine import Schedule
from roundoff.training.registration.maps import (
    head_source,
    label_map_source,
    shapes_source,
)
from roundoff.training.registration.pairs import Pairs
from roundoff.training.registration.sizes import STRUCTURES, Size
from roundoff.training.registration.task import RegistrationTask
from roundoff.training.segmentation.heads import load_head

UNSEEN = 1 << 20  # added to the seed: pairs no training draws


def make_task(
    size: Size, label_maps: list[Path], seed: int, heads: list[Path] | None = None
) -> RegistrationTask:
    """The training of a size: on segmentations, labelled heads of
    `train_demo.py head`, or (none given) random shapes."""
    if heads:
        sources = [head_source(load_head(path), size) for path in heads]
    elif label_maps:
        sources = [label_map_source(label_maps, STRUCTURES, size)]
    else:
        sources = [shapes_source(size)]
    appearance = {"known": size.known, "strip": size.strip}
    pairs = Pairs(sources, size.generator, seed=seed, **appearance)
    return RegistrationTask(pairs, size.recipe)


def unseen(task: RegistrationTask) -> Pairs:
    """Pairs of the same kind that the training does not draw."""
    return replace(task.pairs, seed=task.pairs.seed + UNSEEN)


def changed(size: Size, settings: Mapping[str, object]) -> Size:
    """A size with the settings (of the schedule, and memory) that are not None."""
    given = {k: v for k, v in settings.items() if v is not None}
    memory = given.pop("memory", size.recipe.memory)
    schedule: Schedule = replace(size.schedule, **given)
    return replace(size, schedule=schedule, recipe=replace(size.recipe, memory=memory))
