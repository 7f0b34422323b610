"""Surprise, learning, tables, figures and jobs of the study."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from roundoff.config.relu_zero import ReluZero
from roundoff.data.classification import ClassificationData, Split
from roundoff.errors import RoundoffError
from roundoff.relu_zero import plane, tables
from roundoff.relu_zero.jobs import jobs, outputs, size_of
from roundoff.relu_zero.learning import best_rate, learning_table
from roundoff.relu_zero.plane import Event, find_event, plane_table
from roundoff.relu_zero.sizes import (
    SIZES,
    Learning,
    axes_of,
    cells,
    chunks,
    draws_of,
    learning_of,
)
from roundoff.relu_zero.surprise import surprise_table

SCRIPT = Path(__file__).parents[2] / "scripts" / "relu_zero.py"


def stripes(count, seed=0):
    """Images whose class is the row of a bright stripe."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, count).astype(np.uint8)
    images = random.integers(0, 60, (count, 1, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[0, 2 * label : 2 * label + 3] = 250
    return Split(images, labels)


@pytest.fixture(scope="module")
def data():
    return ClassificationData(stripes(800), stripes(200, 1))


@pytest.fixture(scope="module")
def parted(data):
    """Copies trained in float16, where zeros are frequent."""
    return surprise_table("float16", data.train, 12, 1, hidden=(64, 16), rate=0.1)


def test_same_copies_stay_the_same(parted):
    assert (parted["distance_s0_s0"] == 0).all()
    assert parted["iteration"].tolist() == list(range(12))


def test_copies_start_together_and_rounding_parts_them(parted):
    first, last = parted.iloc[0], parted.iloc[-1]
    assert first["distance_s0_s1"] == first["distance_s0_reversed"] == 0
    assert last["distance_s0_reversed"] > 0


def test_slopes_part_only_after_a_zero(data):
    table = surprise_table("float32", data.train, 20, 3, hidden=(64, 16), rate=0.1)
    apart = np.flatnonzero(table["distance_s0_s1"] > 0)
    zeros = np.flatnonzero(table["zeros"] > 0)
    assert (table["distance_s0_s0"] == 0).all()
    assert len(apart) == 0 or (len(zeros) and zeros[0] < apart[0])


def test_zero_in_the_first_batch_parts_the_copies(data, monkeypatch):
    import torch

    from roundoff.relu_zero import surprise

    def blank_start(make, seed, precision):
        network = make()
        with torch.no_grad():
            network[1].weight.zero_()  # every preactivation of the first layer: 0
            network[1].bias.zero_()
            network[3].bias.fill_(0.1)  # the next layer lets every gradient through
        return network

    monkeypatch.setattr(surprise, "initialised", blank_start)
    table = surprise_table("float32", data.train, 2, 1, hidden=(8, 4))
    assert table["zeros"].iloc[0] >= 128 * 8
    assert table["distance_s0_s1"].iloc[1] > 0
    assert (table["distance_s0_s0"] == 0).all()


def test_learning_learns_from_the_same_start(data):
    sizes = {"epochs": 2, "batch": 32, "images": 800}
    runs = Learning("mlp256", (0.0, 1.0), **sizes, variants=("correct",))
    table = learning_table(runs, data, 0.02, 1, 1)
    assert table["slope"].tolist() == [0, 0, 1, 1]
    assert table["epoch"].tolist() == [1, 2, 1, 2]
    assert (table.loc[table["epoch"] == 2, "accuracy"] > 0.8).all()
    # no exact zero met, so s cannot matter
    if (table["zeros"] == 0).all():
        assert table["loss"].iloc[0] == table["loss"].iloc[2]


def test_variants_learn_differently_where_zeros_are_met(data):
    labels = np.arange(64, dtype=np.uint8) % 10
    dull = Split(np.zeros((64, 1, 28, 28), np.uint8), labels)
    runs = Learning("blank", (0.0, 1.0), epochs=1, batch=16, images=64)
    table = learning_table(runs, ClassificationData(dull, dull), 0.05, 1, 1)
    assert list(zip(table["variant"], table["slope"], strict=True)) == [
        ("correct", 0),
        ("correct", 1),
        ("published", 1),
    ]
    # the released code lets 1 through whatever the loss says, which puts the ReLUs out
    _, multiplied, assigned = table["loss"]
    assert multiplied != assigned


@pytest.fixture(autouse=True)
def blank(monkeypatch):
    """A network all of whose first preactivations are 0 on black images."""
    from torch import nn

    from roundoff.relu_zero import learning, networks

    def make():
        network = networks.mlp((12, 6))
        nn.init.zeros_(network[1].bias)
        return network

    monkeypatch.setitem(networks.NETWORKS, "blank", make)
    monkeypatch.setitem(learning.DATASETS, "blank", "mnist")


def test_best_rate_is_one_of_its_trials(data):
    runs = Learning("mlp256", trials=3, trial_images=320, batch=32)
    table = best_rate(runs, data, 1)
    assert len(table) == 3
    assert table["best"].sum() == 1
    assert table.loc[table["best"], "accuracy"].item() == table["accuracy"].max()
    assert table["rate"].between(1e-3, 1e-1).all()
    assert best_rate(runs, data, 1).equals(table)


def test_hyperplane_is_thick_in_float32_alone(data):
    dark = Split(data.train.images[:4] % 2, data.train.labels[:4])
    x = torch.from_numpy(dark.images[0].ravel()).float() + 0.3
    weight = torch.linspace(-0.03, 0.03, 784)
    event = Event(0, 0, 0, x, weight, -(x.double() @ weight.double()).float())
    table = plane_table(event)
    assert len(table) == 121**2
    assert (table["float32"] == 0).any()
    assert (table["random"] == 0).any()
    exact = table["a"] + table["b"] + float(table["float64"].iloc[len(table) // 2])
    np.testing.assert_allclose(table["float64"], exact, atol=1e-13)
    wrong = np.sign(table["float32"]) != np.sign(table["float64"])
    assert wrong.any()


def test_event_is_an_exact_zero_of_its_image(data):
    black = Split(np.zeros((3, 1, 28, 28), np.uint8), np.zeros(3, np.uint8))
    with pytest.raises(RoundoffError, match="among 2 draws"):
        find_event(black, 1, draws=2)
    # an image whose products cancel: found in the first draw of the blank network
    table_seed = 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plane, "initialised", lambda make, seed, p: blank_network(make))
        event = find_event(black, table_seed, draws=1)
    assert (event.draw, event.image, event.neuron) == (0, 0, 0)
    assert float(event.x @ event.weight + event.bias) == 0


def blank_network(make):
    network = make()
    torch.nn.init.zeros_(network[1].bias)
    return network


# -- tables --------------------------------------------------------------------------


def draw_rows(counts):
    """Rows of draws with these counts of differing ones, of 20."""
    rows = []
    for (axis, value, precision), count in counts.items():
        for draw in range(20):
            first = 3 if draw < count else None
            rows.append((axis, value, precision, draw, first, 60000, 100, draw < count))
    columns = [
        "axis",
        "value",
        "precision",
        "draw",
        "first_batch",
        "images",
        "inputs",
        "zeros",
    ]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"first_batch": "Int64", "zeros": int})


@pytest.fixture
def gathered(tmp_path):
    """Small tables of every kind, as files."""
    counts = {
        (axis, value, precision): {"float16": 20, "float32": 9}.get(precision, 0)
        for precision in ("float16", "bfloat16", "float32", "float64")
        for axis in axes_of(precision)
        for value, _ in cells(axis)
    }
    comparison = pd.DataFrame(
        {
            "precision": np.repeat(["float16", "float32", "float64"], 6),
            "draw": np.tile(np.repeat([0, 1], 3), 3),
            "images": 512,
            "layer": np.tile([1, 2, 3], 6),
            "inputs": 1000,
            "zeros": [4] * 6 + [1] * 6 + [0] * 6,
            "rounded_zeros": [5] * 6 + [2] * 6 + [0] * 6,
            "kept": [2] * 6 + [0] * 12,
            "first": [1] * 3 + [2] * 3 + [None] * 12,
            "rounded_first": [1] * 9 + [None] * 9,
        }
    )
    steps = np.arange(30)
    surprise = pd.DataFrame(
        {
            "precision": np.repeat(["float32", "float64"], 30),
            "seed_number": 1,
            "iteration": np.tile(steps, 2),
            "distance_s0_s1": np.r_[np.maximum(steps - 9, 0) * 1e-4, np.zeros(30)],
            "distance_s0_s0": 0.0,
            "distance_s0_reversed": np.tile(steps * 1e-6, 2),
            "smallest": np.tile(1e-6 + 1e-7 * np.cos(steps), 2),
            "zeros": np.r_[steps == 9, np.zeros(30)].astype(int),
        }
    )
    learning = pd.DataFrame(
        [
            ("bare_cnn", "mnist", variant, slope, start, 0.02, epoch, 0.3, 0.9, 0.2)
            for variant in ("correct", "published")
            for slope in (0.0, 1.0)
            for start in (1, 2)
            for epoch in (1, 2)
        ],
        columns=[
            "network",
            "data",
            "variant",
            "slope",
            "seed_number",
            "rate",
            "epoch",
            "loss",
            "accuracy",
            "zeros",
        ],
    )
    networks = pd.DataFrame(
        {
            "network": ["vgg11", "vgg11", "resnet18", "resnet18"],
            "precision": ["float16", "float32"] * 2,
            "draw": 0,
            "first_batch": [0, 5, 0, 10],
            "images": 128,
            "inputs": 1000,
            "zeros": [9, 1, 9, 1],
        }
    )
    rates = pd.DataFrame(
        {
            "trial": [0, 1],
            "rate": [0.01, 0.02],
            "accuracy": [0.8, 0.9],
            "best": [False, True],
        }
    )
    kinds = {
        "draws": draw_rows(counts),
        "rounding": comparison,
        "surprise": surprise,
        "learning": learning,
        "networks": networks,
        "bare_cnn_rate": rates,
    }
    for name, table in kinds.items():
        table.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False)
    return tmp_path


