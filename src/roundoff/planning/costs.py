"""From a calibration to the cost of a study under each instrument."""

from dataclasses import dataclass
from typing import Any

from roundoff.instruments.reduction import computed_part, reduce_slices
from roundoff.models.base import ModelSpec
from roundoff.planning.calibrate import Calibration, slices_of
from roundoff.uncertainty.confidence import supported_probability


@dataclass(frozen=True)
class ValgrindCost:
    """How much dearer Valgrind and Verrou are; defaults as in docs/cost_planning.md.

    `start`, `plain`: factors of Valgrind alone on starting Python and on unperturbed
    code; `off`: what Verrou adds to code it does not perturb; `operation`: seconds per
    perturbed operation.
    """

    start: float = 17.0
    plain: float = 80.0
    off: float = 1.3
    operation: float = 45e-9
    measured: bool = False


@dataclass(frozen=True)
class Samples:
    """How many samples a study draws of each kind, for one subject and model."""

    controls: int
    measured: int


# Aggregated maps beside the samples: bits, CNH, mean, std, state of each map.
MAPS_PER_MAP = 4.2
COMPRESSED = 0.85  # what gzip leaves of a float32 map of a head
VALGRIND_MEMORY = 2.2


def estimate(
    spec: ModelSpec,
    calibration: Calibration,
    instrument: str,
    samples: Samples,
    subjects: int,
    cost: ValgrindCost,
) -> dict[str, Any]:
    """One row of the plan: seconds of a sample, hours, memory and disk of the study.

    `instrument`: ieee, native or verrou. Hours are processor time over all subjects,
    controls included; divide by the cores for the wait.
    """
    slices = slices_of(spec)
    plain, native = calibration.plain.at(slices), calibration.native.at(slices)
    start = calibration.start
    control = start + plain
    memory = calibration.memory(calibration.plain_mb, slices)
    if instrument == "native":
        sample, total_control = start + native, samples.controls * control
        memory = calibration.memory(calibration.native_mb, slices)
    elif instrument == "verrou":
        under = cost.start * start + cost.plain * plain
        rounding = cost.operation * calibration.operations.at(slices)
        sample = cost.off * under + rounding
        # The control runs under Valgrind too, once to nearest, and once without.
        total_control = samples.controls * under + sample + control
        memory *= VALGRIND_MEMORY
    else:
        sample, total_control = control, samples.controls * control
    measured = 0 if instrument == "ieee" else samples.measured
    runs = samples.controls + measured + (2 if instrument == "verrou" else 0)
    return {
        "model": spec.title,
        "instrument": instrument,
        "part": computed_part(spec) or "whole volume",
        "samples": measured or samples.controls,
        "sample_s": sample,
        "hours": subjects * (total_control + measured * sample) / 3600,
        "memory_gb": memory / 1024,
        "disk_gb": subjects * _disk_bytes(spec, runs) / 1e9,
        "operations": 0.0
        if instrument == "ieee"
        else calibration.operations.at(slices),
    }


def plan_rows(
    specs: dict[str, ModelSpec],
    calibrations: dict[str, Calibration],
    samples: Samples,
    subjects: int,
    cost: ValgrindCost,
    slices: int | None,
    options: dict[str, dict],
) -> list[dict[str, Any]]:
    """Every model under every instrument; Verrou on `slices` slices and on all."""
    rows = []
    for name, spec in specs.items():
        few = reduce_slices(spec, slices, options.get(name))
        kinds = [("ieee", spec), ("native", spec), ("verrou", few)]
        if few.options != spec.options:
            kinds.append(("verrou", spec))
        for instrument, part in kinds:
            known = (part, calibrations[name], instrument, samples, subjects, cost)
            rows.append(estimate(*known))
    return rows


def probability(samples: int, confidence: float) -> float:
    """What `samples` samples that all agree support."""
    return supported_probability(samples, confidence)


def _disk_bytes(spec: ModelSpec, runs: int) -> float:
    x, y, z = spec.grid.shape
    voxels = float(x * y * z)
    components = sum(m.components for m in spec.maps)
    a_map = 4 * voxels * COMPRESSED
    labels = 0.03 * voxels if spec.labels else 0.0
    return runs * (components * a_map + labels) + MAPS_PER_MAP * components * a_map
