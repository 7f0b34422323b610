"""Subjects of a BIDS folder: who takes part, and which T1-weighted image is theirs.

Paths are formatted and matched here and not indexed: indexing a large data set takes
minutes.
"""

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roundoff.config.models import Bids, Subject
from roundoff.errors import RoundoffError

# BIDS filter files call entities by their long names.
SHORT = {
    "subject": "sub",
    "session": "ses",
    "acquisition": "acq",
    "ceagent": "ce",
    "reconstruction": "rec",
    "direction": "dir",
    "resolution": "res",
    "description": "desc",
}
ENDINGS = (".nii", ".nii.gz")


def bids_subjects(bids: Bids) -> list[Subject]:
    """One T1w image of every participant asked for.

    Raises `RoundoffError` for a folder that is no BIDS set, labels that are not there,
    and participants with no image or more than one.
    """
    root = Path(bids.dir)
    if not root.is_dir():
        raise RoundoffError(f"bids.dir: there is no folder {root}.")
    wanted = _filter(bids)
    return [_subject(root, label, wanted) for label in _labels(root, bids)]


def _labels(root: Path, bids: Bids) -> list[str]:
    """The participants asked for, those listed, or those with a folder."""
    labels = bids.participants or _listed(root)
    if labels is None:
        folders = sorted(p.name for p in root.glob("sub-*") if p.is_dir())
        labels = [name.removeprefix("sub-") for name in folders]
    if not labels:
        raise RoundoffError(f"bids.dir: {root} has no folder sub-*. Is it a BIDS set?")
    unknown = set(bids.exclude) - set(labels)
    if unknown:
        raise RoundoffError(
            f"bids.exclude: {', '.join(sorted(unknown))} is not among the participants "
            f"({', '.join(labels[:10])}{', ...' if len(labels) > 10 else ''})."
        )
    return [label for label in labels if label not in bids.exclude]


def _listed(root: Path) -> list[str] | None:
    """The labels of participants.tsv, in its order; None without such a table."""
    path = root / "participants.tsv"
    if not path.is_file():
        return None
    with open(path, newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    if not rows or "participant_id" not in rows[0]:
        raise RoundoffError(
            f"bids.dir: {path} has no column participant_id (tab-separated). Mend the "
            "table, or name the participants under bids.participants."
        )
    return [row["participant_id"].removeprefix("sub-") for row in rows]


def _filter(bids: Bids) -> dict[str, Any]:
    """Short entity name to the value, list of values or None that is wanted."""
    wanted: dict[str, Any] = {"suffix": "T1w", "datatype": "anat"}
    if bids.filter_file:
        wanted |= _read_filter(Path(bids.filter_file))
    if bids.session:
        wanted["ses"] = bids.session
    return wanted


def _read_filter(path: Path) -> dict[str, Any]:
    """The section t1w of a BIDS filter file, as BIDS apps take them."""
    if not path.is_file():
        raise RoundoffError(f"bids.filter_file: there is no file {path}.")
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise RoundoffError(f"bids.filter_file: {path} is no JSON ({error}).") from None
    section = content.get("t1w") if isinstance(content, Mapping) else None
    if not isinstance(section, Mapping):
        raise RoundoffError(
            f"bids.filter_file: {path} has no section t1w. For example "
            '{"t1w": {"acquisition": "mprage", "run": "1"}}.'
        )
    return {SHORT.get(name, name): value for name, value in section.items()}


def _subject(root: Path, label: str, wanted: Mapping[str, Any]) -> Subject:
    base = root / f"sub-{label}"
    images = sorted(
        p for p in base.rglob("*") if p.name.endswith(ENDINGS) and not p.is_dir()
    )
    found = [p for p in images if _matches(p.relative_to(root), wanted)]
    if len(found) == 1:
        return Subject(id=label, path=str(found[0]))
    asked = ", ".join(f"{k}={v}" for k, v in wanted.items())
    if not found:
        raise RoundoffError(
            f"bids.participants: no T1w image below {base} with {asked}. Correct the "
            "label, add it to bids.exclude, or change the filter."
        )
    names = ", ".join(str(p.relative_to(root)) for p in found)
    raise RoundoffError(
        f"bids: sub-{label} has {len(found)} T1w images ({names}). Choose with "
        "bids.session or bids.filter_file, or list the file under subjects."
    )


def _matches(path: Path, wanted: Mapping[str, Any]) -> bool:
    """Whether a file has the wanted entities; None asks that one be absent."""
    stem = path.name.split(".")[0]
    *pairs, suffix = stem.split("_")
    entities = dict(pair.split("-", 1) for pair in pairs if "-" in pair)
    entities |= {"suffix": suffix, "datatype": path.parent.name}
    return all(_agrees(entities.get(k), v) for k, v in wanted.items())


def _agrees(value: str | None, wanted: Any) -> bool:
    if wanted is None:
        return value is None
    if isinstance(wanted, list):
        return any(_agrees(value, one) for one in wanted)
    # Runs may be padded with zeros: 1 and "01" are one run.
    same = str(wanted) == value
    digits = re.fullmatch(r"\d+", str(wanted)) and value is not None and value.isdigit()
    return same or bool(digits and int(wanted) == int(value))
