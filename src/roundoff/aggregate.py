"""From the sample files of one subject to maps and tables, a slab at a time."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from roundoff.atomic import atomic_path
from roundoff.errors import RoundoffError
from roundoff.images.mask import head_mask
from roundoff.images.save import save_labels, save_map, save_sidecar, sidecar_of
from roundoff.images.stack import SampleStack
from roundoff.instruments.control import require_spread
from roundoff.models.base import MapSpec
from roundoff.uncertainty.confidence import statement
from roundoff.uncertainty.dice import PairwiseDice
from roundoff.uncertainty.entropy import vote_of_slab
from roundoff.uncertainty.significant_bits import (
    BitsSettings,
    SlabBits,
    average_components,
    bits_of_slab,
    mantissa_bits,
)
from roundoff.uncertainty.summary import bits_table, histogram
from roundoff.uncertainty.volumes import Volumes

BITS_WINDOW = (0, 24)


@dataclass(frozen=True)
class LabelUncertainty:
    """Maps on the grid, and tables over regions, of the label maps of N samples."""

    entropy: np.ndarray  # float32 (X, Y, Z), natural logarithm
    majority: np.ndarray  # integer (X, Y, Z)
    regions: pd.DataFrame  # min Dice, mean Dice, volume statistics
    volumes: pd.DataFrame  # one row per label and sample


def check_samples(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """The sidecars of one output over the samples, checked against each other.

    Raises `RoundoffError` when a sidecar is missing or no JSON, a seed repeats, a
    sample was made from another input, weights or instrument setting than the first, or
    Verrou changed nothing.
    """
    records = [_sidecar(path) for path in paths]
    by_seed: dict[int, Path] = {}
    for path, record in zip(paths, records, strict=True):
        other = by_seed.setdefault(record["Seed"], path)
        if other is not path:
            raise RoundoffError(
                f"{path} and {other.name}: two samples have the same seed, so they are "
                "one sample counted twice. Delete both with their sidecars and run "
                "again."
            )
    for key in ("InputSha256", "Weights", "ModelOptions", "Instrument", "Versions"):
        for path, record in zip(paths, records, strict=True):
            if record[key] != records[0][key]:
                raise RoundoffError(
                    f"{path}: its {key} differs from that of {paths[0]}: they are not "
                    "samples of one experiment. Delete the older ones and run again."
                )
    require_spread(records)
    return records


def _sidecar(path: Path) -> dict[str, Any]:
    """What a sample's sidecar says."""
    sidecar = sidecar_of(path)
    try:
        return json.loads(sidecar.read_text())
    except (OSError, ValueError) as error:
        raise RoundoffError(
            f"{sidecar}: cannot be read ({error}), so nobody knows how {path.name} was "
            "made. Delete both and run again: only this sample is computed."
        ) from error


def measure_map(
    paths: Sequence[Path], spec: MapSpec, mask: np.ndarray, settings: BitsSettings
) -> SlabBits:
    """Significant bits of one continuous output, fields of the grid's shape."""
    stack = SampleStack(paths)
    parts = []
    for part, samples in stack.slabs():
        inside = mask[:, :, part]
        if spec.components > 1:
            inside = np.repeat(inside[..., None], spec.components, axis=-1)
        bits = bits_of_slab(samples.reshape(len(paths), -1), inside.ravel(), settings)
        if spec.components > 1:
            bits = average_components(bits, spec.components)
        parts.append((bits, mask[:, :, part].shape))
    return _assemble(parts)


