"""The study of the poolers at a tiny size: training, bits, ties, pictures."""

import numpy as np
import pandas as pd
import pytest
import torch

from roundoff.config.poolers import Poolers
from roundoff.data.classification import ClassificationData, Split
from roundoff.figures import poolers as figures
from roundoff.models.fastsurfer.network import FastSurferVINN
from roundoff.poolers import POOLERS, jobs, report
from roundoff.poolers.fastsurfer import VALUES, compare, replaced
from roundoff.poolers.network import SmallCnn
from roundoff.poolers.stability import pooler_bits, stability_table, ties
from roundoff.poolers.training import train


def squares(count, seed=0):
    """Images of two classes: where the bright square lies."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    images = np.zeros((count, 1, 16, 16), np.uint8)
    for image, label in zip(images, labels, strict=True):
        start = 1 + 8 * label
        image[0, start : start + 6, 4:12] = rng.integers(120, 255, (6, 8))
    return Split(images, labels)


DATA = ClassificationData(squares(448), squares(128, 1))


@pytest.mark.parametrize("pooler", POOLERS)
def test_every_pooler_learns_and_repeats(pooler):
    network, curve = train(pooler, DATA, None, 3, seed=5)
    again, _ = train(pooler, DATA, None, 3, seed=5)
    assert curve["loss"].iloc[-1] < 0.9 * curve["loss"].iloc[0]
    if pooler != "s3":  # too random for so few steps
        assert curve["accuracy"].iloc[-1] > 0.9
    assert list(curve["epoch"]) == [1, 2, 3]
    for a, b in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("pooler", POOLERS)
def test_the_stability_of_every_pooler_is_measured_strictly(pooler):
    torch.manual_seed(0)
    network = SmallCnn(pooler, 1, 16)
    x, y = torch.rand(4, 1, 16, 16), torch.arange(4)
    table = stability_table(network, x, y, seeds=[1, 2, 3])
    value = table.set_index(["quantity", "pool"])["value"]
    for quantity in ("logits", "weight_gradient"):
        assert 10 < value[quantity, 0] < 24
    for pool in (1, 2, 3):
        assert 10 < value["pooler_output", pool] <= 24
        assert 0 <= value["flips", pool] <= 1


def test_exact_poolers_lose_no_bit_and_averages_do():
    x = torch.rand(2, 3, 8, 8)
    exact = pooler_bits(torch.nn.MaxPool2d(3), x, [1, 2, 3, 4])
    rounded = pooler_bits(torch.nn.AvgPool2d(3), x, [1, 2, 3, 4])
    assert exact["pooler_output"] > rounded["pooler_output"]


def test_flips_and_ties_are_counted_by_window():
    first = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 2.0], [3.0, 3.0]])
    other = torch.tensor([[0.0, 1e-9], [0.0, 0.0], [1.0, 2.0], [3.0, 3.1]])
    found = ties([first[None, None], other[None, None]])
    assert found == {"flips": 1.0, "flips_above_zero": 1.0, "tied": 1.0}
    same = ties([first[None, None], first[None, None]])
    assert same == {"flips": 0.0, "flips_above_zero": 0.0, "tied": 1.0}


def test_fastsurfer_keeps_its_indices_when_its_values_change():
    torch.manual_seed(0)
    network = FastSurferVINN(4, 3, num_filters=5, num_filters_interpol=4).eval()
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(replaced(network, "max")(x), network(x))
        assert not torch.equal(replaced(network, "average")(x), network(x))
    brain = torch.ones(32, 32, dtype=torch.bool)
    table = compare(network, (x,), brain, seeds=[1, 2]).set_index("pooler")
    assert set(table.index) == set(VALUES)
    assert table.loc["max", "dice"] == pytest.approx(1)
    assert (table["bits"] > 5).all()


def test_settings_override_the_size():
    settings = Poolers(datasets=["mnist"], poolers=["max", "tdgs"], seeds=3, samples=4)
    size = jobs.size_of(settings)
    assert (size.seeds, size.samples, size.epochs) == (3, 4, 3)
    assert len(jobs.trained(settings)) == 6
    assert jobs.measured(settings) == [
        "results/poolers/stability/mnist_max.tsv",
        "results/poolers/stability/mnist_tdgs.tsv",
    ]


def test_the_summary_and_the_figures_show_every_pooler(tmp_path):
    curves = pd.DataFrame(
        [
            {
                "dataset": d,
                "pooler": p,
                "training": t,
                "epoch": e,
                "loss": 1 / e,
                "accuracy": 0.9 + 0.01 * t,
                "seconds": 1.0,
            }
            for d in ("mnist", "cifar10")
            for p in POOLERS
            for t in (1, 2)
            for e in (1, 2)
        ]
    )
    quantities = (*figures.QUANTITIES, "flips", "flips_above_zero", "tied")
    stability = pd.DataFrame(
        [
            {"dataset": d, "pooler": p, "quantity": q, "pool": 1, "value": 0.5}
            for d in ("mnist", "cifar10")
            for p in POOLERS
            for q in quantities
        ]
    )
    brain = pd.DataFrame(
        [
            {"pooler": p, "bits": 12.0, "labels_changed": 0.01, "dice": 0.8}
            for p in VALUES
        ]
    )
    found = report.accuracies(curves)
    assert (
        found.set_index(["dataset", "pooler"]).loc[("mnist", "max"), "published"]
        == 98.96
    )
    page = report.summary(found, stability, brain, "6000 images")
    assert all(f"| {p} |" in page for p in POOLERS)
    figures.accuracy(tmp_path / "a.png", found, ["x"])
    figures.curves(tmp_path / "c.png", curves, ["x"])
    figures.stability(tmp_path / "s.png", stability, ["x"])
    figures.ties(tmp_path / "t.png", stability, ["x"])
    figures.fastsurfer(tmp_path / "f.png", brain, ["x"])
    assert all((tmp_path / f"{n}.png").stat().st_size > 5000 for n in "acstf")
