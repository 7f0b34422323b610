"""The control of every experiment: without perturbation nothing may change."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from roundoff.errors import RoundoffError


def compare_controls(sidecars: Sequence[Path]) -> dict[str, Any]:
    """Compare the output checksums of unperturbed samples of one subject and model.

    Raises `RoundoffError` naming the outputs that differ; returns a record otherwise.
    """
    records = [json.loads(Path(path).read_text()) for path in sidecars]
    first = records[0]["OutputSha256"]
    for path, record in zip(sidecars, records, strict=True):
        changed = [k for k, v in first.items() if record["OutputSha256"].get(k) != v]
        if changed:
            raise RoundoffError(
                f"control: {', '.join(changed)} of subject {record['Subject']}, model "
                f"{record['Model']} differ between {sidecars[0]} and {path}, although "
                "nothing was perturbed. Some operation is not deterministic (threads, "
                "another processor, another library version), so a spread under the "
                "instrument would not be its own. Samples of one study must run on "
                "one kind of machine with one thread each: delete these two files and "
                "run again there."
            )
    return {
        "Subject": records[0]["Subject"],
        "Model": records[0]["Model"],
        "Samples": len(records),
        "BitIdentical": True,
        "OutputSha256": first,
    }
