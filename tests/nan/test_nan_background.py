"""Exact mode: what is copied has the bits of what would have been computed."""

import pytest
import torch
from nan_networks import PlainUNet
from torch import nn
from torch.nn import functional as F

import roundoff.nan as rn
from roundoff.models.fastsurfer.network import FastSurferVINN
from roundoff.models.fondue.network import FondueLT
from roundoff.nan import engine, kernels
from roundoff.nan.background import Compact
from roundoff.nan.carried import Carried

pytestmark = [
    pytest.mark.filterwarnings("ignore:the compiled part"),
    pytest.mark.skipif(kernels.library() is None, reason="kernels were not built"),
]


@pytest.fixture
def computed(monkeypatch):
    """Converts a network so that our kernels compute every single window.

    Nor does an exact network leave a layer to oneDNN then.
    """

    def dense(run):
        plan = kernels.Plan(run.data.shape, run.shape, 2.0, run.conv.fill)
        values, _ = plan.run(run.data, run.weights.packed)
        made = Carried(values.shape, values)
        return made if run.other is None else torch.maximum(made, run.other)

    monkeypatch.setattr(engine._Run, "_dense", dense)

    def convert(model):
        made = rn.convert(model, "exact", output="propagate")
        made._follower = None
        return made

    return convert


def heads(batch, channels, size=64, dims=2, background=0.0, touching=False):
    """Blocks of noise on a constant background, elsewhere in each sample."""
    torch.manual_seed(3)
    x = torch.full((batch, channels, *(size,) * dims), background)
    for n in range(batch):
        start = 0 if touching else 8 * n + 10
        where = (n, slice(None), *(slice(start, start + size // 4),) * dims)
        x[where] = torch.rand(x[where].shape)
    return x


def seeded(model, seed=0):
    """Random weights and normalisations that are not the identity."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
    return model.eval()


class Volume(nn.Module):
    """Convolutions with stride, pooling, resizing and concatenation in 3-D."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv3d(2, 18, 3, padding=1)
        self.second = nn.Conv3d(18, 17, 3, padding=1, stride=2)
        self.third = nn.Conv3d(17, 16, 3, padding=2, dilation=2)
        self.last = nn.Conv3d(33, 5, 3, padding=1)

    def forward(self, x):
        x = F.max_pool3d(torch.relu(self.first(x)), 2)
        y = F.leaky_relu(self.second(x), 0.2)
        return self.last(torch.cat([y, torch.relu(self.third(y))], 1))


NETWORKS = {
    "fastsurfer": lambda: FastSurferVINN(
        5, 3, num_filters=17, num_filters_interpol=16, base_resolution=1.0
    ),
    "fondue": lambda: FondueLT(16, 3),
    "unet": lambda: PlainUNet(3, 18),
}


@pytest.mark.parametrize("background", [0.0, 0.7])
@pytest.mark.parametrize("touching", [False, True])
@pytest.mark.parametrize("name", sorted(NETWORKS))
@torch.inference_mode()
def test_exact_networks_give_the_bits_of_computing_everything(
    name, background, touching, computed
):
    model = seeded(NETWORKS[name]())
    exact = rn.convert(model, "exact", output="propagate", always_skip=True)
    x = heads(2, 3, 96, background=background, touching=touching)
    first, again = exact(x), exact(x)
    summary = exact.skip_summary()
    assert torch.equal(first, again)
    assert summary["macs"] > 0.1
    everything = computed(model)
    assert torch.equal(first, everything(x))
    assert everything.skip_summary()["macs"] == 0


@torch.inference_mode()
def test_resizing_keeps_the_background(computed):
    model = seeded(NETWORKS["fastsurfer"]())
    x = heads(1, 3, 96)
    exact = rn.convert(model, "exact", always_skip=True)
    out = exact(x, 0.8)
    assert exact.counts()["encode1.conv1"].share > 0.2
    assert torch.equal(out, computed(model)(x, 0.8))


@pytest.mark.parametrize("background", [0.0, 0.7])
@torch.inference_mode()
def test_volumes_and_the_border_of_the_image(background, computed):
    model = seeded(Volume())
    x = heads(2, 2, 24, dims=3, background=background)
    exact = rn.convert(model, "exact", always_skip=True)
    assert torch.equal(exact(x), computed(model)(x))
    # Not the head's surroundings alone: the border, where padding is, is copied too.
    assert exact.counts()["first"].share > 0.7
    assert exact.counts()["second"].share > 0.4


@torch.inference_mode()
def test_empty_samples_are_the_recorded_output(computed):
    model = seeded(NETWORKS["unet"]())
    x = heads(3, 3, 64)
    x[1] = 0
    exact = rn.convert(model, "exact", output="propagate")
    got = exact(x)
    total = exact.counts()["down1.0"].total
    assert total == 3 * 64 * 64
    assert exact.counts()["head"].skipped >= 64 * 64
    want = model(x)
    torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3)
    everything = exact(x[1:2])
    assert torch.equal(everything, got[1:2])


@torch.inference_mode()
def test_samples_with_another_background_are_computed():
    model = seeded(NETWORKS["unet"]())
    x = heads(3, 3, 64)
    x[2][x[2] == 0] = 0.5
    got = rn.convert(model, "exact", output="propagate", always_skip=True)(x)
    torch.testing.assert_close(got, model(x), rtol=1e-3, atol=1e-3)


def test_new_weights_are_recorded_anew():
    model = seeded(NETWORKS["unet"]())
    exact = rn.convert(model, "exact", output="propagate", always_skip=True)
    x = heads(1, 3, 64)
    with torch.no_grad():
        exact(x)
        for parameter in model.parameters():
            parameter.mul_(1.5)
        torch.testing.assert_close(exact(x), model(x), rtol=1e-3, atol=1e-3)


@torch.inference_mode()
def test_recording_counts_nothing_and_leaves_maps_alone():
    model = seeded(NETWORKS["unet"]())
    exact = rn.convert(model, "exact", maps=True, always_skip=True)
    x = heads(2, 3, 64)
    x[1] = 0
    exact(x)
    assert exact.counts()["down1.0"].total == 2 * 64 * 64
    assert exact.skip_maps()["down1.0"].shape == (2, 1, 64, 64)
    assert exact.skip_maps()["down1.0"][1].all()


@torch.inference_mode()
def test_an_image_without_background_runs_without_a_record():
    model = seeded(NETWORKS["unet"]())
    exact = rn.convert(model, "exact", output="propagate")
    x = torch.rand(1, 3, 64, 64)
    exact(x)
    assert not exact._follower.known
    assert exact.skip_summary()["macs"] == 0


@torch.inference_mode()
def test_compact_is_lossless():
    torch.manual_seed(0)
    plane = torch.zeros(1, 4, 20, 30)
    plane[:, :, :3] = torch.rand(1, 4, 3, 1)
    plane[..., -2:] = torch.rand(1, 4, 1, 2)
    plane[0, 0, 0, 0] = float("nan")
    plane[0, 1, 1, 0] = -0.0
    made = Compact.of(kernels.channels_last(plane))
    assert made.values.shape[0] < 60
    back = made.values[made.classes.long()].movedim(-1, 0)[None]
    assert torch.equal(back.contiguous().view(torch.int32), plane.view(torch.int32))
    assert made.alike(kernels.channels_last(plane)).all()
    plane[0, 2, 10, 10] += 1
    assert made.alike(kernels.channels_last(plane)).sum() == 20 * 30 - 1
