"""Repeated trainings of the segmentation: the probe, three arms, the script."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from roundoff.config.training import SegmentationStability
from roundoff.errors import RoundoffError
from roundoff.models.fastsurfer.views import VIEWS
from roundoff.training.segmentation.classes import tissues
from roundoff.training.segmentation.probe import (
    Heads,
    load_heads,
    make_probe,
    save_heads,
)
from roundoff.training.segmentation.slices import Slices
from roundoff.training.segmentation.task import Recipe, make_task
from roundoff.training.stability import probed

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "segmentation_stability.py"


@pytest.fixture(scope="module")
def heads():
    """Two cubes of classes whose brightness tells the class."""
    rng = np.random.default_rng(0)
    labels = np.zeros((2, 48, 48, 48), np.uint8)
    labels[:, 8:40, 8:40, 8:40] = (
        rng.integers(1, 31, (2, 4, 4, 4)).repeat(8, 1).repeat(8, 2).repeat(8, 3)
    )
    return Heads(("one", "two"), labels * 8, labels)


def test_heads_come_back_from_their_file(heads, tmp_path):
    save_heads(heads, tmp_path / "heads.npz")
    found = load_heads(tmp_path / "heads.npz")
    assert found.names == heads.names
    assert np.array_equal(found.images, heads.images)
    assert np.array_equal(found.labels, heads.labels)


def test_the_probe_labels_slices_with_brain_and_leaves_no_trace(heads):
    classes = tuple(tissues())
    slices = Slices(heads.images, heads.labels, VIEWS["coronal"], 32, classes=classes)
    probe = make_probe(heads, slices)
    assert probe.stacks.shape == (2 * 8, 7, 48, 48)  # 32 slices with brain each
    assert set(np.unique(probe.truth)) <= set(range(7))
    task = make_task(slices, Recipe(4, 4, bfloat16=False))
    network = task.network().train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    seen = probed(probe, network)
    assert network.training
    assert all(v.equal(before[k]) for k, v in network.state_dict().items())
    assert seen.labels.shape == seen.outputs.shape == (probe.truth.size,)
    assert 0 <= seen.dice <= 1


def test_the_script_trains_three_arms_and_draws_them(heads, tmp_path):
    save_heads(heads, tmp_path / "training.npz")
    save_heads(heads, tmp_path / "unseen.npz")
    runs = []
    for arm in ("control", "rounding", "seeds"):
        for number in ("0", "1"):
            runs.append(f"{arm}_{number}.safetensors")
            call(
                *(tmp_path, "run", "--training", "training.npz", "--arm", arm),
                *("--number", number, "--steps", "2", "--batch", "1"),
                *("--window", "32", "--unseen", "unseen.npz", "--output", runs[-1]),
            )
    call(tmp_path, "gather", "--runs", *runs, "--unseen", "unseen.npz", "--folder", ".")
    assert (
        "Control trainings are bit-identical." in (tmp_path / "summary.md").read_text()
    )
    for name in ("loss", "points", "published", "votes"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000


def call(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_scans_must_be_known_and_not_on_both_sides():
    with pytest.raises(RoundoffError, match=r"training.segmentation.unseen: .*csi9"):
        SegmentationStability(unseen=["bold5000_csi9"])
    with pytest.raises(ValueError, match="among `training` and `unseen`"):
        SegmentationStability(training=["bold5000_csi1"], unseen=["bold5000_csi1"])
