"""A finished run as an RO-Crate (Process Run Crate, https://w3id.org/ro/wfrun)."""

import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pandas as pd
from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from roundoff import __version__
from roundoff.atomic import write_text
from roundoff.provenance.checksums import METADATA
from roundoff.report.methods import methods_paragraph
from roundoff.report.study import Study

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
TYPES = {
    ".html": "text/html",
    ".tsv": "text/tab-separated-values",
    ".png": "image/png",
    ".json": "application/json",
    ".yaml": "application/yaml",
    ".md": "text/markdown",
}
LICENCE = "The licence of the results is for the owner of the scans to choose."


def write_crate(
    results: Path, study: Study, inputs: pd.DataFrame, sums: Mapping[str, str]
) -> None:
    """Write `ro-crate-metadata.json` into the results of a finished run.

    `inputs`: the manifest of the scans. `sums`: SHA-256 of the results by path. Nothing
    is copied: the crate is the folder of results itself.
    """
    crate = ROCrate()
    crate.name = "Numerical uncertainty, measured with Roundoff"
    crate.description = methods_paragraph(study)
    crate.license = LICENCE
    ended = _time(max((results / p).stat().st_mtime for p in sums))
    crate.datePublished = ended
    crate.root_dataset["conformsTo"] = {"@id": PROFILE}
    extras = ("provenance/config.yaml", "provenance/CITATION.cff", "status.tsv")
    for path in extras:
        if (results / path).is_file():
            _file(crate, results, path, None)
    made = _results(crate, results, sums)
    software = crate.add(
        ContextEntity(
            crate,
            "#roundoff",
            properties={
                "@type": "SoftwareApplication",
                "name": "Roundoff",
                "softwareVersion": __version__,
                "softwareRequirements": _versions(study),
                "citation": {"@id": "provenance/CITATION.cff"},
            },
        )
    )
    action = crate.add_action(
        software,
        identifier="#run",
        object=[_scan(crate, row) for row in inputs.to_dict("records")],
        result=made,
        properties={
            "name": f"Samples under {study.instrument}, and their uncertainty",
            "startTime": _time(min((results / p).stat().st_mtime for p in sums)),
            "endTime": ended,
        },
    )
    crate.root_dataset["mentions"] = action
    with tempfile.TemporaryDirectory() as folder:
        crate.metadata.write(folder)
        write_text(results / METADATA, (Path(folder) / METADATA).read_text())


def _results(crate: ROCrate, results: Path, sums: Mapping[str, str]) -> list:
    """Tables, figures and the report one by one; the many maps as data sets."""
    datasets = {p.split("/")[0] for p in sums if p.endswith("dataset_description.json")}
    made = []
    for name in sorted(datasets):
        number = sum(p.startswith(f"{name}/") for p in sums)
        entity = crate.add_dataset(
            results / name,
            dest_path=name,
            properties={
                "name": f"BIDS derivatives: {name}",
                "description": f"{number} files; SHA-256 in provenance/SHA256SUMS",
            },
        )
        made.append(entity)
    for path, digest in sums.items():
        if path.split("/")[0] not in datasets:
            made.append(_file(crate, results, path, digest))
    return made


def _file(crate: ROCrate, results: Path, path: str, digest: str | None):
    properties = {
        "name": path,
        "contentSize": str((results / path).stat().st_size),
        "encodingFormat": TYPES.get(Path(path).suffix, "application/octet-stream"),
    }
    if digest:
        properties["sha256"] = digest
    return crate.add_file(results / path, dest_path=path, properties=properties)


def _scan(crate: ROCrate, row: Mapping) -> ContextEntity:
    return crate.add(
        ContextEntity(
            crate,
            f"#scan-{row['subject']}",
            properties={
                "@type": "CreativeWork",
                "name": f"T1-weighted scan of {row['subject']}",
                "description": str(row["file"]),
                "size": f"{row['bytes']} bytes",
                "sha256": row["sha256"],
            },
        )
    )


def _versions(study: Study) -> list[str]:
    spec, subject = next(iter(study))
    versions = study.summary(spec, subject)["Versions"]
    return [f"{name} {number}" for name, number in versions.items()]


def _time(stamp: float) -> str:
    return datetime.fromtimestamp(stamp).astimezone().isoformat(timespec="seconds")
