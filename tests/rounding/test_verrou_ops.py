"""Spread of operators and of a whole network against stored runs of the real Verrou."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from roundoff.rounding import RandomRounding

OPERATORS = {
    "torch_batch_norm_eval": lambda x, mean, var, weight, bias: F.batch_norm(
        x, mean, var, weight, bias, training=False, eps=1e-5
    ),
    "torch_exp_1024": torch.exp,
    "torch_exp_8ch": torch.exp,
    "torch_softmax_16x64": lambda x: F.softmax(x, 1),
    "torch_softmax_64ch": lambda x: F.softmax(x, 1),
    "torch_sum_1024": lambda x: x.sum((2, 3)),
    "torch_relu_add": lambda x: F.relu(x) + 0.1 * x,
}
# Relative tolerance on the average standard deviation. 3 % where the stored case has
# thousands of independent outputs; more where 8 channels share their scale and shift,
# or where there are 32 outputs.
TOLERANCE = {"torch_batch_norm_eval": 0.06, "torch_sum_1024": 0.15}
SAMPLES = 80


@pytest.fixture(autouse=True)
def one_torch_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def inputs(arrays, case):
    prefix = f"{case}/in/"
    return {
        name.removeprefix(prefix): torch.from_numpy(arrays[name])
        for name in arrays.files
        if name.startswith(prefix)
    }


def draws(function, mode, samples=SAMPLES):
    results = []
    for seed in range(samples):
        with torch.inference_mode(), RandomRounding(mode, seed=seed, order="verrou"):
            results.append(function().numpy().astype(np.float64))
    return np.stack(results)


def log_bias(runs):
    """Expectation of log(s / sigma) for a normal sample of `runs` draws."""
    half = (runs - 1) / 2
    digamma = math.log(half) - 1 / (2 * half) - 1 / (12 * half**2)
    return 0.5 * (digamma - math.log(half))


@pytest.mark.parametrize("mode", ["random", "nearness"])
@pytest.mark.parametrize("case", OPERATORS)
def test_average_standard_deviation_is_verrous(verrou, case, mode):
    arrays, cases = verrou
    values = inputs(arrays, case)
    ours = draws(lambda: OPERATORS[case](**_named(case, values)), mode)
    spread, stored = ours.std(0, ddof=1), arrays[f"{case}/{mode}/std"].astype(float)
    ulp = np.spacing(np.abs(arrays[f"{case}/ieee"])).astype(float)
    ratio = _average_ratio(spread / ulp, stored / ulp, cases, case, mode)
    assert abs(ratio - 1) < TOLERANCE.get(case, 0.03)
    if ours[0].size >= 1000 and case != "torch_batch_norm_eval":
        both = (spread > 0) & (stored > 0)
        bits = np.log2(stored[both] / spread[both])
        assert abs(np.median(bits)) < 0.1


def _named(case, values):
    return {"input": values["x"]} if case.startswith("torch_exp") else values


def _average_ratio(spread, stored, cases, case, mode):
    """Root mean square over outputs; a geometric mean where cancelled ones dominate."""
    if case not in ("torch_batch_norm_eval", "torch_sum_1024"):
        return math.sqrt(np.mean(spread**2) / np.mean(stored**2))
    runs = _runs(cases, case, mode)
    both = (spread > 0) & (stored > 0)
    logs = np.log(spread[both] / stored[both]).mean()
    return math.exp(logs - log_bias(SAMPLES) + log_bias(runs))


def _runs(cases, case, mode):
    return cases["cases"][case]["modes"][mode]["runs"]


@pytest.mark.parametrize("case", [c for c in OPERATORS if "exp" not in c])
def test_nearest_reproduces_the_ieee_run_under_valgrind(verrou, case):
    arrays, _ = verrou
    values = inputs(arrays, case)
    with torch.inference_mode(), RandomRounding("nearest", order="verrou"):
        result = OPERATORS[case](**_named(case, values)).numpy()
    assert np.array_equal(result, arrays[f"{case}/ieee"])


@pytest.mark.parametrize("case", ["torch_exp_1024", "torch_softmax_16x64"])
def test_the_map_of_mean_errors_is_verrous(verrou, case):
    """`random` is biased: where it is biased is the fingerprint of an algorithm."""
    arrays, _ = verrou
    ours = draws(
        lambda: OPERATORS[case](**_named(case, inputs(arrays, case))), "random"
    )
    exact = arrays[f"{case}/float64"]
    mine = ours.mean(0) - exact
    theirs = arrays[f"{case}/random/mean"] - exact
    scale = np.abs(exact)
    assert np.corrcoef((mine / scale).ravel(), (theirs / scale).ravel())[0, 1] > 0.8


@pytest.mark.parametrize("n", [100, 1000, 10000])
def test_stored_sums_lie_among_ours(verrou, n):
    arrays, _ = verrou
    x = torch.from_numpy(arrays[f"torch_sum_u_{n}/in/a"])
    for mode in ("random", "nearness"):
        ours = draws(x.sum, mode)
        mean = float(arrays[f"torch_sum_u_{n}/{mode}/mean"])
        stored = float(arrays[f"torch_sum_u_{n}/{mode}/std"])
        assert abs(ours.mean() - mean) < 4 * stored * math.sqrt(1 / 40 + 1 / SAMPLES)
        assert 0.6 < ours.std(ddof=1) / stored < 1.6


def block(inputs, outputs):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class UNet(nn.Module):
    """The network of the stored case `unet_transposed_64`."""

    def __init__(self, c=16):
        super().__init__()
        self.e1, self.e2 = block(1, c), block(c, 2 * c)
        self.b = block(2 * c, 4 * c)
        self.u2 = nn.ConvTranspose2d(4 * c, 2 * c, 2, 2)
        self.u1 = nn.ConvTranspose2d(2 * c, c, 2, 2)
        self.d2, self.d1 = block(4 * c, 2 * c), block(2 * c, c)
        self.o = nn.Conv2d(c, 4, 1)

    def forward(self, x):
        a = self.e1(x)
        b = self.e2(F.max_pool2d(a, 2))
        y = self.b(F.max_pool2d(b, 2))
        y = self.d2(torch.cat([self.u2(y), b], 1))
        y = self.d1(torch.cat([self.u1(y), a], 1))
        return self.o(y)


@pytest.mark.parametrize("mode", ["random", "nearness"])
def test_bits_of_a_whole_network_are_verrous(verrou, mode):
    arrays, _ = verrou
    case = "unet_transposed_64"
    values = inputs(arrays, case)
    network = UNet().eval()
    network.load_state_dict(
        {k.removeprefix("state/"): v for k, v in values.items() if "state/" in k}
    )
    ours = draws(lambda: network(values["x"]), mode, samples=20)
    spread, stored = ours.std(0, ddof=1), arrays[f"{case}/{mode}/std"].astype(float)
    assert abs(np.median(np.log2(stored / spread))) < 0.03
    assert abs(np.mean(spread**2) / np.mean(stored**2) - 1) < 0.04
