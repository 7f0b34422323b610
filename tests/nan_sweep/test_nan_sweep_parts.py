"""Parts of the sweep one by one: scans, bits, blocks, statistics."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from roundoff.errors import RoundoffError
from roundoff.figures.nan_maps import upright
from roundoff.models.fastsurfer.network import FastSurferVINN
from roundoff.nan_sweep import published
from roundoff.nan_sweep.bits import general_bits, whole_patches
from roundoff.nan_sweep.measure import certain_background, run_order, skip_map
from roundoff.nan_sweep.scans import add_noise, brain_of, on_grid_of, read_scan
from roundoff.nan_sweep.settings import Setting, settings_of
from roundoff.nan_sweep.tables import block_rows, statistic_rows
from roundoff.uncertainty.significant_bits import bits_of_slab


def test_brain_is_the_largest_piece_closed_and_filled():
    labels = np.zeros((20, 20, 20), int)
    labels[4:14, 4:14, 4:14] = 3
    labels[8, 8, 8] = 0  # a hole
    labels[9, 4:14, 4:14] = 0  # a sulcus, one voxel wide
    labels[18, 18, 18] = 2  # an island
    brain = brain_of(labels)
    assert brain[8, 8, 8]
    assert brain[9, 9, 9]
    assert not brain[18, 18, 18]
    assert not brain[2, 2, 2]
    with pytest.raises(RoundoffError, match="no voxel"):
        brain_of(np.zeros((4, 4, 4), int))


def test_a_mask_moves_to_another_grid(tmp_path):
    mask = np.zeros((8, 9, 10), np.uint8)
    mask[2:5, 3:6, 4:8] = 1
    coarse = nib.Nifti1Image(mask, np.diag([2.0, 2.0, 2.0, 1]))
    affine = np.diag([1.0, 1.0, 1.0, 1])
    affine[:3, 3] = -0.5  # halves of the same voxels
    fine = nib.Nifti1Image(np.full((16, 18, 20), 5, np.uint8), affine)
    moved = on_grid_of(coarse, fine)
    assert np.array_equal(moved, mask.repeat(2, 0).repeat(2, 1).repeat(2, 2) > 0)
    nib.save(coarse, tmp_path / "mask.nii.gz")
    nib.save(fine, tmp_path / "scan.nii.gz")
    paths = (tmp_path / "scan.nii.gz", tmp_path / "mask.nii.gz")
    volume, inside, _ = read_scan(*paths, "stripped")
    assert (volume[~inside] == 0).all()
    assert (volume[inside] == 5).all()
    assert read_scan(*paths, "whole")[0].min() == 5
    with pytest.raises(RoundoffError, match="stripped or whole"):
        read_scan(*paths, "peeled")


def test_noise_leaves_a_background_of_zeros():
    volume = np.zeros((10, 10, 10), np.uint8)
    volume[3:8, 3:8, 3:8] = np.arange(125).reshape(5, 5, 5) + 100
    noisy = add_noise(volume, 5, seed=1)
    assert (noisy[volume == 0] == 0).all()
    assert 2 < (noisy - volume)[volume > 0].std() < 6
    assert np.array_equal(noisy, add_noise(volume, 5, seed=1))
    assert noisy.max() <= volume.max()


def test_settings_and_their_tolerances():
    made = settings_of("aggressive", [1, 0.5], [1e-7, "dtype"])
    assert [s.threshold for s in made] == [1, 0.5, 1, 0.5]
    conv = torch.nn.Sequential(torch.nn.MaxPool2d(2))
    rule = made[0].converted(conv).settings.rule
    assert (rule.rtol, rule.atol) == (1e-7, 1e-8)  # as published
    rule = made[2].converted(conv).settings.rule
    assert (rule.rtol, rule.atol) == (None, 0.0)


def test_bits_are_those_of_the_library():
    rng = np.random.default_rng(0)
    samples = (1 + rng.normal(0, 1e-4, (5, 40))).astype(np.float32)
    samples *= rng.choice([-1, 1, 1000], 40).astype(np.float32)
    samples[:, 0] = 3  # identical
    samples[:, 1] = 0
    samples[2, 2] = np.nan
    samples[:, 3] = [-1, 1, -1, 1, 0]  # mean zero
    want = bits_of_slab(samples).general
    assert np.array_equal(general_bits(samples), want, equal_nan=True)


def test_zones_on_coarser_and_finer_grids():
    mask = np.zeros((8, 8), bool)
    mask[:4] = True
    assert whole_patches(mask, (4, 4)).sum() == 8
    assert whole_patches(mask, (10, 10))[:4].all()
    assert not whole_patches(mask, (10, 10))[5:].any()


@pytest.mark.filterwarnings("ignore:the compiled part")
@torch.inference_mode()
def test_map_of_skipped_work_adds_up():
    torch.manual_seed(0)
    network = FastSurferVINN(5, 3, num_filters=6, num_filters_interpol=4).eval()
    x = torch.zeros(1, 3, 64, 64)
    x[:, :, 20:40, 24:40] = torch.rand(3, 20, 16)
    made = Setting("conservative", 0.5).converted(network, maps=True)
    order = run_order(made, (x,))
    assert order[0] == "inp_block.conv0"
    assert order[-1] == "classifier.conv"
    made.reset_counts()
    made(x)
    shares = skip_map(made, (64, 64))
    assert shares.mean() == pytest.approx(made.skip_summary()["macs"], abs=1e-6)
    assert shares[30, 32] < shares.max()


def test_blocks_are_weighted_by_work():
    base = {
        "model": "m",
        "scan": "s",
        "mode": "x",
        "threshold": 1.0,
        "epsilon": "dtype",
    }
    base |= {"subject": "1", "view": "axial"}
    columns = ("layer", "block", "order", "skipped", "total")
    columns += ("skipped_macs", "total_macs")
    layers = pd.DataFrame(
        [
            base | dict(zip(columns, row, strict=True))
            for row in [
                ("a.c0", "a", 0, 5, 10, 50, 100),
                ("a.c1", "a", 1, 0, 10, 0, 300),
                ("b.c0", "b", 2, 10, 10, 600, 600),
            ]
        ]
    )
    got = block_rows(layers).set_index("block")
    assert got.loc["a", "share"] == 0.25
    assert got.loc["a", "mac_share"] == 0.125
    assert got["work"].tolist() == [0.4, 0.6]


def subjects(changes):
    base = {
        "model": "m",
        "scan": "s",
        "mode": "x",
        "threshold": 1.0,
        "epsilon": "dtype",
    }
    rows = [base | {"subject": str(i), "dice_change": d} for i, d in enumerate(changes)]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ([0.0, 0.0], "equivalent"),
        ([-0.001, -0.002], "equivalent"),
        ([-0.3, -0.301], "different"),
        ([-0.03, 0.02], "not shown"),
        ([-0.001], "one subject: nothing can be shown"),
    ],
)
def test_verdicts_over_subjects(changes, verdict):
    table = statistic_rows(subjects(changes), {"dice": 0.01})
    assert table["verdict"].tolist() == [verdict]


def test_published_blocks_give_the_published_means():
    """43.89 % over 45 convolutions, aggressive at T = 0.5; 30 % conservative."""
    table = published.block_shares("fastsurfer", "aggressive")
    half = table[table["threshold"] == 0.5].groupby("view")["share"].sum()
    assert (half * 4 / 45).mean() == pytest.approx(0.4389, abs=2e-4)
    table = published.block_shares("fastsurfer", "conservative")
    for threshold in (1.0, 0.8, 0.5, 0.4):
        rows = (
            table[table["threshold"] == threshold].groupby("view")["share"].sum() / 12
        )
        want = published.overall("fastsurfer", "conservative", threshold).unweighted
        assert rows.mean() == pytest.approx(want, abs=2e-3)
    table = published.block_shares("fondue", "conservative")
    sums = table.groupby("threshold")["share"].sum() / 28
    assert sums[0.5] == pytest.approx(0.340, abs=1e-3)
    assert sums[0.8] == pytest.approx(0.269, abs=1e-3)


def test_slices_are_drawn_upright():
    """LIA: rows to the left, columns down; the head's top must be up, its left left."""
    plane = np.zeros((4, 6))  # L by I
    plane[3, 0] = 1  # leftmost, top
    shown, sides = upright(plane, (0, 1), "LIA")
    assert shown.shape == (6, 4)
    assert shown[0, 0] == 1
    assert sides == ("L", "R")
    plane = np.zeros((5, 4))  # A by L, axial
    plane[4, 3] = 1  # front left
    shown, sides = upright(plane, (2, 0), "LIA")
    assert shown[0, 0] == 1
    plane = np.zeros((5, 6))  # A by I, sagittal
    plane[4, 0] = 1  # front top
    shown, sides = upright(plane, (2, 1), "LIA")
    assert shown[0, -1] == 1
    assert sides == ("P", "A")
    plane = np.zeros((4, 6))  # R by S
    plane[0, 5] = 1
    shown, sides = upright(plane, (0, 2), "RAS")
    assert shown[0, 0] == 1
    assert sides == ("L", "R")


def test_unknown_pixels_are_background_for_the_loss_too():
    """All-zero logits would cost log(classes) each; what is decided costs nothing."""
    logits = torch.randn(1, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    logits[:, :, 0] = torch.nan
    sure = certain_background(logits)
    assert torch.equal(sure[:, :, 1:], logits[:, :, 1:])
    assert (sure[:, :, 0].softmax(1)[:, 0] == 1).all()
    wanted = torch.zeros(1, 4, dtype=torch.long)
    assert float(torch.nn.functional.cross_entropy(sure[:, :, 0], wanted)) < 1e-6
