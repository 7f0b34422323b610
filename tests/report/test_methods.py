"""The methods paragraph says what was run, and nothing else."""

import json

import pytest

from roundoff import layout
from roundoff.models.base import Grid, MapSpec, ModelSpec
from roundoff.report.methods import methods_paragraph
from roundoff.report.study import Study

SPEC = ModelSpec(
    "m", "Some Net", "segmentation", "demo weights", "a:b", {}, Grid(),
    (MapSpec("x", "x"),),
)  # fmt: skip


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(instrument):
        name = instrument["name"]
        files = layout.uncertainty_files(SPEC, "01", name)
        path = tmp_path / files["summary"]
        path.parent.mkdir(parents=True)
        summary = {
            "Instrument": instrument,
            "Samples": 10,
            "Confidence": "N = 10 supports p >= 0.741 at 95 % confidence",
            "Versions": {"torch": "2.13.0", "numba": "0.68", "python": "3.11"},
        }
        path.write_text(json.dumps(summary))
        return Study((SPEC,), ("01",), name)

    return make


def test_random_rounding(study):
    text = methods_paragraph(
        study({"name": "native", "mode": "random", "order": "native"})
    )
    for words in ("1 subject ", "10 times", "Some Net (demo weights)", "45 pairs",
                  "probability 1/2", "0.741"):  # fmt: skip
        assert words in text


def test_control(study):
    text = methods_paragraph(study({"name": "ieee", "mode": "nearest"}))
    assert "without any perturbation" in text
    assert "rounded" not in text


def test_what_is_complete_of_a_study(tmp_path, monkeypatch):
    """One of two subjects has all its files; the methods speak of that one."""
    monkeypatch.chdir(tmp_path)
    study = Study((SPEC,), ("01", "02"), "native")
    files = [layout.control_file("m", "01")]
    files += study.files(SPEC, "01").values()
    files += study.figures(SPEC, "01").values()
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert [(m.name, s) for m, s in study.complete()] == [("m", "01")]
    assert study.complete().subjects == ("01",)
    (tmp_path / files[0]).unlink()
    assert not list(study.complete())
    assert study.complete().models == ()
