"""NaN operations: agreement with PyTorch, gradients, errors, no hidden state."""

import pytest
import torch
from torch.nn import functional as F

import roundoff.nan as rn
from roundoff.nan.skips import least_skipped_count

NAN = float("nan")
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def distinct(*shape, dtype=torch.float32):
    """Numbers that all differ by far more than any tolerance."""
    count = int(torch.tensor(shape).prod())
    g = torch.Generator().manual_seed(0)
    return torch.randperm(count, generator=g).reshape(shape).to(dtype)


def with_nan(*shape, share=0.3, dtype=torch.float64):
    g = torch.Generator().manual_seed(3)
    x = torch.randn(shape, generator=g, dtype=dtype)
    return torch.where(torch.rand(shape, generator=g) < share, NAN, x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dims", [2, 3])
def test_without_nan_or_ties_pools_equal_torch(dtype, dims):
    x = distinct(1, 2, *(6,) * dims, dtype=torch.float64)
    x = (x % 128 if dtype == torch.bfloat16 else x % 1024).to(dtype)
    plain = F.max_pool2d if dims == 2 else F.max_pool3d
    unplain = F.max_unpool2d if dims == 2 else F.max_unpool3d
    aggressive = rn.nan_max_pool2d if dims == 2 else rn.nan_max_pool3d
    tie = rn.tie_max_pool2d if dims == 2 else rn.tie_max_pool3d
    unpool = rn.nan_max_unpool2d if dims == 2 else rn.nan_max_unpool3d
    want, places = plain(x, 2, return_indices=True)
    values, indices = aggressive(x, 2, rtol=0.0, max_threshold=2**dims)
    assert torch.equal(values, want)
    assert torch.equal(indices, places)
    kept, first, ties = tie(x, 2, rtol=0.0, max_threshold=2**dims)
    assert torch.equal(kept, want)
    back = unpool(kept, first, ties, 2)
    assert torch.equal(back, unplain(want.float(), places, 2).to(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("padding", [0, 1, "same", "valid"])
def test_without_nan_convolution_is_torchs(dtype, padding):
    g = torch.Generator().manual_seed(2)
    x = torch.randn(2, 4, 7, 6, generator=g).to(dtype)
    w = torch.randn(6, 2, 3, 2, generator=g).to(dtype)
    got = rn.nan_conv2d(x, w, None, 1, padding, 1, 2, threshold=0.5)
    want = F.conv2d(x, w, None, 1, padding, 1, 2)
    if padding == "same":  # explicit zeros on the longer side: another summation order
        torch.testing.assert_close(got, want)
    else:
        assert torch.equal(got, want)


def test_ceil_mode_and_padding_lay_windows_as_torch_does():
    for size in range(3, 10):
        x = distinct(1, 1, size, size + 1)
        for kernel, stride, padding in [(2, 2, 0), (3, 2, 1), (3, 3, 0), (2, 3, 1)]:
            want, places = F.max_pool2d(
                x, kernel, stride, padding, ceil_mode=True, return_indices=True
            )
            got, indices = rn.nan_max_pool2d(
                x, kernel, stride, padding=padding, ceil_mode=True, rtol=0.0
            )
            assert torch.equal(got, want)
            assert torch.equal(indices, places)


def test_one_by_one_pooling_of_nan_is_nan_and_not_minus_infinity():
    x = torch.tensor([[[[NAN, 1.0], [float("-inf"), float("inf")]]]])
    values, indices = rn.nan_max_pool2d(x, 1, max_threshold=4)
    assert values.isnan().flatten().tolist() == [True, False, True, False]
    assert indices.flatten().tolist() == [0, 1, 2, 3]
    kept, _, ties = rn.tie_max_pool2d(x, 1)
    out = rn.nan_max_unpool2d(kept, indices, ties, 1)
    assert out.isnan().flatten().tolist() == [True, False, True, False]


def test_two_infinities_tie_but_are_not_close_to_finite_values():
    x = torch.tensor([[[[float("inf"), float("inf"), float("inf"), 1.0]]]])
    values, indices = rn.nan_max_pool2d(x, (1, 2), rtol=10.0)
    assert values[0, 0, 0, 0].isnan()
    assert values[0, 0, 0, 1] == float("inf")
    assert indices.flatten().tolist() == [0, 2]


def test_three_way_threshold_writes_the_first_of_two_maxima():
    x = torch.tensor([[[[5.0, 5.0], [0.0, 1.0]]]])
    kept, first, ties = rn.tie_max_pool2d(x, 2, max_threshold=2)
    out = rn.nan_max_unpool2d(kept, first, ties, 2)
    assert out.tolist() == [[[[5.0, 0.0], [0.0, 0.0]]]]


def test_the_constant_criterion_spares_windows_with_a_spread():
    x = torch.tensor([[[[5.0, 5.0, 2.0, 2.0], [0.0, 1.0, 2.0, NAN]]]])
    close, _ = rn.nan_max_pool2d(x, 2)
    constant, _ = rn.nan_max_pool2d(x, 2, criterion="constant")
    assert close.isnan().flatten().tolist() == [True, True]
    assert constant.isnan().flatten().tolist() == [False, True]


def test_large_kernels_keep_their_ties_as_booleans():
    x = torch.zeros(1, 1, 9, 9)
    kept, first, ties = rn.tie_max_pool2d(x, 9)
    assert ties.dtype == torch.bool
    assert ties.shape == (1, 1, 1, 1, 81)
    assert rn.nan_max_unpool2d(kept, first, ties, 9).isnan().all()


def test_probability_needs_its_own_generator_and_leaves_the_global_one_alone():
    x = torch.zeros(2, 3, 8, 8)
    before = torch.random.get_rng_state()
    draws = [
        rn.nan_max_pool2d(
            x, 2, nan_probability=0.5, generator=torch.Generator().manual_seed(s)
        )[0]
        for s in (7, 7, 8)
    ]
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(draws[0].isnan(), draws[1].isnan())
    assert not torch.equal(draws[0].isnan(), draws[2].isnan())
    assert 0.2 < draws[0].isnan().float().mean() < 0.8
    with pytest.raises(ValueError, match="generator"):
        rn.nan_max_pool2d(x, 2, nan_probability=0.5)
    assert torch.equal(
        rn.nan_max_pool2d(x, 2, nan_probability=0.0)[0], F.max_pool2d(x, 2)
    )


def test_convolution_gradients_are_right_and_finite():
    x = with_nan(2, 4, 5, 5)
    weight = with_nan(6, 2, 3, 3, share=0).requires_grad_()
    bias = torch.zeros(6, dtype=torch.float64, requires_grad=True)

    def finite_part(weight, bias, x=x):
        out = rn.nan_conv2d(x, weight, bias, 1, 1, 1, 2, threshold=0.4)
        return out[out.isfinite()]

    assert torch.autograd.gradcheck(finite_part, (weight, bias))
    leaf = x.clone().requires_grad_()
    finite_part(weight, bias, leaf).sum().backward()
    assert leaf.grad.isfinite().all()
    assert leaf.grad.abs().sum() > 0


def test_pool_and_unpool_gradients_reach_the_winner_alone():
    x = torch.tensor(
        [[[[1.0, 2.0, 3.0, 3.0], [NAN, 0.0, 3.0, 1.0]]]], requires_grad=True
    )
    kept, first, ties = rn.tie_max_pool2d(x, 2)
    out = rn.nan_max_unpool2d(kept, first, ties, 2)
    out[out.isfinite()].sum().backward()
    assert x.grad.tolist() == [[[[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]]
    x.grad = None
    values, _ = rn.nan_max_pool2d(x, 2)
    values[values.isfinite()].sum().backward()
    assert x.grad.tolist() == [[[[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]]


def test_strange_memory_layouts_change_nothing():
    x = with_nan(2, 4, 6, 6, dtype=torch.float32)
    w = with_nan(3, 4, 3, 3, share=0, dtype=torch.float32)
    plain = rn.nan_conv2d(x, w, threshold=0.5)
    for odd in (
        x.contiguous(memory_format=torch.channels_last),
        x.transpose(2, 3).contiguous().transpose(2, 3),
    ):
        torch.testing.assert_close(
            rn.nan_conv2d(odd, w, threshold=0.5), plain, equal_nan=True
        )
        for got, want in zip(
            rn.tie_max_pool2d(odd, 2), rn.tie_max_pool2d(x, 2), strict=True
        ):
            torch.testing.assert_close(got, want, equal_nan=True)


def test_empty_batches_pass():
    x = torch.zeros(0, 2, 4, 4)
    assert rn.nan_max_pool2d(x, 2)[0].shape == (0, 2, 2, 2)
    assert rn.nan_max_unpool2d(*rn.tie_max_pool2d(x, 2), 2).shape == x.shape
    assert rn.nan_conv2d(x, torch.zeros(3, 2, 1, 1), threshold=1).shape == (0, 3, 4, 4)


@pytest.mark.parametrize("window", [1, 9, 27, 576, 1600, 6400])
@pytest.mark.parametrize("threshold", [0.1, 0.4, 0.5, 2 / 3, 0.7, 0.9, 1.0, 1.5])
def test_the_least_skipped_count_is_the_first_that_divides_to_the_threshold(
    window, threshold
):
    least = least_skipped_count(window, threshold)
    reached = [c for c in range(window + 1) if c / window >= threshold]
    assert least == (reached[0] if reached else window + 1)


def test_modules_equal_their_functions():
    x = with_nan(2, 4, 6, 6, dtype=torch.float32)
    for module, function in [
        (rn.NaNMaxPool2d(2, rtol=1e-3), rn.nan_max_pool2d),
        (rn.TieMaxPool2d(2, rtol=1e-3), rn.tie_max_pool2d),
    ]:
        for got, want in zip(module(x), function(x, 2, rtol=1e-3), strict=True):
            torch.testing.assert_close(got, want, equal_nan=True)
    pooled = rn.tie_max_pool2d(x, 2)
    torch.testing.assert_close(
        rn.NaNMaxUnpool2d(2)(*pooled), rn.nan_max_unpool2d(*pooled, 2), equal_nan=True
    )
    conv = rn.NaNConv2d(4, 6, 3, groups=2, padding=1, threshold=0.4)
    want = rn.nan_conv2d(x, conv.weight, conv.bias, 1, 1, 1, 2, threshold=0.4)
    torch.testing.assert_close(conv(x), want, equal_nan=True)
    reflect = rn.NaNConv2d(4, 6, 3, padding=1, padding_mode="reflect", threshold=0.4)
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
    want = rn.nan_conv2d(padded, reflect.weight, reflect.bias, threshold=0.4)
    torch.testing.assert_close(reflect(x), want, equal_nan=True)


X = torch.zeros(1, 2, 4, 4)
W = torch.zeros(3, 2, 3, 3)


@pytest.mark.parametrize(
    ("call", "error", "names"),
    [
        (lambda: rn.nan_max_pool2d(X.long(), 2), TypeError, "x is torch.int64"),
        (lambda: rn.nan_max_pool2d(X[0], 2), ValueError, "unsqueeze"),
        (lambda: rn.nan_max_pool2d(X, 5), ValueError, "does not fit"),
        (lambda: rn.nan_max_pool2d(X, 2, 0), ValueError, "stride"),
        (lambda: rn.nan_max_pool2d(X, 2, padding=2), ValueError, "half"),
        (lambda: rn.nan_max_pool2d(X, 2, rtol=-1.0), ValueError, "rtol"),
        (lambda: rn.nan_max_pool2d(X, 2, atol=NAN), ValueError, "atol"),
        (lambda: rn.nan_max_pool2d(X, 2, max_threshold=0), ValueError, "max_threshold"),
        (lambda: rn.nan_max_pool2d(X, 2, max_threshold=0.5), ValueError, "not a ratio"),
        (lambda: rn.nan_max_pool2d(X, 2, nan_probability=2), ValueError, "between"),
        (lambda: rn.tie_max_pool3d(X, 2), ValueError, "5 axes"),
        (lambda: rn.tie_max_pool2d(X, 2, criterion="near"), ValueError, "criterion"),
        (lambda: rn.nan_conv2d(X, W, threshold=0.0), ValueError, "above 0"),
        (lambda: rn.nan_conv2d(X, W, threshold=NAN), ValueError, "above 0"),
        (lambda: rn.nan_conv2d(X, W), TypeError, "threshold"),
        (lambda: rn.nan_conv2d(X, W, groups=2, threshold=1), ValueError, "groups"),
        (lambda: rn.nan_conv2d(X, W, dilation=3, threshold=1), ValueError, "not fit"),
        (lambda: rn.nan_conv2d(X, W, fill="max", threshold=1), ValueError, "fill"),
        (lambda: rn.nan_conv2d(X, W, padding="no", threshold=1), ValueError, "padding"),
        (lambda: rn.count_skipped(X, (3, 2, 3, 3)), TypeError, "threshold"),
        (
            lambda: rn.merge_views([X], [1, 2], nan_policy="finite"),
            ValueError,
            "per view",
        ),
        (lambda: rn.decide(X, nan_policy="some"), ValueError, "nan_policy"),
    ],
)
def test_errors_name_the_argument(call, error, names):
    with pytest.raises(error, match=names):
        call()


def test_unpooling_refuses_what_does_not_fit():
    kept, first, ties = rn.tie_max_pool2d(distinct(1, 1, 4, 6), 2)
    with pytest.raises(ValueError, match="outside output_size"):
        rn.nan_max_unpool2d(kept, first, ties, 2, output_size=(4, 5))
    with pytest.raises(ValueError, match="in their windows"):
        rn.nan_max_unpool2d(kept, first, ties, 2, output_size=(4, 7))
    with pytest.raises(ValueError, match="ties of shape"):
        rn.nan_max_unpool2d(kept, first, ties[..., :1], 2)
    with pytest.raises(ValueError, match="indices must be int64"):
        rn.nan_max_unpool2d(kept, first.int(), ties, 2)


def test_finite_views_are_renormalised_and_nothing_is_background():
    a = torch.tensor([[[1.0, NAN, NAN]], [[4.0, 2.0, NAN]]]).transpose(0, 1)
    b = torch.tensor([[[3.0, 1.0, NAN]], [[0.0, 2.0, NAN]]]).transpose(0, 1)
    total = rn.merge_views([a, b], [0.25, 0.75], nan_policy="finite")
    assert total[0, :, 0].tolist() == [2.5, 1.0]
    assert total[0, :, 1].tolist() == [1.0, 2.0]
    assert rn.decide(total, nan_policy="finite").tolist() == [[0, 1, 0]]
    summed = sum(w * rn.clean_logits(v) for w, v in [(0.25, a), (0.75, b)])
    assert summed.argmax(1).tolist() == [[0, 1, 0]]


def test_images_state_what_replaces_nan():
    image = torch.tensor([[1.0, NAN]])
    assert rn.clean_image(image).tolist() == [[1.0, 0.0]]
    assert rn.clean_image(image, torch.tensor([[5.0, 6.0]])).tolist() == [[1.0, 6.0]]
