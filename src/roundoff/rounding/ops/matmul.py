"""Matrix products and what is made of them: linear layers, attention."""

import math
from typing import Any

import torch

from roundoff.rounding.dispatch import Call, operator
from roundoff.rounding.kernels import gemm as kernels
from roundoff.rounding.ops.layout import working
from roundoff.rounding.ops.pointwise import narrowed

aten = torch.ops.aten


def product(call: Call, a: torch.Tensor, b: torch.Tensor, start=None) -> torch.Tensor:
    """a @ b (+ start) of two matrices, or of two batches of matrices."""
    if not a.is_floating_point():
        return call.func(a, b)
    dtype = working(a.dtype)
    shape = (*a.shape[:-1], b.shape[-1])
    if math.prod(shape) == 0 or a.shape[-1] == 0:
        call.count(0)
        empty = torch.zeros(shape, dtype=a.dtype)
        return empty if start is None else empty + start
    arrays = [t.detach().to(dtype).numpy() for t in (a, b)]
    if start is not None:
        start = start.detach().to(dtype).expand(shape).numpy()
    plan = call.plan()
    out = kernels.matmul(*arrays, start, plan=plan)
    call.order(kernels.matmul_order(plan.order, a.shape[-1]).name)
    call.count(out.size * a.shape[-1])
    return narrowed(call, torch.from_numpy(out), a.dtype)


@operator("aten.mm.default", "aten.bmm.default")
def matrix_product(call: Call, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a @ b."""
    return product(call, a, b)


@operator("aten.addmm.default", "aten.baddbmm.default")
def add_matrix_product(call: Call, start, a, b, *, beta: Any = 1, alpha: Any = 1):
    """beta·start + alpha·(a @ b); the sums start from `start`, as MKL's C does."""
    if not a.is_floating_point():
        return call.func(start, a, b, beta=beta, alpha=alpha)
    if beta == 1 and alpha == 1:
        return product(call, a, b, start)
    value = product(call, a, b)
    if alpha != 1:
        value = call.run(aten.mul.Tensor, value, alpha)
    if beta == 0:
        return value
    if beta != 1:
        start = call.run(aten.mul.Tensor, start, beta)
    return call.run(aten.add.Tensor, value, start)


@operator("aten.addbmm.default")
def add_batch_of_products(call: Call, start, a, b, *, beta: Any = 1, alpha: Any = 1):
    """beta·start + alpha·sum over the batch of a @ b."""
    for left, right in zip(a, b, strict=True):
        start = add_matrix_product(call, start, left, right, beta=beta, alpha=alpha)
        beta = 1
    return start


@operator("aten.mv.default")
def matrix_vector(call: Call, a: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """a @ x."""
    return product(call, a, x.unsqueeze(1)).squeeze(1)


@operator("aten.addmv.default")
def add_matrix_vector(call: Call, start, a, x, *, beta: Any = 1, alpha: Any = 1):
    """beta·start + alpha·(a @ x)."""
    column = start.expand(a.shape[0]).unsqueeze(1)
    value = add_matrix_product(call, column, a, x.unsqueeze(1), beta=beta, alpha=alpha)
    return value.squeeze(1)


@operator("aten.dot.default", "aten.vdot.default")
def dot(call: Call, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Sum of x·y in the order of torch.dot."""
    if not x.is_floating_point():
        return call.func(x, y)
    dtype = working(x.dtype)
    arrays = [t.detach().to(dtype).numpy() for t in (x, y)]
    value = torch.from_numpy(kernels.dot(*arrays, plan=call.plan()))
    call.count(x.numel())
    return narrowed(call, value, x.dtype)


@operator("aten.mkldnn_linear.default", "aten._linear.default")
def onednn_linear(call: Call, x, weight, bias=None) -> torch.Tensor:
    """Linear layer of optimised models."""
    with call.mode():
        return torch.nn.functional.linear(x, weight, bias)


@operator(
    "aten.scaled_dot_product_attention.default",
    "aten._scaled_dot_product_attention_math.default",
)
def attention(
    call: Call,
    query,
    key,
    value,
    mask=None,
    dropout=0.0,
    causal=False,
    dropout_mask=None,
    *,
    scale=None,
    enable_gqa=False,
):
    """softmax(q @ kᵀ·scale + mask) @ v in its parts (the fused kernel hides them)."""
    return attention_parts(
        call, query, key, value, mask, dropout, causal, scale, enable_gqa
    )[0]


@operator("aten._scaled_dot_product_flash_attention_for_cpu.default")
def flash_attention(
    call: Call,
    query,
    key,
    value,
    dropout=0.0,
    causal=False,
    *,
    attn_mask=None,
    scale=None,
):
    """The fused kernel's result and its log-sums, computed in parts."""
    out, scores = attention_parts(
        call, query, key, value, attn_mask, dropout, causal, scale, False
    )
    return out, scores.logsumexp(-1).float()


def attention_parts(call, query, key, value, mask, dropout, causal, scale, grouped):
    """(attention, scores before softmax); the scale is split over q and k."""
    if grouped:
        key = key.repeat_interleave(query.size(-3) // key.size(-3), -3)
        value = value.repeat_interleave(query.size(-3) // value.size(-3), -3)
    root = math.sqrt(query.shape[-1] ** -0.5 if scale is None else scale)
    query = call.run(aten.mul.Tensor, query, root)
    key = call.run(aten.mul.Tensor, key.transpose(-2, -1), root)
    if causal:
        shape = (query.shape[-2], key.shape[-1])
        mask = torch.ones(shape, dtype=torch.bool).tril()
    with call.mode():
        scores = torch.matmul(query, key)
        if mask is not None and mask.dtype == torch.bool:
            scores = scores.masked_fill(~mask, -math.inf)
        elif mask is not None:
            scores = scores + mask
        weights = torch.softmax(scores, -1)
        if dropout > 0:
            weights = torch.dropout(weights, dropout, True)
        return torch.matmul(weights, value), scores
