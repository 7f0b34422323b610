"""The published tables of arXiv 2308.01939 under our own aggregation.

Takes the tables as data frames (subject identifiers as text) and uses the functions
that aggregate our own results; `scripts/published.py` reads and writes the files.
"""

import numpy as np
import pandas as pd

from roundoff.errors import RoundoffError
from roundoff.uncertainty.comparisons import paired_test, rank_correlation
from roundoff.uncertainty.summary import over_subjects

TOOLS = {"synthmorph": "SynthMorph", "freesurfer": "FreeSurfer"}
OUTPUTS = {"moved": "moved image", "warp": "deformation field"}
CAP = 23.0  # bits of a float32 mantissa
FILES = {
    "registration": "registration_sigbits.csv",
    "FreeSurfer": "fs_min_dice_scores.csv",
    "FastSurfer": "fast_min_dice_scores.csv",
}
READINGS = {
    "all subjects": "all subjects, quality control ignored",
    "as published": "subjects that pass quality control",
    "without identical": "as published, without runs that never varied",
}


def missing_table(path: object) -> str:
    """What to tell a user who does not have the published tables."""
    return (
        f"published_folder: no file {path}. The tables come from the public repository "
        "of arXiv 2308.01939, github.com/InesGP/structural_mri_uncertainty; "
        "docs/published.md says which file holds what. Set published_folder in the "
        "config to the folder they lie in."
    )


def registration_long(table: pd.DataFrame) -> pd.DataFrame:
    """One row per subject, tool and output; columns subject, qc, ..., suspicious.

    `suspicious`: exactly 23.0 bits in every output of a tool, hence all repetitions
    identical: the perturbation probably never acted (or a run was copied).
    """
    columns = [f"{tool}_{output}" for tool in TOOLS for output in OUTPUTS]
    _require(table, "registration", ["subject", "qc", *columns])
    parts = []
    for tool, title in TOOLS.items():
        never = (table[[f"{tool}_{o}" for o in OUTPUTS]] == CAP).all(axis=1)
        for output, name in OUTPUTS.items():
            part = table[["subject", "qc"]].assign(tool=title, output=name)
            parts.append(part.assign(bits=table[f"{tool}_{output}"], suspicious=never))
    return pd.concat(parts, ignore_index=True)


def registration_reading(long: pd.DataFrame, reading: str) -> pd.DataFrame:
    """The rows of one reading, a key of `READINGS`.

    "without identical" drops a subject in both tools, so that tests stay paired.
    """
    if reading == "all subjects":
        return long
    passed = long[long["qc"] == "pass"]
    if reading == "as published":
        return passed
    if reading == "without identical":
        never = passed.loc[passed["suspicious"], "subject"]
        return passed[~passed["subject"].isin(never)]
    raise RoundoffError(f"reading: {reading!r}, known are {list(READINGS)}")


def registration_summary(long: pd.DataFrame) -> pd.DataFrame:
    """Mean, sd, range of bits per reading, tool and output."""
    parts = [
        over_subjects(
            registration_reading(long, name), "bits", ["tool", "output"]
        ).assign(reading=name)
        for name in READINGS
    ]
    table = pd.concat(parts, ignore_index=True)
    return table[["reading", *table.columns.drop("reading")]]


def registration_tests(long: pd.DataFrame) -> pd.DataFrame:
    """Paired tests SynthMorph - FreeSurfer per reading and output."""
    rows = []
    for reading in READINGS:
        chosen = registration_reading(long, reading)
        for output, group in chosen.groupby("output", sort=False):
            wide = group.pivot(index="subject", columns="tool", values="bits")
            # Published sign: FreeSurfer minus SynthMorph.
            test = paired_test(wide["FreeSurfer"], wide["SynthMorph"])
            rows.append({"reading": reading, "output": output, **vars(test)})
    return pd.DataFrame(rows)


def dice_long(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per tool, subject and region, joined on the text identifier.

    `tables`: tool title to a table with column `subjectID` and one column per region.
    Raises `RoundoffError` when tools differ in subjects or regions: averages over
    different label sets are not comparable.
    """
    parts = []
    for tool, table in tables.items():
        _require(table, tool, ["subjectID"])
        long = table.melt("subjectID", var_name="region", value_name="min_dice")
        long = long.rename(columns={"subjectID": "subject"})
        parts.append(long.sort_values(["region", "subject"]).assign(tool=tool))
    for column in ("subject", "region"):
        sets = [set(part[column]) for part in parts]
        odd = sorted(set.union(*sets) - set.intersection(*sets))
        if odd:
            raise RoundoffError(
                f"min Dice tables differ in {column}s: {odd[:5]} in one only"
            )
    return pd.concat(parts, ignore_index=True)


def dice_summary(long: pd.DataFrame) -> pd.DataFrame:
    """Per tool: mean, sd, min, max over all cells, and where the minimum lies."""
    table = over_subjects(long, "min_dice", ["tool"])
    lowest = long.loc[long.groupby("tool", sort=False)["min_dice"].idxmin()]
    highest = long.loc[long.groupby("tool", sort=False)["min_dice"].idxmax()]
    for name, rows in (("lowest", lowest), ("highest", highest)):
        rows = rows.set_index("tool").loc[table["tool"]]
        table[f"{name}_subject"] = rows["subject"].to_numpy()
        table[f"{name}_region"] = rows["region"].to_numpy()
    return table


def dice_by(long: pd.DataFrame, column: str) -> pd.DataFrame:
    """Mean, sd, min, max of min Dice per tool and "region" or "subject"."""
    return over_subjects(long, "min_dice", ["tool", column])


def dice_tests(long: pd.DataFrame) -> pd.DataFrame:
    """Paired test on per-subject means, and Spearman's rho of per-region means.

    One row per pair of tools, in the order of the table (first minus second).
    """
    tools = list(dict.fromkeys(long["tool"]))
    subjects = long.pivot_table(index="subject", columns="tool", values="min_dice")
    regions = long.pivot_table(index="region", columns="tool", values="min_dice")
    rows = []
    for i, first in enumerate(tools):
        for second in tools[i + 1 :]:
            test = paired_test(subjects[first], subjects[second])
            rho = rank_correlation(regions[first], regions[second])
            pair = {"first": first, "second": second}
            rows.append({**pair, **vars(test), "region_spearman": rho})
    return pd.DataFrame(rows)


def _require(table: pd.DataFrame, name: str, columns: list[str]) -> None:
    missing = [column for column in columns if column not in table]
    if missing:
        raise RoundoffError(f"{name} table: missing columns {missing}")
    subjects = table[columns[0]]
    wrong = subjects[~subjects.map(lambda s: isinstance(s, str))]
    if len(wrong):
        raise RoundoffError(
            f"{name} table, column {columns[0]}: {wrong.iloc[0]!r} is not text; "
            "read it with dtype=str, identifiers carry leading zeros"
        )
    numbers = table.select_dtypes(np.number)
    if not np.isfinite(numbers.to_numpy()).all():
        raise RoundoffError(f"{name} table: empty or non-finite cells")
