"""The subjects of a run: rows of the configuration, a table, a BIDS folder."""

import csv
from pathlib import Path

from pydantic import ValidationError

from roundoff.config.bids import bids_subjects
from roundoff.config.load import explain
from roundoff.config.models import Config, Subject
from roundoff.data.sources import get_source
from roundoff.errors import RoundoffError


def resolve_subjects(config: Config) -> dict[str, Subject]:
    """All subjects of the rows, the table and the BIDS folder, by identifier."""
    rows = config.subjects
    if isinstance(rows, str):
        rows = _read_table(Path(rows))
    if config.bids:
        rows = [*rows, *bids_subjects(config.bids)]
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
        problems = "\n  ".join(explain(item) for item in error.errors())
        raise RoundoffError(f"subjects: {path} is refused:\n  {problems}") from None
