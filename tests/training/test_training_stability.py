"""Stability of training: three arms, what they share, tables, pictures."""

from dataclasses import replace

import numpy as np
import pytest

from roundoff.errors import RoundoffError
from roundoff.figures import training as figures
from roundoff.training import stability
from roundoff.training.registration.probe import make_probe
from roundoff.training.registration.setup import make_task
from roundoff.training.registration.sizes import TINY


@pytest.fixture(scope="module")
def arms(tmp_path_factory):
    """Two trainings of four steps per arm, saved and read again."""
    folder = tmp_path_factory.mktemp("stability")
    task = make_task(TINY, [], seed=1)
    schedule, probe = replace(TINY.schedule, steps=4), make_probe(task)
    paths = []
    for arm in stability.ARMS:
        for number in range(2):
            which = "synthmorph", task, schedule, arm, number
            arrays = stability.train_once(*which, probe)
            paths.append(folder / f"{arm}_{number}.safetensors")
            stability.save_traces(paths[-1], arrays, arm)
    return stability.load_arms(paths)


def test_control_is_identical_and_the_others_diverge(arms):
    assert stability.largest_difference(arms["control"].weights[:, -1]) == 0
    rounding = stability.largest_difference(arms["rounding"].weights[:, -1])
    seeds = stability.largest_difference(arms["seeds"].weights[:, -1])
    assert 0 < rounding < seeds
    assert arms["rounding"].steps.tolist() == [1, 2, 3, 4]


def test_rounding_starts_where_control_does(arms):
    first = [arms[arm].losses[:, 0] for arm in ("control", "rounding")]
    assert np.allclose(first[0], first[1], rtol=1e-5)


def test_tables(arms):
    losses = stability.loss_table(arms)
    assert len(losses) == 3 * 4
    control = losses.query("arm == 'control'")
    assert control["identical"].all()
    assert (control["bits"] == 23).all()
    assert not losses.query("arm == 'seeds'")["identical"].any()
    lost = stability.lost_table(losses)
    assert (lost.query("arm == 'control'")["lost_at_step"] == -1).all()
    assert (lost.query("arm == 'seeds' and bit == 20")["lost_at_step"] == 1).all()
    points = stability.point_table(arms)
    assert (points.query("arm == 'control'")["min_dice"] == 1).all()
    last = points.groupby("arm")["weight_bits"].last()
    assert last["control"] > last["rounding"] > last["seeds"]


def test_summary_says_whether_the_study_is_valid(arms):
    losses = stability.loss_table(arms)
    tables = losses, stability.lost_table(losses), stability.point_table(arms)
    words = "Title", "the moved image"
    page = stability.summary(*words, arms, *tables)
    assert "Control trainings are bit-identical." in page
    broken = arms | {"control": arms["seeds"]}
    losses = stability.loss_table(broken)
    tables = losses, stability.lost_table(losses), stability.point_table(broken)
    assert "NOT identical" in stability.summary(*words, broken, *tables)


def test_a_bit_is_lost_for_good():
    import pandas as pd

    losses = pd.DataFrame(
        {"arm": "rounding", "step": [1, 2, 3, 4], "bits": [20.0, 9, 12, 8]}
    )
    lost = stability.lost_table(losses).set_index("bit")["lost_at_step"]
    assert (lost[21], lost[20], lost[12], lost[9], lost[8]) == (1, 2, 4, 4, -1)


def test_pictures_are_drawn(arms, tmp_path):
    losses, points = stability.loss_table(arms), stability.point_table(arms)
    figures.loss_stability(tmp_path / "loss.png", losses, ["a line"])
    figures.point_stability(tmp_path / "points.png", points, "outputs", ["a line"])
    figures.beside_published(tmp_path / "published.png", points, ["a line"])
    rows = [{"step": 1, "loss": 1.0, "dice": 0.5, "dice_before": 0.4}] * 3
    figures.loss_curve(tmp_path / "curve.png", rows, "Training", ["a line"])
    assert len(list(tmp_path.glob("*.png"))) == 4


def test_unknown_and_missing_arms_are_refused(tmp_path):
    task = make_task(TINY, [], seed=1)
    arm = "other", 0
    with pytest.raises(RoundoffError, match="arm is 'other'"):
        stability.train_once("x", task, TINY.schedule, *arm, make_probe(task))
    with pytest.raises(RoundoffError, match="arm control has 0 runs"):
        stability.load_arms([])
