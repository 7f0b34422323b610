"""Gradients: autograd's backward operators arrive at the dispatcher as any other."""

import math

import torch

from roundoff.rounding.dispatch import Call, operator
from roundoff.rounding.kernels import conv as kernels
from roundoff.rounding.ops.arithmetic import Arithmetic
from roundoff.rounding.ops.layout import contiguous, working
from roundoff.rounding.ops.pointwise import narrowed
from roundoff.rounding.ops.reduction import sum_over
from roundoff.rounding.ops.scatter import accumulate

aten = torch.ops.aten


# -- convolution -----------------------------------------------------------------------


@operator("aten.convolution_backward.default")
def convolution_backward(
    call: Call,
    grad,
    x,
    weight,
    bias_sizes,
    stride,
    padding,
    dilation,
    transposed,
    output_padding,
    groups,
    mask,
):
    """Gradients of a convolution for its input, weight and bias."""
    dims = weight.dim() - 2
    sizes = [
        tuple(v) * (dims if len(v) == 1 else 1) for v in (stride, padding, dilation)
    ]
    dtype = working(grad.dtype)
    arrays = [contiguous(t.to(dtype)) for t in (grad, x, weight)]
    products = grad.numel() * math.prod(weight.shape[1:])
    if transposed:
        products = x.numel() * math.prod(weight.shape[1:])
        results = _transposed_backward(call, arrays, sizes, groups, mask)
    else:
        results = kernels.convolution_backward(
            *arrays, *sizes, groups, mask, plan=call.plan()
        )
    call.count(products * (mask[0] + mask[1]) + grad.numel() * mask[2])
    return tuple(
        None if value is None else narrowed(call, torch.from_numpy(value), grad.dtype)
        for value in results
    )


def _transposed_backward(call: Call, arrays, sizes, groups, mask):
    """A transposed convolution is the adjoint of one: the roles change places."""
    grad, x, weight = arrays
    for_x = for_weight = for_bias = None
    if mask[0]:
        for_x = kernels.convolution(
            grad, weight, None, *sizes, groups, plan=call.plan()
        )
    if mask[1]:
        for_weight = kernels.convolution_backward(
            x, grad, weight, *sizes, groups, (False, True, False), plan=call.plan()
        )[1]
    if mask[2]:
        for_bias = kernels.bias_gradient(grad, plan=call.plan())
    return for_x, for_weight, for_bias


# -- normalisation ---------------------------------------------------------------------


def _channel_sum(call: Call, x: torch.Tensor) -> torch.Tensor:
    """float64 sum over all but dimension 1, rounded once to x's type."""
    dims = [d for d in range(x.dim()) if d != 1]
    return Arithmetic(call).cast(sum_over(call, x.to(torch.float64), dims), x.dtype)


