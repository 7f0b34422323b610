"""Fewer slices for an instrument that costs a thousand times as much."""

import math
from collections.abc import Mapping

from roundoff.models.base import ModelSpec

# Which option of a factory makes its models compute less. By name, because asking the
# factory itself would import PyTorch whenever a workflow is planned.
STEP = {
    "roundoff.models.fastsurfer.pipeline:build",
    "roundoff.models.fondue.pipeline:build",
}
SLAB = {"roundoff.models.deepbrain.pipeline:build"}
SLAB_FACTOR = 8  # three poolings by two


def reduce_slices(
    spec: ModelSpec, slices: int | None, options: Mapping[str, object] | None = None
) -> ModelSpec:
    """The model with options that compute about `slices` slices in each direction.

    Networks of slices run every n-th one, whose values stand for its neighbours; the
    3-D brain extraction runs a slab through the middle, in multiples of eight planes.
    `options` of the user's win; other models and None stay whole.
    """
    side, options = max(spec.grid.shape), options or {}
    if slices is None:
        return spec
    if spec.factory in STEP and "slices" not in options:
        return spec.with_options({"slices": math.ceil(side / min(slices, side))})
    if spec.factory in SLAB and "slab" not in options:
        planes = SLAB_FACTOR * math.ceil(slices / SLAB_FACTOR)
        return spec.with_options({"slab": planes}) if planes < side else spec
    return spec


def computed_part(spec: ModelSpec) -> str:
    """In words, what part of the volume a model computes; empty for all of it."""
    step, slab = spec.options.get("slices", 1), spec.options.get("slab")
    side = max(spec.grid.shape)
    if spec.factory in STEP and isinstance(step, int) and step > 1:
        return f"{math.ceil(side / step)} of {side} slices per direction"
    if spec.factory in SLAB and slab:
        return f"{slab} of {side} planes"
    return ""
