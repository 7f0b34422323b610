"""Orders: mode `nearest` reproduces torch bit for bit where the order is known."""

import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from roundoff.rounding import orders
from roundoff.rounding.kernels.conv import conv_transpose, convolution
from roundoff.rounding.kernels.gemm import dot, matmul
from roundoff.rounding.orders import (
    convolution_library,
    convolution_order,
    matmul_order,
    mkl_blocks,
)
from roundoff.rounding.plan import Plan

measured_cpu = pytest.mark.skipif(
    orders._vendor() != "amd" or orders.native_instruction_set() != "avx512",
    reason="MKL's and oneDNN's native orders were measured on AMD CPUs with AVX-512",
)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("terms", "block", "expected"),
    [
        (256, 256, [256]),
        (300, 256, [150, 150]),
        (511, 256, [256, 255]),
        (512, 256, [256, 256]),
        (513, 256, [256, 129, 128]),
        (1600, 256, [256] * 5 + [160, 160]),
        (192, 192, [192]),
        (193, 192, [97, 96]),
        (384, 192, [192, 192]),
        (576, 192, [192] * 3),
        (1000, 192, [192] * 5 + [40]),
    ],
)
def test_mkl_blocks(terms, block, expected):
    assert mkl_blocks(terms, block) == expected


@pytest.mark.parametrize(
    ("shape", "kernel", "groups", "expected"),
    [
        ((1, 64, 17, 17), (3, 3), 1, "mkl"),
        ((1, 64, 18, 18), (3, 3), 1, "onednn-avx2"),
        ((2, 64, 17, 17), (3, 3), 1, "onednn-avx2"),
        ((1, 64, 17, 17), (5, 5), 1, "onednn-avx2"),
        ((1, 64, 17, 17), (3, 3), 2, "onednn-avx2"),
        ((1, 64, 256, 256), (1, 1), 1, "mkl"),
        ((1, 40, 24, 24, 24), (3, 3, 3), 1, "onednn-avx2"),
        ((1, 16, 24, 24, 24), (3, 3, 3), 1, "mkl"),
        ((1, 64, 300), (3,), 1, "mkl"),
        ((1, 64, 400), (3,), 1, "onednn-avx2"),
    ],
)
def test_routing_follows_torch(shape, kernel, groups, expected):
    assert convolution_library("verrou", shape, kernel, groups) == expected
    assert convolution_library("mkl", shape, kernel, groups) == "mkl"
    assert convolution_library("sequential", shape, kernel, groups) == "sequential"


@pytest.mark.parametrize("order", ["verrou", "onednn-avx512", "mkl", "sequential"])
@pytest.mark.parametrize("channels", [1, 3, 16, 71])
def test_orders_are_permutations_cut_into_stretches(order, channels):
    found = convolution_order(order, (1, channels, 200, 200), (3, 5), 1)
    assert sorted(found.terms) == list(range(channels * 15))
    edges = [(s.start, s.stop) for s in found.stretches]
    assert edges[0][0] == 0
    assert edges[-1][1] == channels * 15
    assert all(a[1] == b[0] for a, b in itertools.pairwise(edges))


def test_verrou_and_onednn_avx2_are_one_order():
    shape, kernel = (1, 20, 90, 90), (3, 3)
    first = convolution_order("verrou", shape, kernel, 1)
    second = convolution_order("onednn-avx2", shape, kernel, 1)
    np.testing.assert_array_equal(first.terms, second.terms)
    assert first.stretches == second.stretches
    assert not first.stretches[0].fresh  # one chain from the bias


def test_single_row_is_one_chain_under_valgrind():
    assert len(matmul_order("verrou", 1600, 1).stretches) == 1
    assert len(matmul_order("verrou", 1600, 2).stretches) == 7


# --- equal to torch -------------------------------------------------------------------


def layer(ci, co, kernel, *size, **more):
    """Channels in and out, kernel (one number for all dimensions), input size."""
    kernel = kernel if isinstance(kernel, tuple) else (kernel,) * len(size)
    return {"ci": ci, "co": co, "k": kernel, "size": size, **more}


