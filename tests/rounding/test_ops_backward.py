"""Gradients under random rounding: near PyTorch's, different from it, reproducible."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from roundoff.rounding import RandomRounding

G = torch.Generator().manual_seed(7)
X = torch.randn(3, 4, 10, 12, generator=G)
V = torch.randn(1, 2, 5, 6, 4, generator=G)
GRID = torch.rand(3, 7, 5, 2, generator=G) * 2.2 - 1.1
GRID3 = torch.rand(1, 4, 5, 3, 3, generator=G) * 2.2 - 1.1
W = torch.randn(6, 2, 3, 3, generator=G)
P = torch.rand(4, generator=G)
T = torch.randint(0, 4, (3, 10, 12), generator=G)

GRADIENTS = {
    "convolution": (lambda x, w: F.conv2d(x, w, stride=2, groups=2), (X, W)),
    "transposed": (lambda x, w: F.conv_transpose2d(x, w, stride=2), (X, W[:4])),
    "batch norm": (
        lambda x, w: F.batch_norm(x, None, None, w, w, training=True),
        (X, P),
    ),
    "batch norm eval": (lambda x, w: F.batch_norm(x, P, P, w, w), (X, P)),
    "group norm": (lambda x, w: F.group_norm(x, 2, w, w), (X, P)),
    "layer norm": (lambda x: F.layer_norm(x, (12,), P.repeat(3), P.repeat(3)), (X,)),
    "instance norm": (lambda x: F.instance_norm(x), (X,)),
    "linear": (lambda x, w: F.linear(x, w), (X, torch.randn(5, 12, generator=G))),
    "prelu": (F.prelu, (X, P)),
    "leaky": (F.leaky_relu, (X,)),
    "elu": (F.elu, (X,)),
    "gelu": (F.gelu, (X,)),
    "gelu tanh": (lambda x: F.gelu(x, approximate="tanh"), (X,)),
    "silu": (F.silu, (X,)),
    "softplus": (F.softplus, (X,)),
    "sigmoid": (torch.sigmoid, (X,)),
    "tanh": (torch.tanh, (X,)),
    "softmax": (lambda x: F.softmax(x, 1), (X,)),
    "log_softmax": (lambda x: F.log_softmax(x, 1), (X,)),
    "max_pool overlapping": (lambda x: F.max_pool2d(x, 3, 1), (X,)),
    "avg_pool": (lambda x: F.avg_pool2d(x, 3, 2, 1), (X,)),
    "avg_pool 3-D": (lambda x: F.avg_pool3d(x, (1, 3, 2)), (V,)),
    "adaptive": (lambda x: F.adaptive_avg_pool2d(x, (3, 5)), (X,)),
    "bilinear": (
        lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear"),
        (X,),
    ),
    "trilinear": (
        lambda x: F.interpolate(x, (9, 7, 9), mode="trilinear", align_corners=True),
        (V,),
    ),
    "nearest": (lambda x: F.interpolate(x, size=(15, 17)) * 0.7, (X,)),
    "grid_sample": (lambda x, g: F.grid_sample(x, g, align_corners=False), (X, GRID)),
    "grid_sample border": (
        lambda x, g: F.grid_sample(x, g, padding_mode="border", align_corners=True),
        (X, GRID),
    ),
    "grid_sample 3-D": (
        lambda x, g: F.grid_sample(x, g, align_corners=True),
        (V, GRID3),
    ),
    "cross entropy": (lambda x: F.cross_entropy(x, T, reduction="none"), (X,)),
    "mse": (lambda x: F.mse_loss(x, torch.zeros_like(x), reduction="none"), (X,)),
    "smooth l1": (lambda x: F.smooth_l1_loss(x, x.detach() * 0.3), (X,)),
    "bce logits": (
        lambda x: F.binary_cross_entropy_with_logits(x, (x > 0).float()),
        (X,),
    ),
    "norm": (lambda x: x.norm(dim=1), (X,)),
    "std": (lambda x: x.std(1), (X,)),
    "gather": (lambda x: x[:, [0, 0, 2]] * 0.3, (X,)),
    "cumsum": (lambda x: x.cumsum(1), (X,)),
}


def gradients(name, mode=None, seed=0):
    function, inputs = GRADIENTS[name]
    leaves = [x.clone().requires_grad_() for x in inputs]

    def backward():
        out = function(*leaves)
        weights = torch.linspace(0.3, 1.1, out.numel()).reshape(out.shape)
        return torch.autograd.grad(out, leaves, weights)

    if mode is None:
        return backward()
    with RandomRounding(mode, seed=seed) as rounding:
        result = backward()
    assert rounding.coverage.fraction == 1
    return result


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_are_near_torchs_perturbed_and_reproducible(name):
    plain = gradients(name)
    near, noisy = gradients(name, "nearest"), gradients(name, "random")
    for a, b, c, d in zip(plain, near, noisy, gradients(name, "random"), strict=True):
        scale = a.abs().max().item()
        torch.testing.assert_close(b, a, rtol=1e-4, atol=3e-6 * scale)
        torch.testing.assert_close(c, a, rtol=1e-3, atol=3e-5 * scale)
        assert torch.equal(c, d)
    other = gradients(name, "random", seed=1)
    assert not all(torch.equal(c, e) for c, e in zip(noisy, other, strict=True))


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.Adam])
def test_optimiser_steps_are_perturbed(optimiser, foreach):
    results = []
    for seed in (None, 0, 0, 1):
        torch.manual_seed(0)
        layer = nn.Linear(6, 5)
        steps = optimiser(layer.parameters(), 0.01, foreach=foreach)

        def train(layer=layer, steps=steps):
            for _ in range(3):
                steps.zero_grad()
                layer(X.reshape(-1, 6)).square().mean().backward()
                steps.step()

        if seed is None:
            train()
        else:
            with RandomRounding(seed=seed):
                train()
        results.append(layer.weight.detach().clone())
    plain, first, again, other = results
    torch.testing.assert_close(first, plain, rtol=1e-3, atol=1e-5)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
