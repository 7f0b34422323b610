"""Whole networks run with every rounding operator perturbed, none left out."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from roundoff.rounding import RandomRounding


class Mnist(nn.Module):
    """The customary small classifier of digits."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 16, 3)
        self.drop1, self.drop2 = nn.Dropout(0.25), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(16 * 12 * 12, 32), nn.Linear(32, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        x = self.drop2(F.relu(self.fc1(torch.flatten(self.drop1(x), 1))))
        return F.log_softmax(self.fc2(x), dim=1)


class Separable(nn.Module):
    """Xception's unit: a depthwise, then a pointwise convolution."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.depth = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.point = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.norm(self.point(self.depth(x)))


class Xception(nn.Module):
    """Entry, one residual block and the classifier of an Xception."""

    def __init__(self):
        super().__init__()
        self.entry = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.block = nn.Sequential(
            Separable(8, 16), nn.ReLU(), Separable(16, 16), nn.MaxPool2d(3, 2, 1)
        )
        self.skip = nn.Sequential(
            nn.Conv2d(8, 16, 1, 2, bias=False), nn.BatchNorm2d(16)
        )
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(16, 4)

    def forward(self, x):
        x = self.entry(x)
        x = self.block(x) + self.skip(x)
        return self.head(self.pool(F.relu(x)).flatten(1))


class Diffeomorphic(nn.Module):
    """A 3-D U-Net whose velocity field is integrated with grid_sample."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv3d(2, 8, 3, stride=2, padding=1)
        self.up = nn.Conv3d(8, 3, 3, padding=1)

    def forward(self, pair):
        flow = self.up(F.leaky_relu(self.down(pair), 0.2)) / 2**3
        grid = F.affine_grid(torch.eye(3, 4)[None], flow.shape, align_corners=True)
        for _ in range(3):
            place = grid + flow.permute(0, 2, 3, 4, 1)
            flow = flow + F.grid_sample(flow, place, align_corners=True)
        return F.interpolate(flow, scale_factor=2, mode="trilinear")


def fastsurfer():
    from roundoff.models.fastsurfer.network import FastSurferVINN

    network = FastSurferVINN(5, 7, num_filters=8, num_filters_interpol=4)
    return network, (torch.rand(1, 7, 48, 48), 0.8)


def fondue():
    from roundoff.models.fondue.network import FondueLT

    return FondueLT(filters=4), (torch.rand(1, 7, 128, 128), 0.8)


def synthmorph():
    from roundoff.models.synthmorph.network import Registration, VelocityUNet

    unet = VelocityUNet((4, 4, 4, 4), (4, 4, 4, 4), (4,))
    return Registration(unet, int_steps=3), (torch.rand(32, 32, 32),) * 2


def transformer():
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    return layer, (torch.randn(2, 7, 16),)


NETWORKS = {
    "fastsurfer": fastsurfer,
    "fondue": fondue,
    "synthmorph": synthmorph,
    "mnist": lambda: (Mnist(), (torch.randn(2, 1, 28, 28),)),
    "xception": lambda: (Xception(), (torch.randn(2, 1, 29, 29),)),
    "transformer": transformer,
    "diffeomorphic": lambda: (Diffeomorphic(), (torch.rand(1, 2, 8, 8, 8),)),
}


def _outputs(result):
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("without_grad", [torch.inference_mode, torch.no_grad])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_rounding_operator_is_perturbed(name, without_grad):
    torch.manual_seed(5)
    network, inputs = NETWORKS[name]()
    network.eval()
    results = []
    with without_grad():
        plain = _outputs(network(*inputs))
        for seed in (1, 1, 2):
            with RandomRounding("random", seed=seed, strict=True) as rounding:
                results.append(_outputs(network(*inputs)))
    assert rounding.coverage.fraction == 1.0
    assert not rounding.coverage.unsupported
    assert rounding.coverage.operations > 1000
    for first, again, other, reference in zip(*results, plain, strict=True):
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        torch.testing.assert_close(first, reference, rtol=1e-2, atol=1e-3)


def test_a_training_step_is_perturbed_forward_backward_and_update():
    inputs, labels = torch.randn(4, 1, 29, 29), torch.tensor([0, 1, 2, 3])
    weights = []
    for seed in (1, 1, 2):
        torch.manual_seed(0)
        network = Xception()
        optimiser = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
        with RandomRounding("nearness", seed=seed) as rounding:
            for _ in range(2):
                optimiser.zero_grad()
                F.cross_entropy(network(inputs), labels).backward()
                optimiser.step()
        weights.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert rounding.coverage.fraction == 1.0
    backward = [
        line
        for line in rounding.coverage
        if line.operator == "aten.convolution_backward.default"
    ]
    assert {"entry.0", "block.0.depth"} <= {line.module for line in backward}
