"""Classifiers with NaN pooling: networks, keys, scores, rules, a tiny run."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from roundoff.classifiers.evaluate import evaluate, f1, folds, predict, scores
from roundoff.classifiers.report import PUBLISHED_TIES, published, summary
from roundoff.classifiers.rules import RULES, THRESHOLDS, converted
from roundoff.classifiers.training import train
from roundoff.data.classification import ClassificationData, Split
from roundoff.errors import RoundoffError
from roundoff.figures import classifiers as figures
from roundoff.models.classifiers import MnistCnn, Xception, load_xception


def squares(count, seed=0):
    """Images of two classes that any network learns: where the bright square lies."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    images = np.zeros((count, 1, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        start = 4 + 12 * label
        image[0, start : start + 8, 8:20] = rng.integers(150, 255, (8, 12))
    return Split(images, labels)


@pytest.fixture(scope="module")
def trained():
    data = ClassificationData(squares(640), squares(200, 1))
    return train(data, 2, seed=1)


def test_the_mnist_network_is_the_published_one():
    network = MnistCnn().eval()
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 90)
    assert sum(p.numel() for p in network.parameters()) == 104_202


def test_training_learns_and_repeats_bit_for_bit(trained):
    network, curve = trained
    assert curve["accuracy"].iloc[-1] > 95
    again, _ = train(ClassificationData(squares(640), squares(200, 1)), 2, seed=1)
    for a, b in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_xception_has_the_published_size_and_counts_groups():
    torch.manual_seed(0)
    network = Xception().eval()
    assert sum(p.numel() for p in network.parameters()) == 22_855_952
    made = converted(network, "eps1e-7", 0.5)
    x = torch.rand(1, 3, 96, 96)
    with torch.inference_mode():
        out = made(x)
    assert out.shape == (1, 1000)
    assert out.isfinite().all()
    counts = made.counts()
    depthwise = counts["block4.rep.1.conv1"]
    pointwise = counts["block4.rep.1.pointwise"]
    # One position per group and pixel: 728 of the depthwise one, 1 of the pointwise.
    assert depthwise.total == 728 * pointwise.total


@pytest.mark.parametrize("form", ["fc", "last_linear", "flat pointwise"])
def test_xception_weights_load_by_key(tmp_path, form):
    torch.manual_seed(1)
    network = Xception(7).eval()
    tensors = dict(network.state_dict())
    if form == "last_linear":
        for part in ("weight", "bias"):
            tensors[f"last_linear.{part}"] = tensors.pop(f"fc.{part}")
    if form == "flat pointwise":
        key = "block4.rep.1.pointwise.weight"
        tensors[key] = tensors[key][:, :, 0, 0]
    path = tmp_path / "xception.pth"
    torch.save(tensors, path)
    loaded = load_xception(path)
    x = torch.rand(1, 3, 71, 71)
    with torch.inference_mode():
        assert torch.equal(loaded(x), network(x))


def test_wrong_xception_weights_name_the_key(tmp_path):
    tensors = dict(Xception(3).state_dict())
    del tensors[
        "block5.skip.weight" if "block5.skip.weight" in tensors else "bn3.weight"
    ]
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(RoundoffError, match=r"bn3\.weight"):
        load_xception(tmp_path / "x.safetensors")


def test_nan_logits_never_win():
    logits = torch.tensor([[float("nan"), 1.0, 2.0], [float("nan")] * 3])
    assert predict(lambda x: logits, [torch.zeros(2, 1)]).tolist() == [2, 0]


def test_scores_are_over_five_folds():
    labels = np.repeat([0, 1], 50)
    classes = labels.copy()
    classes[:5] = 1
    assert sorted(np.concatenate(folds(100))) == list(range(100))
    found = scores(labels, classes)
    assert found["accuracy"] == pytest.approx(95)
    assert f1(labels, labels) == 1
    assert found["f1"] < 1
    assert found["sd"] > 0


def test_lower_thresholds_skip_more(trained):
    network, _ = trained
    split = squares(100, 2)
    from roundoff.classifiers.training import images_of

    x = images_of(split)
    shares = []
    for threshold in (None, *THRESHOLDS):
        made = (
            network if threshold is None else converted(network, "eps1e-7", threshold)
        )
        found, table = evaluate(made, x, split.labels, 50)
        shares.append(found["skipped_macs"])
        assert len(table) == (0 if threshold is None else 4)
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] > 0.05


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_rule_for_constant_windows_ties_less_in_half_precision(dtype):
    torch.manual_seed(0)
    network = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(1, 1, 1)).to(dtype).eval()
    x = torch.rand(1, 1, 64, 64).to(dtype)
    with torch.inference_mode():
        loose = converted(network, "dtype", 1.0)(x).isnan().float().mean()
        strict = converted(network, "constant", 1.0)(x).isnan().float().mean()
    assert strict < loose


def test_rules_differ_in_their_fill():
    torch.manual_seed(0)
    network = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(1, 1, 3, bias=False)).eval()
    x = torch.rand(1, 1, 8, 8)
    x[..., :4, :4] = 0.5  # four tied windows: NaN, partly filled
    with torch.inference_mode():
        mean = converted(network, "eps1e-7", 1.0)(x)
        zero = converted(network, "eps1e-7-zero", 1.0)(x)
        known = nn.functional.max_pool2d(x, 2)
        known[..., :2, :2] = 0
        want = network[1](known)
    assert torch.allclose(zero, want, atol=1e-6)
    assert not torch.allclose(mean, want, atol=1e-3)


def fake_tables():
    rows, skipped = [], []
    pairs = [("float32", r) for r in RULES]
    pairs += [("bfloat16", "eps1e-7"), ("bfloat16", "constant")]
    for precision, rule in pairs:
        for i, t in enumerate(("default", "1", "0.85", "0.75", "0.65", "0.5")):
            common = {"network": "mnist", "precision": precision, "rule": rule}
            common["threshold"] = t
            rows.append(
                common
                | {"images": 50, "accuracy": 99.0 - i, "sd": 0.1, "f1": 0.99}
                | {"skipped_macs": 0.1 * i}
            )
            if i:
                for layer in ("conv1", "conv2", "conv3", "conv4"):
                    part = {"layer": layer, "share": 0.1 * i, "skipped": i, "macs": 10}
                    skipped.append(common | part)
    return pd.DataFrame(rows), pd.DataFrame(skipped)


def test_the_summary_and_the_figures_show_every_rule(tmp_path):
    table, skipped = fake_tables()
    page = summary(table, skipped, 4)
    assert "98.86" in page
    assert "published, 1e-5" in page
    assert "bfloat16, constant windows" in page
    single = table[table["precision"] == "float32"]
    base = single[single["rule"].isin(PUBLISHED_TIES)]
    figures.thresholds(tmp_path / "t.png", base, published(), ["x"])
    figures.tolerances(tmp_path / "e.png", single, ["x"])
    figures.precision(tmp_path / "p.png", table, ["x"])
    part = skipped[skipped["precision"] == "float32"]
    part = part[part["rule"] == "eps1e-7"]
    figures.layers(tmp_path / "l.png", part, published(), ["x"])
    assert all((tmp_path / f"{n}.png").stat().st_size > 5000 for n in "tepl")
