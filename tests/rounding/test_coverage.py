"""The coverage report counts what was done and hides nothing."""

import json
import math

import torch
import torch.nn.functional as F
from torch import nn

from roundoff.rounding import Coverage, RandomRounding
from roundoff.rounding.coverage import EXACT, EXCLUDED, PERTURBED, UNSUPPORTED


def network():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.BatchNorm2d(2)).eval()


def test_operations_of_a_small_network_are_counted_by_hand():
    with torch.inference_mode(), RandomRounding() as rounding:
        network()(torch.randn(1, 1, 6, 6))
    totals = rounding.coverage.by_module()
    assert totals["0"]["operations"] == 2 * 16 * 9
    assert totals["1"]["operations"] == 0
    # per element one fma; per channel add, root, quotient, product, fma; eps is drawn
    assert totals["2"]["operations"] == 2 * 16 + 2 * 5 + 1
    assert rounding.coverage.fraction == 1


def test_counts_match_the_instrumented_operations_of_verrou(verrou):
    arrays, cases = verrou
    cases = cases.get("cases", cases)
    x = torch.from_numpy(arrays["torch_exp_1024/in/x"])
    with RandomRounding() as rounding:
        x.exp()
    counted = cases["torch_exp_1024"]["instrumented_operations_per_call"]
    assert rounding.coverage.operations == sum(counted.values())


def test_fraction_counts_excluded_and_unsupported_against():
    coverage = Coverage()
    assert math.isnan(coverage.fraction)
    coverage.add("mul", "a", PERTURBED, 10)
    coverage.add("relu", "a", EXACT)
    assert coverage.fraction == 1
    coverage.add("mul", "b", EXCLUDED)
    coverage.add("odd", "b", UNSUPPORTED)
    assert coverage.fraction == 1 / 3
    assert coverage.calls(PERTURBED) == 1
    assert [line.operator for line in coverage.unsupported] == ["odd"]


def test_as_dict_survives_json_and_names_the_settings():
    with torch.no_grad(), RandomRounding("sr", seed=3, sample=2) as rounding:
        F.softmax(network()(torch.randn(1, 1, 6, 6)), 1)
    record = json.loads(json.dumps(rounding.coverage.as_dict()))
    assert record["settings"]["mode"] == "nearness"
    assert record["settings"]["seed"] == 3
    assert record["settings"]["sample"] == 2
    assert record["fraction_perturbed"] == 1
    assert record["operations_perturbed"] == rounding.coverage.operations
    assert sum(v["operations"] for v in record["by_operator"].values()) == (
        rounding.coverage.operations
    )
    assert record["orders"]  # the convolution's summation order


def test_an_empty_report_says_so():
    with RandomRounding() as rounding:
        pass
    assert rounding.coverage.as_dict()["fraction_perturbed"] is None
    assert len(rounding.coverage) == 0
    assert "0 elementary operations" in str(rounding.coverage)


def test_table_lists_operators_by_operations():
    with torch.no_grad(), RandomRounding() as rounding:
        network()(torch.randn(1, 1, 6, 6))
    lines = rounding.coverage.table().splitlines()
    assert lines[1].startswith("aten.convolution.default")
    assert any("exact" in line and "relu" in line for line in lines)


def test_each_entry_starts_a_new_report():
    rounding = RandomRounding()
    for _ in range(2):
        with rounding:
            torch.ones(10) * 0.1
        assert rounding.coverage.operations == 11
