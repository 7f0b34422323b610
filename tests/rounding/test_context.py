"""The context: seeds, threads, nesting, restoration, include and exclude, refusals."""

import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from roundoff.rounding import RandomRounding
from roundoff.rounding.environment import NEAREST, current_direction


def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.PReLU(), nn.Conv2d(8, 4, 3)
    ).eval()


X = torch.randn(2, 3, 40, 40, generator=torch.Generator().manual_seed(3))


def run(network=None, x=X, **settings):
    network = network or model()
    with torch.inference_mode(), RandomRounding(**settings) as rounding:
        y = F.softmax(network(x), 1)
    return y, rounding


@pytest.mark.parametrize("mode", ["random", "nearness"])
def test_same_seed_same_bits_other_seed_or_sample_differs(mode):
    first, _ = run(mode=mode, seed=3)
    assert torch.equal(first, run(mode=mode, seed=3)[0])
    assert not torch.equal(first, run(mode=mode, seed=4)[0])
    assert not torch.equal(first, run(mode=mode, seed=3, sample=1)[0])


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("mode", ["random", "nearness"])
def test_thread_count_changes_no_bit(mode, threads):
    assert torch.equal(run(mode=mode)[0], run(mode=mode, threads=threads)[0])


def test_torch_thread_count_changes_no_bit_of_a_fixed_order():
    before = torch.get_num_threads()
    one = run(order="sequential")[0]
    torch.set_num_threads(2)
    try:
        assert torch.equal(one, run(order="sequential")[0])
    finally:
        torch.set_num_threads(before)


def test_torch_generator_is_left_alone():
    network = model()
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    run(network)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("alias", ["average", "sr"])
def test_aliases_of_nearness(alias):
    assert torch.equal(run(mode=alias)[0], run(mode="nearness")[0])
    assert RandomRounding(alias).mode == "nearness"


@pytest.mark.parametrize("mode", ["upward", "downward", "toward_zero", "nearest"])
def test_deterministic_modes_do_not_depend_on_the_seed(mode):
    assert torch.equal(run(mode=mode, seed=1)[0], run(mode=mode, seed=2)[0])


def test_directed_modes_bracket_a_sum():
    x = torch.full((10_000,), 0.1)
    sums = {}
    for mode in ("downward", "nearest", "upward"):
        with RandomRounding(mode):
            sums[mode] = x.sum().item()
    exact = float(np.float32(0.1)) * 10_000
    assert sums["downward"] < exact < sums["upward"]
    assert sums["nearest"] == x.sum().item()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_everything_is_restored_after_an_exception(error):
    fastpath = torch.backends.mha.get_fastpath_enabled()
    network = model()

    def stop(*_):
        raise error

    network[2].register_forward_hook(stop)
    rounding = RandomRounding()
    with pytest.raises(error), rounding:
        network(X)
    assert current_direction() == NEAREST
    assert torch.backends.mha.get_fastpath_enabled() == fastpath
    plain = model()(X)
    assert torch.equal(plain, model()(X))
    with rounding:  # usable again
        assert not torch.equal(model()(X), plain)


def test_a_generator_abandoned_half_way_closes_the_context():
    def samples():
        with RandomRounding():
            while True:
                yield X * 0.1

    generator = samples()
    next(generator)
    generator.close()
    assert torch.equal(X * 0.1, X * 0.1)
    assert current_direction() == NEAREST


def test_the_inner_of_two_contexts_governs():
    with RandomRounding("nearest", seed=1) as outer:
        with RandomRounding("upward") as inner:
            high = X * 0.1
        near = X * 0.1
    assert (high >= near).all()
    assert (high > near).any()
    assert torch.equal(near, X * 0.1)
    assert inner.coverage.calls("perturbed") == outer.coverage.calls("perturbed") == 1


def test_one_object_cannot_be_active_twice():
    rounding = RandomRounding()
    with rounding, pytest.raises(RuntimeError, match="already active"), rounding:
        pass
    with rounding:
        first = X * 0.1
    with rounding:
        assert torch.equal(X * 0.1, first)  # a repeated context repeats its draws


