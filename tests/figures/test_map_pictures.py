"""Maps over the anatomy: what the pixels say."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from roundoff.errors import RoundoffError
from roundoff.figures import style
from roundoff.figures.maps import View, bits_map, entropy_map, label_map
from roundoff.figures.style import Caption
from roundoff.uncertainty.significant_bits import State

CAPTION = Caption(
    "01", "UNet", "demo weights", "native", 10, "N = 10 supports p >= 0.7"
)
AFFINE = np.array(
    [[-2.0, 0, 0, 40], [0, 0, 2, -40], [0, -2, 0, 40], [0, 0, 0, 1]]
)  # LIA


def head():
    """A ball of 40^3 voxels in LIA axes."""
    grid = np.indices((40, 40, 40)) - 19.5
    return np.where((grid**2).sum(0) < 17**2, 120.0, 0.0).astype(np.float32)


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def count(image, color, tolerance=3):
    target = np.array(to_rgb(color)) * 255
    return int((np.abs(image - target) <= tolerance).all(-1).sum())


def rdylgn(bits):
    return style.bits_colormap()(bits / 24)[:3]


def draw(path, bits, **options):
    bits_map(path, bits, head(), AFFINE, CAPTION, **options)
    return pixels(path)


def test_bits_have_the_colour_of_the_fixed_scale(tmp_path):
    bits = np.where(head() > 0, 6.0, np.nan)
    image = draw(tmp_path / "a.png", bits)
    assert count(image, rdylgn(6)) > 30_000
    assert count(image, rdylgn(0)) < 1500  # the colour bar alone


def test_voxels_without_a_number_show_the_scan_not_zero(tmp_path):
    nothing = draw(tmp_path / "a.png", np.full((40, 40, 40), np.nan))
    zero = draw(tmp_path / "b.png", np.where(head() > 0, 0.0, np.nan))
    assert count(nothing, rdylgn(0)) < 1500
    assert count(zero, rdylgn(0)) > 30_000
    grey = (nothing[..., 0] == nothing[..., 1]) & (nothing[..., 1] == nothing[..., 2])
    assert grey.mean() > 0.95


def test_infinite_bits_are_transparent_too(tmp_path):
    image = draw(tmp_path / "a.png", np.full((40, 40, 40), np.inf))
    assert count(image, rdylgn(24)) < 1500


def test_identical_voxels_have_their_own_colour_and_key(tmp_path):
    bits = np.where(head() > 0, 23.0, np.nan)
    state = np.where(head() > 0, State.IDENTICAL, State.MASKED).astype(np.uint8)
    plain = draw(tmp_path / "a.png", bits)
    marked = draw(tmp_path / "b.png", bits, state=state)
    assert count(plain, style.IDENTICAL) == 0
    assert count(marked, style.IDENTICAL) > 30_000
    assert count(marked, rdylgn(23)) < 1500
    state[state == State.IDENTICAL] = State.MEASURED
    np.testing.assert_array_equal(draw(tmp_path / "c.png", bits, state=state), plain)


@pytest.mark.parametrize("convention", ["neurological", "radiological"])
def test_the_subjects_right_is_where_the_picture_says(tmp_path, convention):
    """Voxels of world x > 0 are painted: right side of a neurological picture."""
    bits = np.full((40, 40, 40), np.nan)
    bits[:20] = 12.0  # L axis: low indices lie at the subject's right
    bits[head() == 0] = np.nan
    view = View(cuts=(4, 0, 0), convention=convention)
    image = draw(tmp_path / "a.png", bits, view=view)
    axial = image[image.shape[0] // 2 :, 22:464]
    left, right = np.array_split(axial, 2, axis=1)
    colored = [count(half, rdylgn(12)) for half in (left, right)]
    if convention == "radiological":
        colored.reverse()
    assert colored[1] > 20 * max(colored[0], 1)


def test_any_orientation_of_the_same_volume_gives_the_same_picture(tmp_path):
    rng = np.random.default_rng(0)
    bits = np.where(head() > 0, rng.uniform(0, 24, (40, 40, 40)), np.nan)
    first = draw(tmp_path / "a.png", bits)
    turned = np.transpose(bits, (2, 0, 1))[:, ::-1]
    anatomy = np.transpose(head(), (2, 0, 1))[:, ::-1]
    affine = AFFINE[:, [2, 0, 1, 3]]
    affine = affine @ np.diag([1, -1, 1, 1.0])
    affine[:3, 3] = (AFFINE @ [39, 0, 0, 1])[:3]
    bits_map(tmp_path / "b.png", turned, anatomy, affine, CAPTION)
    np.testing.assert_array_equal(first, pixels(tmp_path / "b.png"))


def test_entropy_zero_is_transparent(tmp_path):
    entropy = np.zeros((40, 40, 40), np.float32)
    entropy_map(tmp_path / "a.png", entropy, head(), AFFINE, CAPTION)
    entropy[head() > 0] = np.log(10)
    entropy_map(tmp_path / "b.png", entropy, head(), AFFINE, CAPTION)
    top = (0.940015, 0.975158, 0.131326)  # the bright end of plasma
    assert count(pixels(tmp_path / "a.png"), top) < 600
    assert count(pixels(tmp_path / "b.png"), top) > 30_000


def test_labels_keep_their_colours(tmp_path):
    labels = (head() > 0).astype(np.int16) * 17
    labels[:, :20][head()[:, :20] > 0] = 900
    label_map(
        tmp_path / "a.png",
        labels,
        head(),
        AFFINE,
        CAPTION,
        names={17: "Left-Hippocampus"},
        colors={17: "#dcd814"},
    )
    image = pixels(tmp_path / "a.png")
    # Three quarters colour over the scan, which is at its white there.
    seen = 0.75 * np.array(to_rgb("#dcd814")) + 0.25
    assert count(image, seen, 4) > 10_000
    assert count(image, 0.75 * np.array(to_rgb("#999999")) + 0.25, 4) > 10_000


def test_scan_with_nan_and_without_labels_is_drawn(tmp_path):
    anatomy = head()
    anatomy[20, 20, 20] = np.nan
    none = np.zeros((40, 40, 40), np.uint8)
    path = tmp_path / "a.png"
    label_map(path, none, anatomy, AFFINE, CAPTION, names={}, colors={})
    assert path.stat().st_size > 10_000


def test_texts_of_maps_stay_on_the_page_and_apart(tmp_path, legible):
    path, bits = tmp_path / "a.png", np.where(head() > 0, 12.0, np.nan)
    state = (np.isfinite(bits) * State.IDENTICAL).astype(np.uint8)
    legible(lambda: draw(path, bits, state=state, view=View(cuts=(-14, -12, -10))))
    entropy = np.zeros(bits.shape)
    legible(lambda: entropy_map(path, entropy, head(), AFFINE, CAPTION))
    labels = np.arange(64000).reshape(bits.shape) // 800
    names = {i: f"Left-Cerebellum-White-Matter {i}" for i in range(99)}
    colors = {i: f"#{3 * i:02x}{255 - 2 * i:02x}00" for i in range(80)}
    legible(
        lambda: label_map(
            path, labels, head(), AFFINE, CAPTION, names=names, colors=colors
        )
    )


def test_bytes_of_maps_repeat(tmp_path):
    bits = np.where(head() > 0, 12.0, np.nan)
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    draw(first, bits)
    draw(second, bits)
    assert first.read_bytes() == second.read_bytes()


def test_refuses_other_grids_and_float_labels(tmp_path):
    path = tmp_path / "a.png"
    with pytest.raises(RoundoffError, match=r"bits: shape \(3, 3, 3\)"):
        draw(path, np.zeros((3, 3, 3)))
    with pytest.raises(RoundoffError, match="state: shape"):
        draw(path, head(), state=np.zeros((3, 3, 3)))
    with pytest.raises(RoundoffError, match="expected integers"):
        label_map(path, head(), head(), AFFINE, CAPTION, names={}, colors={})
    assert not path.exists()
