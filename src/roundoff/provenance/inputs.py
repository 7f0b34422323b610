"""The manifest of the scans a run read."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

COLUMNS = {
    "Subject": "subject",
    "SourceFile": "file",
    "SourceBytes": "bytes",
    "SourceSha256": "sha256",
    "SourceShape": "shape",
    "SourceVoxelSize": "voxel_size_mm",
    "SourceOrientation": "orientation",
}


def inputs_table(sidecars: Sequence[Path]) -> pd.DataFrame:
    """One row per scan, from the sidecars that conforming wrote after a full read."""
    rows = []
    for path in sidecars:
        record = json.loads(path.read_text())
        record.setdefault("Subject", path.name.split("_")[0].removeprefix("sub-"))
        rows.append({name: _cell(record.get(key)) for key, name in COLUMNS.items()})
    return pd.DataFrame(rows, columns=list(COLUMNS.values()))


def _cell(value):
    return "x".join(map(str, value)) if isinstance(value, list) else value
