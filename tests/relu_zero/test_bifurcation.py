"""The estimator: it finds planted zeros, and only them."""

import numpy as np
import pytest
import torch
from torch import nn

from roundoff.data.classification import Split
from roundoff.relu_zero.bifurcation import (
    DTYPES,
    WideLinear,
    count_zeros,
    first_difference,
    gradients_differ,
    ieee,
    initialised,
)
from roundoff.relu_zero.data import augmented, in_order, scaled, shuffled
from roundoff.relu_zero.draws import draw_seed, draw_table
from roundoff.relu_zero.first_batch import first_batch_table
from roundoff.relu_zero.intervals import binomial_interval
from roundoff.relu_zero.networks import bare_cnn, mlp
from roundoff.relu_zero.relu import relus
from roundoff.relu_zero.under_rounding import (
    compare_draw,
    comparison_table,
    random_rounding,
    zero_masks,
)


def pixels(count, shape=(1, 6, 6), seed=0):
    random = np.random.default_rng(seed)
    images = random.integers(1, 256, (count, *shape), np.uint8)
    return Split(images, random.integers(0, 10, count, np.uint8))


def batches(dtype=torch.float32, count=40, size=8):
    split = pixels(count)
    images, labels = map(torch.from_numpy, split)
    return list(in_order(scaled(images, dtype), labels.long(), size))


def small(precision="float32", seed=0):
    return initialised(lambda: mlp((16, 16), inputs=36), seed, precision)


def plant_zero(network, data, batch, row=3, neuron=5):
    """Shift a bias so that one preactivation of one image is exactly zero.

    The bias makes up for what the product gives, so that their rounded sum is 0.
    """
    first, bias = network[:2], network[1].bias
    with torch.no_grad():
        bias[neuron] = 0
        bias[neuron] = -first(data[batch][0])[row, neuron]
        return int((first(data[batch][0]) == 0).sum())


def test_planted_zero_is_found_in_its_batch():
    network, data = small(), batches()
    assert plant_zero(network, data, batch=2) == 1
    outcome = first_difference(network, data)
    assert outcome.differs
    assert outcome.first_batch == 2
    assert outcome.images == 24
    assert outcome.inputs == 24 * 32
    assert outcome.zeros == 1


def test_without_a_zero_nothing_differs():
    outcome = first_difference(small(), batches())
    assert outcome.first_batch is None
    assert not outcome.differs
    assert (outcome.images, outcome.inputs, outcome.zeros) == (40, 40 * 32, 0)


def test_zero_whose_gradient_is_dead_does_not_count():
    network, data = small(), batches()
    plant_zero(network, data, batch=1)
    with torch.no_grad():
        network[3].weight[:, 5] = 0  # nothing of this neuron arrives above
    outcome = first_difference(network, data)
    assert outcome.zeros == 1
    assert not outcome.differs


def test_zeros_of_an_empty_background_do_not_count():
    # Without biases a patch of zeros gives zeros, whose gradients meet only zeros.
    images = torch.zeros(4, 1, 28, 28)
    images[:, :, 9:19, 9:19] = torch.rand(4, 1, 10, 10)
    network = initialised(bare_cnn, 0, "float32")
    outcome = first_difference(network, [(images, torch.arange(4))])
    assert outcome.zeros > 10_000
    assert not outcome.differs


def test_estimator_leaves_the_network_as_it_was():
    network, data = small(), batches()
    plant_zero(network, data, batch=0)
    before = [p.clone() for p in network.parameters()]
    first_difference(network, data)
    assert all(map(torch.equal, before, network.parameters()))
    assert all(p.grad is None for p in network.parameters())
    assert [r.slope for r in relus(network).values()] == [0, 0]


def test_precisions_share_their_weights():
    single, half = small("float32", 7), small("float16", 7)
    for a, b in zip(single.parameters(), half.parameters(), strict=True):
        assert b.dtype == torch.float16
        assert torch.equal(a.half(), b)
    double = small("float64", 7)
    weight = next(double.parameters()).detach()
    assert weight.dtype == torch.float64
    assert not torch.equal(weight, weight.float().double())  # drawn in float64


def test_initialising_leaves_the_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    small("float64")
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_default_dtype() == torch.float32


def test_wide_product_is_the_half_product_rounded_once():
    layer = nn.Linear(200, 40).half()
    x = torch.rand(8, 200).half()
    native = layer(x)
    layer.__class__ = WideLinear
    wide = layer(x)
    exact = x.double() @ layer.weight.double().T + layer.bias.double()
    error = (wide.double() - exact).abs()
    assert wide.dtype == torch.float16
    # half an ulp of float16, and what float32 adds to it
    assert (error <= exact.abs() * (2**-11 + 1e-5)).all()
    torch.testing.assert_close(wide, native, rtol=2**-10, atol=2**-13)


@pytest.mark.parametrize("precision", DTYPES)
def test_every_precision_runs_with_its_own_type(precision):
    network, data = small(precision), batches(DTYPES[precision])
    total, _ = count_zeros(network, data[0][0], ieee(0))
    assert total == 8 * 32
    assert gradients_differ(network, *data[0]) in (True, False)


