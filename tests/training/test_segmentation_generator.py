"""The generator: a function of its seed, on any grid, with the labels of the head."""

import numpy as np
import pytest
import torch

from roundoff.training.segmentation.appearance import Appearance, cut_away, strip_skull
from roundoff.training.segmentation.classes import load_classes, mirror_table
from roundoff.training.segmentation.deformation import (
    Deformations,
    random_displacement,
    random_matrix,
)
from roundoff.training.segmentation.generator import Generator, Head
from roundoff.training.segmentation.pool import open_pool, write_pool

STILL = Deformations(0, 0, 0, 0, 0, velocity=0, mirror=0)


@pytest.fixture(scope="module")
def head() -> Head:
    """A ball of all classes in a bigger ball of head, on a 40 x 44 x 48 grid."""
    shape = (40, 44, 48)
    grid = np.indices(shape).reshape(3, -1).T - np.array(shape) / 2
    radius = np.linalg.norm(grid, axis=1).reshape(shape)
    sector = np.arctan2(grid[:, 1], grid[:, 2]).reshape(shape)
    count = len(load_classes())
    labels = ((sector + np.pi) / (2 * np.pi) * (count - 1)).astype(int) % (count - 1)
    labels = np.where(radius < 13, labels + 1, 0).astype(np.uint8)
    rng = np.random.default_rng(0)
    image = np.where(radius < 18, 60 + 3 * labels, 0) + rng.integers(0, 9, shape)
    return Head("ball", image.astype(np.uint8), labels)


def generator(head, **changes) -> Generator:
    return Generator([head], **({"shape": (20, 22, 24), "seed": 3} | changes))


def test_same_seed_same_volume_other_seed_other_volume(head):
    image, labels = generator(head).draw(5)
    again = generator(head).draw(5)
    assert np.array_equal(image, again[0])
    assert np.array_equal(labels, again[1])
    assert not np.array_equal(image, generator(head).draw(6)[0])
    assert not np.array_equal(image, generator(head, seed=4).draw(5)[0])


def test_volumes_have_the_grid_and_type_of_the_network(head):
    for number in range(4):
        image, labels = generator(head).draw(number)
        assert image.shape == labels.shape == (20, 22, 24)
        assert image.dtype == labels.dtype == np.uint8


def test_labels_are_classes_of_the_head(head):
    known = set(np.unique(head.labels))
    for number in range(6):
        found = set(np.unique(generator(head).draw(number)[1]))
        assert found <= known
        assert len(found) > len(known) // 2


def test_without_deformation_the_head_itself_is_sampled(head):
    still = generator(head, shape=head.labels.shape, mm=1.0, deformations=STILL)
    _, labels = still.draw(0)
    assert np.array_equal(labels, head.labels)


def test_mirrored_heads_change_sides(head):
    mirror = Deformations(0, 0, 0, 0, 0, velocity=0, mirror=1)
    drawn = generator(head, shape=head.labels.shape, mm=1.0, deformations=mirror)
    _, labels = drawn.draw(0)
    # Voxel i of the mirror shows voxel n - i of the head; voxel 0 falls outside.
    expected = mirror_table()[head.labels[:0:-1]]
    assert np.array_equal(labels[1:], expected)


def test_affine_maps_keep_their_ranges():
    rng = np.random.default_rng(1)
    for _ in range(50):
        matrix = random_matrix(rng, Deformations())
        assert 0.84**3 * 0.9**3 < np.linalg.det(matrix) < 1.16**3 * 1.1**3
        stiff = random_matrix(rng, Deformations(scale=0, stretch=0, shear=0))
        assert np.allclose(stiff @ stiff.T, np.eye(3))


def test_deformations_do_not_fold():
    for seed in range(3):
        rng = np.random.default_rng(seed)
        field = random_displacement(rng, (32, 32, 32), Deformations(), 8.0) / 8.0
        steps = [torch.diff(field, dim=d)[:, :31, :31, :31] for d in (1, 2, 3)]
        jacobian = torch.stack(steps, 1).movedim((0, 1), (-2, -1)) + torch.eye(3)
        assert (torch.linalg.det(jacobian) > 0).all()


def test_stripping_and_cutting_touch_no_brain(head):
    rng = np.random.default_rng(2)
    labels = torch.from_numpy(head.labels)
    volume = torch.ones(head.labels.shape)
    inner = labels > 0
    for change in (strip_skull, cut_away):
        for _ in range(5):
            left = change(volume, labels, rng)
            assert (left[inner] == 1).float().mean() > 0.99
            assert (left == 0).any()


def test_appearance_can_be_switched_off(head):
    plain = Appearance(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, gain=(1, 1))
    drawn = generator(
        head,
        shape=head.labels.shape,
        mm=1.0,
        deformations=STILL,
        appearance=plain,
    )
    image, _ = drawn.draw(0)
    kept = (head.labels > 0) & (image < 255)  # the rest is saturated
    ratio = image[kept] / head.smooth[kept]
    assert np.allclose(ratio, np.median(ratio), rtol=0.05)


@pytest.mark.parametrize("labels", [np.zeros((4, 4, 4)), np.ones((4, 4, 5))])
def test_heads_that_cannot_be_used_are_refused(labels):
    with pytest.raises(ValueError, match="head 'bad'"):
        Head("bad", np.ones((4, 4, 4), np.uint8), labels.astype(np.uint8))


def test_pool_holds_what_the_generator_draws(head, tmp_path):
    write_pool(generator(head), 2, tmp_path / "pool.npy")
    images, labels = open_pool(tmp_path / "pool.npy")
    drawn = generator(head).draw(1)
    assert images.shape == (2, 20, 22, 24)
    assert np.array_equal(images[1], drawn[0])
    assert np.array_equal(labels[1], drawn[1])
