"""The report as one self-contained HTML page: verdict, maps, tables, methods."""

import base64
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from roundoff import __version__
from roundoff.atomic import write_text
from roundoff.models.base import ModelSpec
from roundoff.report.checks import canary_lines, control_line
from roundoff.report.methods import methods_paragraph
from roundoff.report.rendering import render
from roundoff.report.study import Study
from roundoff.report.subject import caption_of
from roundoff.uncertainty.summary import WHOLE
from roundoff.uncertainty.verdict import bits_verdict, dice_verdict

Image = Callable[[str | Path], str]  # a figure's path to what <img src> is given

# Beyond this many sections the figures are linked and not embedded: the page of a large
# study would not open.
EMBED_UP_TO = 24

REGION_COLUMNS = {
    "region": "region",
    "min_dice": "min Dice",
    "mean_dice": "mean Dice",
    "mean_mm3": "volume (mm³)",
    "sd_mm3": "sd (mm³)",
    "digits": "digits of the volume",
}
BITS_COLUMNS = {
    "map": "output",
    "region": "region",
    "mean": "mean bits",
    "p5": "5 %",
    "p50": "median",
    "p95": "95 %",
    "measured": "measured",
    "identical": "identical",
    "undefined": "undefined",
    "paper_mean": "mean where ≠ 0",
}


def write_page(
    path: Path, study: Study, overview: Mapping[str, Path], missing: int = 0
) -> None:
    """Write the report of a study.

    `overview`: the figures over all subjects, "bits" and "dice", and the tables
    "bits_table" and "regions_table", which are linked beside the page. `missing`: how
    many pairs of subject and model were asked for and are not there.
    """
    home = path.parent
    pairs = list(study)
    image = embed if len(pairs) <= EMBED_UP_TO else partial(_relative, home=home)
    content = render(
        "page.html",
        version=__version__,
        missing=missing,
        status="status.html",
        canaries=canary_lines(study),
        control=control_line(study),
        figures={k: image(overview[k]) for k in ("bits", "dice")},
        links={k: _relative(overview[k], home) for k in overview},
        sections=[_section(study, spec, s, home, image) for spec, s in pairs],
        methods=methods_paragraph(study),
        models=study.models,
    )
    write_text(path, content)


def embed(path: str | Path) -> str:
    """A PNG as a data address, so that the page needs no other file."""
    content = base64.b64encode(Path(path).read_bytes()).decode()
    return f"data:image/png;base64,{content}"


def _section(
    study: Study, spec: ModelSpec, subject: str, home: Path, image: Image
) -> dict[str, Any]:
    files, figures = study.files(spec, subject), study.figures(spec, subject)
    summary = study.summary(spec, subject)
    bits = pd.read_csv(files["bits_table"], sep="\t")
    general = bits[bits["estimator"] == "general"]
    whole = general[general["region"] == WHOLE]
    samples = summary["Samples"]
    maps = [
        {
            "spec": m,
            "verdict": bits_verdict(row, samples),
            "bits": image(figures[f"bits_{m.name}"]),
            "histogram": image(figures[f"hist_{m.name}"]),
            "file": _relative(files[f"bits_{m.name}"], home),
        }
        for m, (_, row) in zip(spec.maps, whole.iterrows(), strict=True)
    ]
    section = {
        "id": f"{spec.name}-{subject}",
        "subject": subject,
        "spec": spec,
        "caption": caption_of(spec, summary),
        "summary": summary,
        "maps": maps,
        "bits_rows": _rows(general, BITS_COLUMNS),
        "bits_head": list(BITS_COLUMNS.values()),
        "files": {k: _relative(v, home) for k, v in files.items()},
        "labels": None,
    }
    if spec.labels:
        section["labels"] = _labels(files, figures, samples, image)
    return section


def _labels(
    files: Mapping[str, str], figures: Mapping[str, str], samples: int, image: Image
) -> dict[str, Any]:
    regions = pd.read_csv(files["regions_table"], sep="\t").sort_values("min_dice")
    kinds = ("labels", "entropy", "dice", "volumes")
    return {
        "verdict": dice_verdict(regions, samples),
        "figures": {kind: image(figures[kind]) for kind in kinds},
        "head": list(REGION_COLUMNS.values()),
        "rows": _rows(regions, REGION_COLUMNS),
    }


def _rows(table: pd.DataFrame, columns: Mapping[str, str]) -> list[list[str]]:
    return [[_cell(v) for v in row] for row in table[list(columns)].to_numpy()]


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return "undefined"
    if float(value).is_integer() and abs(value) >= 1:
        return f"{int(value):,}".replace(",", "\u202f")
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.4g}" if abs(value) < 1 else f"{value:.2f}"


def _relative(path: str | Path, home: Path) -> str:
    return Path(path).resolve().relative_to(home.resolve()).as_posix()
