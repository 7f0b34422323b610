"""Charts: they draw what the tables say, with the same bytes each time."""

import struct

import numpy as np
import pandas as pd
import pytest

from roundoff.errors import RoundoffError
from roundoff.figures import distributions, published, regions
from roundoff.figures.style import Caption
from roundoff.uncertainty import published as tables
from roundoff.uncertainty.significant_bits import bits_of_slab
from roundoff.uncertainty.summary import bits_table, histogram

CAPTION = Caption(
    "01", "UNet", "demo weights", "native", 10, "N = 10 supports p >= 0.7"
)
LINES = CAPTION.lines("General estimator")


def chunks(path):
    data, position, names = path.read_bytes(), 8, []
    while position < len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        names.append(data[position + 4 : position + 8].decode())
        position += 12 + length
    return names


@pytest.fixture(scope="module")
def bits():
    rng = np.random.default_rng(0)
    samples = (1 + 2.0**-14 * rng.standard_normal((10, 900))).astype(np.float32)
    samples[:, :40] = 3
    return bits_of_slab(samples)


def dice_table():
    return pd.DataFrame(
        {
            "region": ["Left-Thalamus", "CSF", "absent"],
            "min_dice": [0.999, 0.97, np.nan],
        }
    )


def volume_tables():
    samples = pd.DataFrame(
        {
            "region": ["a", "a", "b", "b"],
            "deviation_percent": [-0.1, 0.1, 0.0, 0.0],
        }
    )
    table = pd.DataFrame(
        {
            "region": ["a", "b"],
            "mean_mm3": [12345.6, 80.0],
            "cv_percent": [0.14, 0.0],
            "digits": [2.9, 6.9],
            "identical": [False, True],
        }
    )
    return samples, table


def one_volume():
    """The table of a control: one region, all samples identical."""
    samples, table = volume_tables()
    return samples.iloc[2:], table.assign(mean_mm3=1379080.0).iloc[1:]


def whole_brain():
    return pd.DataFrame({"region": ["Brain"], "min_dice": [1.0]})


def subject_table():
    table = pd.DataFrame(
        {
            "subject": ["x", "y"] * 2,
            "series": ["A", "A", "B", "B"],
            "panel": "image",
            "bits": [19.0, 20.0, 23.0, 9.0],
            "flagged": [False, False, True, False],
        }
    )
    summary = table.groupby(["series", "panel"])["bits"].agg(mean="mean", sd="std")
    return table, summary.reset_index()


def every_chart(folder, bits):
    """Draw each chart once; names of the files."""
    one = histogram(bits)
    pair = {("UNet", "01"): one, ("VINN", "02"): one}
    overview = bits_table(bits).assign(model="UNet", subject="01")
    table, summary = subject_table()
    return {
        "dice": lambda p: regions.min_dice(p, dice_table(), "Dice", LINES),
        "volumes": lambda p: regions.volume_spread(p, *volume_tables(), CAPTION),
        "one volume": lambda p: regions.volume_spread(p, *one_volume(), CAPTION),
        "one region": lambda p: regions.min_dice(p, whole_brain(), "Dice", LINES),
        "histogram": lambda p: distributions.bits_histogram(p, one, CAPTION),
        "violins": lambda p: distributions.bits_violins(p, pair, "Violins", LINES),
        "overview": lambda p: distributions.bits_overview(p, overview, "All", LINES),
        "subjects": lambda p: distributions.subject_bits(
            p, table, summary, "Bits", LINES, flag="odd", without=summary
        ),
    }


def test_same_bytes_each_time_and_no_stamps(tmp_path, bits):
    for name, draw in every_chart(tmp_path, bits).items():
        first, second = tmp_path / f"{name}_1.png", tmp_path / f"{name}_2.png"
        draw(first)
        draw(second)
        assert first.read_bytes() == second.read_bytes(), name
        assert not {"tEXt", "iTXt", "zTXt", "tIME"} & set(chunks(first)), name
        assert "pHYs" in chunks(first)  # the resolution is stated
    leftovers = [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    assert leftovers == []


def test_texts_stay_on_the_page_and_apart(tmp_path, bits, legible):
    for name, draw in every_chart(tmp_path, bits).items():
        legible(lambda draw=draw, name=name: draw(tmp_path / f"{name}.png"))


def test_many_subjects_and_long_names_stay_legible(tmp_path, bits, legible):
    one = histogram(bits)
    models = ("FastSurferVINN (demo weights)", "SynthStrip (official weights)", "UNet")
    maps = {(m, f"{s:07d}"): one for m in models for s in range(4)}
    lone = {(m, "01"): one for m in models}
    for histograms in (maps, lone):
        legible(
            lambda h=histograms: distributions.bits_violins(
                tmp_path / "v.png", h, "Bits", LINES
            )
        )
    row = bits_table(bits)
    table = pd.concat([row.assign(model=m, subject=s) for m, s in maps])
    legible(
        lambda: distributions.bits_overview(tmp_path / "o.png", table, "Bits", LINES)
    )


def test_caption_says_who_how_and_how_sure():
    assert CAPTION.lines("General estimator") == [
        "sub-01 · UNet (demo weights) · native",
        "General estimator · N = 10 supports p ≥ 0.7",
    ]
    bare = Caption("", "", "", "native", 5, "")
    assert bare.lines() == ["native", "N = 5 samples"]


def test_only_png(tmp_path):
    with pytest.raises(RoundoffError, match="PNG"):
        regions.min_dice(tmp_path / "a.svg", dice_table(), "t", [])


def test_failed_drawing_leaves_no_file(tmp_path, bits):
    table = histogram(bits).assign(measured=0, identical=0)
    with pytest.raises(RoundoffError, match="no voxel"):
        distributions.bits_histogram(tmp_path / "a.png", table, CAPTION)
    with pytest.raises(RoundoffError, match="no region"):
        regions.min_dice(tmp_path / "a.png", dice_table().iloc[2:], "t", [])
    with pytest.raises(RoundoffError, match="needs the columns"):
        regions.min_dice(tmp_path / "a.png", pd.DataFrame({"region": []}), "t", [])
    with pytest.raises(RoundoffError, match="no map"):
        distributions.bits_violins(
            tmp_path / "a.png", {("m", "s"): table.assign(share=0.0)}, "t", []
        )
    empty = pd.DataFrame({"mean": [np.nan], "model": "m"})
    with pytest.raises(RoundoffError, match="no row"):
        distributions.bits_overview(tmp_path / "a.png", empty, "t", [])
    assert list(tmp_path.iterdir()) == []


def test_published_figures(tmp_path, reference):
    folder = reference / "published"
    bits = pd.read_csv(folder / tables.FILES["registration"], dtype={"subject": str})
    long = tables.registration_long(bits)
    summary, tests = tables.registration_summary(long), tables.registration_tests(long)
    path = tmp_path / "bits.png"
    published.registration_figure(path, long, summary, tests)
    again = tmp_path / "again.png"
    published.registration_figure(again, long, summary, tests)
    assert path.read_bytes() == again.read_bytes()
    note = published._registration_note("moved image", summary, tests, 7)
    assert "FreeSurfer 13.43 ± 5.81" in note
    assert "without the 7 that never varied (n = 26, p = 9.0e-13)" in note
    assert "FreeSurfer 10.86 ± 3.28" in note
