"""The command that rebuilds the published tables and figures."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "published.py"


def call(folder, output):
    command = [sys.executable, str(SCRIPT), "--folder", str(folder)]
    return subprocess.run(
        [*command, "--output", str(output)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def rebuilt(reference, tmp_path_factory):
    output = tmp_path_factory.mktemp("a folder") / "published"
    result = call(reference / "published", output)
    assert result.returncode == 0, result.stderr
    return output


def test_tables_figures_and_page_are_there(rebuilt):
    names = sorted(path.name for path in rebuilt.iterdir())
    assert names == [
        "dice_regions.png",
        "dice_regions.tsv",
        "dice_subjects.png",
        "dice_subjects.tsv",
        "dice_summary.tsv",
        "dice_tests.tsv",
        "registration_bits.png",
        "registration_subjects.tsv",
        "registration_summary.tsv",
        "registration_tests.tsv",
        "summary.md",
    ]


def test_identifiers_keep_their_zeros(rebuilt):
    table = pd.read_csv(rebuilt / "registration_subjects.tsv", sep="\t", dtype=str)
    assert "sub-0003002" in set(table["subject"])


@pytest.mark.parametrize(
    "text",
    [
        "| as published | moved image | SynthMorph | 33 | 19.56 ± 0.31 |",
        "| as published | moved image | FreeSurfer | 33 | 13.43 ± 5.81 |",
        "| without identical | moved image | FreeSurfer | 26 | 10.86 ± 3.28 |",
        "| FreeSurfer | 1120 | 0.9228 ± 0.0695 | 0.3815 | sub-0027214, ",
        "| FastSurfer | 1120 | 0.9981 ± 0.0058 | 0.9379 | sub-0025531, ",
        "t = -24.99, p = 4.21e-22 (n = 32)",
        "never varied: sub-0025406, sub-0025462, sub-0025598, sub-0025631,",
    ],
)
def test_page_gives_both_readings(rebuilt, text):
    assert text in (rebuilt / "summary.md").read_text()


def test_missing_folder_says_where_the_tables_come_from(tmp_path):
    result = call(tmp_path / "nowhere", tmp_path / "out")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    for text in ("published_folder", "registration_sigbits.csv", "arXiv 2308.01939"):
        assert text in result.stderr


def test_damaged_table_is_named(tmp_path, reference):
    for path in (reference / "published").glob("*.csv"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "fast_min_dice_scores.csv").write_text("")
    result = call(tmp_path, tmp_path / "out")
    assert result.returncode == 2
    assert "fast_min_dice_scores.csv: not a readable table" in result.stderr
