"""The real VoxelMorph file on real heads, against figures measured elsewhere."""

import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel.processing import conform

from roundoff.models.registry import get_model
from roundoff.models.synthmorph.checkpoint import load_registration
from roundoff.models.synthmorph.prepare import (
    BOX,
    centred_offset,
    crop,
    matched,
)
from roundoff.models.synthmorph.transform import count_folded

# Before and after: mean squared error, correlation; largest displacement (voxels).
MEASURED = {
    "06": (0.0202, 0.0054, 0.580, 0.846, 20.9),
    "34": (0.0287, 0.0063, 0.549, 0.830, 21.7),
    "50": (0.0259, 0.0066, 0.558, 0.821, 20.3),
    "54": (0.0274, 0.0057, 0.580, 0.840, 18.0),
    "63": (0.0214, 0.0051, 0.585, 0.850, 17.8),
    "66": (0.0255, 0.0054, 0.597, 0.847, 18.0),
}
FAST = "06"


def files(shared_data):
    return {
        "network": shared_data / "weights" / "voxelmorph_miccai2018.h5",
        "template": shared_data / "labels" / "voxelmorph_test_scan.npz",
    }


def brain(shared_data, subject):
    folder = shared_data / "t1" / "ds002748" / f"sub-{subject}" / "anat"
    scan = nib.load(folder / f"sub-{subject}_T1w.nii.gz")
    scan = conform(scan, (256,) * 3, (1.0,) * 3, order=1, orientation="LIA")
    return scan.get_fdata(dtype=np.float32)


@pytest.mark.parametrize(
    "subject",
    [s if s == FAST else pytest.param(s, marks=pytest.mark.slow) for s in MEASURED],
)
def test_registration_reaches_the_figures_measured(subject, shared_data):
    paths = files(shared_data)
    with np.load(paths["template"]) as stored:
        fixed = stored["vol"].astype(np.float32)
    volume = brain(shared_data, subject)
    moving = matched(crop(volume, centred_offset(volume, fixed)), fixed)
    network = load_registration(paths["network"])
    with torch.inference_mode():
        moved, warp = network(torch.from_numpy(moving), torch.from_numpy(fixed))
    brain_voxels = (moving > 0) | (fixed > 0)
    found = []
    for image in (moving, moved.numpy()):
        found.append(np.mean((image - fixed)[brain_voxels] ** 2))
        found.append(np.corrcoef(image[brain_voxels], fixed[brain_voxels])[0, 1])
    mse_before, mse_after, ncc_before, ncc_after, largest = MEASURED[subject]
    assert found[0] == pytest.approx(mse_before, abs=1e-4)
    assert found[2] == pytest.approx(mse_after, abs=1e-4)
    assert found[1] == pytest.approx(ncc_before, abs=1e-3)
    assert found[3] == pytest.approx(ncc_after, abs=1e-3)
    assert warp.abs().max().item() == pytest.approx(largest, abs=0.06)
    assert count_folded(warp) == 0


@pytest.mark.slow
def test_model_of_the_registry_segments_by_the_templates_labels(shared_data):
    spec = get_model("voxelmorph2018")
    model = spec.build(files(shared_data))
    volume = brain(shared_data, FAST)
    prediction = model.predict(volume, 1.0)
    assert set(prediction.maps) == {m.name for m in spec.maps}
    assert prediction.maps["warp"].shape == (256, 256, 256, 3)
    assert prediction.labels.shape == volume.shape
    inside = np.isfinite(prediction.maps["moved"])
    assert inside.sum() == np.prod(BOX)
    # The template's labels, carried over, cover the subject's brain; its outermost
    # voxels (meninges) have no label in the template.
    covered = (prediction.labels > 0) & (volume > 0)
    assert covered.sum() > 0.95 * (prediction.labels > 0).sum()
    assert covered.sum() > 0.7 * (volume > 0).sum()
