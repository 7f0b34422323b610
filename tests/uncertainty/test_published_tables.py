"""Every number of reference/published/README.md, by our own aggregation."""

import pandas as pd
import pytest

from roundoff.errors import RoundoffError
from roundoff.uncertainty import published

IMAGE, FIELD = "moved image", "deformation field"


@pytest.fixture(scope="module")
def tables(reference):
    folder = reference / "published"
    names = ("fs_min_dice_scores", "fast_min_dice_scores")
    fs, fast = (
        pd.read_csv(folder / f"{n}.csv", dtype={"subjectID": str}) for n in names
    )
    bits = pd.read_csv(folder / "registration_sigbits.csv", dtype={"subject": str})
    regions = pd.read_csv(folder / "min_dice_per_region.csv").set_index("region")
    return fs, fast, bits, regions


@pytest.fixture(scope="module")
def dice(tables):
    return published.dice_long({"FreeSurfer": tables[0], "FastSurfer": tables[1]})


@pytest.fixture(scope="module")
def registration(tables):
    return published.registration_long(tables[2])


def test_thirty_two_subjects_and_thirty_five_regions(dice):
    assert dice.groupby("tool")["subject"].nunique().tolist() == [32, 32]
    assert dice.groupby("tool")["region"].nunique().tolist() == [35, 35]
    assert len(dice) == 2 * 32 * 35


@pytest.mark.parametrize(
    ("tool", "mean", "sd", "low", "high", "where"),
    [
        ("FreeSurfer", 0.9228, 0.0695, 0.3815, 0.9904, "sub-0027214 Left-Inf-Lat-Vent"),
        ("FastSurfer", 0.9981, 0.0058, 0.9379, 1.0, "sub-0025531 Left-choroid-plexus"),
    ],
)
def test_dice_over_all_cells(dice, tool, mean, sd, low, high, where):
    row = published.dice_summary(dice).set_index("tool").loc[tool]
    got = row[["mean", "sd", "min", "max"]].astype(float).round(4).tolist()
    assert got == [mean, sd, low, high]
    assert f"{row['lowest_subject']} {row['lowest_region']}" == where
    if tool == "FreeSurfer":
        assert row["highest_subject"] == "sub-0027294"
        assert row["highest_region"] == "Brain-Stem"


@pytest.mark.parametrize(
    ("column", "tool", "low", "high"),
    [
        ("subject", "FreeSurfer", 0.8864, 0.9580),
        ("region", "FreeSurfer", 0.7524, 0.9756),
        ("subject", "FastSurfer", 0.9782, 0.9995),
        ("region", "FastSurfer", 0.9948, 0.9996),
    ],
)
def test_dice_means_per_subject_and_region(dice, column, tool, low, high):
    table = published.dice_by(dice, column)
    means = table.loc[table["tool"] == tool, "mean"]
    assert means.min().round(4) == low
    assert means.max().round(4) == high


def test_dice_per_region_is_the_derived_table(dice, tables):
    got = published.dice_by(dice, "region").pivot(index="region", columns="tool")
    for prefix, tool in (("fs", "FreeSurfer"), ("fast", "FastSurfer")):
        for name in ("mean", "sd", "min", "max"):
            expected = tables[3][f"{prefix}_{name}"].sort_index()
            pd.testing.assert_series_equal(
                got[name, tool].sort_index(), expected, check_names=False, rtol=1e-12
            )


def test_dice_tests(dice):
    row = published.dice_tests(dice).iloc[0]
    assert (row["first"], row["second"], row["n"]) == ("FreeSurfer", "FastSurfer", 32)
    assert round(row["t"], 2) == -24.99
    assert float(f"{row['p']:.3g}") == 4.21e-22
    assert round(row["region_spearman"], 3) == 0.882