def test_random_rounding_is_shared_by_the_passes():
    network, data = small(), batches()
    rounded = random_rounding(3)
    assert not gradients_differ(network, *data[0], rounded, 0)
    assert first_difference(network, data[:2], rounded).zeros == 0
    masks = zero_masks(network, data[0][0], rounded(0))
    assert [m.shape for m in masks] == [(8, 16), (8, 16)]


def test_random_rounding_destroys_and_keeps_zeros():
    network, data = small(), batches()
    data = data[:1] * 40  # the same batch, each time with other coins
    plant_zero(network, data, batch=0)
    table = compare_draw(network, iter(data), random_rounding(1))
    first = table.iloc[0]
    assert first["zeros"] == 40
    assert 0 < first["rounded_zeros"] < 40
    assert first["kept"] == first["rounded_zeros"]
    assert (table["first"] == 0).all()
    assert table["rounded_first"].notna().all()
    assert table["inputs"].tolist() == [40 * 8 * 16] * 2


def test_exact_sums_stay_zero_under_random_rounding():
    network = small()
    with torch.no_grad():
        for layer in (network[1], network[3]):
            layer.weight.fill_(1)
            layer.bias.zero_()
    x = torch.ones(2, 36)
    x[:, ::2] = -1
    masks = zero_masks(network, x, random_rounding(0)(0))
    assert all(mask.all() for mask in masks)


def test_table_of_draws_is_reproducible_and_splits():
    split = pixels(300, (1, 28, 28))
    whole = draw_table("width", "float16", range(3), split, 1)
    part = draw_table("width", "float16", range(2, 3), split, 1)
    assert len(whole) == 15
    again = whole[whole["draw"] == 2].reset_index(drop=True)
    assert again.equals(part)
    assert set(whole["precision"]) == {"float16"}
    found = whole["first_batch"].notna()
    assert (whole.loc[~found, "images"] == 300).all()
    assert (whole.loc[found, "zeros"] > 0).all()


def test_seeds_differ_by_point_and_draw():
    seeds = {draw_seed(1, a, v, d) for a in "xy" for v in (1, 2) for d in (0, 1)}
    assert len(seeds) == 8


def test_float64_has_no_zero():
    split = pixels(256, (1, 28, 28))
    table = draw_table("width", "float64", range(1), split, 2)
    assert table["zeros"].sum() == 0
    assert table["first_batch"].isna().all()


def test_comparison_names_layers_and_draws():
    split = pixels(300, (1, 28, 28))
    table = comparison_table("float16", range(2), split, 256, 1, "random")
    assert table["layer"].tolist() == [1, 2, 3] * 2
    assert table["draw"].tolist() == [0] * 3 + [1] * 3
    assert (table["inputs"] == 256 * 256).all()
    assert (table["images"] == 256).all()
    assert (table["kept"] <= table[["zeros", "rounded_zeros"]].min(axis=1)).all()


def test_first_batch_of_a_convolutional_network():
    split = pixels(16, (3, 32, 32))
    table = first_batch_table("resnet18_bn", "float32", range(1), split, 1, 1)
    assert table["network"].tolist() == ["resnet18_bn"]
    assert table["images"].tolist() == [16]
    # every ReLU input of ResNet18: stem and 16 more, by stage
    per_image = 64 * 1024 * 5 + 128 * 256 * 4 + 256 * 64 * 4 + 512 * 16 * 4
    assert table["inputs"].tolist() == [16 * per_image]


@pytest.mark.parametrize(
    ("count", "draws", "low", "high"),
    [
        (0, 200, 0, 1 - 0.025 ** (1 / 200)),
        (200, 200, 0.025 ** (1 / 200), 1),
        (463, 1000, 0.4317, 0.4945),
    ],
)
def test_interval_is_clopper_pearson(count, draws, low, high):
    assert binomial_interval(count, draws) == pytest.approx((low, high), abs=2e-4)


def test_scaled_is_exact_in_each_precision():
    images = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)
    assert scaled(images).flatten().tolist() == [0, torch.tensor(0.2).item(), 1]
    assert scaled(images, torch.float64).flatten().tolist() == [0, 0.2, 1]
    assert scaled(images, torch.float16).dtype == torch.float16


def test_shuffled_shows_every_image_once():
    images = torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1)
    generator = torch.Generator().manual_seed(0)
    seen = list(shuffled(images, torch.arange(10), 4, generator))
    assert [len(x) for x, _ in seen] == [4, 4, 2]
    labels = torch.cat([y for _, y in seen])
    assert sorted(labels.tolist()) == list(range(10))
    assert torch.equal(torch.cat([x for x, _ in seen]).flatten().long(), labels)


def test_augmented_moves_and_flips_but_invents_nothing():
    images = (
        torch.arange(1, 65, dtype=torch.uint8).reshape(1, 1, 8, 8).repeat(50, 1, 1, 1)
    )
    moved = augmented(images, torch.Generator().manual_seed(0))
    assert moved.shape == images.shape
    assert set(moved.unique().tolist()) <= set(range(65))
    assert len({m.numpy().tobytes() for m in moved}) > 20
