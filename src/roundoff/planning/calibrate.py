"""A short calibration of one model: time and operations of few slices, extrapolated.

Run as `python -m roundoff.planning.calibrate` in a process of its own, so that the peak
of its memory is the model's; takes a JSON request and prints a JSON answer.
"""

import json
import resource
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from roundoff.images.save import save_map
from roundoff.instruments.reduction import SLAB, reduce_slices
from roundoff.models.base import ModelSpec
from roundoff.models.registry import get_model

LOADING = 5.0  # seconds: the most that loading kernels may count, compiling left out
FEW, MORE = 1, 16  # slices per direction
FEW_PLANES, MORE_PLANES = 8, 64  # of a 3-D network, whose cost per plane varies more


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
    start: float  # seconds to start Python and PyTorch, load the model, save a sample
    plain: Line  # processor seconds without perturbation
    native: Line  # and under native random rounding
    operations: Line  # elementary operations rounded
    plain_mb: float  # peak memory at the larger size
    native_mb: float
    mb_per_slice: float = 0.0  # beyond it, where a network holds all its slices at once

    def memory(self, mb: float, slices: int) -> float:
        """Peak memory (MB) of a run on so many slices."""
        return mb + self.mb_per_slice * max(slices - MORE_PLANES, 0)


def calibrate(
    name: str, custom: dict[str, Any], options: dict[str, Any], weights: dict[str, Path]
) -> Calibration:
    """Time a model on a phantom head: two sizes when it can compute fewer slices."""
    import torch

    torch.set_num_threads(1)
    spec = get_model(name, custom).with_options(options)
    sizes = (FEW_PLANES, MORE_PLANES) if spec.factory in SLAB else (FEW, MORE)
    small, large = (reduce_slices(spec, n, options) for n in sizes)
    reducible = small.options != spec.options
    parts = [small, large] if small.options != large.options else [small]
    counts = [slices_of(s) for s in parts]
    volume = phantom(spec)
    models = [s.build(weights) for s in parts]
    start = time.process_time()  # since the process began
    plain, peaks = [], []
    for model in models:
        plain.append(_plain(model, volume, spec))
        peaks.append(_peak_mb())
    start += _saving(spec)
    first, _ = _native(models[0], volume, spec)  # loads kernels, or compiles them
    native = [_native(m, volume, spec) for m in models]
    loading = min(max(first - native[0][0], 0.0), LOADING)
    return Calibration(
        name,
        reducible,
        start,
        line(counts, plain),
        line(counts, [seconds for seconds, _ in native], loading),
        line(counts, [operations for _, operations in native]),
        peaks[-1],
        _peak_mb(),
        _growth(spec, counts, peaks),
    )


def line(counts: list[int], costs: list[float], more: float = 0.0) -> Line:
    """The line through one or two measured points; a single one counts as all fixed.

    `more` is added to the fixed part.
    """
    if len(counts) == 1:
        return Line(costs[0] + more, 0.0)
    slope = max((costs[1] - costs[0]) / (counts[1] - counts[0]), 0.0)
    return Line(max(costs[0] - slope * counts[0], 0.0) + more, slope)


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


def _growth(spec: ModelSpec, counts: list[int], peaks: list[float]) -> float:
    """Memory per slice of a 3-D network; slices one by one leave none behind."""
    if spec.factory not in SLAB or len(counts) == 1:
        return 0.0
    return (peaks[-1] - peaks[0]) / (counts[-1] - counts[0])


def _saving(spec: ModelSpec) -> float:
    """Processor seconds to write the maps of one sample."""
    begun = time.process_time()
    values = np.random.default_rng(0).standard_normal(spec.grid.shape, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(sum(m.components for m in spec.maps)):
            save_map(Path(folder) / f"{number}.nii.gz", values, np.eye(4))
    return time.process_time() - begun


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
