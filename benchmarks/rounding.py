"""What random rounding costs beside plain PyTorch, and why every operation is rounded.

    python benchmarks/rounding.py                 # both tables
    python benchmarks/rounding.py --only conv2d   # cases whose name contains this
    python benchmarks/rounding.py --samples 20    # more samples in the second table

First table: processor time of one thread, plain PyTorch and each mode one after the
other in every round, median of the rounds' ratios. A column for the real Verrou appears
where `valgrind --tool=verrou` works: the same case in a process under Valgrind, with
its mode `random` (the two ratios are to plain PyTorch and to ours).

Second table: significant bits that remain when every operation is rounded at random,
and when only the result of each operator is. The second is no approximation of the
first: it cannot see what happens inside a sum.
"""

import argparse
import copy
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Case = Callable[[], Tensor]
MODES = ("random", "nearness")


# --- cases of the first table ---------------------------------------------------------


def convolution(channels_in: int, channels_out: int, kernel: int, *size: int) -> Case:
    """A convolution of one image, padded to keep its size."""
    x = torch.randn(1, channels_in, *size)
    shape = (channels_out, channels_in, *[kernel] * len(size))
    weight, bias = torch.randn(shape), torch.randn(channels_out)
    call = {2: F.conv2d, 3: F.conv3d}[len(size)]
    return lambda: call(x, weight, bias, padding=kernel // 2)


def product(rows: int, terms: int, columns: int) -> Case:
    """A matrix product."""
    a, b = torch.randn(rows, terms), torch.randn(terms, columns)
    return lambda: a @ b


def batch_norm() -> Case:
    """Batch normalisation with running statistics, 64 channels of 256 x 256."""
    layer, x = nn.BatchNorm2d(64).eval(), torch.randn(1, 64, 256, 256)
    return lambda: layer(x)


def interpolate() -> Case:
    """Bilinear resampling by 1.5 of 64 channels of 128 x 128."""
    x = torch.randn(1, 64, 128, 128)
    return lambda: F.interpolate(x, scale_factor=1.5, mode="bilinear")


def fastsurfer(size: int) -> Case:
    """FastSurferVINN on one slice of `size` x `size`."""
    from roundoff.models.fastsurfer.network import FastSurferVINN

    model, x = FastSurferVINN().eval(), torch.rand(1, 7, size, size)
    return lambda: model(x)


def fondue(size: int) -> Case:
    """FONDUE_LT on one slice of `size` x `size`."""
    from roundoff.models.fondue.network import FondueLT

    model, x = FondueLT().eval(), torch.rand(1, 7, size, size)
    return lambda: model(x)


CASES: dict[str, Callable[[], Case]] = {
    "conv2d 3x3 64->64, 64^2": lambda: convolution(64, 64, 3, 64, 64),
    "conv2d 5x5 64->64, 64^2": lambda: convolution(64, 64, 5, 64, 64),
    "conv2d 3x3 64->64, 256^2": lambda: convolution(64, 64, 3, 256, 256),
    "conv2d 5x5 64->64, 256^2": lambda: convolution(64, 64, 5, 256, 256),
    "conv2d 1x1 64->64, 256^2": lambda: convolution(64, 64, 1, 256, 256),
    "conv3d 3x3x3 16->16, 64^3": lambda: convolution(16, 16, 3, 64, 64, 64),
    "matmul 512x512x512": lambda: product(512, 512, 512),
    "matmul 64x1600x4096": lambda: product(64, 1600, 4096),
    "batch norm 64x256^2": batch_norm,
    "interpolate bilinear x1.5": interpolate,
    "FastSurferVINN 256^2": lambda: fastsurfer(256),
    "FONDUE_LT 256^2": lambda: fondue(256),
}


def seconds(case: Case) -> float:
    """Processor time of this thread for one call."""
    start = time.thread_time()
    case()
    return time.thread_time() - start


def rounded(case: Case, mode: str) -> Case:
    """The same case under random rounding with one thread."""
    from roundoff import RandomRounding

    def run() -> Tensor:
        with RandomRounding(mode=mode, seed=1, strict=True):
            return case()

    return run


def paired(case: Case, rounds: int) -> tuple[float, dict[str, float]]:
    """Median seconds of plain PyTorch, and median of the ratios of each mode."""
    runs = [case, *(rounded(case, mode) for mode in MODES)]
    for run in runs:
        run()
    times = [[seconds(run) for run in runs] for _ in range(rounds)]
    plain = statistics.median(row[0] for row in times)
    ratios = {
        mode: statistics.median(row[i + 1] / row[0] for row in times)
        for i, mode in enumerate(MODES)
    }
    return plain, ratios


# --- Verrou ---------------------------------------------------------------------------


def verrou_works() -> bool:
    """Whether Valgrind with the tool Verrou can be started."""
    if shutil.which("valgrind") is None:
        return False
    command = ["valgrind", "--tool=verrou", "--version"]
    probe = ["valgrind", "--tool=verrou", "--log-file=/dev/null", "true"]
    return all(
        subprocess.run(c, capture_output=True, check=False).returncode == 0
        for c in (command, probe)
    )


def verrou_seconds(name: str) -> float:
    """Seconds of one call of the case under Verrou, first call excluded."""
    command = ["valgrind", "--tool=verrou", "--rounding-mode=random", "--count-op=no"]
    command += ["--log-file=/dev/null", sys.executable, __file__, "--time-one", name]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    )
    return float(json.loads(run.stdout.splitlines()[-1]))


