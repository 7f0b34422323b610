"""Conversion of whole networks: what is swapped, shared, counted and cleaned."""

import pytest
import torch
from nan_networks import MnistCnn, PlainUNet, SeparableNet
from torch import nn
from torch.nn import functional as F

import roundoff.nan as rn
from roundoff.models.fastsurfer.network import FastSurferVINN
from roundoff.models.fondue.network import FondueLT

MODES = ("conservative", "aggressive")


def seeded(make, seed=0):
    torch.manual_seed(seed)
    return make().eval()


def slices(batch, channels, height=64, width=48):
    """Heads of noise on an exactly constant background, another one per sample."""
    g = torch.Generator().manual_seed(5)
    x = torch.zeros(batch, channels, height, width)
    for n in range(batch):
        top, left = 8 + 4 * n, 10 + 2 * n
        inside = torch.rand(channels, 28, 20, generator=g)
        x[n, :, top : top + 28, left : left + 20] = inside
    return x


NETWORKS = {
    "fastsurfer": (
        lambda: FastSurferVINN(5, 3, num_filters=6, num_filters_interpol=4),
        3,
    ),
    "fondue": (lambda: FondueLT(4, 3), 3),
    "unet": (lambda: PlainUNet(2), 2),
    "mnist": (MnistCnn, 1),
    "separable": (SeparableNet, 3),
}


@pytest.fixture(params=sorted(NETWORKS))
def network(request):
    make, channels = NETWORKS[request.param]
    return request.param, seeded(make), channels


@pytest.mark.parametrize("mode", MODES)
@torch.inference_mode()
def test_a_batch_equals_its_samples_one_by_one(network, mode):
    # Summation orders differ with the batch: a tolerance far above rounding, so that
    # no near tie of the constant background is decided by it.
    _, model, channels = network
    converted = rn.convert(model.double(), mode, 0.5, rtol=1e-9, output="propagate")
    x = slices(3, channels).double()
    alone = torch.cat([converted(sample[None]) for sample in x])
    torch.testing.assert_close(converted(x), alone, equal_nan=True)


@pytest.mark.parametrize("mode", MODES)
@torch.inference_mode()
def test_conversion_shares_weights_and_leaves_the_model_alone(network, mode):
    _, model, channels = network
    x = slices(1, channels)
    before = model(x)
    layers = [type(m) for m in model.modules()]
    converted = rn.convert(model, mode)
    converted(x)
    assert torch.equal(model(x), before)
    assert [type(m) for m in model.modules()] == layers
    original, copied = model.state_dict(), converted.model.state_dict()
    assert list(original) == list(copied)
    assert all(original[k].data_ptr() == copied[k].data_ptr() for k in original)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["fastsurfer", "fondue", "unet"])
@torch.inference_mode()
def test_without_ties_a_converted_network_is_the_network(name, dtype):
    """Noise everywhere, nothing tied. (The ReLU of the others makes ties of zeros.)"""
    make, channels = NETWORKS[name]
    model = seeded(make).to(dtype)
    g = torch.Generator().manual_seed(9)
    x = torch.rand(2, channels, 64, 64, generator=g).to(dtype)
    converted = rn.convert(model, "conservative", rtol=0.0, output="propagate")
    got, want = converted(x), model(x)
    if dtype == torch.float64:
        torch.testing.assert_close(got, want)
    else:  # rounding may decide a pooling's winner, and move a value by a pixel
        assert got.isclose(want, rtol=1e-4, atol=1e-4).float().mean() > 0.99


@torch.inference_mode()
def test_constant_background_is_skipped_in_the_decoder():
    model = seeded(NETWORKS["fastsurfer"][0])
    converted = rn.convert(model, "conservative", 0.5)
    logits = converted(slices(1, 3, 128, 128))
    shares = {name: count.share for name, count in converted.counts().items()}
    assert shares["encode2.conv1"] == 0
    assert shares["decode1.conv1"] > 0.2
    assert logits.isfinite().all()
    summary = converted.skip_summary()
    assert 0 < summary["blocks"] < 1
    assert 0 < summary["macs"] < 1
    converted.reset_counts()
    assert all(c.total == 0 for c in converted.counts().values())
    assert torch.tensor(list(converted.skip_summary().values())).isnan().all()


