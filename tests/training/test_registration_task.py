"""Registration as a task: network, memory modes, learning, sizes, set-up, quality."""

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

from roundoff.errors import RoundoffError
from roundoff.models.synthmorph.checkpoint import load_registration
from roundoff.models.synthmorph.network import VelocityUNet
from roundoff.rounding import RandomRounding
from roundoff.training.engine import Schedule, fit
from roundoff.training.launch import changes, launch, maps_option
from roundoff.training.registration import quality
from roundoff.training.registration.initial import force_filters, initialise
from roundoff.training.registration.maps import head_source, label_map_source
from roundoff.training.registration.setup import changed, make_task, unseen
from roundoff.training.registration.sizes import SIZES, TINY, get_size
from roundoff.training.registration.task import Recipe, RegistrationTask
from roundoff.training.registration.weights import save_weights
from roundoff.training.segmentation.generator import Head


class OnePair:
    """The same pair at every step: what a few steps can learn."""

    def __init__(self, pairs, number):
        self.pair, self.sources = pairs.draw(number), pairs.sources

    def draw(self, number):
        return self.pair


@pytest.fixture(scope="module")
def task():
    return make_task(TINY, [], seed=1)


@pytest.fixture(scope="module")
def trained(task):
    """A network that has learnt one pair, and the rows of its training."""
    schedule = Schedule(steps=40, batch=1, learning_rate=5e-3, warm_up=5, window=10)
    return fit(
        RegistrationTask(OnePair(task.pairs, far_apart(task)), task.recipe), schedule
    )


def far_apart(task):
    """The number of the pair with the least overlap among a few."""

    def overlap(number):
        return quality.mean_dice(*task.pairs.draw(number).labels)[0]

    return min(range(8), key=overlap)


def test_training_raises_the_overlap(trained):
    rows = trained[1]
    gain = [row["dice"] - row["dice_before"] for row in rows]
    assert gain[-1] > 0.02
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]


def test_memory_modes_give_the_same_gradients(task):
    def gradients(memory):
        torch.manual_seed(0)
        recipe = Recipe((4, 4), (4, 4), (4,), guide=1.0, flow_scale=0.01, memory=memory)
        one = RegistrationTask(task.pairs, recipe)
        network = one.network()
        one.loss(network, one.batch([1, 2]), 0.0)["loss"].backward()
        return network, [p.grad for p in network.parameters()]

    plain, kept = gradients("plain")
    frugal, again = gradients("checkpoint")
    assert plain.state_dict().keys() == frugal.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(kept, again, strict=True))
    with pytest.raises(RoundoffError, match="memory is 'none'"):
        Recipe(memory="none")


