"""Time trials: what is measured and drawn; never how fast."""

import math
import statistics

import numpy as np
import pandas as pd
import pytest
import torch

from roundoff.nan import count_skipped, kernels
from roundoff.nan_trials import files
from roundoff.nan_trials.draw import draw
from roundoff.nan_trials.history import history_mask, history_rows, loop, nominal_share
from roundoff.nan_trials.layers import SERIES, series
from roundoff.nan_trials.masks import MASKS, nan_mask
from roundoff.nan_trials.pairs import Times, interleave, middle, speed_up

needs_kernels = pytest.mark.skipif(
    kernels.library() is None, reason="the compiled extension is not there"
)


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("plane", [(20, 31), (6, 7, 8)])
def test_masks_hold_exactly_their_share(kind, plane):
    for share in (0.0, 0.25, 2 / 3, 0.95):
        mask = nan_mask(kind, plane, share)
        assert mask.shape == plane
        assert int(mask.sum()) == round(share * math.prod(plane))
    if kind != "random":  # the middle is the last to go
        centre = tuple(n // 2 for n in plane)
        assert not nan_mask(kind, plane, 0.8)[centre]
        assert nan_mask(kind, plane, 0.8)[(0,) * len(plane)]


def test_the_default_series_cover_the_study():
    cases = [case for name in SERIES for case in series(name)]
    assert {c.mask for c in cases} == set(MASKS)
    assert min(c.share for c in cases) == 0
    assert max(c.share for c in cases) == 0.95
    sides = {c.layer.plane[0] for c in cases if len(c.layer.plane) == 2}
    assert {32, 512} <= sides
    assert (96, 96, 96) in {c.layer.plane for c in cases}
    assert {1, 128} <= {c.layer.inputs for c in cases}
    assert {1, 3, 5} == {c.layer.kernel for c in cases}
    full = sum(1 for name in SERIES for _ in series(name, "full"))
    assert full > 5 * len(cases)
    with pytest.raises(ValueError, match="series must be"):
        list(series("colours"))


def test_repetitions_are_interleaved_and_the_first_round_is_dropped():
    calls = []
    runs = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    times = interleave(runs, repeats=3)
    assert calls == ["a", "b"] * 4
    assert len(times["a"].wall) == len(times["b"].cpu) == 3


def test_speed_up_is_the_median_of_pairs():
    base, other = Times([1.0, 8.0, 3.0], [3.0] * 3), Times([1.0, 2.0, 3.0], [1.0] * 3)
    assert speed_up(base, other) == statistics.median([1, 4, 1])
    assert speed_up(base, other, "cpu") == 3
    assert middle(base) == 3000


@pytest.mark.parametrize("share", [0.0, 0.4, 0.8])
def test_the_published_loop_is_the_nan_convolution(share):
    """Same output as the library's, and it skips what the library counts."""
    from roundoff.nan import nan_conv2d

    x = torch.rand(9, 9, generator=torch.Generator().manual_seed(0))
    x[torch.from_numpy(history_mask("random", 9, share))] = torch.nan
    got, skipped = loop(x, apply_nan=True)
    weight, bias = torch.tensor([[[[1.0, 0], [0, -1]]]]), torch.tensor([0.5])
    want = nan_conv2d(x[None, None], weight, bias, threshold=0.5)[0, 0]
    torch.testing.assert_close(got, want, equal_nan=True)
    assert skipped == count_skipped(x[None, None], weight.shape, threshold=0.5).skipped


def test_the_border_overshoots_as_published():
    """Nominal 0.40 becomes 0.64 at 10 x 10: the border grows by whole pixels."""
    assert nominal_share(10, 1.5) == pytest.approx(0.4)
    assert history_mask("border", 10, 0.4).mean() == 0.64


def test_history_names_true_sizes_and_one_mask():
    rows = history_rows((6,), repeats=1)
    assert {r.side for r in rows} == {6}
    random = [r for r in rows if r.mask == "random"]
    assert all(0 <= r.skipped <= 1 and r.speed_up > 0 for r in random)
    again = history_mask("random", 6, random[0].nominal).mean()
    assert random[0].nan_share == pytest.approx(again)


@needs_kernels
def test_quick_trials_end_in_figures_and_a_summary(tmp_path):
    from dataclasses import asdict

    from roundoff.nan_trials.measure import measure
    from roundoff.nan_trials.network import network_rows

    tables = {name: [measure(c, 1) for c in series(name, "quick")] for name in SERIES}
    tables["network"] = network_rows(1, side=32, filters=4)
    tables["history"] = history_rows((6,), repeats=1)
    for name, rows in tables.items():
        table = pd.DataFrame([asdict(row) for row in rows])
        table.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False, na_rep="n/a")
    shares = pd.DataFrame([asdict(row) for row in tables["shares"]])
    assert np.allclose(shares["ideal"], 1 / (1 - shares["skipped"]))
    brain = shares[(shares["mask"] == "brain") & (shares["nan_share"] > 0.6)]
    assert brain["skipped"].between(0.55, 0.95).all()
    draw(tmp_path)
    for name in [*files.figures(), files.summary()]:
        assert (tmp_path / name.rpartition("/")[2]).stat().st_size > 500
    text = (tmp_path / "summary.md").read_text()
    assert "Rows that lose" in text
    assert "1.70x random" in text
