"""Lines on canary and control, in a study under Verrou and in a native one."""

import json

import pytest

from roundoff import layout
from roundoff.models.base import Grid, MapSpec, ModelSpec
from roundoff.report.checks import canary_lines, control_line
from roundoff.report.methods import methods_paragraph
from roundoff.report.study import Study
from roundoff.report.subject import caption_of

SPEC = ModelSpec(
    "m", "Net", "segmentation", "demo weights",
    "roundoff.models.fastsurfer.pipeline:build", {}, Grid(), (MapSpec("x", "x"),),
)  # fmt: skip
VERROU = {"name": "verrou", "mode": "random", "verrou": "2.7.0", "valgrind": "3.26.0"}


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(path, content):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(json.dumps(content))

    return make


def canary(instrument, sums, passed=True, **more):
    return {
        "Instrument": instrument, "Sums": sums, "PerturbedOperations": 1_000_000,
        "Passed": passed, **more,
    }  # fmt: skip


def test_canaries_under_verrou(write):
    excluded = [{"used": 1}, {"used": 0}]
    evidence = {"Evidence": {"excluded": excluded}}
    write(layout.canary_file("verrou"), canary(VERROU, [99158.7, 99163.9], **evidence))
    nearest = VERROU | {"mode": "nearest"}
    write(layout.canary_file("nearest"), canary(nearest, [100958.3], passed=False))
    control = {"name": "ieee", "mode": "nearest", "under": "valgrind"}
    write(layout.canary_file("ieee"), canary(control, [100060.0, 100060.0]))
    lines = canary_lines(Study((SPEC,), ("01",), "verrou"))
    assert [line["name"] for line in lines] == [
        "Verrou", "Verrou to nearest", "control",
    ]  # fmt: skip
    assert [line["passed"] for line in lines] == [True, False, True]
    assert "99158.7 to 99163.9" in lines[0]["sentence"]
    assert (
        "2 libraries or groups of functions left out, 1 of them met"
        in (lines[0]["sentence"])
    )
    assert "under Valgrind" in lines[2]["sentence"]


def test_what_valgrind_changes_is_told(write):
    changes = {"a": {"changed": 0.39, "largest_relative": 3.5e-7}}
    path = layout.control_file("m", "01")
    study = Study((SPEC,), ("01",), "verrou")
    write(path, {"ValgrindChanges": changes})
    assert "up to 39.0% of an output's values differ" in control_line(study)
    assert "3.5e-07" in control_line(study)
    write(path, {"ValgrindChanges": {"a": {"changed": 0.0, "largest_relative": 0.0}}})
    assert "the same, bit for bit" in control_line(study)
    assert "Valgrind" not in control_line(Study((SPEC,), ("01",), "native"))


def test_methods_and_caption_name_verrou_and_the_part(write):
    summary = {
        "Instrument": VERROU | {"libm": "excluded", "layers": ["coronal.encode1"]},
        "Samples": 10, "Subject": "01", "ModelOptions": {"slices": 256},
        "Confidence": "N = 10 supports p >= 0.741 at 95 % confidence",
        "Versions": {"torch": "2.13.0", "numba": "0.68", "python": "3.11"},
    }  # fmt: skip
    write(layout.uncertainty_files(SPEC, "01", "verrou")["summary"], summary)
    text = methods_paragraph(Study((SPEC,), ("01",), "verrou"))
    for words in ("by Verrou 2.7.0 on Valgrind 3.26.0", "coronal.encode1 only",
                  "library left unperturbed", "probability 1/2"):  # fmt: skip
        assert words in text
    words = caption_of(SPEC, summary).instrument
    assert words == "Verrou (random), 1 of 256 slices per direction"
