"""What every model of the registry is and gives: the contract of the workflow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from typing import Protocol

import numpy as np

from roundoff.checksums import require_sha256
from roundoff.errors import RoundoffError

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
    `precision`: the type the values of a map were rounded to, where that is coarser
    than float32 ("float16"): it bounds the bits they can have.
    """

    maps: Mapping[str, np.ndarray]
    labels: np.ndarray | None = None
    steps: Mapping[str, np.ndarray] = field(default_factory=dict)
    precision: Mapping[str, str] = field(default_factory=dict)


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
    `weights` maps a role ("axial", "network", ...) to the name of a data source, or to
    the path of a file of the user's; `sha256` pins the latter, by role.
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
    sha256: Mapping[str, str] = field(default_factory=dict)

    def with_options(self, options: Mapping[str, object]) -> "ModelSpec":
        """The same entry with some options changed."""
        return replace(self, options={**self.options, **options})

    def build(self, weights: Mapping[str, Path]) -> BrainModel:
        """Import the factory and build the model from local weight files.

        Raises RoundoffError when a file is not the pinned one, the factory cannot be
        imported, or it does not take the entry's options.
        """
        for role, expected in self.sha256.items():
            if role in weights:
                where = f"model {self.name!r}, sha256.{role}"
                require_sha256(weights[role], expected, where)
        factory = self._factory()
        _require_options(factory, self.options, self.name)
        return factory(dict(weights), **self.options)

    def _factory(self) -> Callable[..., BrainModel]:
        module, _, function = self.factory.partition(":")
        try:
            return getattr(import_module(module), function)
        except (ImportError, AttributeError) as error:
            raise RoundoffError(
                f"model {self.name!r}: cannot import the factory {self.factory!r} "
                f"({error}). It must be importable where the workflow runs: install "
                "its package, or put its folder on PYTHONPATH."
            ) from error


def _require_options(
    factory: Callable[..., BrainModel], options: Mapping[str, object], name: str
) -> None:
    parameters = signature(factory).parameters.values()
    if any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in parameters][1:]
    for option in options:
        if option not in known:
            raise RoundoffError(
                f"model {name!r}: no option is called {option!r}. "
                f"Known: {', '.join(known) or 'none'}."
            )