@operator(
    "aten.native_batch_norm_backward.default",
)
def batch_norm_backward(
    call: Call,
    grad,
    x,
    weight,
    running_mean,
    running_var,
    mean,
    invstd,
    train,
    eps,
    mask,
):
    """(grad - mean grad - (x - mean)·k)·w/std; sums accumulate in float64."""
    r = Arithmetic(call)
    dtype = grad.dtype
    grad, x = grad.to(working(dtype)), x.to(working(dtype))
    shape = [1, -1, *[1] * (x.dim() - 2)]
    if not train:
        mean = running_mean.to(x.dtype)
        root = r.add(running_var.to(x.dtype), eps)
        invstd = r.div(torch.ones_like(root), call.run(aten.sqrt.default, root))
    centred = r.sub(x, mean.reshape(shape))
    total = _channel_sum(call, grad)
    product = _channel_sum(call, r.mul(centred, grad))
    for_x = for_weight = None
    if mask[0]:
        scale = invstd if weight is None else r.mul(invstd, weight.to(x.dtype))
        if train:
            count = float(x.numel() // x.shape[1])
            k = r.div(r.mul(r.mul(product, invstd), invstd), count)
            grad = r.sub(grad, r.div(total, count).reshape(shape))
            grad = r.sub(grad, r.mul(centred, k.reshape(shape)))
        for_x = narrowed(call, r.mul(grad, scale.reshape(shape)), dtype)
    if mask[1]:
        for_weight = r.mul(product, invstd)
    call.count(0)
    return for_x, for_weight, total if mask[2] else None


def _row_gradient(r: Arithmetic, grad, normal, rstd):
    """Gradient through (x - mean)/std along the last dimension."""
    count = float(grad.shape[-1])
    mean = r.div(r.sum(grad, [-1], True), count)
    along = r.div(r.sum(r.mul(grad, normal), [-1], True), count)
    inner = r.sub(r.sub(grad, mean), r.mul(normal, along))
    return r.mul(inner, rstd)


@operator("aten.native_layer_norm_backward.default")
def layer_norm_backward(call: Call, grad, x, shape, mean, rstd, weight, bias, mask):
    """Gradient of layer normalisation, in the parts of its formula."""
    r = Arithmetic(call)
    length = math.prod(shape)
    rows, gradient = x.reshape(-1, length), grad.reshape(-1, length)
    rstd = rstd.reshape(-1, 1)
    normal = r.mul(r.sub(rows, mean.reshape(-1, 1)), rstd)
    for_x = for_weight = for_bias = None
    if mask[0]:
        scaled = gradient if weight is None else r.mul(gradient, weight.reshape(-1))
        for_x = _row_gradient(r, scaled, normal, rstd).reshape(x.shape)
    if mask[1]:
        for_weight = r.sum(r.mul(gradient, normal), [0]).reshape(weight.shape)
    if mask[2]:
        for_bias = r.sum(gradient, [0]).reshape(bias.shape)
    call.count(0)
    return for_x, for_weight, for_bias


@operator("aten.native_group_norm_backward.default")
def group_norm_backward(
    call: Call, grad, x, mean, rstd, weight, n, channels, inner, groups, mask
):
    """Gradient of group normalisation, in the parts of its formula."""
    r = Arithmetic(call)
    rows = x.reshape(n * groups, -1)
    rstd = rstd.reshape(-1, 1)
    normal = r.mul(r.sub(rows, mean.reshape(-1, 1)), rstd)
    by_channel = grad.reshape(n, channels, -1)
    for_x = for_weight = for_bias = None
    if mask[0]:
        scaled = by_channel
        if weight is not None:
            scaled = r.mul(by_channel, weight.reshape(1, -1, 1))
        flat = scaled.reshape(n * groups, -1)
        for_x = _row_gradient(r, flat, normal, rstd).reshape(x.shape)
    if mask[1]:
        product = r.mul(by_channel, normal.reshape(n, channels, -1))
        for_weight = r.sum(product, [0, 2])
    if mask[2]:
        for_bias = r.sum(by_channel, [0, 2])
    call.count(0)
    return for_x, for_weight, for_bias


# -- activations -----------------------------------------------------------------------


@operator("aten._prelu_kernel_backward.default")
def prelu_backward(call: Call, grad, x, weight):
    """(grad or weight·grad, 0 or x·grad)."""
    r = Arithmetic(call)
    for_x = torch.where(x > 0, grad, r.mul(grad, weight))
    for_weight = torch.where(x > 0, torch.zeros_like(grad), r.mul(x, grad))
    return for_x, for_weight


@operator("aten.leaky_relu_backward.default")
def leaky_relu_backward(call: Call, grad, x, slope, is_result):
    """grad where x is positive, else slope·grad."""
    return torch.where(x > 0, grad, Arithmetic(call).mul(grad, slope))


@operator("aten.sigmoid_backward.default")
def sigmoid_backward(call: Call, grad, y):
    """grad·(1 - y)·y."""
    r = Arithmetic(call)
    return r.mul(r.mul(grad, r.sub(torch.ones_like(y), y)), y)


@operator("aten.tanh_backward.default")
def tanh_backward(call: Call, grad, y):
    """grad·(1 - y²)."""
    r = Arithmetic(call)
    return r.mul(grad, r.sub(torch.ones_like(y), r.mul(y, y)))


@operator("aten.silu_backward.default")
def silu_backward(call: Call, grad, x):
    """grad·s·(1 + x·(1 - s)), s the sigmoid."""
    r = Arithmetic(call)
    s = call.run(aten.sigmoid.default, x)
    inner = r.add(r.mul(x, r.sub(torch.ones_like(s), s)), 1.0)
    return r.mul(r.mul(grad, s), inner)


@operator("aten.gelu_backward.default")
def gelu_backward(call: Call, grad, x, *, approximate="none"):
    """Gradient of the erf form, or of the tanh form."""
    r = Arithmetic(call)
    if approximate == "none":
        cdf = r.mul(r.add(call.run(aten.erf.default, r.mul(x, 2**-0.5)), 1.0), 0.5)
        density = r.mul(r.exp(r.mul(r.mul(x, x), -0.5)), 1 / math.sqrt(2 * math.pi))
        return r.mul(grad, r.add(cdf, r.mul(x, density)))
    scale = math.sqrt(2 / math.pi)
    square = r.mul(x, x)
    turn = call.run(
        aten.tanh.default, r.mul(r.add(x, r.mul(square, x), 0.044715), scale)
    )
    left = r.mul(r.add(turn, 1.0), 0.5)
    slope = r.mul(r.add(r.mul(square, 3 * 0.044715), 1.0), scale)
    steep = r.mul(r.sub(torch.ones_like(turn), r.mul(turn, turn)), slope)
    return r.mul(grad, r.add(left, r.mul(r.mul(x, 0.5), steep)))


@operator("aten.elu_backward.default")
def elu_backward(call: Call, grad, alpha, scale, input_scale, is_result, x):
    """Gradient of ELU from its input or its result."""
    r = Arithmetic(call)
    if is_result:
        low = r.mul(r.add(x, alpha * scale), input_scale)
    else:
        inner = x if input_scale == 1 else r.mul(x, input_scale)
        low = r.mul(r.exp(inner), alpha * scale * input_scale)
    high = grad if scale == 1 else r.mul(grad, scale)
    return torch.where(x > 0, high, r.mul(grad, low))


@operator("aten.softplus_backward.default")
def softplus_backward(call: Call, grad, x, beta, threshold):
    """grad·z/(1 + z), z = exp(beta·x); grad above the threshold."""
    r = Arithmetic(call)
    scaled = r.mul(x, float(beta))
    z = r.exp(torch.clamp(scaled, max=float(threshold)))
    low = r.div(r.mul(grad, z), r.add(z, 1.0))
    return torch.where(scaled > threshold, grad, low)


@operator("aten._softmax_backward_data.default")
def softmax_backward(call: Call, grad, y, dim, dtype):
    """y·(grad - sum(grad·y))."""
    r = Arithmetic(call)
    total = r.sum(r.mul(grad, y), [dim], True)
    return narrowed(call, r.mul(r.sub(grad, total), y), dtype)


@operator("aten._log_softmax_backward_data.default")
def log_softmax_backward(call: Call, grad, y, dim, dtype):
    """grad - exp(y)·sum(grad)."""
    r = Arithmetic(call)
    total = r.sum(grad, [dim], True)
    return narrowed(call, r.sub(grad, r.mul(r.exp(y), total)), dtype)


@operator("aten.native_dropout_backward.default")
def dropout_backward(call: Call, grad, mask, scale):
    """grad·mask·scale."""
    return Arithmetic(call).mul(torch.where(mask, grad, 0), scale)


@operator("aten.native_dropout.default")
def dropout(call: Call, x, p, train):
    """Drop with PyTorch's generator, scale what stays: 1 mul."""
    if not train or p == 0:
        call.exact()
        return x.clone(), torch.ones_like(x, dtype=torch.bool)
    mask = torch.rand_like(x) >= p
    kept = torch.where(mask, x, torch.zeros_like(x))
    return (kept if p == 1 else Arithmetic(call).mul(kept, 1 / (1 - p))), mask


# -- pooling ---------------------------------------------------------------------------


def _pooled_planes(x: torch.Tensor, dims: int, indices: torch.Tensor) -> torch.Tensor:
    """Flat places of indices that count within each plane of the last `dims`."""
    size = math.prod(x.shape[-dims:])
    planes = indices.reshape(-1, math.prod(indices.shape[-dims:]))
    return planes + torch.arange(planes.shape[0])[:, None] * size


@operator(
    "aten.max_pool2d_with_indices_backward.default",
    "aten.max_pool3d_with_indices_backward.default",
)
def max_pool_backward(call: Call, grad, x, *rest):
    """Gradients added at the maxima: exact unless windows overlap."""
    dims = 3 if "3d" in call.name else 2
    places = _pooled_planes(x, dims, rest[-1])
    start = torch.zeros_like(x, memory_format=torch.contiguous_format)
    return accumulate(call, start, places, grad)


@operator(
    "aten.adaptive_max_pool2d_backward.default",
    "aten.adaptive_max_pool3d_backward.default",
)
def adaptive_max_pool_backward(call: Call, grad, x, indices):
    """Gradients added at the maxima."""
    return max_pool_backward(call, grad, x, indices)