# --- the second table -----------------------------------------------------------------


def drawn(value: Tensor) -> Tensor:
    """Float64 to one of the two float32 neighbours, each with probability 1/2."""
    near = value.float()
    way = torch.where(near.double() < value, math.inf, -math.inf).float()
    move = (torch.rand(value.shape) < 0.5) & (near.double() != value)
    return torch.where(move, torch.nextafter(near, way), near)


def perturb_outputs(model: nn.Module) -> nn.Module:
    """Copy of a network whose layers compute in float64 and round their result once."""
    model = copy.deepcopy(model)
    leaves = [m for m in model.modules() if not list(m.children())]
    for leaf in leaves:
        exact = copy.deepcopy(leaf).double()
        leaf.register_forward_hook(
            lambda layer, inputs, _, exact=exact: drawn(exact(inputs[0].double()))
        )
    return model


def unet_like(width: int = 16) -> nn.Module:
    """A small encoder and decoder with He weights (default weights hide the noise)."""
    sizes = [(1, width), (width, width), (width, 2 * width), (2 * width, width)]
    layers: list[nn.Module] = []
    for channels in [*sizes, (width, width), (width, 4)]:
        layers += [nn.Conv2d(*channels, 3, padding=1), nn.BatchNorm2d(channels[1])]
        layers += [nn.ReLU()]
    layers[6:6], layers[13:13] = [nn.MaxPool2d(2)], [nn.Upsample(scale_factor=2)]
    model = nn.Sequential(*layers[:-1])
    for layer in model:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    model(torch.randn(1, 1, 64, 64))  # calibrates the running statistics
    return model.eval()


class Dot(nn.Module):
    """64 dot products of one length, as a linear layer."""

    def __init__(self, terms: int):
        super().__init__()
        self.layer = nn.Linear(terms, 64, bias=False)
        nn.init.normal_(self.layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Rows of `terms` values to 64 sums each."""
        return self.layer(x)


def networks() -> Iterable[tuple[str, nn.Module, Tensor]]:
    """Name, network and input of each row of the second table."""
    for terms in (100, 1000, 10000):
        yield f"dot products of {terms}", Dot(terms), torch.randn(8, terms)
    conv = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1))
    yield "conv2d 3x3 64->64, 32^2", conv, torch.randn(1, 64, 32, 32)
    yield "small U-Net, 64^2", unet_like(), torch.randn(1, 1, 64, 64)


def bits(samples: list[Tensor]) -> float:
    """Median over the outputs of -log2(spread / |mean|)."""
    stacked = torch.stack(samples).double()
    spread, mean = stacked.std(0), stacked.mean(0).abs()
    moved = (spread > 0) & (mean > 0)
    return float(-(spread[moved] / mean[moved]).log2().median())


def per_operation(model: nn.Module, x: Tensor, samples: int) -> float:
    """Bits left by random rounding of every operation."""
    from roundoff import RandomRounding

    found = []
    for sample in range(samples):
        with RandomRounding(mode="random", seed=1, sample=sample):
            found.append(model(x))
    return bits(found)


# --- printing -------------------------------------------------------------------------


def print_costs(names: list[str], rounds: int) -> None:
    """Print the first table."""
    verrou = verrou_works()
    head = f"{'case':28}{'torch, ms':>11}" + "".join(f"{m:>11}" for m in MODES)
    print(head + (f"{'Verrou':>11}{'/ ours':>9}" if verrou else ""))
    for name in names:
        plain, ratios = paired(CASES[name](), rounds)
        line = f"{name:28}{plain * 1e3:11.2f}"
        line += "".join(f"{ratios[mode]:10.2f}x" for mode in MODES)
        if verrou:
            slow = verrou_seconds(name) / plain
            line += f"{slow:10.0f}x{slow / ratios['random']:8.0f}x"
        print(line, flush=True)
    if not verrou:
        print("(no Verrou column: valgrind --tool=verrou does not start here)")


def print_bits(samples: int) -> None:
    """Print the second table."""
    print(f"\n{'significant bits':28}{'operations':>11}{'outputs':>11}{'excess':>11}")
    for name, model, x in networks():
        all_of_it = per_operation(model, x, samples)
        hooked = perturb_outputs(model)
        only = bits([hooked(x) for _ in range(samples)])
        print(
            f"{name:28}{all_of_it:11.2f}{only:11.2f}{only - all_of_it:+11.2f}",
            flush=True,
        )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="part of the names of the cases")
    parser.add_argument("--rounds", type=int, default=9, help="rounds per case")
    parser.add_argument("--samples", type=int, default=12, help="samples for the bits")
    parser.add_argument("--time-one", metavar="CASE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.inference_mode():
        if options.time_one:
            case = CASES[options.time_one]()
            case()
            print(json.dumps(seconds(case)))
            return
        names = [name for name in CASES if options.only.lower() in name.lower()]
        if not names:
            parser.error(f"no case contains {options.only!r}; they are {list(CASES)}")
        print_costs(names, options.rounds)
        if not options.only:
            print_bits(options.samples)


if __name__ == "__main__":
    main()