@pytest.mark.parametrize("shape", [(16, 32, 48), (48, 16, 16)])
def test_any_size_divisible_by_16(shape):
    recipe = Recipe((4,) * 4, (4,) * 4, (4,))
    with torch.no_grad():
        velocity = RegistrationTask(None, recipe).network()(torch.rand(1, 2, *shape))
    assert velocity.shape == (1, 3, *(n // 2 for n in shape))


def test_sizes_are_the_published_networks():
    recipe = get_size("published").recipe
    with torch.device("meta"):
        network = VelocityUNet(recipe.encoder, recipe.decoder, recipe.final)
    assert sum(p.numel() for p in network.parameters()) == 21_270_787
    assert get_size("published").box == (160, 192, 224)
    for size in SIZES.values():
        assert all(n % 2 ** len(size.recipe.encoder) == 0 for n in size.box)
    with pytest.raises(RoundoffError, match="size is 'huge'"):
        get_size("huge")


def test_force_filters_add_up_to_the_sign_of_optical_flow():
    # A bright bar at depth 3 to 5 in the moving image, one voxel deeper in the fixed.
    images = torch.zeros(1, 2, 12, 5, 5)
    images[:, 0, 3:6], images[:, 1, 4:7] = 1, 1
    maps = nn.functional.conv3d(images, force_filters(), padding=1).relu()
    force = (maps[:, 0] + maps[:, 3] - maps[:, 1] - maps[:, 2])[0, :, 2, 2]
    # moved(x) = moving(x + u) with u = -1: one sign at both edges of the bar.
    assert (force[3:7].abs() > 0.1).any()
    assert force.min() * force.max() == 0
    other = (maps[:, 4] + maps[:, 7] - maps[:, 5] - maps[:, 6])[0, :, 2, 2]
    assert other.abs().max() < 1e-6


def test_forces_need_enough_features():
    with pytest.raises(RoundoffError, match="8 features, 12 needed"):
        initialise(VelocityUNet((8, 8), (8, 8)), 1e-3, 1.0)


def test_the_first_loss_is_that_of_no_warp():
    recipe = Recipe((4, 4), (4, 4), flow_scale=0.0)
    task = RegistrationTask(make_task(TINY, [], 1).pairs, recipe)
    measures = task.loss(task.network(), task.batch([0]), 0.0)
    assert torch.allclose(measures["dice"], measures["dice_before"])
    assert measures["loss"].item() == pytest.approx(1 - measures["dice"].item())


def test_every_operation_of_a_step_rounds_at_random(task):
    covered = []

    def arithmetic(step):
        covered.append(RandomRounding(seed=step, strict=True))
        return covered[-1]

    fit(task, Schedule(steps=1, batch=1), arithmetic=arithmetic)
    assert covered[0].coverage.as_dict()["fraction_perturbed"] == 1.0


def test_unseen_pairs_are_not_those_of_the_training(task):
    seen, other = task.pairs.draw(0), unseen(task).draw(0)
    assert not np.array_equal(seen.labels, other.labels)


def test_changed_replaces_what_is_given():
    size = changed(TINY, {"steps": 7, "batch": None, "memory": "checkpoint"})
    assert (size.schedule.steps, size.schedule.batch) == (7, 1)
    assert size.recipe.memory == "checkpoint"


def test_segmentations_become_label_maps(tmp_path):
    volume = np.zeros((60, 60, 60), np.int16)
    volume[20:40, 20:40, 20:40] = 17
    volume[40:45, 20:40, 20:40] = 99
    path = tmp_path / "aseg.nii.gz"
    nib.save(nib.Nifti1Image(volume, np.diag([4.0, 4, 4, 1])), path)
    source = label_map_source([path], [2, 17], get_size("demo"))
    assert source.structures == 2
    found = source.maps[0]
    assert found.shape == (32, 32, 32)
    assert set(np.unique(found)) == {0, 2}
    assert 13**3 <= (found == 2).sum() <= 14**3  # a cube of 80 mm
    assert np.argwhere(found).mean(0) == pytest.approx([15.5] * 3, abs=1)
    with pytest.raises(RoundoffError, match=r"none of the labels \[5\]"):
        label_map_source([path], [5], TINY)
    with pytest.raises(RoundoffError, match="no file"):
        label_map_source([tmp_path / "none.mgz"], [2], TINY)


def test_heads_bring_their_typical_contrast():
    image = np.zeros((256, 256, 256), np.uint8)
    labels = np.zeros_like(image)
    image[80:180, 60:180, 80:180], labels[100:160, 90:150, 100:160] = 200, 1
    image[100:160, 90:150, 100:160] = 120
    source = head_source(Head("cube", image, labels), get_size("heads"))
    assert source.typical[1] == pytest.approx(120)
    assert source.maps[0].shape == (32, 32, 32)
    assert (source.maps[0] == 1).sum() == pytest.approx(10**3, rel=0.1)


def test_quality_of_unseen_pairs(trained, task, tmp_path):
    save_weights(trained[0], tmp_path / "net.safetensors", {"steps": 40})
    network = quality.load_network(tmp_path / "net.safetensors", TINY)
    assert network.int_steps == TINY.recipe.int_steps
    heads = quality.placed_pair(task.pairs.draw(far_apart(task)), "known")
    found = quality.register(network, *heads)
    assert found.overlap.after > found.overlap.before
    assert 0 <= found.overlap.folded_percent <= 100
    assert found.moved.image.shape == TINY.box
    assert len(found.overlap.cells()) == len(quality.HEADER)
    names = [a.name for a, _ in quality.synthetic_pairs(unseen(task), 2)]
    assert names == ["synthetic0a", "synthetic1a"]


def test_overlap_of_known_maps():
    a, b = (np.zeros((8, 8, 8), np.uint8) for _ in range(2))
    a[:4], b[2:6] = 1, 1
    assert quality.mean_dice(a, b) == (0.5, 1)
    assert quality.mean_dice(a, a) == (1.0, 1)


def test_weights_are_read_as_a_registration_model(trained, tmp_path):
    save_weights(trained[0], tmp_path / "net.safetensors", {})
    model = load_registration(tmp_path / "net.safetensors", int_steps=5)
    pair = torch.rand(1, 2, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(model.unet(pair), trained[0](pair))


def test_command_lines_follow_the_settings():
    from roundoff.config.training import Training

    assert launch(Training()) == "python"
    assert launch(Training(processes=4)).endswith("--standalone --nproc-per-node 4")
    assert maps_option(Training()) == ""
    assert maps_option(Training(label_maps=["a b.mgz"])) == "--label-maps 'a b.mgz'"
    assert changes(Training(steps=5, memory="plain")) == "--steps 5 --memory plain"
    with pytest.raises(ValueError, match="batch 3 is no multiple of processes 2"):
        Training(batch=3, processes=2)
