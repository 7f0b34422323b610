"""Losses that arrive whole at the dispatcher, and their gradients."""

import torch

from roundoff.rounding.dispatch import Call, operator
from roundoff.rounding.ops.arithmetic import Arithmetic

NONE, MEAN, SUM = 0, 1, 2


def reduced(r: Arithmetic, call: Call, value: torch.Tensor, reduction: int):
    """A loss per element as it is, averaged or summed."""
    if reduction == MEAN:
        return call.run(torch.ops.aten.mean.default, value)
    return r.sum(value) if reduction == SUM else value


def spread(r: Arithmetic, grad, value: torch.Tensor, reduction: int):
    """Gradient of `reduced`: divided by the number of elements for a mean."""
    return r.div(grad, float(value.numel())) if reduction == MEAN else grad


@operator("aten.mse_loss.default")
def squared_error(call: Call, x, target, reduction=MEAN):
    """(x - target)²: 1 sub, 1 mul per element, then the reduction."""
    r = Arithmetic(call)
    distance = r.sub(x, target)
    return reduced(r, call, r.mul(distance, distance), reduction)


@operator("aten.mse_loss_backward.default")
def squared_error_backward(call: Call, grad, x, target, reduction):
    """2·(x - target)·grad / n."""
    r = Arithmetic(call)
    factor = 2.0 / x.numel() if reduction == MEAN else 2.0
    return r.mul(r.mul(r.sub(x, target), factor), grad)


def _picked(x: torch.Tensor, target, weight, ignored: int):
    """Log-probability of the target class, its weight, and the valid places."""
    axis = 0 if x.dim() == 1 else 1
    valid = target != ignored
    safe = torch.where(valid, target, 0)
    value = x.gather(axis, safe.unsqueeze(axis)).squeeze(axis)
    weights = torch.ones_like(value) if weight is None else weight[safe].to(x.dtype)
    return value, torch.where(valid, weights, 0), safe, axis


@operator("aten.nll_loss_forward.default", "aten.nll_loss2d_forward.default")
def negative_log_likelihood(call: Call, x, target, weight, reduction, ignored):
    """-w·x[target], summed (over the sum of the weights for a mean)."""
    r = Arithmetic(call)
    value, weights, _, _ = _picked(x, target, weight, ignored)
    loss = -value if weight is None else r.mul(-value, weights)
    loss = torch.where(weights == 0, 0, loss)
    if reduction == NONE:
        call.count(0)
        return loss, x.new_zeros(())
    total = r.sum(loss)
    mass = weights.sum() if weight is None else r.sum(weights)
    call.count(0)
    return (r.div(total, mass) if reduction == MEAN else total), mass


@operator("aten.nll_loss_backward.default", "aten.nll_loss2d_backward.default")
def negative_log_likelihood_backward(
    call: Call, grad, x, target, weight, reduction, ignored, total_weight
):
    """-w·grad (over the sum of the weights) at the target class, zero elsewhere."""
    r = Arithmetic(call)
    _, weights, safe, axis = _picked(x, target, weight, ignored)
    if reduction == MEAN:
        grad = r.div(grad, total_weight)
    value = -grad.expand(weights.shape)
    value = (
        torch.where(weights == 0, 0, value) if weight is None else r.mul(value, weights)
    )
    call.count(0)
    out = torch.zeros_like(x, memory_format=torch.contiguous_format)
    return out.scatter(axis, safe.unsqueeze(axis), value.unsqueeze(axis))


@operator("aten.binary_cross_entropy.default")
def binary_cross_entropy(call: Call, x, target, weight=None, reduction=MEAN):
    """-(t·log x + (1 - t)·log(1 - x)), logarithms not below -100."""
    r = Arithmetic(call)
    log = torch.ops.aten.log.default
    yes = torch.clamp(call.run(log, x), min=-100)
    no = torch.clamp(call.run(log, r.sub(torch.ones_like(x), x)), min=-100)
    loss = r.sub(r.mul(r.sub(target, 1.0), no), r.mul(target, yes))
    return reduced(r, call, loss if weight is None else r.mul(loss, weight), reduction)


@operator("aten.binary_cross_entropy_backward.default")
def binary_cross_entropy_backward(
    call: Call, grad, x, target, weight=None, reduction=MEAN
):
    """grad·(x - t) / (x·(1 - x))."""
    r = Arithmetic(call)
    below = torch.clamp(r.mul(r.sub(torch.ones_like(x), x), x), min=1e-12)
    value = r.div(r.mul(grad, r.sub(x, target)), below)
    value = value if weight is None else r.mul(value, weight)
    return spread(r, value, x, reduction)


@operator("aten.smooth_l1_loss.default", "aten.huber_loss.default")
def smooth_error(call: Call, x, target, reduction=MEAN, width=1.0):
    """Quadratic below `width`, linear above (Huber's form is `width` times larger)."""
    r = Arithmetic(call)
    size = r.sub(x, target).abs()
    huber = "huber" in call.name
    inner = r.mul(r.mul(size, 0.5), size)
    outer = r.sub(size, 0.5 * width)
    if huber:
        outer = r.mul(outer, width)
    elif width > 0:
        inner = r.div(inner, width)
    value = torch.where(size < width, inner, outer)
    return reduced(r, call, value, reduction)


@operator("aten.smooth_l1_loss_backward.default", "aten.huber_loss_backward.default")
def smooth_error_backward(call: Call, grad, x, target, reduction, width):
    """Gradient of `smooth_error`."""
    r = Arithmetic(call)
    distance = r.sub(x, target)
    slope = distance if "huber" in call.name else r.div(distance, width)
    bound = width if "huber" in call.name else 1.0
    edge = torch.sign(distance) * bound
    slope = torch.where(distance.abs() < width, slope, edge)
    return spread(r, r.mul(slope, grad), x, reduction)


@operator("aten.binary_cross_entropy_with_logits.default")
def binary_cross_entropy_with_logits(
    call: Call, x, target, weight=None, pos_weight=None, reduction=MEAN
):
    """(1 - t)·x - (1 + (w - 1)·t)·log sigmoid(x), w the weight of positives."""
    r = Arithmetic(call)
    log_sigmoid = call.run(torch.ops.aten.log_sigmoid_forward.default, x)[0]
    if pos_weight is not None:
        factor = r.add(r.mul(r.sub(pos_weight, 1.0), target), 1.0)
        log_sigmoid = r.mul(log_sigmoid, factor)
    rest = r.mul(r.sub(torch.ones_like(target), target), x)
    loss = r.sub(rest, log_sigmoid)
    return reduced(r, call, loss if weight is None else r.mul(loss, weight), reduction)
