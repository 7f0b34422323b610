"""What every model of the registry is and gives: the contract of the workflow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

Progress = Callable[[float, str], None]
"""Called with the fraction done (0 to 1) and a few words."""


@dataclass(frozen=True)
class Grid:
    """The conformed grid a model expects.

    `voxel_size` in mm (isotropic), `shape` in voxels, `orientation` as nibabel axis
    codes, `dtype` of the conformed image (uint8: FastSurfer's robust scaling to 0-255).
    """

    voxel_size: float = 1.0
    shape: tuple[int, int, int] = (256, 256, 256)
    orientation: str = "LIA"
    dtype: str = "uint8"


@dataclass(frozen=True)
class MapSpec:
    """One continuous output of a model, whose significant bits are measured."""

    name: str  # alphanumeric: used as a BIDS label, e.g. "logit"
    title: str  # for figures, e.g. "winning logit"
    unit: str = ""  # e.g. "mm"; empty when dimensionless
    components: int = 1  # 3 for a displacement field


@dataclass(frozen=True)
class Prediction:
    """The outputs of one inference, on the conformed grid.

    `maps`: name of a `MapSpec` to float32 array of the grid's shape (one component) or
    grid shape + (components,). `labels`: integer map of the grid's shape, or None.
    `steps`: label maps of earlier steps of the post-processing, by name, if any.
    """

    maps: Mapping[str, np.ndarray]
    labels: np.ndarray | None = None
    steps: Mapping[str, np.ndarray] = field(default_factory=dict)


class BrainModel(Protocol):
    """A network with its weights and its pre- and post-processing, ready to run."""

    def predict(
        self, volume: np.ndarray, voxel_size: float, progress: Progress | None = None
    ) -> Prediction:
        """Run on a conformed volume (array of the model's `Grid`)."""
        ...

    def modules(self) -> Mapping[str, object]:
        """The `torch.nn.Module`s inside, by name."""
        ...


@dataclass(frozen=True)
class ModelSpec:
    """One entry of the registry (`registry.yaml`, or `models` of the user's config).

    `factory` names a callable "package.module:function"; it is called as
    `factory(weights: dict[str, Path], **options)` and returns a `BrainModel`.
    `weights` maps a role ("axial", "network", ...) to the name of a data source.
    """

    name: str
    title: str
    task: str  # segmentation, brain extraction, denoising, registration
    weights_kind: (
        str  # "demo weights", "official weights", ...: printed on every figure
    )
    factory: str
    weights: Mapping[str, str]
    grid: Grid
    maps: tuple[MapSpec, ...]
    labels: str | None = None  # name of the label table in roundoff/models/labels/
    options: Mapping[str, object] = field(default_factory=dict)

    def with_options(self, options: Mapping[str, object]) -> "ModelSpec":
        """The same entry with some options changed."""
        return replace(self, options={**self.options, **options})

    def build(self, weights: Mapping[str, Path]) -> BrainModel:
        """Import the factory and build the model from local weight files."""
        from importlib import import_module

        module, _, function = self.factory.partition(":")
        return getattr(import_module(module), function)(dict(weights), **self.options)