SUMMARY = [
    ("as published", "SynthMorph", IMAGE, 33, 19.56, 0.31, 19.01, 20.34),
    ("as published", "SynthMorph", FIELD, 33, 18.55, 0.09, 18.34, 18.71),
    ("as published", "FreeSurfer", IMAGE, 33, 13.43, 5.81, 5.85, 23),
    ("as published", "FreeSurfer", FIELD, 33, 14.12, 5.01, 8.67, 23),
    ("without identical", "FreeSurfer", IMAGE, 26, 10.86, 3.28, None, None),
    ("without identical", "FreeSurfer", FIELD, 26, 11.73, 2.01, None, None),
    ("all subjects", "SynthMorph", IMAGE, 35, 19.52, 0.35, None, None),
    ("all subjects", "SynthMorph", FIELD, 35, 18.55, 0.09, None, None),
    ("all subjects", "FreeSurfer", IMAGE, 35, 13.48, 6.03, None, None),
    ("all subjects", "FreeSurfer", FIELD, 35, 14.28, 5.12, None, None),
]


@pytest.mark.parametrize(
    ("reading", "tool", "output", "n", "mean", "sd", "low", "high"), SUMMARY
)
def test_registration_bits(registration, reading, tool, output, n, mean, sd, low, high):
    table = published.registration_summary(registration)
    keys = ["reading", "tool", "output"]
    row = table.set_index(keys).loc[(reading, tool, output)]
    assert row["n"] == n
    assert row[["mean", "sd"]].round(2).tolist() == [mean, sd]
    if low is not None:
        assert row[["min", "max"]].round(2).tolist() == [low, high]


@pytest.mark.parametrize(
    ("reading", "output", "n", "t", "p", "digits"),
    [
        ("as published", IMAGE, 33, -5.987, 1.126e-6, 4),
        ("as published", FIELD, 33, -5.087, 1.542e-5, 4),
        ("without identical", IMAGE, 26, -13.20, 9.05e-13, 3),
        ("without identical", FIELD, 26, -17.38, 1.79e-15, 3),
    ],
)
def test_registration_tests(registration, reading, output, n, t, p, digits):
    table = published.registration_tests(registration)
    row = table.set_index(["reading", "output"]).loc[(reading, output)]
    assert row["n"] == n
    assert float(f"{row['t']:.4g}") == t
    assert float(f"{row['p']:.{digits}g}") == p


def test_registration_wilcoxon(registration):
    table = published.registration_tests(registration)
    rows = table.set_index(["reading", "output"]).loc["as published"]
    assert [float(f"{p:.3g}") for p in rows["wilcoxon_p"]] == [2.63e-6, 6.36e-6]


def test_seven_suspicious_subjects(registration):
    passed = registration[registration["qc"] == "pass"]
    never = passed[passed["suspicious"]]
    assert set(never["tool"]) == {"FreeSurfer"}
    assert set(never["bits"]) == {23.0}
    assert sorted(never["subject"].unique()) == [
        "sub-0025406",
        "sub-0025462",
        "sub-0025598",
        "sub-0025631",
        "sub-0027094",
        "sub-0027236",
        "sub-2842950",
    ]
    assert registration["qc"].eq("fail").sum() == 2 * 2 * 2


def test_subjects_are_joined_not_aligned(tables):
    fs, fast, *_ = tables
    shuffled = fast.sample(frac=1, random_state=0)
    first = published.dice_tests(published.dice_long({"a": fs, "b": fast}))
    second = published.dice_tests(published.dice_long({"a": fs, "b": shuffled}))
    assert first["t"].item() == pytest.approx(second["t"].item(), rel=1e-12)


def test_bad_tables_are_refused(tables):
    fs, fast, bits, _ = tables
    numbers = bits.assign(subject=range(len(bits)))
    with pytest.raises(RoundoffError, match="leading zeros"):
        published.registration_long(numbers)
    with pytest.raises(RoundoffError, match=r"missing columns \['qc'\]"):
        published.registration_long(bits.drop(columns="qc"))
    with pytest.raises(RoundoffError, match="differ in subjects"):
        published.dice_long({"a": fs, "b": fast.iloc[1:]})
    with pytest.raises(RoundoffError, match=r"differ in regions: \['CSF'\]"):
        published.dice_long({"a": fs, "b": fast.drop(columns="CSF")})
    with pytest.raises(RoundoffError, match="non-finite"):
        published.registration_long(bits.assign(freesurfer_warp=float("nan")))
    with pytest.raises(RoundoffError, match="reading"):
        published.registration_reading(published.registration_long(bits), "best")
