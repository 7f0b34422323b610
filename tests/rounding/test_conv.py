"""Convolutions: values of every kind, gradients, invariances, errors."""

import numpy as np
import pytest
import torch

from roundoff.rounding.kernels.conv import (
    conv_transpose,
    convolution,
    convolution_backward,
    output_size,
)
from roundoff.rounding.plan import MODES, ORDERS, Plan
from roundoff.rounding.streams import stream_key

# channels in, channels out, kernel, size, stride, padding, dilation, groups, batch
CASES = {
    "1d": (3, 5, (3,), (40,), 1, 1, 1, 1, 2),
    "1d stride": (4, 6, (5,), (41,), 3, 2, 1, 2, 1),
    "2d": (6, 17, (3, 3), (20, 13), 1, 1, 1, 1, 1),
    "2d no padding": (6, 8, (3, 2), (20, 13), 1, 0, 1, 1, 1),
    "2d stride": (6, 8, (3, 3), (20, 21), 2, 1, 1, 1, 2),
    "2d dilation": (6, 8, (3, 3), (20, 21), 1, 2, 2, 1, 1),
    "2d all": (8, 12, (3, 5), (23, 21), (2, 1), (2, 3), (1, 2), 4, 2),
    "depthwise": (9, 9, (3, 3), (16, 16), 1, 1, 1, 9, 1),
    "depthwise x2": (5, 10, (3, 3), (16, 16), 2, 1, 1, 5, 1),
    "1x1": (20, 3, (1, 1), (17, 16), 1, 0, 1, 1, 1),
    "1x1 stride": (8, 6, (1, 1), (17, 16), 2, 0, 1, 1, 1),
    "3d": (3, 9, (3, 3, 3), (9, 8, 7), 1, 1, 1, 1, 1),
    "3d stride": (4, 6, (3, 2, 3), (9, 8, 7), (1, 2, 2), (1, 0, 2), 1, 2, 2),
    "one pixel": (3, 4, (3, 3), (3, 3), 1, 0, 1, 1, 1),
    "large": (24, 20, (3, 3), (40, 40), 1, 1, 1, 1, 1),
}


