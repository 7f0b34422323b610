"""Figures over all subjects exist whatever the models give."""

import pandas as pd

from roundoff.report.cohort import draw_dice_overview


def test_models_without_labels_are_told_so(tmp_path):
    none = pd.DataFrame(columns=["model", "subject", "label", "region", "min_dice"])
    draw_dice_overview(tmp_path / "dice.png", none, ["one line"])
    assert (tmp_path / "dice.png").read_bytes()[:4] == b"\x89PNG"