def measure_labels(paths: Sequence[Path], names: Mapping[int, str]) -> LabelUncertainty:
    """Entropy, majority vote, min Dice and volumes of the label maps of N samples."""
    stack = SampleStack(paths)
    dice = PairwiseDice(len(paths))
    voxel_volume = float(np.prod(np.round(nib.affines.voxel_sizes(stack.affine), 6)))
    volumes = Volumes(len(paths), voxel_volume)
    entropy, majority = [], []
    for _, labels in stack.slabs():
        flat = labels.reshape(len(paths), -1)
        dice.add(flat)
        volumes.add(flat)
        vote = vote_of_slab(flat)
        entropy.append(vote.entropy.reshape(labels.shape[1:]))
        majority.append(vote.majority.reshape(labels.shape[1:]))
    regions = dice.minimum(names=names).merge(
        volumes.table(names=names), on=["label", "region"]
    )
    return LabelUncertainty(
        np.concatenate(entropy, axis=2),
        np.concatenate(majority, axis=2),
        regions,
        volumes.samples(names=names),
    )


def masked_region(image: Path) -> np.ndarray:
    """The head in a conformed scan: where statistics are taken."""
    return head_mask(np.asarray(nib.load(image).dataobj))


def flat(bits: SlabBits) -> SlabBits:
    """The same results with one axis, for the tables."""
    return SlabBits(*(getattr(bits, f.name).ravel() for f in fields(SlabBits)))


def save_bits(
    outputs: Mapping[str, str],
    spec: MapSpec,
    bits: SlabBits,
    affine: np.ndarray,
    record: Mapping[str, Any],
) -> None:
    """Write the maps of one continuous output: bits, CNH, mean, std, state."""
    name = spec.name
    maps = {
        "bits": (bits.general, BITS_WINDOW, "significant bits, General, relative"),
        "cnh": (bits.cnh, BITS_WINDOW, "significant bits, CNH, relative"),
        "mean": (bits.mean, None, "mean over samples"),
        "std": (bits.std, None, "standard deviation over samples (ddof 1)"),
    }
    for role, (values, window, meaning) in maps.items():
        path = outputs[f"{role}_{name}"]
        save_sidecar(path, {"Description": f"{spec.title}: {meaning}", **record})
        save_map(path, values, affine, window)
    path = outputs[f"state_{name}"]
    states = "0 masked, 1 undefined, 2 too few samples, 3 measured, 4 identical"
    save_sidecar(path, {"Description": f"{spec.title}: {states}", **record})
    save_labels(path, bits.state, affine)
    cap = mantissa_bits(np.float32)
    save_table(outputs[f"histogram_{name}"], histogram(flat(bits), cap=cap))


def save_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a TSV atomically, with enough digits to read every value back."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False, na_rep="n/a")


def region_bits(
    measured: Mapping[str, SlabBits],
    majority: np.ndarray | None,
    names: Mapping[int, str],
) -> pd.DataFrame:
    """The bits table of every map, one below the other, with a column `map`."""
    regions = None if majority is None else majority.ravel()
    tables = [
        bits_table(flat(bits), regions, names).assign(map=name)
        for name, bits in measured.items()
    ]
    table = pd.concat(tables, ignore_index=True)
    return table[["map", *(c for c in table if c != "map")]]


def summary_record(records: Sequence[Mapping], confidence: float) -> dict[str, Any]:
    """What the sidecars of the aggregated maps and the report say about the samples."""
    first = records[0]
    operations = [r["Evidence"].get("perturbed_operations", 0) for r in records]
    keys = (
        "Subject",
        "Model",
        "WeightsKind",
        "Weights",
        "ModelOptions",
        "Instrument",
        "Precision",
    )
    return {
        **{key: first[key] for key in keys},
        "Samples": len(records),
        "Seeds": [r["Seed"] for r in records],
        "Confidence": statement(len(records), confidence),
        "PerturbedOperations": int(np.median(operations)),
        "Versions": first["Versions"],
        "Container": first["Container"],
        "Threads": first["Threads"],
        "SpatialReference": "orig",
    }


def _assemble(parts: Sequence[tuple[SlabBits, tuple[int, ...]]]) -> SlabBits:
    def volume(name: str) -> np.ndarray:
        slabs = [getattr(bits, name).reshape(shape) for bits, shape in parts]
        return np.concatenate(slabs, axis=2)

    return SlabBits(*(volume(f.name) for f in fields(SlabBits)))
