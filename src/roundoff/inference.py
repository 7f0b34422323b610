"""One sample: one complete inference under an instrument with one seed."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from roundoff import __version__
from roundoff.checksums import require_sha256, sha256_of_array, sha256_of_file
from roundoff.data.sources import load_sources
from roundoff.errors import RoundoffError
from roundoff.images.check import load_volume
from roundoff.instruments.base import Instrument
from roundoff.models.base import ModelSpec, Prediction, Progress


@dataclass(frozen=True)
class Sample:
    """The identity of a sample."""

    subject: str
    model: str
    instrument: str
    index: int
    seed: int


def run_sample(
    spec: ModelSpec,
    sample: Sample,
    image: Path,
    weights: Mapping[str, Path],
    instrument: Instrument,
    progress: Progress | None = None,
) -> tuple[Prediction, np.ndarray, dict[str, Any]]:
    """Run a model once on a conformed image, on one thread.

    Returns the prediction, the affine (4, 4) of its grid and the record for the JSON
    sidecars. Raises `RoundoffError` for damaged weights, a scan on another grid, or an
    instrument that did nothing.
    """
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    check_weights(spec, weights)
    scan = load_volume(image)
    if scan.shape != tuple(spec.grid.shape):
        raise RoundoffError(
            f"{image}: shape {scan.shape}, but {spec.name} works on {spec.grid.shape}. "
            "Conform the scan for this model first."
        )
    model = spec.build(weights)
    volume = np.asarray(scan.dataobj)
    if hasattr(instrument, "attach"):
        instrument.attach(model.modules())
    unperturbed = None
    if getattr(instrument, "warm_up", False):
        # What a first call prepares (plans, caches) shall not be perturbed.
        with torch.inference_mode():
            unperturbed = model.predict(volume, spec.grid.voxel_size)
    with torch.inference_mode(), instrument.sample(sample.seed) as evidence:
        prediction = model.predict(volume, spec.grid.voxel_size, progress)
    if unperturbed is not None:
        evidence["against_unperturbed"] = changes(unperturbed, prediction)
    record = _record(spec, sample, image, weights, instrument, prediction, evidence)
    return prediction, scan.affine, record


def changes(before: Prediction, after: Prediction) -> dict[str, float]:
    """Fraction of the values of each output whose bits differ between two runs."""
    pairs = {f"map_{k}": (v, after.maps[k]) for k, v in before.maps.items()}
    if before.labels is not None:
        pairs["labels"] = (before.labels, after.labels)
    return {
        name: float(np.mean(np.asarray(a) != np.asarray(b)))
        for name, (a, b) in pairs.items()
    }


def check_weights(spec: ModelSpec, weights: Mapping[str, Path]) -> None:
    """Require every role of the model's weights, each with the table's SHA-256."""
    missing = set(spec.weights) - set(weights)
    if missing:
        raise RoundoffError(
            f"{spec.name}: no file given for the weights {sorted(missing)}."
        )
    sources = load_sources()
    for role, name in spec.weights.items():
        if not Path(weights[role]).is_file():
            raise RoundoffError(
                f"{spec.name}: there is no weights file {weights[role]}"
            )
        if name in sources:
            require_sha256(weights[role], sources[name].sha256, f"data source {name!r}")


def software_versions() -> dict[str, str]:
    """Versions of what computes a sample."""
    packages = ("torch", "numba", "numpy", "nibabel")
    versions = {"roundoff": __version__, "python": platform.python_version()}
    return versions | {name: version(name) for name in packages}


def _record(spec, sample, image, weights, instrument, prediction, evidence):
    import torch

    outputs = {f"map_{k}": np.asarray(v) for k, v in prediction.maps.items()}
    if prediction.labels is not None:
        outputs["labels"] = np.asarray(prediction.labels)
    return {
        "Description": f"{spec.title}, {instrument.name} sample {sample.index}",
        "Subject": sample.subject,
        "Model": sample.model,
        "WeightsKind": spec.weights_kind,
        "Weights": {
            role: {"source": spec.weights[role], "sha256": sha256_of_file(path)}
            for role, path in weights.items()
        },
        "ModelOptions": dict(spec.options),
        "Instrument": {"name": instrument.name, **instrument.settings()},
        "Sample": sample.index,
        "Seed": sample.seed,
        "Threads": torch.get_num_threads(),
        "CpuCapability": torch.backends.cpu.get_cpu_capability(),
        "Container": os.environ.get("ROUNDOFF_CONTAINER", "none"),
        "Versions": software_versions(),
        "InputSha256": sha256_of_file(image),
        "OutputSha256": {k: sha256_of_array(v) for k, v in outputs.items()},
        "OutputDtype": {k: v.dtype.str for k, v in outputs.items()},
        "Precision": dict(prediction.precision),
        "Evidence": dict(evidence),
        "SpatialReference": "orig",
    }
