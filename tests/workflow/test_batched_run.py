"""Samples in batches: the same files as one job per sample, and no more work."""

import pytest

# One worker runs them all: they share the undisturbed study.
pytestmark = [pytest.mark.slow]


def test_another_size_of_batch_computes_no_sample_again(finished):
    for size in (2, 10):
        jobs = finished.planned("--config", f"batch={size}")
        assert set(jobs) <= {"figures_tiny", "report", "default"}


def test_batches_give_the_same_bits(finished, study):
    study.write(batch=2, subjects=study.config["subjects"][:1])
    summary = "results/tables/tiny/sub-01_rec-native_summary.json"
    assert study.planned("--", summary)["infer_tiny_native_001-002"] == 1
    study.run("--", summary)
    made = {k: v for k, v in study.checksums().items() if "sub-01" in k}
    assert sum("run-" in name for name in made) == 5 * 4
    expected = finished.checksums()
    assert made == {name: expected[name] for name in made}
    assert not list((study.folder / "results/unfinished").rglob("*.nii.gz"))
    for name in ("native_001", "native_002", "native_003", "ieee_001"):
        row = study.folder / f"results/benchmarks/infer/tiny/sub-01_{name}.tsv"
        assert "max_rss" in row.read_text()


def test_samples_may_go_once_they_are_measured(finished, study):
    study.write(keep_samples=False, subjects=study.config["subjects"][:1])
    target = "results/tables/tiny/sub-01_rec-native_summary.json"
    study.run("--", target)
    images = [f for f in study.checksums() if "run-" in f and f.endswith(".nii.gz")]
    assert images == []
    assert study.planned("--", target) == {}
    made = {k: v for k, v in study.checksums().items() if "sub-01" in k}
    expected = finished.checksums()
    assert made == {name: expected[name] for name in made}
    assert any("sigbits" in name for name in made)
