"""Instruments act, and prove it."""

import json

import pytest
import torch

from roundoff.errors import RoundoffError
from roundoff.instruments import get_instrument
from roundoff.instruments.canary import run_canary
from roundoff.instruments.control import compare_controls


def test_unknown_instrument():
    with pytest.raises(RoundoffError, match="'magic' is unknown"):
        get_instrument("magic")


@pytest.mark.parametrize("mode", ["random", "nearness"])
def test_canary_of_the_native_instrument(mode):
    record = run_canary(get_instrument("native", mode=mode))
    assert len(set(record["Sums"])) > 1
    assert record["PerturbedOperations"] >= 999_999
    expected = {"random": 99_163, "nearness": 100_000}[mode]
    assert record["SequentialSum"] == pytest.approx(expected, abs=10)


def test_canary_of_the_control():
    record = run_canary(get_instrument("ieee"))
    assert len(set(record["Sums"])) == 1
    assert record["PerturbedOperations"] == 0


def test_a_silent_instrument_is_caught():
    native = get_instrument("native", mode="random")
    native.mode = "nearest"  # the settings promise what the kernels do not do
    native.settings = lambda: {"mode": "random"}
    with pytest.raises(RoundoffError, match="not acting"):
        run_canary(native)


def test_an_instrument_that_met_no_arithmetic_is_an_error():
    native = get_instrument("native")
    with pytest.raises(RoundoffError, match="perturbed nothing"), native.sample(1):
        torch.zeros(3).relu()


def test_an_operator_without_a_kernel_is_one_clear_error():
    native = get_instrument("native")
    with (
        pytest.raises(RoundoffError, match="no random-rounding kernel"),
        native.sample(1),
    ):
        torch.linalg.qr(torch.eye(3))


def test_evidence_counts_operations_by_name():
    with get_instrument("native").sample(1) as evidence:
        torch.ones(10) / 3
    assert evidence["perturbed_operations"] == 10
    assert "aten.div" in json.dumps(evidence["coverage"])


def test_controls_that_agree(tmp_path):
    record = {"Subject": "01", "Model": "m", "OutputSha256": {"labels": "a" * 64}}
    paths = [tmp_path / f"{i}.json" for i in range(3)]
    for path in paths:
        path.write_text(json.dumps(record))
    assert compare_controls(paths)["BitIdentical"]
