"""Batches, losses and three steps of training; the shipped weights and the script."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from roundoff.data.sources import get_source, shipped_path
from roundoff.models.checkpoints import load_metadata, load_tensors
from roundoff.models.fastsurfer.pipeline import build
from roundoff.models.fastsurfer.views import VIEWS
from roundoff.training.segmentation.batches import Batches
from roundoff.training.segmentation.classes import (
    freesurfer_ids,
    load_classes,
    sagittal_expansion,
)
from roundoff.training.segmentation.evaluation import (
    compare_freesurfer,
    dice,
    mean_of_large,
    segment,
)
from roundoff.training.segmentation.loop import Recipe, copy_matching, train
from roundoff.training.segmentation.losses import (
    class_weights,
    combined_loss,
    soft_dice,
)
from roundoff.training.segmentation.references import (
    read_aal_names,
    read_voxelmorph_scan,
)
from roundoff.training.segmentation.weights import save_weights

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train_demo.py"
TINY = Recipe(filters=4, filters_interpol=4, steps=3, log_every=1, bfloat16=False)


@pytest.fixture(scope="module")
def pool():
    """Two volumes of 32 x 48 x 64 voxels whose brightness tells the class."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, len(load_classes()), (2, 4, 6, 8), np.uint8)
    labels = coarse.repeat(8, 1).repeat(8, 2).repeat(8, 3)
    labels[:, :4] = labels[:, -4:] = 0
    return labels * 8, labels


@pytest.mark.parametrize("view", VIEWS)
def test_batches_hold_neighbouring_slices_of_a_view(pool, view):
    batches = Batches(*pool, VIEWS[view], size=5, window=32)
    images, labels = batches.draw(1)
    assert images.shape == (5, 7, 32, 32)
    assert labels.shape == (5, 32, 32)
    assert 0 <= images.min() <= images.max() <= 1
    top = max(sagittal_expansion()) if view == "sagittal" else len(load_classes()) - 1
    assert labels.max() <= top
    # In this pool the middle channel is the class times a constant of the slice.
    if view != "sagittal":
        ratio = images[:, 3] * 255 / 8
        for one, truth in zip(ratio, labels, strict=True):
            if truth.any():
                gain = one[truth > 0] / truth[truth > 0]
                assert (gain.max() - gain.min() < 1e-3) or one.max() * 8 >= 254


def test_batches_are_functions_of_seed_and_step(pool):
    one = Batches(*pool, VIEWS["coronal"], window=32, seed=1)
    assert torch.equal(one.draw(4)[0], one.draw(4)[0])
    assert not torch.equal(one.draw(4)[0], one.draw(5)[0])
    other = Batches(*pool, VIEWS["coronal"], window=32, seed=2)
    assert not torch.equal(one.draw(4)[0], other.draw(4)[0])


def test_loss_is_least_where_the_labels_are(pool):
    labels = torch.from_numpy(pool[1][0, 16:18]).long()
    weights = class_weights(labels, len(load_classes()))
    right = torch.nn.functional.one_hot(labels, len(load_classes())).movedim(-1, 1)
    perfect = combined_loss(right * 50.0, labels, weights)
    assert perfect < 0.01
    assert combined_loss(right * 0.0, labels, weights) > 1
    assert soft_dice(right * 50.0, torch.zeros_like(labels)) == 0  # nothing to find


def test_rare_classes_weigh_more():
    labels = torch.tensor([0] * 90 + [1] * 9 + [2])
    weights = class_weights(labels, 3)
    assert weights[0] < weights[1] < weights[2]
    frequency = torch.tensor([0.9, 0.09, 0.01])
    assert torch.isclose((weights * frequency).sum(), torch.tensor(1.0))


def test_three_steps_change_the_network_repeatably(pool, tmp_path):
    batches = Batches(*pool, VIEWS["axial"], size=4, window=32)
    one = train(batches, TINY, tmp_path / "log.csv")
    two = train(batches, TINY)
    for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert rows[0] == "step,loss,learning_rate,seconds"
    assert len(rows) == 4
    assert not one.training


