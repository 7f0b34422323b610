"""Three views, aggregated: against a loop over single slices in numpy."""

import numpy as np
import pytest
import torch

from roundoff.errors import RoundoffError
from roundoff.models.fastsurfer.pipeline import build
from roundoff.models.labels import load_class_table

MOVES = {"axial": [1, 2, 0], "coronal": [0, 1, 2], "sagittal": [2, 1, 0]}
BACK = {"axial": (3, 0, 2, 1), "coronal": (2, 3, 0, 1), "sagittal": (0, 3, 2, 1)}
SHAPE = (17, 18, 20)


@pytest.fixture(scope="module")
def volume():
    return np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)


def scores(model, volume, dtype):
    """The aggregated scores as FastSurfer describes them, one slice at a time."""
    total = np.zeros((*volume.shape, 79), dtype)
    for view, weight in {"axial": 0.4, "coronal": 0.4, "sagittal": 0.2}.items():
        moved = np.moveaxis(volume, [0, 1, 2], MOVES[view])
        padded = np.pad(moved, ((0, 0), (0, 0), (3, 3)), mode="edge")
        logits = []
        for s in range(moved.shape[2]):
            x = torch.from_numpy(padded[:, :, s : s + 7].transpose(2, 0, 1).copy())
            with torch.inference_mode():
                logits.append(model.networks[view](x[None].float() / 255)[0].numpy())
        logits = np.stack(logits)
        if view == "sagittal":
            logits = logits[:, list(load_class_table("fastsurfer_79").sagittal)]
        part = np.float32(weight) * logits.transpose(BACK[view])
        total = (total.astype(np.float32) + part).astype(dtype)
    return total.astype(np.float32)


@pytest.mark.parametrize("accumulator", ["float16", "float32"])
def test_prediction_is_the_weighted_sum_of_three_views(vinn_files, volume, accumulator):
    model = build(vinn_files, accumulator=accumulator)
    expected = scores(model, volume, getattr(np, accumulator))
    prediction = model.predict(volume, 1.0)
    ordered = np.sort(expected, axis=-1)
    assert np.array_equal(prediction.maps["logit"], ordered[..., -1])
    assert np.array_equal(
        prediction.maps["margin"], ordered[..., -1] - ordered[..., -2]
    )
    ids = np.array(load_class_table("fastsurfer_79").ids)
    labels = prediction.steps.get("unsplit", prediction.labels)
    assert np.array_equal(labels, ids[expected.argmax(-1)])


def test_half_precision_accumulator_holds_eleven_bits(vinn_files, volume):
    logit = build(vinn_files).predict(volume, 1.0).maps["logit"]
    assert logit.dtype == np.float32
    assert np.array_equal(logit, logit.astype(np.float16).astype(np.float32))
    wide = build(vinn_files, accumulator="float32").predict(volume, 1.0).maps["logit"]
    assert not np.array_equal(wide, wide.astype(np.float16).astype(np.float32))


def test_batches_change_the_last_bits_at_most(vinn_files, volume):
    single = build(vinn_files, accumulator="float32").predict(volume, 1.0)
    batched = build(vinn_files, accumulator="float32", batch_size=5)
    difference = np.abs(
        batched.predict(volume, 1.0).maps["logit"] - single.maps["logit"]
    )
    # A few voxels differ by more: a near-tie in a pooling window sends a value
    # to another pixel. Nearly all of them must agree.
    assert np.quantile(difference, 0.95) < 1e-3


def test_step_decides_neighbours_by_the_middle_slice(vinn_files):
    volume = np.repeat(np.arange(0, 240, 40, dtype=np.uint8), 3)
    volume = np.broadcast_to(volume[:, None, None], (18, 18, 18))
    every = build(vinn_files).predict(volume, 1.0)
    third = build(vinn_files, slices=3)
    counted = []
    for name, network in third.modules().items():
        network.register_forward_pre_hook(
            lambda _, args, name=name: counted.append((name, len(args[0])))
        )
    prediction = third.predict(volume, 1.0)
    views = ("axial", "coronal", "sagittal")
    assert counted == [(view, 1) for view in views for _ in range(6)]
    assert prediction.labels.shape == every.labels.shape
    # The image is the same along axes 1 and 2, so only the sagittal view loses detail.
    middle = slice(1, None, 3)
    assert np.array_equal(
        prediction.maps["logit"][middle, 9, 9], every.maps["logit"][middle, 9, 9]
    )


def test_progress_goes_from_nothing_to_everything(vinn_files, volume):
    told = []
    build(vinn_files, batch_size=4).predict(volume, 1.0, lambda f, w: told.append(f))
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0.0, 1.0)


def test_prediction_is_deterministic_and_needs_no_exception(vinn_files, volume):
    model = build(vinn_files)
    torch.use_deterministic_algorithms(True)
    try:
        first, second = (model.predict(volume, 1.0) for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    assert np.array_equal(first.maps["logit"], second.maps["logit"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accumulator": "float64"}, "accumulator is 'float64'"),
        ({"slices": 0}, "slices is 0"),
        ({"batch_size": 1.5}, "batch_size is 1.5"),
        ({"view_weights": {"axial": 1.0}}, "view_weights"),
        ({"class_table": "demo_asg"}, "Did you mean"),
        ({"class_table": "brain_mask"}, "79 classes, the class table has 2"),
    ],
)
def test_wrong_options_are_named(vinn_files, options, message):
    with pytest.raises(RoundoffError, match=message):
        build(vinn_files, **options)


def test_a_missing_view_is_named(vinn_files):
    with pytest.raises(RoundoffError, match="one checkpoint per view"):
        build({"axial": vinn_files["axial"]})


def test_a_sagittal_checkpoint_in_the_wrong_place_is_named(vinn_files):
    with pytest.raises(RoundoffError, match=r"\(coronal\) has 51 classes"):
        build(vinn_files | {"coronal": vinn_files["sagittal"]})


def test_a_series_of_volumes_is_refused(vinn_files):
    with pytest.raises(RoundoffError, match="expected a 3-D volume"):
        build(vinn_files).predict(np.zeros((4, 4, 4, 2), np.uint8), 1.0)
