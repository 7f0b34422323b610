"""Training of the demo registration: maps, contrasts, pairs, loss, loop, quality."""

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from roundoff.errors import RoundoffError
from roundoff.models.synthmorph.pipeline import build
from roundoff.models.synthmorph.prepare import head_offset
from roundoff.models.synthmorph.transform import integrate, warp_image
from roundoff.rounding import RandomRounding
from roundoff.training.registration import quality
from roundoff.training.registration.contrast import draw_image, draw_means
from roundoff.training.registration.loop import Recipe, train
from roundoff.training.registration.losses import dice_loss, gradient_penalty, move
from roundoff.training.registration.maps import Family, draw_families, draw_poses
from roundoff.training.registration.pairs import Pairs, label_shares
from roundoff.training.registration.shapes import LABELS, draw_shapes
from roundoff.training.registration.weights import save_weights
from roundoff.training.segmentation.warps import exponential

BOX = (32, 32, 32)
TINY = Recipe(
    encoder=(8, 8),
    decoder=(8, 8),
    final=(),
    steps=45,
    coarse_steps=0,
    learning_rate=1e-2,
    log_every=15,
    save_every=20,
)


class OnePair:
    """The same pair at every step: what a few steps can learn."""

    def __init__(self, pair):
        self.pair = pair

    def draw(self, step, every=1):
        return self.pair


@pytest.fixture(scope="module")
def families():
    return draw_families({}, 0, 2, 3, seed=1, box=BOX)


@given(st.integers(0, 999))
@settings(max_examples=10, deadline=None)
def test_shapes_fill_an_ellipsoid_in_air(seed):
    shapes = draw_shapes(BOX, np.random.default_rng(seed))
    assert shapes.dtype == np.uint8
    assert shapes.max() <= LABELS
    assert len(np.unique(shapes)) > 5
    assert shapes[0, 0, 0] == 0
    assert (shapes > 0).mean() > 0.2


def test_poses_keep_the_labels_and_differ():
    labels = draw_shapes(BOX, np.random.default_rng(1))
    poses, points = draw_poses(labels, 2, np.random.default_rng(2))
    assert points.shape == (2, 3, 16, 16, 16)
    assert set(np.unique(poses)) <= set(np.unique(labels))
    assert (poses[0] != poses[1]).mean() > 0.02


