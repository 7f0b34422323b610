"""Localisation finds the layer that loses the digits."""

import math

import pytest
import torch
from torch import nn

from roundoff.rounding import RandomRounding
from roundoff.rounding import localise as lo


class Cancelling(nn.Module):
    """Adds a large constant and takes it away again: the digits go there."""

    def __init__(self, constant=1000.0):
        super().__init__()
        self.constant = constant

    def forward(self, x):
        return (x + self.constant) - self.constant


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, 8), nn.Tanh(), Cancelling(), nn.Linear(8, 8), nn.Sigmoid()
    )


X = torch.randn(16, 8, generator=torch.Generator().manual_seed(1))


def test_significant_bits_of_known_spread():
    samples = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.5, math.nan]])
    bits = lo.significant_bits(samples)
    assert bits[0] == 24
    assert bits[1].item() == pytest.approx(-math.log2(0.25 * math.sqrt(2) / 2.25))
    assert bits[2].isnan()
    with pytest.raises(ValueError, match="at least 2 samples"):
        lo.significant_bits(samples[:1])


def test_bits_per_module_fall_at_the_cancelling_layer():
    model = network()
    rows = {row.module: row for row in lo.bits_per_module(model, lambda: model(X), 8)}
    assert list(rows) == ["0", "1", "2", "3", "4", ""]
    assert rows["1"].median > 22
    assert rows["2"].median < 15
    assert rows["3"].median < 16
    assert rows["2"].elements == X.numel()


def test_unknown_module_names_are_refused():
    model = network()
    with pytest.raises(ValueError, match=r"\['9'\]"):
        lo.bits_per_module(model, lambda: model(X), 2, modules=["9"])


def test_one_at_a_time_and_all_but_one_agree_on_the_culprit():
    model = network()
    alone = lo.one_at_a_time(lambda: model(X), samples=6)
    without = lo.all_but_one(lambda: model(X), samples=6)
    assert alone[0].module == without[0].module == "2"
    assert alone[0].value > 5 + alone[1].value
    assert without[0].value < without[1].value - 5
    assert {row.module for row in alone} == {"0", "1", "2", "3", "4"}
    assert all(row.operations > 0 for row in alone)


def test_smallest_set_is_the_cancelling_layer():
    model = network()
    assert lo.smallest_set(lambda: model(X), threshold=6.0) == ["2"]
    assert lo.smallest_set(lambda: model(X), 6.0, modules=["0", "1", "2", "3"]) == ["2"]


def test_a_threshold_out_of_reach_is_an_error():
    model = network()
    with pytest.raises(ValueError, match="does not reach the threshold"):
        lo.smallest_set(lambda: model(X), threshold=20.0, samples=2)


@pytest.mark.parametrize(
    "needed", [{"d"}, {"a", "g"}, {"b", "c", "h"}, set("abcdefgh")]
)
def test_delta_debugging_returns_exactly_what_is_needed(needed):
    tried = []

    def fails(subset):
        tried.append(frozenset(subset))
        return needed <= set(subset)

    assert set(lo.minimise("abcdefgh", fails)) == needed
    assert len(tried) == len(set(tried))  # no subset is run twice


def test_excluding_a_module_leaves_the_draws_of_the_others():
    model, outputs = network(), {}
    for excluded in ((), ("3",)):
        kept = []
        handle = model[2].register_forward_hook(lambda *a, kept=kept: kept.append(a[2]))
        with torch.no_grad(), RandomRounding(seed=4, exclude=excluded):
            model(X)
        handle.remove()
        outputs[excluded] = kept[0]
    assert torch.equal(outputs[()], outputs["3",])