def test_training_lowers_the_loss(pool):
    batches = Batches(*pool, VIEWS["axial"], size=8, window=32)
    seen = []
    recipe = Recipe(4, 4, steps=40, learning_rate=0.02, log_every=10, bfloat16=False)
    train(batches, recipe, report=seen.append)
    first, last = (float(text.split("loss ")[1].split(",")[0]) for text in seen[::3])
    assert last < 0.9 * first


def test_saved_weights_say_what_they_are_and_load(pool, tmp_path):
    paths = {}
    for view in VIEWS:
        batches = Batches(*pool, VIEWS[view], size=4, window=32)
        paths[view] = tmp_path / f"{view}.safetensors"
        save_weights(train(batches, TINY), view, paths[view], {"steps": 3})
    stated = load_metadata(paths["sagittal"])
    assert json.loads(stated["sagittal_expansion"]) == sagittal_expansion()
    assert json.loads(stated["classes"]) == freesurfer_ids()
    model = build(paths, class_table="demo_aseg", base_resolution=2.0)
    volume = np.random.default_rng(0).integers(0, 255, (16, 16, 16), np.uint8)
    assert set(np.unique(model.predict(volume, 2.0).labels)) <= set(freesurfer_ids())


def test_starting_from_another_view_takes_all_but_the_classifier(pool):
    coronal = train(Batches(*pool, VIEWS["coronal"], size=4, window=32), TINY)
    sagittal = train(Batches(*pool, VIEWS["sagittal"], size=4, window=32), TINY)
    copied = copy_matching(sagittal, coronal.state_dict())
    assert copied == len(sagittal.state_dict()) - 2
    assert torch.equal(sagittal.inp_block.conv0.weight, coronal.inp_block.conv0.weight)


@pytest.mark.parametrize("view", VIEWS)
def test_shipped_weights_are_float32_and_state_their_classes(view):
    path = shipped_path(get_source(f"fastsurfer_demo_{view}"))
    tensors = load_tensors(path, sha256=get_source(f"fastsurfer_demo_{view}").sha256)
    assert {t.dtype for t in tensors.values()} == {torch.float32, torch.int64}
    stated = load_metadata(path)
    assert stated["view"] == view
    assert json.loads(stated["sagittal_expansion"]) == sagittal_expansion()
    classes = tensors["classifier.conv.weight"].shape[0]
    expected = sagittal_expansion()
    assert classes == (1 + max(expected) if view == "sagittal" else len(expected))


def test_dice_of_masks():
    a, b = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool)
    assert dice(a, b) == 0.5
    assert np.isnan(dice(a & False, b & False))


def test_script_trains_from_heads_to_weights(tmp_path):
    """Pool and three steps through the command line, on a tiny head."""
    rng = np.random.default_rng(0)
    labels = np.zeros((64, 64, 64), np.uint8)
    labels[16:48, 16:48, 16:48] = (
        rng.integers(1, 31, (4, 4, 4)).repeat(8, 0).repeat(8, 1).repeat(8, 2)
    )
    image = (labels * 6 + 20).astype(np.uint8)
    np.savez(tmp_path / "head.npz", image=image, labels=labels, name="cube")
    call(tmp_path, "pool", "--heads", "head.npz", "--volumes", "1", "--size", "32")
    call(
        *(tmp_path, "train", "--pool", "pool.out", "--view", "axial", "--steps", "3"),
        *("--filters", "4", "--filters-interpol", "4", "--window", "32"),
        *("--batch", "2", "--log", "log.csv"),
    )
    assert "loss" in (tmp_path / "log.csv").read_text()
    assert load_metadata(tmp_path / "train.out")["view"] == "axial"


def call(folder: Path, command: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, command, *arguments, "--output", f"{command}.out"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_demo_segments_a_scan_it_never_saw(shared_data):
    paths = {v: shipped_path(get_source(f"fastsurfer_demo_{v}")) for v in VIEWS}
    model = build(paths, class_table="demo_aseg", base_resolution=2.0, batch_size=8)
    scan, truth = read_voxelmorph_scan(shared_data / "labels/voxelmorph_test_scan.npz")
    rows = compare_freesurfer(segment(model, scan), truth)
    assert mean_of_large(rows) > 0.75


def test_aal_names_are_read(shared_data):
    names = read_aal_names(shared_data / "labels/colin27_aal.txt")
    assert len(names) == 116
    assert names[1] == "Precentral_L"