@torch.inference_mode()
def test_counts_are_those_of_the_input_of_every_convolution():
    model = seeded(NETWORKS["unet"][0])
    converted = rn.convert(model, "aggressive", 0.4, maps=True)
    seen = {}

    def note(name):
        def hook(module, inputs):
            seen[name] = rn.count_skipped(
                torch.as_tensor(inputs[0]),
                module.weight.shape,
                module.stride,
                module.padding,
                module.dilation,
                module.groups,
                0.4,
            )

        return hook

    for name, conv in converted.convolutions().items():
        conv.register_forward_pre_hook(note(name))
    converted(slices(2, 2))
    assert converted.counts() == seen
    assert any(c.skipped for c in seen.values())
    maps = converted.skip_maps()
    assert {n: int(m.sum()) for n, m in maps.items()} == {
        n: c.skipped for n, c in seen.items()
    }


@torch.inference_mode()
def test_output_policies():
    model = seeded(NETWORKS["fastsurfer"][0])
    x = slices(1, 3, 128, 128)
    raw = rn.convert(model, "conservative", 0.4, output="propagate")(x)
    gone = raw.isnan().any(1)
    assert 0 < gone.float().mean() < 1
    cleaned = rn.convert(model, "conservative", 0.4, output="finite")(x)
    assert (cleaned.argmax(1)[gone] == 0).all()
    assert torch.equal(cleaned.argmax(1)[~gone], raw.argmax(1)[~gone])
    denoiser = seeded(NETWORKS["fondue"][0])
    # A shift keeps the background above zero, where Hardtanh does not clip it.
    y = slices(1, 3, 64, 64) * 0.5 + 0.25
    raw = rn.convert(denoiser, "conservative", 0.4, output="propagate")(y)
    image = rn.convert(denoiser, "conservative", 0.4, output="input")(y)
    assert raw.isnan().any()
    assert torch.equal(image[raw.isnan()], y[:, 1, None][raw.isnan()])
    zero = rn.convert(denoiser, "conservative", 0.4, output="zero")(y)
    assert (zero[raw.isnan()] == 0).all()


class Functional(nn.Module):
    """Pools and unpools without modules."""

    def forward(self, x):
        pooled, indices = F.max_pool2d(x, 2, return_indices=True)
        return F.max_pool2d(F.max_unpool2d(pooled, indices, 2), 1)


@pytest.mark.filterwarnings("ignore:convert found no")
def test_functional_pooling_is_converted_too():
    x = torch.tensor([[[[3.0, 3.0, 1.0, 2.0], [1.0, 2.0, 0.0, 0.0]]]])
    conservative = rn.convert(Functional().eval(), "conservative", output="propagate")
    assert conservative(x).isnan().tolist() == [
        [[[True, True, False, False], [False] * 4]]
    ]
    aggressive = rn.convert(Functional().eval(), "aggressive", output="propagate")
    assert aggressive(x).isnan().tolist() == [[[[True] + [False] * 3, [False] * 4]]]


def test_layers_to_keep_are_kept_and_shared_layers_stay_shared():
    conv = nn.Conv2d(2, 2, 1)
    model = nn.Sequential(conv, conv, nn.Sequential(nn.Conv2d(2, 2, 1)))
    converted = rn.convert(model, keep=["2"])
    assert converted.model[0] is converted.model[1]
    assert type(converted.model[2][0]) is nn.Conv2d
    with pytest.raises(ValueError, match="no layer"):
        rn.convert(model, keep=["9"])


def test_a_lone_layer_is_converted():
    converted = rn.convert(nn.Conv2d(1, 2, 3).eval(), threshold=1.0)
    assert converted(torch.full((1, 1, 3, 3), float("nan"))).shape == (1, 2, 1, 1)
    assert converted.counts()[""].skipped == 1