def test_probabilities_stand_beside_the_published(gathered):
    draws = tables.read_tables([gathered / "draws.tsv"])
    table = tables.probabilities(draws).set_index(["axis", "value", "precision"])
    row = table.loc["layers", 3, "float32"]
    assert (row["count"], row["draws"]) == (9, 20)
    assert row["low"] < row["probability"] == 0.45 < row["high"]
    assert (row["published_count"], row["published_draws"]) == (463, 1000)
    assert pd.isna(table.loc[("layers", 3, "bfloat16"), "published_count"])
    assert table.loc[("width", 1024, "float64"), "count"] == 0


def test_published_table_is_that_of_the_paper():
    table = tables.published_counts()
    assert len(table) == 40
    base = table[
        ((table["axis"] != "layers") & (table["value"] == 256))
        | ((table["axis"] == "layers") & (table["value"] == 3))
    ]
    single = base[base["precision"] == "float32"]
    assert sorted(single["count"]) == [463, 478, 488]


def test_zeros_and_probabilities_under_rounding(gathered):
    comparison = tables.read_tables([gathered / "rounding.tsv"])
    shares = tables.zero_shares(comparison).set_index(["precision", "layer"])
    assert shares.loc[("float16", 1), "share"] == 8 / 2000
    assert shares.loc[("float16", 1), "rounded_share"] == 10 / 2000
    chance = tables.rounding_probabilities(comparison)
    chance = chance.set_index(["precision", "rounding"])["count"]
    assert chance["float16", "ieee"] == 2
    assert chance["float32", "ieee"] == 0
    assert chance["float32", "random"] == 1