@given(st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_images_lie_in_0_to_1_with_air_dark(seed):
    rng = np.random.default_rng(seed)
    labels = draw_shapes(BOX, rng)
    means, others = draw_means(LABELS + 1, rng)
    assert means[0] == others[0] == 0
    image = draw_image(labels, means, rng)
    assert image.min() >= 0
    assert image.max() == pytest.approx(1)


def test_pairs_are_a_function_of_seed_and_step(families):
    one, two = (Pairs(families, seed=5).draw(3) for _ in range(2))
    assert torch.equal(one.moving, two.moving)
    assert torch.equal(one.fixed_shares, two.fixed_shares)
    other = Pairs(families, seed=6).draw(3)
    assert not torch.equal(one.moving, other.moving)


def test_a_head_may_lose_what_lies_outside_its_structures():
    poses = np.zeros((2, 16, 16, 16), np.uint8)
    poses[:, 2:14, 2:14, 2:14] = 3
    poses[:, 5:11, 5:11, 5:11] = 1
    family = Family("head", poses, np.zeros((2, 3, 8, 8, 8), np.float32), 2)
    pair = Pairs([family], strip=1.0, cut=0.0).draw(0)
    assert set(np.unique(pair.moving_labels)) == {0, 1}
    assert pair.moving_shares.shape == (2, 8, 8, 8)


def test_coarse_pairs_keep_labels_and_points_together():
    labels = np.zeros((64, 64, 80), np.uint8)
    labels[20:40, 20:40, 30:50] = 1
    poses, points = draw_poses(labels, 2, np.random.default_rng(0))
    pair = Pairs([Family("shapes", poses, points, 1)]).draw(0, every=2)
    assert pair.moving.shape == (32, 32, 32)
    assert pair.moving_points.shape == (3, 16, 16, 16)
    # Where a block is all inside the structure, its points come from there (mm).
    inside = pair.fixed_shares[0] == 1
    found = pair.fixed_points[:, inside]
    low, high = found.amin(1), found.amax(1)
    assert (low >= torch.tensor([57.0, 57, 87])).all()
    assert (high <= torch.tensor([120.0, 120, 150])).all()


def test_label_shares_sum_to_the_volume():
    labels = draw_shapes(BOX, np.random.default_rng(1))
    shares = label_shares(labels, LABELS)
    counts = np.bincount(labels.ravel(), minlength=LABELS + 1)[1:]
    assert np.allclose(8 * shares.sum((1, 2, 3)), counts)


def test_dice_loss_counts_overlap_and_leaves_out_absent_structures():
    a = torch.zeros(3, 4, 4, 4)
    a[0, :2], a[1, 2:] = 1, 1
    assert dice_loss(a, a) == pytest.approx(0)
    b = torch.zeros_like(a)
    b[0, 1:3] = 1
    assert dice_loss(a[:1], b[:1]) == pytest.approx(0.5)
    assert dice_loss(0 * a, 0 * a) == 0


def test_penalty_of_a_linear_field_is_its_slope_squared_over_the_components():
    field = torch.zeros(3, 5, 5, 5)
    field[0] = 0.3 * torch.arange(5.0)[:, None, None]
    assert gradient_penalty(field) == pytest.approx(0.09 / 9)
    assert gradient_penalty(torch.full((3, 4, 4, 4), 2.0)) == 0


def test_training_warps_as_the_model_does():
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randn(3, 3, 3, 3, generator=generator)
    velocity = torch.nn.functional.interpolate(
        coarse[None], (12, 12, 12), mode="trilinear"
    )[0]
    field = integrate(velocity, 5)
    assert torch.allclose(exponential(velocity, 5), field, atol=1e-5)
    image = torch.rand(2, 12, 12, 12, generator=generator)
    assert torch.allclose(move(image, field), warp_image(image, field), atol=1e-5)


def test_same_seed_same_weights(families):
    recipe = Recipe(encoder=(2, 2), decoder=(2, 2), final=(), steps=2, coarse_steps=1)
    one, two = (train(Pairs(families), recipe).state_dict() for _ in range(2))
    assert all(torch.equal(one[k], two[k]) for k in one)


@pytest.fixture(scope="module")
def trained(families, tmp_path_factory):
    folder = tmp_path_factory.mktemp("registration")
    saved = []
    network = train(
        OnePair(Pairs(families).draw(0)),
        TINY,
        save=saved.append,
        log=folder / "log.csv",
    )
    assert len(saved) == 2
    save_weights(network, folder / "net.safetensors", {"steps": TINY.steps})
    return folder


def test_training_raises_the_overlap(trained):
    table = np.genfromtxt(trained / "log.csv", delimiter=",", names=True)
    gain = table["dice_after"] - table["dice_before"]
    assert list(table["step"]) == [15, 30, 45]
    assert gain[-1] > max(gain[0], 0.02)
    assert table["distance_ratio"][-1] < table["distance_ratio"][0]


def test_overlap_of_known_maps():
    a = np.zeros((8, 8, 8), np.uint8)
    a[:4], b = 1, np.zeros((8, 8, 8), np.uint8)
    b[2:6] = 1
    assert quality.mean_dice(a, b) == (0.5, 1)
    assert quality.mean_dice(a, a) == (1.0, 1)


def test_quality_of_shapes(trained, monkeypatch):
    monkeypatch.setattr(quality, "BOX", BOX)
    network = quality.load_network(trained / "net.safetensors")
    rows = list(quality.compare_shapes(network, 2, 99))
    assert len(rows) == 2
    for row in rows:
        assert 0 < row.before < 1
        assert 0 < row.after < 1
        assert 0 <= row.folded_percent < 100
        assert len(row.cells()) == len(quality.HEADER)


def head_scan(path, shift=0):
    volume = np.zeros((40, 40, 40), np.uint8)
    volume[8:32, 6 + shift : 34 + shift, 8:32] = 200
    volume[14:22, 14:22, 14:22] = 90
    nib.save(nib.Nifti1Image(volume, np.diag([-8.0, 8, 8, 1])), path)
    return volume


@pytest.fixture
def weights(trained, tmp_path):
    head_scan(tmp_path / "template.nii.gz")
    return {
        "network": trained / "net.safetensors",
        "template": tmp_path / "template.nii.gz",
    }


def test_the_model_on_its_own_grid_under_random_rounding(weights):
    model = build(weights, box="head", box_shape=[24, 24, 24], voxel_size=8.0)
    volume = np.zeros((32, 32, 32), np.uint8)
    volume[8:24, 5:29, 8:24] = 180
    with torch.inference_mode(), RandomRounding(seed=1, strict=True) as rounding:
        prediction = model.predict(volume, 8.0)
    assert rounding.coverage.as_dict()["fraction_perturbed"] == 1.0
    assert prediction.maps["warp"].shape == (32, 32, 32, 3)
    assert np.isfinite(prediction.maps["moved"]).sum() == 24**3


def test_a_head_lies_at_the_same_place_of_the_box_wherever_it_is():
    volume = np.zeros((40, 40, 40), np.uint8)
    volume[10:20, 8:30, 12:24] = 100
    first = head_offset(volume, (16, 16, 16))
    moved = np.roll(volume, (3, 2, -2), (0, 1, 2))
    second = head_offset(moved, (16, 16, 16))
    assert tuple(np.subtract(second, first)) == (3, 2, -2)
    with pytest.raises(RoundoffError, match="no head"):
        head_offset(np.zeros((20, 20, 20)), (16, 16, 16))


def test_box_options_go_together(weights):
    with pytest.raises(RoundoffError, match="go together"):
        build(weights, box="head")
    with pytest.raises(RoundoffError, match="go together"):
        build(weights, box_shape=[24, 24, 24])
