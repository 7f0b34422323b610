"""Lines of the report that say whether instrument and control did what they should."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roundoff import layout
from roundoff.instruments.roles import NEAREST
from roundoff.report.study import Study

NAMES = {"nearest": "Verrou to nearest", "verrou": "Verrou", "ieee": "control"}


def canary_lines(study: Study) -> list[dict[str, Any]]:
    """Name, sentence and verdict of each canary of the study."""
    labels = [study.instrument, layout.CONTROL]
    if study.instrument == "verrou":
        labels.insert(1, NEAREST)
    return [_canary(label) for label in dict.fromkeys(labels)]


def control_line(study: Study) -> str:
    """What the controls showed, over all subjects and models."""
    records = [
        json.loads(Path(layout.control_file(m.name, s)).read_text()) for m, s in study
    ]
    text = "unperturbed repetitions are bit-identical for every subject and model"
    if study.instrument != "verrou":
        return text + "."
    text += (
        ", and so is Verrou's rounding to nearest. All ran under Valgrind, as the "
        "samples did; "
    )
    changes = [c for r in records for c in r.get("ValgrindChanges", {}).values()]
    changed = max((c["changed"] for c in changes), default=0.0)
    if changed == 0:
        return text + "without Valgrind the outputs are the same, bit for bit."
    largest = max(c["largest_relative"] or 0.0 for c in changes)
    return text + (
        f"without it up to {changed:.1%} of an output's values differ, by at most "
        f"{largest:.1e} of its largest value (other library kernels), which is no part "
        "of the spread."
    )


def _canary(label: str) -> dict[str, Any]:
    record = json.loads(Path(layout.canary_file(label)).read_text())
    return {
        "name": NAMES.get(label, label),
        "passed": bool(record.get("Passed")),
        "sentence": _sentence(record),
    }


def _sentence(record: Mapping[str, Any]) -> str:
    sums, instrument = record["Sums"], record["Instrument"]
    count = f"{record['PerturbedOperations']:,}".replace(",", "\u202f")
    if instrument["name"] == "ieee":
        where = ", under Valgrind" if instrument.get("under") else ""
        same = f"a million times 0.1 gave {sums[0]} each time{where}"
        return f"{same}; nothing is perturbed."
    evidence = record.get("Evidence", {})
    text = (
        f"a million times 0.1 gave {min(sums)} to {max(sums)} under {len(sums)} seeds "
        f"({count} operations rounded)"
    )
    if "excluded" in evidence:
        met = sum(1 for row in evidence["excluded"] if row["used"])
        text += (
            f"; {len(evidence['excluded'])} libraries or groups of functions left out, "
            f"{met} of them met; argmax and special functions are right"
        )
    if instrument.get("mode") == "nearest":
        return text + "; the processor's own sum, as it must be."
    return text + "; the instrument acts."