def test_script_draws_everything_and_writes_the_summary(gathered):
    kinds = ("draws", "rounding", "surprise", "learning", "networks")
    options = [o for k in kinds for o in (f"--{k}", gathered / f"{k}.tsv")]
    rates = ["--rates", gathered / "bare_cnn_rate.tsv"]
    folder = gathered / "out"
    step = np.linspace(-2e-7, 2e-7, 21)
    grid = pd.DataFrame({"a": np.tile(step, 21), "b": np.repeat(step, 21)})
    for name in ("float64", "float32", "random"):
        grid[name] = grid["a"] + grid["b"] - 1e-8
    grid.to_csv(gathered / "plane.tsv", sep="\t", index=False)
    options += ["--plane", gathered / "plane.tsv"]
    command = [sys.executable, SCRIPT, *options, *rates, "--folder", folder]
    subprocess.run(command, check=True)
    wanted = {Path(o).name for o in outputs(ReluZero(networks=["vgg11"]))}
    assert {p.name for p in folder.iterdir()} == wanted
    for picture in folder.glob("*.png"):
        pixels = np.asarray(Image.open(picture).convert("L"))
        assert 0.4 < (pixels > 250).mean() < 0.99, picture.name
    page = (folder / "summary.md").read_text()
    assert "| 3 | float32 | 9 / 20 | 0.450 (0.231 to 0.685) | 463 / 1000 |" in page
    assert "| float32 | 1 | 30 | 10 | 0 |" in page
    assert "| vgg11 | float32 | 1 / 1 | 5 |" in page


# -- jobs ----------------------------------------------------------------------------


def test_chunks_share_out_all_draws():
    labels = chunks(120, 50)
    assert labels == ["0000-0049", "0050-0099", "0100-0119"]
    assert [d for label in labels for d in draws_of(label)] == list(range(120))


def test_more_draws_keep_the_jobs_done():
    before = jobs(ReluZero(draws=100))
    after = jobs(ReluZero(draws=200))
    assert set(before["draws"]) < set(after["draws"])


def test_users_counts_replace_those_of_the_size():
    size = size_of(ReluZero(draws=4, networks=["vgg11"]))
    assert (size.draws, size.draws_float64, size.rounding_draws) == (4, 4, 4)
    assert size.networks == ("vgg11",)
    assert size_of(ReluZero(size="published")) == SIZES["published"]
    assert not jobs(ReluZero())["networks"]


def test_one_file_per_network_and_start():
    found = jobs(ReluZero())["learning"]
    assert len(found) == sum(runs.seeds for runs in SIZES["demo"].learning)
    assert learning_of("published", "vgg11").optimizer == "adam"


def test_axes_are_those_published():
    assert axes_of("float64") == ("layers", "width")
    assert axes_of("float32") == ("layers", "width", "batch")
    assert len(list(cells("width"))) == 5
