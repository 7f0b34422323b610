"""The shared conformance cases: what each operation must return on known inputs."""

import json

import numpy as np
import pytest
import torch

from roundoff.nan import (
    count_skipped,
    decide,
    merge_views,
    nan_conv2d,
    nan_max_pool2d,
    nan_max_unpool2d,
    tie_max_pool2d,
    ties_to_positions,
)


def tensor(nested):
    def number(item):
        if isinstance(item, list):
            return [number(i) for i in item]
        return float("nan") if item is None else float(item)

    return torch.tensor(number(nested), dtype=torch.float32)


def same(got, want, what):
    np.testing.assert_allclose(
        got.numpy(), tensor(want).numpy(), rtol=1e-5, atol=1e-6, err_msg=what
    )


def equal(got, want, what):
    np.testing.assert_array_equal(np.asarray(got), np.asarray(want), err_msg=what)


def pool_settings(p):
    keys = ("max_threshold", "rtol", "atol")
    return (p["kernel"], p["stride"]), {k: p[k] for k in keys}


def conv_settings(p):
    keys = ("stride", "padding", "dilation", "groups", "threshold")
    return {k: p[k] for k in keys}


def aggressive(x, p, **more):
    where, settings = pool_settings(p)
    return nan_max_pool2d(x, *where, **settings, **more)


def aggressive_pool(p, inputs, target):
    more = {}
    if "uniforms" in p:
        more["uniforms"] = tensor(p["uniforms"])
        more["nan_probability"] = p["nan_probability"]
    values, indices = aggressive(tensor(inputs["x"]), p, **more)
    same(values, target["values"], "values")
    equal(indices, target["indices"], "indices")


def aggressive_pool_unpool(p, inputs, target):
    aggressive_pool(p, inputs, target)
    values, indices = aggressive(tensor(inputs["x"]), p)
    unpooled = nan_max_unpool2d(
        values, indices, None, p["kernel"], p["stride"], p["output_size"]
    )
    same(unpooled, target["unpooled"], "unpooled")


def conservative_pool_unpool(p, inputs, target):
    x = tensor(inputs["x"])
    where, settings = pool_settings(p)
    values, indices, ties = tie_max_pool2d(x, *where, **settings)
    same(values, target["values"], "values")
    written = ties_to_positions(ties, *where, x.shape[2:])
    assert written == target["write_positions"]
    firsts = indices.flatten().tolist()
    assert all(f in cells for f, cells in zip(firsts, _leaves(written), strict=True))
    unpooled = nan_max_unpool2d(values, indices, ties, *where, p["output_size"])
    same(unpooled, target["unpooled"], "unpooled")


def _leaves(nested):
    for _ in range(3):
        nested = [item for row in nested for item in row]
    return nested


def conv(p, inputs, target):
    x, weight = tensor(inputs["x"]), tensor(inputs["weight"])
    bias = tensor(inputs["bias"]) if "bias" in inputs else None
    settings = conv_settings(p)
    same(
        nan_conv2d(x, weight, bias, fill=p["fill"], **settings),
        target["output"],
        "output",
    )
    count = count_skipped(x, weight.shape, **settings)
    assert (count.skipped, count.total) == (target["skipped"], target["total"])


def skip_count(p, inputs, target):
    count = count_skipped(tensor(inputs["x"]), p["weight_shape"], **conv_settings(p))
    assert {k: getattr(count, k) for k in target} == target


def chain(p, inputs, target):
    x, skip = tensor(inputs["x"]), tensor(inputs["skip"])
    where, settings = pool_settings(p)
    if p["mode"] == "aggressive":
        values, indices = nan_max_pool2d(x, *where, **settings)
        ties = None
    else:
        values, indices, ties = tie_max_pool2d(x, *where, **settings)
    same(values, target["values"], "values")
    unpooled = nan_max_unpool2d(values, indices, ties, *where, p["output_size"])
    same(unpooled, target["unpooled"], "unpooled")
    maxout = torch.maximum(unpooled, skip)
    same(maxout, target["maxout"], "maxout")
    weight = tensor(inputs["weight"])
    bias = tensor(inputs["bias"]) if "bias" in inputs else None
    c = p["conv"]
    output = nan_conv2d(maxout, weight, bias, fill=c["fill"], **conv_settings(c))
    same(output, target["output"], "output")


def view_sum(p, inputs, target):
    views = [tensor(inputs["a"]), tensor(inputs["b"])]
    policy = p["nan_policy"]
    total = merge_views(views, p["view_weights"], nan_policy=policy)
    equal(decide(total, nan_policy=policy), target["argmax"], "argmax")


RUN = {
    "aggressive_pool": aggressive_pool,
    "aggressive_pool_probabilistic": aggressive_pool,
    "aggressive_pool_standard_unpool": aggressive_pool_unpool,
    "conservative_pool_unpool": conservative_pool_unpool,
    "nan_conv2d": conv,
    "skip_count": skip_count,
    "pool_unpool_maxout_conv": chain,
    "view_sum_argmax": view_sum,
}


@pytest.fixture(scope="module")
def cases(reference):
    return json.loads((reference / "nan_ops_cases.json").read_text())["cases"]


def test_there_are_forty_cases(cases):
    assert len(cases) == 40


@pytest.mark.parametrize("number", range(40))
def test_case(cases, number):
    case = cases[number]
    RUN[case["op"]](case["params"], case["input"], case["target"])
