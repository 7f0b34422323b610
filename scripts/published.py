"""Rebuild the tables and figures of arXiv 2308.01939 from its published values.

The same aggregation and figure code as for our own results. Outputs: registration and
min Dice tables (.tsv), figures (.png) and summary.md with both readings of the values.
"""

import argparse
from pathlib import Path

import pandas as pd

from roundoff.atomic import atomic_path, write_text
from roundoff.errors import RoundoffError
from roundoff.figures import published as figures
from roundoff.scripting import run
from roundoff.uncertainty import published as tables


def read_table(folder: Path, name: str, subject: str) -> pd.DataFrame:
    """A published CSV, subject identifiers as text with their leading zeros."""
    path = folder / tables.FILES[name]
    if not path.is_file():
        raise RoundoffError(tables.missing_table(path))
    try:
        return pd.read_csv(path, dtype={subject: str})
    except (ValueError, pd.errors.ParserError) as error:
        raise RoundoffError(f"{path}: not a readable table ({error})") from error


def main() -> None:
    """Parse the command line, aggregate, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True, type=Path, help="published tables")
    parser.add_argument("--output", required=True, type=Path, help="folder of results")
    args = parser.parse_args()
    registration = registration_results(args.folder)
    dice = dice_results(args.folder)
    for name, table in (registration | dice).items():
        with atomic_path(args.output / f"{name}.tsv") as temporary:
            table.to_csv(temporary, sep="\t", index=False)
    draw(args.output, registration, dice)
    write_text(args.output / "summary.md", summary(registration, dice))


def registration_results(folder: Path) -> dict[str, pd.DataFrame]:
    """The registration tables by file name."""
    long = tables.registration_long(read_table(folder, "registration", "subject"))
    return {
        "registration_subjects": long,
        "registration_summary": tables.registration_summary(long),
        "registration_tests": tables.registration_tests(long),
    }


def dice_results(folder: Path) -> dict[str, pd.DataFrame]:
    """The min Dice tables by file name."""
    tools = ("FreeSurfer", "FastSurfer")
    read = {tool: read_table(folder, tool, "subjectID") for tool in tools}
    long = tables.dice_long(read)
    return {
        "dice_summary": tables.dice_summary(long),
        "dice_regions": tables.dice_by(long, "region"),
        "dice_subjects": tables.dice_by(long, "subject"),
        "dice_tests": tables.dice_tests(long),
    }


def draw(
    output: Path,
    registration: dict[str, pd.DataFrame],
    dice: dict[str, pd.DataFrame],
) -> None:
    """The three figures."""
    figures.registration_figure(
        output / "registration_bits.png", *registration.values()
    )
    regions = dice["dice_regions"]
    figures.dice_regions_figure(output / "dice_regions.png", regions)
    figures.dice_subjects_figure(
        output / "dice_subjects.png",
        dice["dice_subjects"],
        regions,
        dice["dice_summary"],
        dice["dice_tests"],
    )


def summary(
    registration: dict[str, pd.DataFrame], dice: dict[str, pd.DataFrame]
) -> str:
    """The numbers as a page of Markdown."""
    lines = ["# Published tables of arXiv 2308.01939, aggregated by Roundoff", ""]
    lines += ["| reading | output | tool | n | bits, mean ± sd | range |"]
    lines += ["|---|---|---|---|---|---|"]
    for row in registration["registration_summary"].itertuples():
        lines.append(
            f"| {row.reading} | {row.output} | {row.tool} | {row.n} | "
            f"{row.mean:.2f} ± {row.sd:.2f} | {row.min:.2f} to {row.max:.2f} |"
        )
    lines += ["", "Paired tests, FreeSurfer minus SynthMorph:", ""]
    lines += [
        "| reading | output | n | t | p | p (Wilcoxon) |",
        "|---|---|---|---|---|---|",
    ]
    for row in registration["registration_tests"].itertuples():
        lines.append(
            f"| {row.reading} | {row.output} | {row.n} | {row.t:.2f} | "
            f"{row.p:.3g} | {row.wilcoxon_p:.3g} |"
        )
    subjects = registration["registration_subjects"]
    never = subjects[subjects["suspicious"] & (subjects["qc"] == "pass")]
    names = ", ".join(sorted(never["subject"].unique()))
    lines += ["", f"Exactly 23.0 bits, so repetitions that never varied: {names}.", ""]
    lines += ["| tool | cells | min Dice, mean ± sd | lowest | where |"]
    lines += ["|---|---|---|---|---|"]
    for row in dice["dice_summary"].itertuples():
        lines.append(
            f"| {row.tool} | {row.n} | {row.mean:.4f} ± {row.sd:.4f} | {row.min:.4f} | "
            f"{row.lowest_subject}, {row.lowest_region} |"
        )
    test = dice["dice_tests"].iloc[0]
    lines += [
        "",
        f"Paired t-test on per-subject means, {test['first']} against "
        f"{test['second']}: t = {test['t']:.2f}, p = {test['p']:.3g} "
        f"(n = {test['n']}); Spearman's rho of per-region means "
        f"{test['region_spearman']:.3f}.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run(main)