def test_errors_of_conversion():
    model = seeded(NETWORKS["unet"][0])
    with pytest.raises(ValueError, match="mode"):
        rn.convert(model, "fast")
    with pytest.raises(ValueError, match="output"):
        rn.convert(model, output="nan")
    with pytest.raises(ValueError, match="threshold"):
        rn.convert(model, threshold=0)
    with pytest.raises(ValueError, match="Generator"):
        rn.convert(model, "aggressive", nan_probability=0.5)
    with pytest.raises(ValueError, match="dilation"):
        rn.convert(nn.Sequential(nn.MaxPool2d(2, dilation=2)))
    with pytest.raises(RuntimeError, match="eval"):
        rn.convert(nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)))(
            torch.zeros(1, 1, 4, 4)
        )
    with pytest.warns(UserWarning, match="found no"):
        rn.convert(nn.Sequential(nn.ReLU()))


def test_unpooling_says_when_tie_sets_were_lost():
    class Copying(nn.Module):
        def __init__(self):
            super().__init__()
            self.pool = nn.MaxPool2d(2, return_indices=True)
            self.unpool = nn.MaxUnpool2d(2)

        def forward(self, x):
            values, indices = self.pool(x)
            return self.unpool(values, indices.clone())

    with pytest.raises(RuntimeError, match="carry no tie sets"):
        rn.convert(Copying().eval())(torch.zeros(1, 1, 4, 4))


@pytest.mark.filterwarnings("ignore:the compiled part")
@pytest.mark.parametrize(
    "how", [{}, {"compiled": False}, {"always_skip": True}], ids=str
)
@torch.inference_mode()
def test_exact_mode_is_the_network_itself(network, how):
    """Up to the order of sums, as far as no index of a tied window decides.

    In FastSurfer's decoder the untrained network turns flipped indices of its
    background into large numbers, in PyTorch as here: its bottleneck is compared.
    """
    name, model, channels = network
    x = slices(2, channels, 128, 128)
    converted = rn.convert(model, "exact", output="propagate", **how)
    seen = {}
    for key, net in (("want", model), ("got", converted.model)):
        part = net.bottleneck if name == "fastsurfer" else net
        part.register_forward_hook(
            lambda _, __, out, key=key: seen.update({key: torch.clone(out)})
        )
    model(x)
    assert converted(x).isfinite().all()
    close = seen["got"].isclose(seen["want"], rtol=1e-4, atol=2e-4)
    assert close.float().mean() > (0.999 if name == "fastsurfer" else 0.95)
    if how.get("always_skip"):
        counts = converted.counts().values()
        assert sum(c.skipped for c in counts) > 0


@pytest.mark.filterwarnings("ignore:the compiled part")
@torch.inference_mode()
def test_exact_joins_conservative_and_skips_more():
    model = seeded(NETWORKS["fastsurfer"][0])
    x = slices(1, 3, 128, 128)
    how = {"output": "propagate", "rtol": 1e-4}
    alone = rn.convert(model, "conservative", **how)
    joined = rn.convert(model, "conservative", exact=True, **how)
    for always in (False, True):
        joined = rn.convert(
            model, "conservative", exact=True, always_skip=always, **how
        )
        a, b = alone(x), joined(x)
        assert (a.isnan() == b.isnan()).float().mean() > 0.99
    assert joined.counts()["encode1.conv1"].skipped > 0
    assert alone.counts()["encode1.conv1"].skipped == 0


@pytest.mark.parametrize("mode", MODES)
@torch.inference_mode()
def test_compiled_and_plain_conversion_agree(network, mode):
    name, model, channels = network
    x = slices(2, channels, 128, 128)
    how = {"output": "propagate", "rtol": 1e-4, "atol": 1e-6}
    fast = rn.convert(model, mode, 0.5, **how)
    slow = rn.convert(model, mode, 0.5, compiled=False, **how)
    a, b = fast(x), slow(x)
    assert (a.isnan() == b.isnan()).float().mean() > 0.97, name
    for layer, count in slow.counts().items():
        other = fast.counts()[layer]
        assert other.total == count.total
        assert abs(other.skipped - count.skipped) <= 0.03 * count.total, (name, layer)
