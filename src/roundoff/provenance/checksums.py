"""SHA-256 of every result, in the form that `sha256sum -c` reads."""

from pathlib import Path

from roundoff.checksums import sha256_of_file

# What tells times, and what is written after the list.
LEFT_OUT = {
    "logs", "benchmarks", "provenance", "status.tsv", "status.html",
    "report_partial.html", "partial", "unfinished",
}  # fmt: skip
METADATA = "ro-crate-metadata.json"


def checksums(results: Path) -> dict[str, str]:
    """Path below `results` to SHA-256, in order of the paths."""
    found = sorted(p for p in results.rglob("*") if p.is_file())
    inside = [p.relative_to(results) for p in found]
    return {
        p.as_posix(): sha256_of_file(results / p)
        for p in inside
        if p.parts[0] not in LEFT_OUT and p.name != METADATA
    }


def as_text(sums: dict[str, str], folder: str) -> str:
    """The list; `folder` leads from where it lies to the results."""
    return "".join(f"{digest}  {folder}{path}\n" for path, digest in sums.items())
