"""A short calibration of one model: time and operations of few slices, extrapolated.

Run as `python -m roundoff.planning.calibrate` in a process of its own, so that the peak
of its memory is the model's; takes a JSON request and prints a JSON answer.
"""

import json
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from roundoff.instruments.reduction import reduce_slices
from roundoff.models.base import ModelSpec
from roundoff.models.registry import get_model

FEW, MORE = 1, 16  # slices per direction (a slab for 3-D networks)


@dataclass(frozen=True)
class Line:
    """A cost as a function of the slices computed: fixed + per_slice * slices."""

    fixed: float
    per_slice: float

    def at(self, slices: int) -> float:
        """The cost of so many slices per direction."""
        return self.fixed + self.per_slice * slices


@dataclass(frozen=True)
class Calibration:
    """What was measured of one model, on one thread."""

    model: str
    reducible: bool
    start: float  # seconds to start Python and PyTorch and to load the model
    plain: Line  # processor seconds without perturbation
    native: Line  # and under native random rounding
    operations: Line  # elementary operations rounded
    plain_mb: float  # peak memory
    native_mb: float


def calibrate(
    name: str, custom: dict[str, Any], options: dict[str, Any], weights: dict[str, Path]
) -> Calibration:
    """Time a model on a phantom head: two sizes when it can compute fewer slices."""
    begun = time.process_time()
    import torch

    torch.set_num_threads(1)
    spec = get_model(name, custom).with_options(options)
    small, large = (reduce_slices(spec, n, options) for n in (FEW, MORE))
    reducible = small.options != spec.options
    sizes = [small, large] if small.options != large.options else [small]
    counts = [slices_of(s) for s in sizes]
    volume = phantom(spec)
    models = [s.build(weights) for s in sizes]
    start = time.process_time() - begun
    plain = [_plain(m, volume, spec) for m in models]
    plain_mb = _peak_mb()
    _native(models[0], volume, spec)  # compiles
    native = [_native(m, volume, spec) for m in models]
    return Calibration(
        name,
        reducible,
        start,
        line(counts, plain),
        line(counts, [seconds for seconds, _ in native]),
        line(counts, [operations for _, operations in native]),
        plain_mb,
        _peak_mb(),
    )


def line(counts: list[int], costs: list[float]) -> Line:
    """The line through one or two measured points; a single one counts as all fixed."""
    if len(counts) == 1:
        return Line(costs[0], 0.0)
    slope = max((costs[1] - costs[0]) / (counts[1] - counts[0]), 0.0)
    return Line(max(costs[0] - slope * counts[0], 0.0), slope)


def slices_of(spec: ModelSpec) -> int:
    """Slices per direction that a model computes with its options."""
    side = max(spec.grid.shape)
    if spec.options.get("slab"):
        return int(spec.options["slab"])
    return -(-side // int(spec.options.get("slices", 1)))


def phantom(spec: ModelSpec) -> np.ndarray:
    """A textured ball on the model's grid: times do not depend on anatomy."""
    axes = [np.linspace(-1.3, 1.3, n, dtype=np.float32) for n in spec.grid.shape]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    values = 120 + 80 * np.cos(9 * x) * np.cos(7 * y) * np.cos(8 * z)
    inside = x**2 + y**2 + z**2 < 1
    return np.where(inside, values, 0).astype(spec.grid.dtype)


def _plain(model, volume, spec: ModelSpec) -> float:
    import torch

    begun = time.process_time()
    with torch.inference_mode():
        model.predict(volume, spec.grid.voxel_size)
    return time.process_time() - begun


def _native(model, volume, spec: ModelSpec) -> tuple[float, float]:
    import torch

    from roundoff.rounding import RandomRounding

    begun = time.process_time()
    with torch.inference_mode(), RandomRounding(strict=False) as rounding:
        model.predict(volume, spec.grid.voxel_size)
    return time.process_time() - begun, float(rounding.coverage.operations)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Read a request from standard input, print the calibration."""
    request = json.load(sys.stdin)
    sys.path.append(str(Path.cwd()))
    weights = {role: Path(path) for role, path in request.pop("weights").items()}
    print(json.dumps(asdict(calibrate(weights=weights, **request))))


if __name__ == "__main__":
    main()
