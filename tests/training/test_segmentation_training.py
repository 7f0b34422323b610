"""Batches, losses and three steps of training; the shipped weights and the script."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from roundoff.data.sources import get_source, shipped_path
from roundoff.models.checkpoints import load_metadata, load_tensors
from roundoff.models.fastsurfer.pipeline import build
from roundoff.models.fastsurfer.views import VIEWS
from roundoff.training.engine import fit
from roundoff.training.segmentation.classes import (
    freesurfer_ids,
    load_classes,
    sagittal_expansion,
    tissues,
)
from roundoff.training.segmentation.evaluation import (
    compare_freesurfer,
    dice,
    mean_of_large,
    segment,
)
from roundoff.training.segmentation.losses import (
    class_weights,
    combined_loss,
    soft_dice,
)
from roundoff.training.segmentation.references import (
    read_aal_names,
    read_voxelmorph_scan,
)
from roundoff.training.segmentation.slices import Slices
from roundoff.training.segmentation.task import (
    Recipe,
    copy_matching,
    make_schedule,
    make_task,
)
from roundoff.training.segmentation.weights import save_weights

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train_demo.py"
TINY = Recipe(filters=4, filters_interpol=4, bfloat16=False)


def train(slices, steps=3, rate=8e-3, recipe=TINY, **options):
    """A few steps of two slices each."""
    task = make_task(slices, recipe)
    return fit(task, make_schedule(steps, rate, 2, 0, window=10), **options)


@pytest.fixture(scope="module")
def pool():
    """Two volumes of 32 x 48 x 64 voxels whose brightness tells the class."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, len(load_classes()), (2, 4, 6, 8), np.uint8)
    labels = coarse.repeat(8, 1).repeat(8, 2).repeat(8, 3)
    labels[:, :4] = labels[:, -4:] = 0
    return labels * 8, labels


@pytest.mark.parametrize("view", VIEWS)
def test_slices_have_their_neighbours_as_channels(pool, view):
    slices = Slices(*pool, VIEWS[view], window=32)
    images, labels = make_task(slices, TINY).batch(range(5))
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


def test_slices_are_functions_of_seed_and_number(pool):
    one = Slices(*pool, VIEWS["coronal"], window=32, seed=1)
    assert torch.equal(one.draw(4)[0], one.draw(4)[0])
    assert not torch.equal(one.draw(4)[0], one.draw(5)[0])
    other = make_task(one, TINY).reseeded(2).slices
    assert not torch.equal(one.draw(4)[0], other.draw(4)[0])


def test_labels_are_learnt_as_the_classes_of_a_table(pool):
    table = tissues()
    assert len(table) == len(load_classes())
    assert set(table) == set(range(7))
    slices = Slices(*pool, VIEWS["coronal"], window=32)
    merged = replace(slices, classes=tuple(table))
    assert torch.equal(merged.draw(3)[1], torch.tensor(table)[slices.draw(3)[1]])
    assert make_task(merged, TINY).network().classifier.conv.out_channels == 7


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


def test_three_steps_change_the_network_repeatably(pool):
    slices = Slices(*pool, VIEWS["axial"], window=32)
    one, rows = train(slices)
    two, _ = train(slices)
    for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert [row["step"] for row in rows] == [3]
    assert not one.training


def test_a_resumed_training_ends_with_the_same_weights(pool, tmp_path):
    """Batch norm's running statistics and channels-last moments come back whole."""
    slices = Slices(*pool, VIEWS["axial"], window=32)
    task, schedule = make_task(slices, TINY), make_schedule(4, 8e-3, 2, 0, window=4)
    schedule = replace(schedule, save_every=2)
    whole, _ = fit(task, schedule)

    class KilledError(Exception):
        pass

    def watch(step, network, measures):
        if step == 2:
            raise KilledError

    state = tmp_path / "state.safetensors"
    with pytest.raises(KilledError):
        fit(task, schedule, state=state, watch=watch)
    resumed, _ = fit(task, schedule, state=state)
    for a, b in zip(
        whole.state_dict().values(), resumed.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b)


def test_training_lowers_the_loss(pool):
    slices = Slices(*pool, VIEWS["axial"], window=32)
    _, rows = train(slices, steps=60, rate=0.02)
    assert rows[-1]["loss"] < 0.9 * rows[0]["loss"]


def test_saved_weights_say_what_they_are_and_load(pool, tmp_path):
    paths = {}
    for view in VIEWS:
        network, _ = train(Slices(*pool, VIEWS[view], window=32))
        paths[view] = tmp_path / f"{view}.safetensors"
        save_weights(network, view, paths[view], {"steps": 3})
    stated = load_metadata(paths["sagittal"])
    assert json.loads(stated["sagittal_expansion"]) == sagittal_expansion()
    assert json.loads(stated["classes"]) == freesurfer_ids()
    model = build(paths, class_table="demo_aseg", base_resolution=2.0)
    volume = np.random.default_rng(0).integers(0, 255, (16, 16, 16), np.uint8)
    assert set(np.unique(model.predict(volume, 2.0).labels)) <= set(freesurfer_ids())


def test_starting_from_another_view_takes_all_but_the_classifier(pool):
    coronal, _ = train(Slices(*pool, VIEWS["coronal"], window=32))
    sagittal, _ = train(Slices(*pool, VIEWS["sagittal"], window=32))
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