class Layer:
    """Random operands of one case and torch's float64 result."""

    def __init__(self, name, dtype=np.float32, transposed=False, extra=0):
        ci, co, kernel, size, *rest, groups, batch = CASES[name]
        dims = len(kernel)
        self.stride, self.padding, self.dilation = (
            v if isinstance(v, tuple) else (v,) * dims for v in rest
        )
        self.groups, self.extra = groups, (extra,) * dims
        draw = np.random.default_rng(3)
        lead = (ci, co // groups) if transposed else (co, ci // groups)
        shapes = [(batch, ci, *size), (*lead, *kernel), (co,)]
        self.x, self.w, self.b = (draw.standard_normal(s).astype(dtype) for s in shapes)
        self.transposed = transposed

    def torch(self):
        """Float64 tensors x, w, b (with gradients) and the result."""
        operands = [
            torch.from_numpy(v).double().requires_grad_()
            for v in (self.x, self.w, self.b)
        ]
        result = torch.convolution(
            *operands, self.stride, self.padding, self.dilation, self.transposed,
            self.extra, self.groups,
        )  # fmt: skip
        return operands, result

    def scale(self):
        """Result of the absolute operands: bounds the rounding errors."""
        x, w, b = (
            torch.from_numpy(np.abs(v)).double() for v in (self.x, self.w, self.b)
        )
        return torch.convolution(
            x, w, b, self.stride, self.padding, self.dilation, self.transposed,
            self.extra, self.groups,
        ).numpy()  # fmt: skip

    def ours(self, plan):
        if self.transposed:
            return conv_transpose(
                self.x, self.w, self.b, self.stride, self.padding, self.extra,
                self.groups, self.dilation, plan=plan,
            )  # fmt: skip
        return convolution(
            self.x, self.w, self.b, self.stride, self.padding, self.dilation,
            self.groups, plan=plan,
        )  # fmt: skip


def plan(mode="random", order="native", seed=1, **more):
    return Plan(mode, order, key=stream_key(seed), **more)


def assert_close(ours, exact, scale, terms):
    exact = exact.detach().numpy()
    assert ours.shape == exact.shape
    eps = np.finfo(ours.dtype).eps
    assert (np.abs(ours - exact) <= (terms + 2) * eps * scale + 1e-300).all()


@pytest.mark.parametrize("mode", ["random", "nearness", "nearest"])
@pytest.mark.parametrize("name", CASES)
def test_values(name, mode):
    layer = Layer(name)
    _, exact = layer.torch()
    assert_close(layer.ours(plan(mode)), exact, layer.scale(), layer.w[0].size)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("mode", MODES)
def test_every_order_and_mode(order, mode):
    layer = Layer("large")
    _, exact = layer.torch()
    ours = layer.ours(plan(mode, order))
    assert_close(ours, exact, layer.scale(), layer.w[0].size)
    if mode in ("upward", "downward"):
        side = 1 if mode == "upward" else -1
        assert (side * (ours - exact.detach().numpy()) > 0).all()


@pytest.mark.parametrize("mode", ["random", "nearness", "nearest"])
def test_float64(mode):
    layer = Layer("2d all", np.float64)
    _, exact = layer.torch()
    assert_close(layer.ours(plan(mode)), exact, layer.scale(), layer.w[0].size)


@pytest.mark.parametrize("order", ["native", "verrou", "mkl", "sequential"])
@pytest.mark.parametrize("name", CASES)
def test_transposed_values(name, order):
    extra = 1 if name in ("2d stride", "1d stride") else 0
    layer = Layer(name, transposed=True, extra=extra)
    _, exact = layer.torch()
    terms = layer.w[:, 0].size
    assert_close(layer.ours(plan("random", order)), exact, layer.scale(), terms)


@pytest.mark.parametrize("order", ["native", "mkl"])
@pytest.mark.parametrize("name", CASES)
def test_gradients(name, order):
    layer = Layer(name)
    operands, result = layer.torch()
    draw = np.random.default_rng(9)
    grad = draw.standard_normal(result.shape).astype(np.float32)
    result.backward(torch.from_numpy(grad).double())
    ours = convolution_backward(
        grad, layer.x, layer.w, layer.stride, layer.padding, layer.dilation,
        layer.groups, (True, True, True), plan=plan("random", order),
    )  # fmt: skip
    for gradient, operand in zip(ours, operands, strict=True):
        expected = operand.grad.numpy()
        assert gradient.shape == expected.shape
        assert gradient.dtype == np.float32
        scale = np.abs(expected).max()
        np.testing.assert_allclose(gradient, expected, atol=2e-5 * scale, rtol=2e-5)


def test_gradients_that_are_not_wanted_are_not_computed():
    layer = Layer("2d")
    grad = np.ones_like(layer.ours(plan()))
    rest = (layer.stride, layer.padding, layer.dilation, 1)
    ours = convolution_backward(
        grad, layer.x, layer.w, *rest, (False, True, False), plan=plan()
    )
    assert [g is None for g in ours] == [True, False, True]


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["2d all", "3d stride", "large"])
def test_exact_results_never_change(name, mode, transposed):
    layer = Layer(name, transposed=transposed)
    draw = np.random.default_rng(4)
    layer.x, layer.w, layer.b = (
        draw.integers(-9, 9, v.shape).astype(np.float32)
        for v in (layer.x, layer.w, layer.b)
    )
    _, exact = layer.torch()
    np.testing.assert_array_equal(layer.ours(plan(mode)), exact.detach().numpy())


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("mode", ["random", "nearness"])
@pytest.mark.parametrize("name", ["2d all", "depthwise", "3d", "large"])
def test_same_bits_for_any_number_of_threads(name, mode, transposed):
    layer = Layer(name, transposed=transposed)
    results = [layer.ours(plan(mode, threads=t)) for t in (1, 2, 5)]
    assert len({r.tobytes() for r in results}) == 1
    other = layer.ours(plan(mode, seed=2))
    assert (other != results[0]).mean() > 0.3


def test_input_may_have_any_strides():
    layer = Layer("2d")
    first = layer.ours(plan())
    layer.x = np.ascontiguousarray(layer.x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    layer.w = np.asfortranarray(layer.w)
    np.testing.assert_array_equal(layer.ours(plan()), first)


@pytest.mark.parametrize("mode", ["random", "nearness"])
def test_nan_stays_where_it_is(mode):
    layer = Layer("large")
    layer.x[0, 5, 10, 20] = np.nan
    ours = layer.ours(plan(mode))
    _, expected = layer.torch()
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(expected.detach().numpy()))


def test_sizes_follow_torch():
    assert output_size(20, kernel=3, stride=2, padding=1, dilation=1) == 10
    assert output_size(7, kernel=3, stride=1, padding=0, dilation=2) == 3


def test_errors_name_the_problem():
    layer = Layer("2d")
    one = ((1, 1), (0, 0), (1, 1))
    with pytest.raises(ValueError, match="groups=4"):
        convolution(layer.x, layer.w, None, *one, 4, plan=plan())
    with pytest.raises(ValueError, match="needs 6 input channels"):
        convolution(layer.x[:, :5], layer.w, None, *one, 1, plan=plan())
    with pytest.raises(ValueError, match="larger than input"):
        convolution(layer.x[:, :, :2], layer.w, None, *one, 1, plan=plan())
    with pytest.raises(ValueError, match="1 to 3 sizes"):
        convolution(layer.x[0, 0], layer.w[0, 0], None, *one, 1, plan=plan())
    with pytest.raises(TypeError, match="weight float64"):
        convolution(layer.x, layer.w.astype("f8"), None, *one, 1, plan=plan())
    with pytest.raises(ValueError, match="does not fit the channels"):
        conv_transpose(
            layer.x[:, :4],
            layer.w,
            None,
            (1, 1),
            (0, 0),
            (0, 0),
            1,
            (1, 1),
            plan=plan(),
        )