CONVOLUTIONS = {
    "3x3": layer(16, 16, 3, 40, 40),
    "3x3 many": layer(71, 71, 3, 40, 40),
    "3x3 few in": layer(3, 64, 3, 96, 96),
    "5x5": layer(64, 24, 5, 20, 20),
    "5x5, 7 in": layer(7, 64, 5, 64, 64),
    "one out": layer(16, 1, 3, 64, 64),
    "stride": layer(32, 32, 3, 60, 60, stride=2),
    "stride, batch": {
        "ci": 64,
        "co": 64,
        "k": (3, 3),
        "size": (20, 20),
        "stride": 2,
        "n": 2,
    },
    "dilation": layer(16, 24, 3, 50, 50, dilation=2),
    "groups": layer(32, 32, 3, 40, 40, groups=4),
    "depthwise": layer(32, 32, 3, 40, 40, groups=32),
    "even kernel": layer(48, 48, 2, 40, 40),
    "row kernel": layer(16, 16, (1, 3), 64, 64),
    "small": layer(64, 64, 3, 17, 17),
    "1x1": layer(64, 33, 1, 40, 40),
    "1x1 stride": {
        "ci": 64,
        "co": 64,
        "k": (1, 1),
        "size": (64, 64),
        "stride": 2,
        "n": 2,
    },
    "1d": layer(64, 32, 3, 600),
    "1d small": layer(16, 16, 3, 512),
    "3d": layer(32, 16, 3, 30, 30, 16),
    "3d small": layer(16, 16, 3, 12, 12, 12),
    "3d batch": layer(8, 16, 3, 10, 10, 10, n=2),
    "no bias": layer(24, 24, 3, 40, 40, bias=False),
}

TRANSPOSED = {
    "2x2": layer(64, 32, 2, 16, 16, stride=2, pad=0),
    "2x2 large": {
        "ci": 64,
        "co": 32,
        "k": (2, 2),
        "size": (40, 40),
        "stride": 2,
        "pad": 0,
    },
    "3x3": layer(16, 8, 3, 40, 40, stride=2, extra=1),
    "3x3 small": {
        "ci": 16,
        "co": 8,
        "k": (3, 3),
        "size": (16, 16),
        "stride": 2,
        "extra": 1,
    },
    "4x4": layer(64, 32, 4, 40, 40, stride=2),
    "4x4 narrow": {
        "ci": 64,
        "co": 32,
        "k": (4, 4),
        "size": (40, 40),
        "stride": 2,
        "pad": 1,
    },
    "unit stride": layer(32, 16, 3, 40, 40, stride=1),
    "3d": {
        "ci": 16,
        "co": 16,
        "k": (3, 3, 3),
        "size": (16, 16, 16),
        "stride": 2,
        "n": 2,
    },
}


