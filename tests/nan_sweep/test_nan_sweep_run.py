"""A sweep from scans to figures with networks of random weights."""

import json
import runpy
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from roundoff.models.fastsurfer.network import FastSurferVINN
from roundoff.models.fondue.network import FondueLT
from roundoff.nan_sweep import files
from tests_support import phantom

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/nan_sweep.py"
GRID = {"voxel_size": 4.0, "shape": [32, 32, 32]}
THRESHOLDS = {"aggressive": [0.5], "conservative": [1.0, 0.5]}
SUBJECTS = ("01", "02")
MARGINS = {"dice": 0.01, "loss": 0.01, "psnr": 0.5, "ssim": 0.005, "bits": 1.0}

pytestmark = [
    pytest.mark.filterwarnings("ignore:the compiled part"),
]


def entry(task, factory, roles, maps, **options):
    return {
        "title": f"Tiny {task}",
        "task": task,
        "weights_kind": "random weights",
        "factory": factory,
        "weights": {role: f"{role}.safetensors" for role in roles},
        "grid": GRID,
        "maps": [{"name": name, "title": name} for name in maps],
        "options": options,
    }


MODELS = {
    "surf": entry(
        "segmentation",
        "roundoff.models.fastsurfer.pipeline:build",
        ("axial", "coronal", "sagittal"),
        ("logit", "margin"),
        class_table="demo_aseg",
        base_resolution=4.0,
    ),
    "fond": entry(
        "denoising",
        "roundoff.models.fondue.pipeline:build",
        ("network",),
        ("denoised",),
        stacking="neighbours",
        base_resolution=4.0,
        directions=["first"],
    ),
}


def call(*arguments):
    """Run the script as its own program, in this process."""
    before = sys.argv
    sys.argv = [str(SCRIPT), *map(str, arguments)]
    try:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    finally:
        sys.argv = before


def write_inputs():
    torch.manual_seed(0)
    for view in ("axial", "coronal", "sagittal"):
        network = FastSurferVINN(31, 3, num_filters=6, num_filters_interpol=4)
        save_file(network.state_dict(), f"{view}.safetensors")
    save_file(FondueLT(4, 3).state_dict(), "network.safetensors")
    for number, subject in enumerate(SUBJECTS):
        head = phantom((32, 32, 32), seed=number) / 4
        inside = np.zeros((32, 32, 32), np.uint8)
        inside[11:19, 12:20, 12:19] = 1
        head = np.clip(head, 1, 255).astype(np.uint8)
        affine = np.array(
            [[-4.0, 0, 0, 60], [0, 0, 4, -60], [0, -4, 0, 60], [0, 0, 0, 1]]
        )
        nib.save(nib.Nifti1Image(head, affine), f"{subject}.nii.gz")
        mask = Path(files.brain_mask(subject))
        mask.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(inside, affine), mask)


def run_jobs(model, subject):
    spec = MODELS[model]
    base = ["--model", model, "--custom-models", json.dumps(MODELS)]
    base += ["--subject", subject, "--image", f"{subject}.nii.gz"]
    base += ["--brain", files.brain_mask(subject)]
    base += ["--thresholds", json.dumps(THRESHOLDS), "--epsilons", '["dtype"]']
    for role, path in spec["weights"].items():
        base += ["--weight", f"{role}={path}"]
    for mode in THRESHOLDS:
        for scan in ("stripped", "whole"):
            made = files.skip_files(model, subject, scan, mode)
            outputs = [x for k, v in made.items() for x in ("--output", f"{k}={v}")]
            call(
                "skip", *base, "--mode", mode, "--scan", scan, "--stride", 10, *outputs
            )
        made = files.bits_files(model, subject, mode)
        outputs = [x for k, v in made.items() for x in ("--output", f"{k}={v}")]
        call("bits", *base, "--mode", mode, "--samples", 2, *outputs)
    made = files.time_file(model, subject)
    call("time", *base, "--repeats", 1, "--output", made)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_inputs()
        for model in MODELS:
            for subject in SUBJECTS:
                run_jobs(model, subject)
        call(
            "summary", "--models", *MODELS, "--custom-models", json.dumps(MODELS),
            "--subjects", *SUBJECTS, "--scans", "stripped", "whole", "--margins",
            json.dumps(MARGINS), "--output", f"{files.FOLDER}/summary.md",
        )  # fmt: skip
    return folder


def read(folder, name):
    return pd.read_csv(folder / name, sep="\t", na_values="n/a", dtype={"subject": str})


def test_every_figure_and_table_is_written(swept):
    wanted = files.figures(list(MODELS), list(SUBJECTS), ["stripped", "whole"])
    for name in [*wanted, *files.tables()]:
        assert (swept / name).stat().st_size > 100, name


def test_stripped_scans_skip_more_and_lower_thresholds_too(swept):
    table = read(swept, f"{files.FOLDER}/subjects.tsv")
    table = table[(table["epsilon"] == "dtype") & (table["model"] == "surf")]
    mean = table.groupby(["mode", "scan", "threshold"])["skip_macs"].mean()
    for mode in THRESHOLDS:
        assert mean[mode, "stripped", 0.5] > mean[mode, "whole", 0.5]
    conservative = mean["conservative", "stripped"]
    assert conservative[0.5] > conservative[1.0]


def test_shares_are_those_of_the_layers(swept):
    """The weighted share of a setting is the ratio of its summed counts."""
    who = ("surf", "01", "stripped", "conservative")
    layers = read(swept, files.skip_files(*who)["layers"])
    slices = read(swept, files.skip_files(*who)["slices"])
    chosen = ["threshold", "epsilon", "view"]
    sums = layers.groupby(chosen)[["skipped_macs", "total_macs"]].sum()
    ratio = sums["skipped_macs"] / sums["total_macs"]
    mean = slices.groupby(chosen)["skip_macs"].mean()
    assert np.allclose(ratio, mean.loc[ratio.index], atol=1e-9)
    order = layers.drop_duplicates("block").sort_values("order")["block"].tolist()
    assert order[0] == "inp_block"
    assert order[-1] == "classifier"


def test_bits_are_measured_beside_the_originals(swept):
    table = read(swept, files.bits_files("surf", "01", "conservative")["output"])
    original = table[table["mode"] == "original"]
    brain = original[original["zone"] == "brain"]
    assert (brain["defined"] == 1).all()
    assert brain["bits"].between(5, 23).all()
    converted = table[table["mode"] == "conservative"]
    assert len(converted) == 2 * 3 * 2  # thresholds, views, zones
    assert (converted["pixels"] > 0).all()


def test_quality_of_the_denoiser(swept):
    table = read(swept, f"{files.FOLDER}/subjects.tsv")
    fond = table[table["model"] == "fond"]
    assert fond["psnr"].notna().all()
    change = fond["psnr_scan"] - fond["psnr_scan_original"]
    assert np.allclose(change, fond["psnr_change"], equal_nan=True)
    assert fond["dice"].isna().all()


def test_statistics_are_over_subjects(swept):
    table = read(swept, f"{files.FOLDER}/statistics.tsv")
    assert (table["n"] == len(SUBJECTS)).all()
    assert set(table["measure"]) == {"dice", "loss", "psnr", "ssim", "bits"}
    assert (table["shown"] == (table["p"] < 0.05)).all()


def test_summary_lays_the_published_numbers_beside(swept):
    text = (swept / f"{files.FOLDER}/summary.md").read_text()
    assert "0.439 | 0.136" in text  # published, aggressive FastSurfer at T = 0.5
    assert "N = 2" in text
    assert "Why ours differ" in text
    assert " nan " not in text