def test_a_second_thread_needs_its_own_object_and_gets_its_own_draws():
    rounding, failures, results = RandomRounding(), [], {}
    # Made before the threads: drawing weights uses one generator for all of them.
    networks = {name: model() for name in ("shared", "own", "mine")}

    def work(name, own):
        try:
            with own:
                results[name] = networks[name](X)
        except RuntimeError as error:
            failures.append(str(error))

    with rounding:
        thread = threading.Thread(target=work, args=("shared", rounding))
        thread.start()
        thread.join()
        own = threading.Thread(target=work, args=("own", RandomRounding(seed=5)))
        own.start()
        mine = networks["mine"](X)
        own.join()
    assert len(failures) == 1
    assert "already active" in failures[0]
    with RandomRounding(seed=5):
        assert torch.equal(results["own"], model()(X))
    with RandomRounding():
        assert torch.equal(mine, model()(X))


def test_exclude_leaves_a_module_to_ordinary_arithmetic():
    network = model()
    outputs = []
    network[0].register_forward_hook(lambda *a: outputs.append(a[2]))
    _, rounding = run(network, exclude=["0"])
    assert torch.equal(outputs[0], network[0](X))
    totals = rounding.coverage.by_module()
    assert totals["0"]["operations"] == 0
    assert rounding.coverage.calls("excluded") == 1
    assert rounding.coverage.fraction < 1


def test_include_perturbs_nothing_else():
    _, rounding = run(include=["3"])
    perturbed = {line.module for line in rounding.coverage if line.operations}
    assert perturbed == {"3"}


def test_globs_take_what_lies_below_and_equals_takes_one_module():
    class Nested(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = model()

        def forward(self, x):
            return self.body(x) * 0.3

    for glob in ("body", "body.*", "b*"):
        _, rounding = run(Nested(), include=[glob])
        modules = {line.module for line in rounding.coverage if line.operations}
        assert modules == {"body.0", "body.1", "body.2", "body.3"}
    _, rounding = run(Nested(), include=["="])
    assert {line.module for line in rounding.coverage if line.operations} == {""}


@pytest.mark.parametrize("field", ["include", "exclude"])
def test_a_glob_that_matches_nothing_is_an_error(field):
    with pytest.raises(ValueError, match=rf"{field}='decoder' matched no module"):
        run(**{field: ["decoder"]})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "sideways"}, "mode='sideways'"),
        ({"order": "random"}, "order='random'"),
        ({"libm": "none"}, "libm='none'"),
        ({"threads": 0}, "threads=0"),
        ({"include": "0"}, r"include=\['0'\]"),
    ],
)
def test_unknown_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        RandomRounding(**settings)


def test_scripted_and_compiled_modules_are_refused():
    with pytest.raises(RuntimeError, match=r"torch\.jit"), RandomRounding():
        torch.jit.script(nn.Linear(2, 2))(torch.ones(1, 2))
    compiled = torch.compile(nn.Linear(2, 2), backend="eager")
    with pytest.raises(RuntimeError, match=r"torch\.compile"), RandomRounding():
        compiled(torch.ones(1, 2))


def test_a_compiled_function_runs_its_python_code_instead():
    hidden = torch.compile(
        lambda x: x * 2.3, backend=lambda graph, inputs: lambda *a: (torch.zeros(4),)
    )
    with RandomRounding() as rounding:
        assert hidden(torch.ones(4))[0] > 2
    assert rounding.coverage.operations == 5  # 4 products, the constant's conversion


def test_modules_can_be_named_in_advance():
    network = model()
    with torch.inference_mode(), RandomRounding(modules={"axial": network}) as rounding:
        network[0](X)
    assert "axial.0" in rounding.coverage.by_module()


def test_importing_is_light():
    code = (
        "import sys, roundoff; assert 'torch' not in sys.modules;"
        "from roundoff import RandomRounding; assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