def tensors(case, transposed):
    draw = np.random.default_rng(len(str(case)))
    groups = case.get("groups", 1)
    first, second = case["ci"], case["co"]
    shape = (first, second // groups) if transposed else (second, first // groups)
    x = draw.standard_normal((case.get("n", 1), first, *case["size"]))
    w, b = draw.standard_normal((*shape, *case["k"])), draw.standard_normal(second)
    x, w, b = (v.astype(np.float32) for v in (x, w, b))
    return x, w, b if case.get("bias", True) else None


def equal_share(case, order, transposed=False):
    """Fraction of outputs that equal torch's, in mode nearest."""
    x, w, b = tensors(case, transposed)
    dims, groups = len(case["k"]), case.get("groups", 1)
    stride, dilation = (case.get(n, 1) for n in ("stride", "dilation"))
    extra = case.get("extra", 0)
    pads = tuple(case.get("pad", k // 2) for k in case["k"])
    plan = Plan("nearest", order)
    tx, tw, tb = (None if v is None else torch.from_numpy(v) for v in (x, w, b))
    steps, spread = (stride,) * dims, (dilation,) * dims
    more = (extra,) * dims
    expected = torch.convolution(
        tx, tw, tb, steps, pads, spread, transposed, more, groups
    )
    if transposed:
        ours = conv_transpose(x, w, b, steps, pads, more, groups, spread, plan=plan)
    else:
        ours = convolution(x, w, b, steps, pads, spread, groups, plan=plan)
    assert ours.shape == tuple(expected.shape)
    return float((ours == expected.numpy()).mean())


@measured_cpu
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_equals_torch(name):
    assert equal_share(CONVOLUTIONS[name], "native") == 1


@measured_cpu
@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_convolution_equals_torch(name):
    assert equal_share(TRANSPOSED[name], "native", transposed=True) == 1


@measured_cpu
@pytest.mark.parametrize(
    "shape", [(64, 64, 64), (33, 576, 71), (64, 1600, 128), (6, 400, 16)]
)
def test_matmul_equals_torch(shape):
    draw = np.random.default_rng(3)
    a = draw.standard_normal(shape[:2]).astype(np.float32)
    b = draw.standard_normal(shape[1:]).astype(np.float32)
    bias = draw.standard_normal(shape[2]).astype(np.float32)
    ta, tb = torch.from_numpy(a), torch.from_numpy(b)
    plan = Plan("nearest")
    np.testing.assert_array_equal(matmul(a, b, plan=plan), (ta @ tb).numpy())
    weight = torch.from_numpy(np.ascontiguousarray(b.T))
    linear = torch.nn.functional.linear(ta, weight, torch.from_numpy(bias))
    np.testing.assert_array_equal(matmul(a, b, bias, plan=plan), linear.numpy())
    batch = torch.bmm(ta[None].expand(3, -1, -1), tb[None].expand(3, -1, -1))
    ours = matmul(np.stack([a] * 3), np.stack([b] * 3), plan=plan)
    np.testing.assert_array_equal(ours, batch.numpy())


@measured_cpu
@pytest.mark.parametrize("length", [1, 3, 5, 10, 12, 16, 28, 63, 100, 1007, 10000])
def test_dot_equals_torch(length):
    draw = np.random.default_rng(length)  # MKL's order depends on the alignment
    x, y = (torch.from_numpy(draw.standard_normal(length)).float() for _ in range(2))
    ours = dot(x.numpy(), y.numpy(), plan=Plan("nearest"))
    assert ours == torch.dot(x, y).numpy()


CAPPED = """
import json, sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, {folder!r})
import test_orders as t
cases = {{n: t.equal_share(c, "native") for n, c in t.CONVOLUTIONS.items()}}
turned = {{n: t.equal_share(c, "native", True) for n, c in t.TRANSPOSED.items()}}
print(json.dumps([torch.backends.cpu.get_cpu_capability(), cases, turned]))
"""


def test_avx2_order_equals_capped_torch():
    """`onednn-avx2` in a process whose torch and oneDNN may only use AVX2."""
    environment = os.environ | {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OMP_NUM_THREADS": "1",
    }
    code = CAPPED.format(folder=os.path.dirname(__file__))
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    capability, plain, turned = json.loads(run.stdout.splitlines()[-1])
    if capability != "AVX2":
        pytest.skip(f"torch runs its {capability} kernels here, not AVX2")
    mkl = {"small", "1x1", "1d small", "3d small", "2x2", "3x3 small"}
    skipped = set() if orders._vendor() == "amd" else mkl  # MKL was measured there
    shares = {n: s for n, s in (plain | turned).items() if n not in skipped}
    assert {n: share for n, share in shares.items() if share != 1} == {}


@pytest.mark.parametrize(
    "case",
    ["torch_mm_64", "torch_mm_1600", "torch_conv3_16ch_32", "torch_conv3_64ch"],
)
def test_verrou_order_equals_what_verrou_saw(verrou, case):
    """The round-to-nearest results under Valgrind, which runs the AVX2 kernels."""
    arrays, _ = verrou
    v = {k.split("/")[-1]: a for k, a in arrays.items() if k.startswith(f"{case}/in/")}
    plan = Plan("nearest", "verrou")
    if "A" in v:
        ours = matmul(v["A"], v["B"], plan=plan)
    else:
        one = ((1, 1), (1, 1), (1, 1), 1)
        ours = convolution(v["x"], v["w"], v.get("b"), *one, plan=plan)
    np.testing.assert_array_equal(ours, arrays[f"{case}/ieee"])


@pytest.mark.parametrize("length", [100, 1000, 10000])
def test_verrou_dot_equals_what_verrou_saw(verrou, length):
    arrays, _ = verrou
    case = f"torch_dot_n_{length}"
    ours = dot(
        arrays[f"{case}/in/a"], arrays[f"{case}/in/b"], plan=Plan("nearest", "verrou")
    )
    assert ours == arrays[f"{case}/ieee"]
