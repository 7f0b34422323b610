"""Every form in which an operator arrives: in place, out=, views, types, refusals."""

import pytest
import torch
import torch.nn.functional as F

from roundoff.rounding import RandomRounding, UnsupportedOperator
from roundoff.rounding.dispatch import resolve

X = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(1))
Y = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(2)) + 3


def rounded(function, **settings):
    with RandomRounding(**settings) as rounding:
        result = function()
    return result, rounding.coverage


def test_in_place_and_out_variants_give_the_bits_of_the_functional_one():
    expected, _ = rounded(lambda: X / Y)
    in_place = X.clone()
    result, coverage = rounded(lambda: in_place.div_(Y))
    assert result is in_place
    assert torch.equal(in_place, expected)
    out = torch.empty(0)
    assert rounded(lambda: torch.div(X, Y, out=out))[0] is out
    assert torch.equal(out, expected)
    assert coverage.operations == X.numel()


def test_in_place_on_a_view_changes_the_base():
    base = X.clone()
    rounded(lambda: base[:, 1].mul_(0.1))
    assert torch.equal(base[:, 0], X[:, 0])
    assert not torch.equal(base[:, 1], X[:, 1])
    torch.testing.assert_close(base[:, 1], X[:, 1] * 0.1)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.transpose(1, 3),
        lambda t: t[:, ::2, 1:],
        lambda t: t.to(memory_format=torch.channels_last),
        lambda t: t[:1].expand(3, -1, -1, -1),
    ],
)
@pytest.mark.parametrize(
    "function",
    [
        lambda t: t * 0.1,
        lambda t: t / (t.abs() + 0.5),
        lambda t: t.sum(1),
        lambda t: F.softmax(t, 1),
        lambda t: F.avg_pool2d(t, 2),
        lambda t: F.conv2d(t, torch.ones(2, t.shape[1], 2, 2) / 3),
    ],
)
def test_layout_of_the_input_does_not_change_the_control(change, function):
    x = change(X)
    plain = function(x)
    result, _ = rounded(lambda: function(x), mode="nearest")
    torch.testing.assert_close(result, plain, rtol=1e-6, atol=1e-6)
    noisy, _ = rounded(lambda: function(x), mode="random")
    assert not torch.equal(noisy, plain)
    torch.testing.assert_close(noisy, plain, rtol=1e-4, atol=1e-5)


def test_memory_format_of_elementwise_results_is_kept():
    x = X.to(memory_format=torch.channels_last)
    assert rounded(lambda: x * 0.1)[0].stride() == (x * 0.1).stride()


@pytest.mark.parametrize("shape", [(6, 1, 1), (1,), (8,), (2, 1, 8, 1), ()])
def test_broadcasting(shape):
    other = torch.rand(shape) + 0.5
    result, coverage = rounded(lambda: X / other, mode="nearest")
    assert torch.equal(result, X / other)
    assert coverage.operations == X.numel()


@pytest.mark.parametrize(
    "function",
    [
        lambda t: t + 1.5,
        lambda t: t.sum(),
        lambda t: t.mean(0),
        lambda t: F.softmax(t, 1),
        lambda t: torch.cat([t, t]),
        lambda t: t @ torch.zeros(4, 2),
    ],
)
def test_empty_tensors(function):
    x = torch.empty(0, 4)
    result, _ = rounded(lambda: function(x))
    plain = function(x)
    assert result.shape == plain.shape
    assert torch.equal(torch.nan_to_num(result), torch.nan_to_num(plain))


