"""From what a user wrote to a checked configuration, or to one clear error."""

import csv
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from roundoff.config.models import Config, Subject
from roundoff.data.sources import get_source
from roundoff.errors import RoundoffError
from roundoff.models.registry import load_registry

ROWS, TABLE = "list[", "str"  # how pydantic calls the two forms of `subjects`


def load_config(raw: Mapping[str, Any]) -> Config:
    """Check a raw configuration (parsed YAML).

    Raises `RoundoffError` that lists every wrong field with its fix.
    """
    try:
        config = Config.model_validate(dict(raw))
    except ValidationError as error:
        lines = [_explain(item) for item in error.errors() if _is_meant(item, raw)]
        raise RoundoffError(
            "config.yaml is refused:\n  " + "\n  ".join(lines)
        ) from None
    registry = load_registry(config.custom_models)
    for index, name in enumerate(config.models):
        if name not in registry:
            raise RoundoffError(_unknown(f"models[{index}]", name, list(registry)))
    if config.embeddings.model not in registry:
        name = config.embeddings.model
        raise RoundoffError(_unknown("embeddings.model", name, list(registry)))
    for index, name in enumerate(config.nan_sweep.models):
        if name not in registry:
            field = f"nan_sweep.models[{index}]"
            raise RoundoffError(_unknown(field, name, list(registry)))
    if config.nan_sweep.brain_model not in registry:
        name = config.nan_sweep.brain_model
        raise RoundoffError(_unknown("nan_sweep.brain_model", name, list(registry)))
    for name in config.model_options:
        if name not in registry:
            raise RoundoffError(_unknown("model_options", name, list(registry)))
    return config


def resolve_subjects(config: Config) -> dict[str, Subject]:
    """All subjects of the rows, the table and the BIDS folder, by identifier."""
    rows = config.subjects
    if isinstance(rows, str):
        rows = _read_table(Path(rows))
    if config.bids:
        rows = [*rows, *_bids_subjects(config)]
    if not rows:
        raise RoundoffError(
            "subjects: there is no subject. Add one, for example\n"
            '  subjects:\n    - id: "CSI1"\n      source: bold5000_csi1'
        )
    subjects: dict[str, Subject] = {}
    for row in rows:
        if row.id in subjects:
            raise RoundoffError(f"subjects: identifier {row.id!r} occurs twice.")
        if row.source:
            get_source(row.source, f"subjects[{row.id}].source")
        subjects[row.id] = row
    return subjects


def _read_table(path: Path) -> list[Subject]:
    if not path.is_file():
        raise RoundoffError(f"subjects: there is no table {path}.")
    delimiter = "," if path.suffix == ".csv" else "\t"
    with open(path, newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream, delimiter=delimiter))
    if not rows or not {"id", "path"} <= set(rows[0]):
        raise RoundoffError(
            f"subjects: {path} needs the columns id and path (tab-separated, or "
            "comma-separated in a .csv), and at least one row."
        )
    try:
        kept = ({k: v for k, v in row.items() if k and v} for row in rows)
        return [Subject.model_validate(row) for row in kept]
    except ValidationError as error:
        problems = "\n  ".join(_explain(item) for item in error.errors())
        raise RoundoffError(f"subjects: {path} is refused:\n  {problems}") from None


def _bids_subjects(config: Config) -> list[Subject]:
    root = Path(config.bids.dir)
    if not root.is_dir():
        raise RoundoffError(f"bids.dir: there is no folder {root}.")
    labels = config.bids.participants or sorted(
        p.name.removeprefix("sub-") for p in root.glob("sub-*") if p.is_dir()
    )
    if not labels:
        raise RoundoffError(f"bids.dir: {root} has no folder sub-*. Is it a BIDS set?")
    return [_bids_subject(root, label, config.bids.session) for label in labels]


def _bids_subject(root: Path, label: str, session: str | None) -> Subject:
    folder = f"ses-{session}/anat" if session else "**/anat"
    base = root / f"sub-{label}"
    found = sorted(base.glob(f"{folder}/*_T1w.nii*"))
    if len(found) == 1:
        return Subject(id=label, path=str(found[0]))
    if not found:
        raise RoundoffError(
            f"bids.participants: no T1w image {base}/{folder}/*_T1w.nii[.gz]. "
            "Correct the label, or leave this participant out."
        )
    names = ", ".join(str(p.relative_to(root)) for p in found)
    raise RoundoffError(
        f"bids: sub-{label} has {len(found)} T1w images ({names}). Choose with "
        "bids.session, or list the file under subjects."
    )


def _unknown(field: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{field}: unknown model {name!r}. {hint}Known: {', '.join(known)}."


def _is_meant(item: Mapping[str, Any], raw: Mapping[str, Any]) -> bool:
    """Whether an error is about the alternative of `subjects` the user chose."""
    if item["loc"][0] != "subjects" or len(item["loc"]) < 2:
        return True
    chosen = TABLE if isinstance(raw["subjects"], str) else ROWS
    return str(item["loc"][1]).startswith(chosen)


def _explain(item: Mapping[str, Any]) -> str:
    """One line for one pydantic error: field, what is wrong, what to write."""
    place = item["loc"]
    # The alternative of `subjects` (rows or a table) appears in the path.
    place = tuple(p for p in place if not str(p).startswith(ROWS) and p != TABLE)
    field = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place)
    field = field.lstrip(".")
    value = item["input"]
    if (place and place[-1] in ("id", "participants")) or "participants" in place:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return (
                f"{field}: {value} is a number, so leading zeros may already be lost "
                "(YAML even reads 0025011 as octal, 10761). Quote it as it stands in "
                'your data, e.g. "0025011".'
            )
        if item["type"] == "string_pattern_mismatch":
            return f"{field}: {value!r} may hold only letters and digits (BIDS label)."
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(place[-1]), list(Config.model_fields), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return f"{field}: there is no such setting.{hint}"
    message = item["msg"].removeprefix("Value error, ")
    return f"{field}: {message} (got {value!r})."
