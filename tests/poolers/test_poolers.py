"""Poolers against the published outputs, their limits and their gradients."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from roundoff import poolers as P

MATRIX = torch.arange(1.0, 17.0).reshape(1, 1, 4, 4)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(seed=0, shape=(2, 3, 6, 8), dtype=torch.float64):
    return torch.randn(shape, generator=generator(seed), dtype=dtype)


def test_mixing_gives_the_published_numbers():
    module = P.MixingPool2d(1)
    assert module.share.item() == 0.5
    want = torch.tensor([[4.75, 6.75], [12.75, 14.75]])
    assert torch.equal(module(MATRIX)[0, 0], want)


def test_gated_gives_the_published_numbers():
    weight = torch.tensor([[[0.3625, 0.4752], [0.2512, -0.3237]]])
    got = P.gated_pool2d(MATRIX, weight, torch.tensor([0.0820]), 2)
    want = torch.tensor([[5.1753, 7.7593], [13.9973, 15.9994]])
    assert torch.allclose(got[0, 0], want, atol=2e-4)


def test_mixing_goes_from_average_to_max():
    x = images()
    low, high = torch.full((3,), -60.0), torch.full((3,), 60.0)
    assert torch.allclose(P.mixing_pool2d(x, low.double(), 2), F.avg_pool2d(x, 2))
    assert torch.allclose(P.mixing_pool2d(x, high.double(), 2), F.max_pool2d(x, 2))


def test_channels_have_shares_of_their_own():
    x = images()
    mix = torch.tensor([-60.0, 0.0, 60.0], dtype=torch.float64)
    got = P.mixing_pool2d(x, mix, 2)
    assert torch.allclose(got[:, 0], F.avg_pool2d(x, 2)[:, 0])
    assert torch.allclose(got[:, 2], F.max_pool2d(x, 2)[:, 2])


@settings(max_examples=30, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    seed=st.integers(0, 99),
)
def test_mixtures_lie_between_mean_and_maximum(kernel, stride, seed):
    x = images(seed, (2, 2, 7, 5))
    mean, most = F.avg_pool2d(x, kernel, stride), F.max_pool2d(x, kernel, stride)
    weight = images(seed + 1, (2, *kernel))
    bias = images(seed + 2, (2,))
    for got in (
        P.mixing_pool2d(x, bias, kernel, stride),
        P.gated_pool2d(x, weight, bias, kernel, stride),
    ):
        assert got.shape == most.shape
        assert (got >= mean - 1e-12).all()
        assert (got <= most + 1e-12).all()


@pytest.mark.parametrize("mode", ["proportional", "softmax", "log_softmax"])
def test_stochastic_draws_cells_with_their_probability(mode):
    x = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).reshape(1, 1, 2, 2)
    many = x.expand(20000, 1, 2, 2)
    got = P.stochastic_pool2d(many, 2, mode=mode, generator=generator()).flatten()
    cells = x.flatten()
    share = cells / 6 if mode == "proportional" else torch.softmax(cells, 0)
    assert set(got.tolist()) <= set(cells.tolist())
    for value, p in zip(cells, share, strict=True):
        assert abs((got == value).float().mean() - p) < 0.015
    mean = P.stochastic_pool2d(x, 2, mode=mode, training=False)
    assert mean.item() == pytest.approx(float((share * cells).sum()), rel=1e-6)


def test_a_window_without_positive_values_is_drawn_from_evenly():
    x = torch.tensor([-1.0, -2.0, -3.0, 0.0]).reshape(1, 1, 2, 2).expand(8000, 1, 2, 2)
    got = P.stochastic_pool2d(x, 2, generator=generator()).flatten()
    for value in (-1.0, -2.0, -3.0, 0.0):
        assert abs((got == value).float().mean() - 0.25) < 0.03


def test_the_published_draws_are_possible():
    drawn = {
        tuple(P.stochastic_pool2d(MATRIX, 2, generator=generator(s)).flatten().tolist())
        for s in range(200)
    }
    cells = [{1, 2, 5, 6}, {3, 4, 7, 8}, {9, 10, 13, 14}, {11, 12, 15, 16}]
    for values in drawn:
        assert all(v in c for v, c in zip(values, cells, strict=True))
    assert len(drawn) > 60


@pytest.mark.parametrize("mode", ["proportional", "softmax", "log_softmax"])
def test_a_constant_window_gives_the_constant(mode):
    x = torch.full((1, 2, 4, 4), 0.3)
    for training in (True, False):
        got = P.stochastic_pool2d(x, 2, mode=mode, training=training)
        assert torch.allclose(got, torch.full((1, 2, 2, 2), 0.3))


def test_s3_keeps_a_product_of_rows_and_columns():
    seen = set()
    for seed in range(60):
        got = P.s3_pool2d(MATRIX, 2, first="identity", generator=generator(seed))[0, 0]
        rows, columns = (got[:, 0] - 1) // 4, (got[0] - 1) % 4
        assert torch.equal(got, rows[:, None] * 4 + columns[None] + 1)
        assert rows[0] < rows[1]
        assert columns[0] < columns[1]
        seen.add(tuple(got.flatten().tolist()))
    assert len(seen) > 20  # of 36 products
    draws = (P.s3_pool2d(MATRIX, 2, first="identity") for _ in range(400))
    assert any(d.flatten().tolist() == [2.0, 4.0, 6.0, 8.0] for d in draws)


def test_s3_takes_the_maximum_first_and_is_deterministic_in_evaluation():
    got = P.s3_pool2d(MATRIX, 2, generator=generator())
    whole = F.max_pool2d(F.pad(MATRIX, (0, 1, 0, 1)), 2, 1)
    assert set(got.flatten().tolist()) <= set(whole.flatten().tolist())
    want = F.adaptive_max_pool2d(MATRIX, (2, 2))
    assert torch.equal(P.s3_pool2d(MATRIX, 2, training=False), want)


@pytest.mark.parametrize(("length", "size"), [(8, 4), (6, 3), (7, 3), (5, 3)])
def test_s3_of_any_size_has_one_shape(length, size):
    x = images(shape=(1, 2, length, length))
    for training in (True, False):
        assert P.s3_pool2d(x, 2, training=training).shape[2:] == (size, size)


def test_s3_refuses_a_grid_below_the_stride():
    with pytest.raises(ValueError, match="grid_size 2"):
        P.S3Pool2d(3, grid_size=2)


def temperature(value, x, kernel=2):
    shape = F.max_pool2d(x, kernel).shape[1:]
    return torch.full(shape, value, dtype=x.dtype)


def test_tdgs_goes_from_max_to_average():
    x = images()
    cold = P.tdgs_pool2d(x, temperature(1e-9, x), 2, training=False)
    hot = P.tdgs_pool2d(x, temperature(1e9, x), 2, training=False)
    assert torch.allclose(cold, F.max_pool2d(x, 2), atol=1e-6)
    assert torch.allclose(hot, F.avg_pool2d(x, 2), atol=1e-6)


def test_tdgs_draws_by_temperature():
    x = torch.tensor([0.0, 1.0, 2.0, 3.0]).reshape(1, 1, 2, 2).expand(8000, 1, 2, 2)
    for value in (0.05, 1.0, 1e6):
        got = P.tdgs_pool2d(x, temperature(value, x), 2, generator=generator())
        share = torch.softmax(torch.arange(4.0) / value, 0)
        for cell, p in zip(range(4), share, strict=True):
            near = (got - cell).abs() < 1e-5
            assert abs(near.float().mean() - p) < 0.03


def test_tdgs_learns_its_shape_from_the_first_input():
    module = P.TDGSPool2d(2, initial_value=1.0)
    x = images(dtype=torch.float32)
    assert module(x).shape == (2, 3, 3, 4)
    assert module.raw.shape == (3, 3, 4)
    assert (module.raw - 1).abs().max() <= 0.5
    assert (module.temperature > 0.1 - 1e-6).all()
    with pytest.raises(ValueError, match="channels and output positions"):
        module(images(shape=(1, 3, 8, 8), dtype=torch.float32))
    module.eval()
    assert torch.equal(module(x), module(x))


def test_gradients_of_the_deterministic_poolers():
    x = images(3, (2, 2, 4, 5)).requires_grad_()
    mix, weight, bias = (
        images(s, shape).requires_grad_()
        for s, shape in ((4, (2,)), (5, (2, 2, 2)), (6, (2,)))
    )
    check = torch.autograd.gradcheck
    assert check(lambda a, m: P.mixing_pool2d(a, m, 2), (x, mix))
    assert check(lambda a, w, b: P.gated_pool2d(a, w, b, 2, 1), (x, weight, bias))
    t = (1 + images(7, (2, 2, 2)).abs()).requires_grad_()
    assert check(lambda a, u: P.tdgs_pool2d(a, u, 2, training=False), (x, t))
    for mode in ("softmax", "log_softmax"):
        assert check(
            lambda a, m=mode: P.stochastic_pool2d(a, 2, mode=m, training=False), (x,)
        )
    positive = (x.detach().abs() + 0.1).requires_grad_()  # smooth only above zero
    assert check(lambda a: P.stochastic_pool2d(a, 2, training=False), (positive,))


def test_the_gradient_of_the_share_is_what_the_formula_says():
    x, mix = images(), torch.zeros(3, dtype=torch.float64, requires_grad=True)
    P.mixing_pool2d(x, mix, 2).sum().backward()
    difference = F.max_pool2d(x, 2) - F.avg_pool2d(x, 2)
    assert torch.allclose(mix.grad, 0.25 * difference.sum((0, 2, 3)))


def test_a_drawn_cell_alone_has_a_gradient():
    x = images(dtype=torch.float32).abs().requires_grad_()
    P.stochastic_pool2d(x, 2, generator=generator()).sum().backward()
    assert x.grad.sum() == 2 * 3 * 3 * 4
    assert set(x.grad.unique().tolist()) == {0.0, 1.0}


def test_the_hard_draw_has_the_soft_gradient():
    x = images(dtype=torch.float32).requires_grad_()
    t = temperature(1.0, x).requires_grad_()
    P.tdgs_pool2d(x, t, 2, generator=generator()).sum().backward()
    assert (x.grad != 0).float().mean() > 0.9
    assert (t.grad != 0).any()


@pytest.mark.parametrize("name", P.POOLERS)
def test_every_pooler_takes_what_layers_take(name):
    module = P.make_pooler(name, 3, generator=generator())
    x = images(dtype=torch.float32).abs()
    want = module(x).shape
    assert want == (2, 3, 3, 4)
    turned = x.transpose(2, 3).contiguous().transpose(2, 3)
    assert not turned.is_contiguous()
    assert module(turned).shape == want
    assert module(x[:0]).shape == (0, 3, 3, 4)
    module.eval()
    assert torch.equal(module(x), module(x))
    assert torch.isfinite(module(x)).all()


@pytest.mark.parametrize("name", ["stochastic", "stochastic_softmax", "s3", "tdgs"])
def test_randomness_comes_from_the_generator_alone(name):
    x = images(dtype=torch.float32, shape=(2, 3, 8, 8)).abs()
    torch.manual_seed(0)
    a = P.make_pooler(name, 3, generator=generator(7))
    torch.manual_seed(0)
    b = P.make_pooler(name, 3, generator=generator(7))
    for _ in range(2):
        first = a(x)
        torch.rand(5)
        assert torch.equal(first, b(x))
    assert not torch.equal(a(x), first)


@pytest.mark.parametrize(
    ("x", "kernel", "words"),
    [
        (torch.zeros(3, 4, 4), 2, "N, C, H, W"),
        (torch.zeros(1, 1, 2, 2), 3, "does not fit"),
        (torch.zeros(1, 1, 4, 4), 0, "kernel_size"),
    ],
)
def test_wrong_arguments_are_named(x, kernel, words):
    with pytest.raises(ValueError, match=words):
        P.stochastic_pool2d(x, kernel)
    with pytest.raises(ValueError, match="unknown pooler"):
        P.make_pooler("best", 3)