def test_integers_and_booleans_pass_through_unbooked():
    n = torch.arange(12).reshape(3, 4)
    results, coverage = rounded(
        lambda: (n * 3 - 1, n.sum(), n > 4, n // 5, n.cumsum(0))
    )
    for got, plain in zip(
        results, (n * 3 - 1, n.sum(), n > 4, n // 5, n.cumsum(0)), strict=True
    ):
        assert torch.equal(got, plain)
    assert coverage.operations == 0


def test_integers_divided_round_once():
    n = torch.arange(1, 500)
    result, coverage = rounded(lambda: n / 3)
    assert result.dtype == torch.float32
    assert coverage.operations == n.numel()
    assert not torch.equal(result, n / 3)


def test_float64_is_perturbed_in_its_last_bit():
    x = X.double()
    result, _ = rounded(lambda: x / 3)
    error = (result - x / 3).abs() / (x / 3).abs()
    assert 0 < error.max() <= 2**-52


@pytest.mark.parametrize(("dtype", "bits"), [(torch.float16, 11), (torch.bfloat16, 8)])
@pytest.mark.parametrize("mode", ["random", "nearness", "upward"])
def test_half_types_are_neighbours_of_the_exact_result(dtype, bits, mode):
    x, y = X.to(dtype), Y.to(dtype)
    result, _ = rounded(lambda: x * y, mode=mode)
    exact = x.double() * y.double()
    assert result.dtype == dtype
    assert ((result.double() - exact).abs() <= exact.abs() * 2.0 ** (1 - bits)).all()
    if mode == "upward":
        assert (result.double() >= exact * (1 - 1e-6 * exact.sign())).all()
    else:
        assert not torch.equal(result, x * y)


def test_narrowing_conversions_round_and_widening_ones_do_not():
    x = X.double() * 3.141592653589793
    result, coverage = rounded(lambda: x.float())
    assert coverage.operations == x.numel()
    assert ((result != x.float()).float().mean() - 0.5).abs() < 0.1
    wide, coverage = rounded(lambda: X.double())
    assert torch.equal(wide, X.double())
    assert coverage.operations == 0


def test_a_python_number_is_converted_with_one_draw_per_call():
    results = {
        rounded(lambda: torch.ones(8) * 0.1, seed=s)[0][0].item() for s in range(20)
    }
    assert len(results) == 2
    assert rounded(lambda: torch.ones(8) * 0.5)[0][0] == 0.5


@pytest.mark.parametrize(
    "function",
    [
        lambda: F.relu(X),
        lambda: F.max_pool2d(X, 2, return_indices=True)[0],
        lambda: torch.cat([X, Y], 1),
        lambda: torch.maximum(X, Y).clamp(-1, 1),
        lambda: X.flip(1).permute(0, 2, 3, 1)[..., 2],
        lambda: F.pad(X, (1, 2, 2, 1), mode="reflect"),
        lambda: torch.where(X > 0, X, Y).sort(1).values,
        lambda: -X.abs(),
        lambda: X.masked_fill(X > 1, 0.25).argmax(1),
        lambda: F.max_unpool2d(*F.max_pool2d(X, 2, return_indices=True), 2),
        lambda: F.interpolate(X, scale_factor=2),
        lambda: X.round() + 0.0,
    ],
)
def test_operators_that_do_not_round_change_nothing(function):
    assert torch.equal(rounded(function)[0], function())


def test_strict_names_operator_module_shapes_and_ways_out():
    class Determinant(torch.nn.Module):
        def forward(self, x):
            return torch.linalg.det(x)

    network = torch.nn.Sequential(torch.nn.Identity(), Determinant())
    with pytest.raises(UnsupportedOperator) as caught, RandomRounding():
        network(torch.eye(3))
    error = caught.value
    assert "linalg_det" in error.operator
    assert error.module == "1"
    assert error.shapes == [(3, 3)]
    for way_out in ("exclude", "strict=False", "supported"):
        assert way_out in str(error)
    with RandomRounding(strict=False) as rounding:
        network(torch.eye(3))
    assert [line.module for line in rounding.coverage.unsupported] == ["1"]
    assert rounding.coverage.fraction == 0
    with RandomRounding(exclude=["1"]) as rounding:
        network(torch.eye(3))
    assert rounding.coverage.calls("excluded") == 1


def test_complex_numbers_are_refused():
    z = torch.ones(2, dtype=torch.complex64)
    with pytest.raises(UnsupportedOperator, match="complex"), RandomRounding():
        z * z


def test_fused_recurrent_layers_are_refused():
    with pytest.raises(UnsupportedOperator), RandomRounding(), torch.no_grad():
        torch.nn.LSTM(4, 4)(torch.ones(2, 1, 4))


@pytest.mark.parametrize("name", ["view", "cat", "relu_", "max_pool2d_with_indices"])
def test_exact_operators_resolve_as_such(name):
    packet = getattr(torch.ops.aten, name)
    overload = getattr(packet, packet.overloads()[0])
    assert resolve(overload)[0] == "exact"


def test_requires_grad_flows_through():
    x = X.clone().requires_grad_()
    with RandomRounding():
        (F.elu(F.conv2d(x, torch.ones(2, 6, 3, 3))) ** 2).mean().backward()
    reference = X.clone().requires_grad_()
    (F.elu(F.conv2d(reference, torch.ones(2, 6, 3, 3))) ** 2).mean().backward()
    torch.testing.assert_close(x.grad, reference.grad, rtol=1e-3, atol=1e-6)
    assert not torch.equal(x.grad, reference.grad)
