"""The plan: a line through two timings, and what a study then costs."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundoff.config import Config
from roundoff.models.registry import get_model
from roundoff.planning.arguments import plan_arguments
from roundoff.planning.calibrate import Calibration, Line, calibrate, line, slices_of
from roundoff.planning.costs import Samples, ValgrindCost, estimate, plan_rows
from roundoff.planning.report import duration, plan_text
from roundoff.planning.verrou_speed import measure
from workflow_study import ROOT, TINY

DEEPBRAIN, FAST = get_model("deepbrain"), get_model("fastsurfer_demo")
KNOWN = Calibration(
    "m", True, 4.0, Line(1.0, 0.1), Line(2.0, 0.3), Line(1e8, 1e7), 600.0, 800.0
)
SAMPLES = Samples(controls=2, measured=10)


@given(st.floats(0, 100), st.floats(0, 100), st.integers(1, 500))
def test_a_line_goes_through_its_points(fixed, slope, n):
    found = line([1, 16], [fixed + slope, fixed + 16 * slope])
    assert found.at(n) == pytest.approx(fixed + slope * n, rel=1e-6, abs=1e-6)


def test_noise_never_makes_more_slices_cheaper():
    assert line([1, 16], [3.0, 2.0]) == Line(3.0, 0.0)
    assert line([5], [3.0]) == Line(3.0, 0.0)


def test_slices_of_models():
    assert slices_of(FAST) == 128
    assert slices_of(FAST.with_options({"slices": 128})) == 1
    assert slices_of(DEEPBRAIN.with_options({"slab": 8})) == 8


def test_costs_by_hand():
    cost = ValgrindCost(start=10, plain=50, off=2, operation=1e-7)
    one = FAST.with_options({"slices": 128})
    row = estimate(one, KNOWN, "verrou", SAMPLES, 3, cost)
    under = 10 * 4 + 50 * 1.1
    sample = 2 * under + 1e-7 * 1.1e8
    assert row["sample_s"] == pytest.approx(sample)
    # Two controls under Valgrind, one to nearest under Verrou, one without Valgrind.
    hours = 3 * (2 * under + sample + 5.1 + 10 * sample) / 3600
    assert row["hours"] == pytest.approx(hours)
    assert row["part"] == "1 of 128 slices per direction"


def test_native_and_control():
    native = estimate(FAST, KNOWN, "native", SAMPLES, 1, ValgrindCost())
    assert native["sample_s"] == pytest.approx(4 + 2 + 0.3 * 128)
    assert native["memory_gb"] == pytest.approx(800 / 1024)
    control = estimate(FAST, KNOWN, "ieee", SAMPLES, 1, ValgrindCost())
    assert control["hours"] == pytest.approx(2 * (4 + 1 + 12.8) / 3600)
    assert control["operations"] == 0
    assert 0.05 < control["disk_gb"] < native["disk_gb"] < 1


def test_rows_of_a_study():
    rows = plan_rows(
        {"fastsurfer_demo": FAST}, {"fastsurfer_demo": KNOWN}, SAMPLES, 2,
        ValgrindCost(), 1, {},
    )  # fmt: skip
    kinds = [(row["instrument"], row["part"]) for row in rows]
    assert kinds == [
        ("ieee", "whole volume"),
        ("native", "whole volume"),
        ("verrou", "1 of 128 slices per direction"),
        ("verrou", "whole volume"),
    ]
    text = plan_text(
        rows, ValgrindCost(), subjects=2, samples=10, controls=2, cores=2,
        confidence=0.95, instrument="verrou",
    )  # fmt: skip
    assert "p >= 0.741 at 95% confidence" in text
    assert "59 would support" in text
    assert "off by a factor of two" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(42, "42 s"), (600, "10 min"), (3 * 3600, "3.0 h"), (1e6, "12 days")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_a_model_is_timed(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tests"))
    entry = TINY | {"grid": {"voxel_size": 6.0, "shape": [16, 16, 16]}}
    found = calibrate("tiny", {"tiny": entry}, {}, {})
    assert not found.reducible
    # 4 filters of 27 taps in, 3 filters of 4 x 27 taps out, per voxel.
    assert found.operations.fixed > 16**3 * (4 * 27 + 3 * 4 * 27) * 0.7
    assert found.native.fixed > 0
    assert found.plain_mb > 50


def test_without_verrou_the_documented_costs_serve(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert measure() == ValgrindCost()


def test_the_script_prints_the_plan(tmp_path):
    entry = TINY | {"grid": {"voxel_size": 6.0, "shape": [16, 16, 16]}}
    (tmp_path / "tiny_model.py").write_text((ROOT / "tests/tiny_model.py").read_text())
    config = Config(
        models=["tiny"], custom_models={"tiny": entry}, samples=5,
        verrou={"valgrind": "no-such-valgrind"},
    )  # fmt: skip
    arguments = plan_arguments(config, 3, {"tiny": {}})
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/plan.py", *arguments, "--cores", "4",
         "--table", "plan.tsv", "--summary", "summary.md"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "study, 4 cores" in done.stdout
    assert "5 samples" in done.stdout
    lines = (tmp_path / "plan.tsv").read_text().splitlines()
    assert len(lines) == 1 + 3
    assert json.loads(arguments[arguments.index("--weights") + 1]) == {"tiny": {}}
