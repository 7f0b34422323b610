"""ReLU with a chosen derivative at zero, and the networks made of it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from roundoff.errors import RoundoffError
from roundoff.relu_zero.networks import NETWORKS, bare_cnn, build, mlp
from roundoff.relu_zero.relu import ReLUZero, relu_zero, relus, set_slope, watched
from roundoff.relu_zero.sizes import DATASETS


def gradient(values, slope, variant="correct", incoming=3.0):
    x = torch.tensor(values, requires_grad=True)
    (relu_zero(x, slope, variant) * incoming).sum().backward()
    return x.grad.tolist()


def test_derivative_at_zero_is_s_times_what_comes_in():
    assert gradient([-2.0, 0.0, -0.0, 5.0], 0.5) == [0, 1.5, 1.5, 3]


def test_published_variant_assigns_s():
    assert gradient([-2.0, 0.0, 5.0], 0.5, "published") == [0, 0.5, 3]


def test_variants_agree_for_s_zero():
    values = [-1.0, 0.0, 1.0]
    assert gradient(values, 0.0) == gradient(values, 0.0, "published") == [0, 0, 3]


def test_published_variant_ignores_the_incoming_gradient():
    a = gradient([0.0], 1.0, "published", incoming=7.0)
    b = gradient([0.0], 1.0, "published", incoming=-1.0)
    assert a == b == [1]
    assert gradient([0.0], 1.0, incoming=-1.0) == [-1]


@given(st.floats(-3, 3), st.lists(st.floats(-4, 4), min_size=1, max_size=8))
def test_forward_is_relu(slope, values):
    x = torch.tensor(values)
    assert torch.equal(relu_zero(x, slope), torch.relu(x))


def test_away_from_zero_the_gradient_is_the_numerical_one():
    x = torch.tensor([-2.0, -0.1, 0.3, 4.0], dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda t: relu_zero(t, 0.7), (x,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_type_is_kept(dtype):
    x = torch.zeros(3, dtype=dtype, requires_grad=True)
    y = relu_zero(x, 0.5)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == dtype
    assert x.grad.tolist() == [0.5] * 3


def test_not_a_number_passes_no_gradient():
    assert gradient([float("nan")], 1.0) == [0]


def test_unknown_variant():
    with pytest.raises(ValueError, match="variant"):
        relu_zero(torch.zeros(1), 0.0, "paper")
    with pytest.raises(ValueError, match="variant"):
        ReLUZero(variant="paper")


def test_slope_is_set_in_the_whole_network():
    network = mlp((4, 3), inputs=5)
    set_slope(network, 0.25, "published")
    found = [(r.slope, r.variant) for r in relus(network).values()]
    assert found == [(0.25, "published")] * 2


def test_watching_sees_every_relu_input_in_order():
    network = mlp((4, 3), inputs=5)
    x = torch.randn(2, 5)
    with watched(network) as seen:
        network(x)
    first, second = (values[0] for values in seen.values())
    torch.testing.assert_close(first, network[1](x))
    assert second.shape == (2, 3)
    with watched(network) as again:
        pass
    assert not again


@pytest.mark.parametrize("name", [n for n in NETWORKS if "2048" not in n])
def test_networks_classify(name):
    shape = (2, 1, 28, 28) if DATASETS[name] == "mnist" else (2, 3, 32, 32)
    network = build(name)
    with torch.no_grad():
        assert network(torch.rand(shape)).shape == (2, 10)
    norms = [m for m in network.modules() if "BatchNorm" in type(m).__name__]
    assert bool(norms) == name.endswith("_bn")


def test_resnet18_and_vgg11_have_the_published_shape():
    count = lambda n: sum(p.numel() for p in build(n).parameters())  # noqa: E731
    # 3x3 stem, [2, 2, 2, 2] blocks; eight convolutions and one linear layer
    assert count("resnet18_bn") == 11_173_962
    assert count("vgg11") == 9_225_610
    assert len(relus(build("vgg11"))) == 8
    assert len(relus(build("resnet18"))) == 17


def test_every_network_has_a_data_set():
    assert set(NETWORKS) == set(DATASETS)


def test_unknown_network():
    with pytest.raises(RoundoffError, match="vgg11"):
        build("vgg")


def test_empty_background_is_zero_without_biases():
    network = bare_cnn()
    with watched(network) as seen, torch.no_grad():
        network(torch.zeros(1, 1, 28, 28))
    assert all((v[0] == 0).all() for v in seen.values())
