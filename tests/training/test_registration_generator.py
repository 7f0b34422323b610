"""SynthMorph's generative model: ranges, statistics, geometry, reproducibility."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from roundoff.models.synthmorph.transform import jacobian_determinant
from roundoff.training.registration.generator import (
    Contrast,
    Generator,
    Geometry,
    draw_image,
    draw_means,
    mirror_axes,
    random_displacement,
    random_points,
    warp_map,
)
from roundoff.training.registration.noise import perlin
from roundoff.training.registration.pairs import Pairs, Source, one_hot
from roundoff.training.registration.shapes import draw_shapes

BOX = (32, 32, 32)
PLAIN = Contrast(deviation=(0, 0), blur=0.0, bias=0.0, gamma=0.0, zero_background=0.0)


def rng(*seed):
    return np.random.default_rng(seed or 0)


@pytest.fixture(scope="module")
def labels():
    return draw_shapes(BOX, rng(1), 8, (3, 5))


@given(st.integers(0, 999))
@settings(max_examples=10, deadline=None)
def test_images_range_over_exactly_0_to_1(seed):
    random = rng(seed)
    maps = draw_shapes((16, 16, 16), random, 6)
    means = draw_means(7, Contrast(), random, None)
    image = draw_image(maps, means, Contrast(), random)
    assert image.dtype == torch.float32
    assert image.min() == 0
    assert image.max() == 1


def test_means_are_uniform_and_the_background_is_often_zero():
    drawn = np.array([draw_means(5, Contrast(), rng(i), None) for i in range(2000)])
    inside = drawn[:, 1:]
    assert inside.min() >= 25
    assert inside.max() <= 225
    assert inside.mean() == pytest.approx(125, abs=3)
    assert inside.std() == pytest.approx(200 / 12**0.5, rel=0.03)
    zero = drawn[:, 0] == 0
    assert zero.mean() == pytest.approx(0.2, abs=0.03)
    assert drawn[~zero, 0].mean() == pytest.approx(112.5, abs=6)


def test_means_of_the_second_image_stay_near_the_first_when_asked():
    near = np.array([0.0, 50, 150])
    drawn = draw_means(3, Contrast(jitter=1.0), rng(1), near)
    assert drawn[0] == 0
    assert np.abs(drawn - near).max() < 5


def test_noise_within_a_label_has_its_deviation(labels):
    ranges = Contrast(deviation=(20, 20), blur=0.0, bias=0.0, gamma=0.0)
    means = np.full(9, 120.0)
    means[1] = 60.0
    image = draw_image(labels, means, ranges, rng(2))
    # Minimum and maximum are stretched to 0 and 1: deviations keep their ratio.
    gap = image[labels > 1].mean() - image[labels == 1].mean()
    assert image[labels > 1].std() / gap == pytest.approx(20 / 60, rel=0.05)


def test_without_noise_an_image_is_its_means(labels):
    means = np.linspace(0, 200, 9)
    image = draw_image(labels, means, PLAIN, rng(0))
    assert np.allclose(image, (means / 200)[labels], atol=1e-6)


def test_blur_widens_an_edge_by_its_sigma():
    maps = np.ones((4, 4, 64), np.uint8)
    maps[..., 32:] = 2
    random = rng(3)
    sigma = np.random.default_rng((3,))
    sigma.uniform(0, 0, 3), sigma.standard_normal(maps.shape, np.float32)
    sigma = sigma.uniform(0, 2.0)
    ranges = Contrast(deviation=(0, 0), blur=2.0, bias=0.0, gamma=0.0)
    line = draw_image(maps, np.array([0.0, 50, 200]), ranges, random)[2, 2]
    slope = line.diff()
    middle = (slope * torch.arange(63)).sum()
    spread = ((torch.arange(63) - middle) ** 2 * slope).sum().sqrt()
    assert spread == pytest.approx(sigma, rel=0.05)


def test_gamma_and_bias_follow_their_deviation():
    maps = np.ones((8, 8, 8), np.uint8)
    maps[:, :, :3] = 2
    maps[0], maps[1] = 0, 3
    means = np.array([0.0, 100, 100, 200])
    ranges = Contrast(deviation=(0, 0), blur=0.0, bias=0.0, gamma=0.25)
    middles = [
        float(draw_image(maps, means, ranges, rng(i))[4, 4, 4]) for i in range(400)
    ]
    exponents = np.log(np.log(middles) / np.log(0.5))  # log of the exponent of 1/2
    assert exponents.mean() == pytest.approx(0, abs=0.04)
    assert exponents.std() == pytest.approx(0.25, rel=0.1)


def test_perlin_noise_has_its_deviation_on_the_knots_and_is_smooth():
    field = perlin((33, 33, 33), 16, 2.0, rng(1), channels=200)
    knots = field[:, ::16, ::16, ::16]
    assert knots.shape[1:] == (3, 3, 3)
    assert knots.std() == pytest.approx(2.0, rel=0.03)
    second = field.diff(dim=1).diff(dim=1)
    assert second[:, 0:14].abs().max() < 1e-4  # linear between knots


def test_velocity_deviation_is_uniform_up_to_its_limit():
    ranges = Geometry(velocity=0.5, scale=16)
    drawn = [random_displacement((64, 64, 64), ranges, rng(i)) for i in range(12)]
    sizes = [float(d.abs().max()) for d in drawn]
    assert max(sizes) < 2 * 0.5 * 4.5  # twice (half resolution) a few deviations
    assert min(sizes) < 0.5 * max(sizes)
    for field in drawn:
        assert (jacobian_determinant(field) > 0).all()


def test_without_deformation_points_are_the_grid(labels):
    still = Geometry(velocity=0.0, flip=0.0)
    points = random_points(BOX, still, rng(0))
    assert torch.allclose(points[3, 5, 7], torch.tensor([3.0, 5, 7]), atol=1e-5)
    assert np.array_equal(warp_map(labels, points), labels)


def test_affine_part_moves_points_within_its_ranges():
    ranges = Geometry(velocity=0.0, shift=2.0, flip=0.0)
    moved = [random_points(BOX, ranges, rng(i))[16, 16, 16] for i in range(50)]
    shift = torch.stack(moved) - 16
    assert shift.abs().max() <= 2
    assert shift.std() == pytest.approx(4 / 12**0.5, rel=0.2)


@given(st.integers(0, 999))
@settings(max_examples=10, deadline=None)
def test_warped_labels_are_a_subset(seed):
    random = rng(seed)
    maps = draw_shapes((16, 16, 16), random, 5)
    points = random_points(maps.shape, Geometry(velocity=3, scale=4, shift=3), random)
    warped = warp_map(maps, points)
    assert warped.dtype == np.uint8
    assert set(np.unique(warped)) <= set(np.unique(maps)) | {0}


def test_flips_have_their_probability():
    axes = [mirror_axes(Geometry(flip=0.3), rng(i)) for i in range(1000)]
    for axis in range(3):
        assert np.mean([axis in a for a in axes]) == pytest.approx(0.3, abs=0.05)


def test_pairs_are_a_function_of_seed_and_number():
    source = Source(8, shape=BOX)
    one, two = (Pairs([source], seed=5).draw(3) for _ in range(2))
    assert torch.equal(one.images, two.images)
    assert np.array_equal(one.labels, two.labels)
    for other in (Pairs([source], seed=6).draw(3), Pairs([source], seed=5).draw(4)):
        assert not torch.equal(one.images, other.images)
    assert one.images.shape == (2, *BOX)
    assert one.origins.shape == (2, 3, 16, 16, 16)


def test_origins_say_where_both_images_come_from(labels):
    generator = Generator(Geometry(velocity=0, shift=3, flip=0.0), PLAIN)
    pair = Pairs([Source(8, (labels,))], generator, seed=2).draw(0)
    for index in range(2):
        # The middle of the block of voxels (16..17): without deformation at 16.5.
        shift = pair.origins[index, :, 8, 8, 8] - 16.5
        where = (torch.tensor([16.0, 16, 16]) + shift).round().long()
        assert pair.labels[index][16, 16, 16] == labels[tuple(where)]


def test_heads_lose_their_outside_and_keep_their_contrast(labels):
    typical = np.linspace(0, 200, 9)
    source = Source(5, (labels,), typical)
    ranges = Generator(Geometry(velocity=0.0, flip=0.0), PLAIN)
    pair = Pairs([source], ranges, known=1.0, strip=1.0).draw(1)
    assert pair.labels.max() == 5
    assert (pair.images[0][labels > 5] == pair.images[0][labels == 0].mean()).all()


def test_one_hot_has_a_channel_per_structure(labels):
    hot = one_hot(labels[None], 8)
    assert hot.shape == (1, 8, *BOX)
    assert np.array_equal(hot.sum(1)[0], labels > 0)
    shares = one_hot(labels[None], 8, pool=2)
    assert shares.shape == (1, 8, 16, 16, 16)
    assert torch.allclose(8 * shares.sum((2, 3, 4)), hot.sum((2, 3, 4)))


def test_shapes_are_blobs_in_an_ellipsoid(labels):
    assert labels.max() == 8
    assert labels[0, 0, 0] == 0
    assert 0.2 < (labels > 0).mean() < 0.7
    same = (labels[1:] == labels[:-1]).mean()
    assert same > 0.75  # blobs, not noise
