"""Matrix products and dot products, every operation rounded, in MKL's order."""

import numpy as np

from roundoff.rounding.compilation import device, keep_apart, kernel
from roundoff.rounding.elementary import add, fma, mul
from roundoff.rounding.environment import NEAREST, set_rounding
from roundoff.rounding.kernels.product import Places, product
from roundoff.rounding.orders import DotOrder, dot_order, matmul_order
from roundoff.rounding.plan import Plan
from roundoff.rounding.streams import derived_key, element_word
from roundoff.rounding.threads import split_range

_FEW = 48  # columns of a tile: narrower products exchange rows and columns


def check_float(**arrays: np.ndarray | None) -> np.dtype:
    """Return the common dtype (float32 or float64); TypeError where they differ."""
    kinds = {name: a.dtype for name, a in arrays.items() if a is not None}
    if len(set(kinds.values())) != 1 or next(iter(kinds.values())) not in (
        np.float32,
        np.float64,
    ):
        listed = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        raise TypeError(f"operands must all be float32 or all float64, not {listed}")
    return next(iter(kinds.values()))


def matmul(
    a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None, *, plan: Plan
) -> np.ndarray:
    """Return a @ b (+ bias) with every multiply-add rounded by `plan`.

    `a` is (M, K) or (B, M, K), `b` (K, N) or (B, K, N), both of any strides, float32 or
    float64; `bias` broadcasts to the result. A linear layer is `matmul(x, w.T, bias)`.
    Raises ValueError for other shapes, TypeError for other dtypes.
    """
    dtype = check_float(a=a, b=b, bias=bias)
    if a.ndim != b.ndim or a.ndim not in (2, 3) or a.shape[-1] != b.shape[-2]:
        raise ValueError(f"cannot multiply shapes {a.shape} and {b.shape}")
    batched = a.ndim == 3
    a, b = (v if batched else v[None] for v in (a, b))
    if a.shape[0] != b.shape[0]:
        raise ValueError(f"batch sizes {a.shape[0]} and {b.shape[0]} differ")
    groups, rows, _ = a.shape
    columns = b.shape[2]
    out = np.zeros((groups, rows, columns), dtype)
    if bias is not None:
        out += bias
    if columns < _FEW and rows > columns:
        swapped = np.ascontiguousarray(out.transpose(0, 2, 1))
        _multiply(b.transpose(0, 2, 1), a.transpose(0, 2, 1), swapped, rows, plan)
        out = np.ascontiguousarray(swapped.transpose(0, 2, 1))
    else:
        _multiply(a, b, out, rows, plan)
    return out if batched else out[0]


def _multiply(
    a: np.ndarray, b: np.ndarray, out: np.ndarray, true_rows: int, plan: Plan
) -> None:
    rows, terms = a.shape[1:]
    columns = b.shape[2]
    # where b's columns lie apart (x @ w.T) a transposed copy is quicker than a gather
    b = np.ascontiguousarray(b)
    places = Places(
        (1, 1, 1, columns),
        (0, 0, 0, 1),
        (0, 0, 0, 1),
        row_out=columns,
        group_in=terms * columns,
        group_out=rows * columns,
    )
    offsets = np.arange(terms, dtype=np.int64) * columns
    order = matmul_order(plan.order, terms, true_rows)
    product(b.reshape(-1), offsets, places, a, order, out.reshape(-1), plan)


@device
def _dot_lanes(x, y, base, layout, key, rounder, sums):
    """Accumulate vectors; `layout` holds the fields of `DotOrder` it needs."""
    lanes, accumulators, fused, leftover, masked = layout
    full = x.size // lanes
    whole = full - full % accumulators
    for vector in range(full + 1):
        slot = vector % accumulators if vector < whole else leftover[vector - whole]
        slot = 0 if vector == full else slot
        for lane in range(lanes):
            i = vector * lanes + lane
            if i >= x.size:
                continue
            apart = masked or vector < full
            at = slot * lanes + (lane if apart else 0)
            word = element_word(key, i)
            if fused:
                sums[at] = fma(x[i], y[i], sums[at], word, 0, rounder)
            else:
                term = mul(x[i], y[i], word, 0, rounder)
                sums[at] = add(sums[at], term, word, 1, rounder)


@device
def _sum_pairwise_lanes(sums, lanes, adjacent, key, rounder):
    """Add neighbouring lanes in pairs once, then halves on halves."""
    step = 0
    width = lanes
    while width > 1:
        half = width // 2
        for lane in range(half):
            pair = adjacent and width == lanes
            first = 2 * lane if pair else lane
            second = first + 1 if pair else lane + half
            word = element_word(key, step)
            sums[lane] = add(sums[first], sums[second], word, 0, rounder)
            step += 1
        width = half
    return sums[0]


@kernel
def _dot_body(x, y, out, layout, sums, tree, adjacent, key, rounder):
    keep_apart()
    lanes = layout[0]
    _dot_lanes(x, y, 0, layout, derived_key(key, 0), rounder, sums)
    for pair in range(tree.shape[0]):
        into, of = tree[pair, 0] * lanes, tree[pair, 1] * lanes
        for lane in range(lanes):
            word = element_word(derived_key(key, 1), pair * lanes + lane)
            total = add(sums[into + lane], sums[of + lane], word, 0, rounder)
            sums[into + lane] = total
    out[0] = _sum_pairwise_lanes(sums, lanes, adjacent, derived_key(key, 2), rounder)


@kernel
def _dot(x, y, out, layout, sums, tree, adjacent, key, rounder, direction):
    set_rounding(direction)
    _dot_body(x, y, out, layout, sums, tree, adjacent, key, rounder)
    set_rounding(NEAREST)


def dot(x: np.ndarray, y: np.ndarray, *, plan: Plan) -> np.ndarray:
    """Return the dot product of two vectors as a 0-d array, in torch.dot's order."""
    dtype = check_float(x=x, y=y)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(
            f"dot needs two vectors of one length, not {x.shape}, {y.shape}"
        )
    order: DotOrder = dot_order(plan.order, dtype.itemsize)
    sums = np.zeros(order.lanes * order.accumulators, dtype)
    out = np.zeros(1, dtype)
    x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
    leftover = np.array((*order.leftover, 0), np.int64)
    layout = (order.lanes, order.accumulators, order.fused, leftover, order.masked)
    tree = np.array(order.tree, np.int64).reshape(-1, 2)

    def whole(start: int, stop: int) -> None:
        _dot(
            x, y, out, layout, sums, tree, order.adjacent, np.uint64(plan.key),
            plan.rounder, np.int32(plan.direction),
        )  # fmt: skip

    split_range(whole, 1, 1)
    return out.reshape(())
