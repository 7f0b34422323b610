"""The control of every experiment: without perturbation nothing may change."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from roundoff.errors import RoundoffError
from roundoff.instruments.verrou import SPREADING


def compare_controls(sidecars: Sequence[Path]) -> dict[str, Any]:
    """Compare the output checksums of unperturbed samples of one subject and model.

    Raises `RoundoffError` naming the outputs that differ; returns a record otherwise.
    """
    records = [json.loads(Path(path).read_text()) for path in sidecars]
    first = records[0]["OutputSha256"]
    for path, record in zip(sidecars, records, strict=True):
        changed = [k for k, v in first.items() if record["OutputSha256"].get(k) != v]
        if changed:
            raise RoundoffError(_differ(changed, record, sidecars[0], path))
    return {
        "Subject": records[0]["Subject"],
        "Model": records[0]["Model"],
        "Samples": len(records),
        "Instruments": [record.get("Instrument") for record in records],
        "BitIdentical": True,
        "OutputSha256": first,
    }


def compare_with_plain(
    control: Sequence[Path], plain: Sequence[Path]
) -> dict[str, dict[str, Any]]:
    """What Valgrind alone changes: control images under it against those without it.

    By file name of the control: whether all values are identical, the fraction that is
    not, the largest difference relative to the largest value, and in units in the last
    place of float32 at the median of the changed values (None for labels).
    """
    return {
        Path(a).name: _difference(_values(a), _values(b))
        for a, b in zip(control, plain, strict=True)
    }


def require_spread(records: Sequence[Mapping[str, Any]]) -> None:
    """Require that some output bit differs between samples under Verrou.

    Raises `RoundoffError` when all are identical, although each had a seed of its own.
    """
    instrument = records[0]["Instrument"]
    spreads = instrument.get("mode") in SPREADING and not instrument.get("layers")
    if instrument["name"] != "verrou" or not spreads:
        return
    if all(r["OutputSha256"] == records[0]["OutputSha256"] for r in records):
        raise RoundoffError(
            f"verrou: all {len(records)} samples of {records[0]['Subject']} came out "
            "bit-identical although their seeds differ. The instrument did not reach "
            "this model's arithmetic; its digits are not known."
        )


def _differ(changed, record, first: Path, path: Path) -> str:
    which = (
        f"control: {', '.join(changed)} of subject {record['Subject']}, model "
        f"{record['Model']} differ between {first} and {path}, although nothing was "
        "perturbed. "
    )
    if record.get("Instrument", {}).get("name") == "verrou":
        return which + (
            "The second ran under Verrou's rounding to nearest, which changed values: "
            "this Verrou computes something else than the processor, and its samples "
            "cannot be trusted."
        )
    return which + (
        "Some operation is not deterministic (threads, another processor, another "
        "library version), so a spread under the instrument would not be its own. "
        "Samples of one study must run on one kind of machine with one thread each: "
        "delete these two files and run again there."
    )


def _values(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def _difference(a: np.ndarray, b: np.ndarray) -> dict[str, Any]:
    changed = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    record = {"identical": not changed.any(), "changed": float(changed.mean())}
    if not changed.any() or not np.issubdtype(a.dtype, np.floating):
        return record | {"largest_relative": 0.0 if not changed.any() else None}
    gap = np.abs(a.astype(np.float64) - b)[changed]
    largest = np.nanmax(np.abs(a))
    ulp = np.median(gap / np.spacing(np.abs(a[changed]).astype(np.float32)))
    relative = float(gap.max() / largest) if largest else None
    return record | {"largest_relative": relative, "median_ulp": float(ulp)}
