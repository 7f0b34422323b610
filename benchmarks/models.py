"""Forward time of each network against its operators, and peak memory of a volume.

    python benchmarks/models.py                 # times, all networks
    python benchmarks/models.py fondue          # one network
    python benchmarks/models.py --memory        # peak memory of whole predictions

Time: one forward pass, as written, over the sum of the same pass's arithmetic operators
timed one by one on the same tensors. Copies are left out of the sum, so a hidden copy
shows as a ratio above 1. Paired medians over repetitions, on one thread.
Memory: peak resident size of a process that predicts one volume of the full grid
with every n-th slice (slices do not add up: they are processed one after the other).
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from roundoff.models.base import BrainModel
from roundoff.models.deepbrain.network import BrainExtractionUNet
from roundoff.models.deepbrain.pipeline import BrainExtraction
from roundoff.models.fastsurfer.network import FastSurferVINN
from roundoff.models.fastsurfer.pipeline import FastSurfer
from roundoff.models.fondue.network import FondueLT
from roundoff.models.fondue.pipeline import Denoiser
from roundoff.models.labels import load_class_table
from roundoff.models.synthmorph.network import Registration, VelocityUNet
from roundoff.models.synthmorph.pipeline import BrainRegistration
from roundoff.models.synthmorph.prepare import BOX, Template

HALF = tuple(n // 2 for n in BOX)
COPIES = ("clone", "copy_", "_to_copy", "contiguous")


def registration(features: int, final: int) -> Registration:
    """SynthMorph of an official size, with weights of no meaning."""
    unet = VelocityUNet([features] * 4, [features] * 4, [features] * final)
    return Registration(unet, int_steps=5)


def image(*shape: int) -> torch.Tensor:
    """Values between 0 and 1, the same in every run."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def forward_passes() -> dict[str, Callable[[], Callable[[], object]]]:
    """By name, what builds a network and returns its forward pass."""

    def on(network: torch.nn.Module, *inputs: torch.Tensor) -> Callable[[], object]:
        network.eval()
        return lambda: network(*inputs)

    return {
        "fastsurfer": lambda: on(FastSurferVINN(79), image(1, 7, 256, 256)),
        "fondue": lambda: on(FondueLT(), image(1, 7, 256, 256)),
        "deepbrain": lambda: on(initialised(), image(1, 1, 128, 128, 128)),
        "synthmorph64": lambda: on(registration(64, 2), image(*BOX), image(*BOX)),
        "synthmorph256": lambda: on(registration(256, 2), image(*BOX), image(*BOX)),
        # An eighth of the voxels: minutes instead of half an hour.
        "synthmorph256half": lambda: on(
            registration(256, 2), image(*HALF), image(*HALF)
        ),
    }


def initialised() -> BrainExtractionUNet:
    """The brain-extraction network; its upsampling weights have no own start."""
    network = BrainExtractionUNet().eval()
    for up in network.ups:
        torch.nn.init.normal_(up.weight, std=0.05)
    return network


class OperatorTimes(TorchDispatchMode):
    """Adds up the time of every operator that is not a copy."""

    def __init__(self):
        super().__init__()
        self.seconds, self.copies = 0.0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        start = time.perf_counter()
        result = func(*args, **(kwargs or {}))
        elapsed = time.perf_counter() - start
        if func.overloadpacket.__name__ in COPIES:
            self.copies += 1
        else:
            self.seconds += elapsed
        return result


@torch.inference_mode()
def measure_time(run: Callable[[], object], repetitions: int) -> tuple[float, ...]:
    """Median seconds of a pass, of the sum of its operators, their ratio, copies."""
    run()
    whole, parts, copies = [], [], 0
    for _ in range(repetitions):
        start = time.perf_counter()
        run()
        whole.append(time.perf_counter() - start)
        with OperatorTimes() as times:
            run()
        parts.append(times.seconds)
        copies = times.copies
    ratios = [a / b for a, b in zip(whole, parts, strict=True)]
    return *(statistics.median(x) for x in (whole, parts, ratios)), copies


def memory_cases() -> dict[str, Callable[[], tuple[BrainModel, tuple[int, ...]]]]:
    """By name, what builds a model of full size and the grid it works on."""
    cube = (256, 256, 256)
    template = Template(np.random.default_rng(0).random(BOX, dtype=np.float32))

    def vinn(accumulator: str) -> tuple[BrainModel, tuple[int, ...]]:
        networks = {
            view: FastSurferVINN(classes, inner_size=256).eval()
            for view, classes in (("axial", 79), ("coronal", 79), ("sagittal", 51))
        }
        table = load_class_table("fastsurfer_79")
        model = FastSurfer(networks, table, accumulator=accumulator, step=64)
        return model, cube

    def denoiser() -> tuple[BrainModel, tuple[int, ...]]:
        model = Denoiser(FondueLT().eval(), directions=["first"], batch_size=1)
        return model, (4, 256, 256)  # four slices: memory does not add up over slices

    def warp(features: int) -> tuple[BrainModel, tuple[int, ...]]:
        return BrainRegistration(registration(features, 2).eval(), template), cube

    return {
        "fastsurfer-float16": lambda: vinn("float16"),
        "fastsurfer-float32": lambda: vinn("float32"),
        "fondue": denoiser,
        "deepbrain": lambda: (BrainExtraction(initialised()), (128, 128, 128)),
        "synthmorph64": lambda: warp(64),
        "synthmorph256": lambda: warp(256),
    }


def peak_memory(name: str) -> float:
    """Peak resident GiB of this process after one prediction, with its seconds."""
    model, shape = memory_cases()[name]()
    volume = np.zeros(shape, np.uint8)
    inner = tuple(slice(n // 8, n - n // 8) for n in shape)
    rng = np.random.default_rng(0)
    volume[inner] = rng.integers(1, 256, volume[inner].shape)
    model.predict(volume, 1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Print one line per network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="networks; all when left out")
    parser.add_argument("--memory", action="store_true", help="measure peak memory")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.one:
        print(f"{peak_memory(options.one):.2f}")
        return
    cases = memory_cases() if options.memory else forward_passes()
    unknown = set(options.names) - set(cases)
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(cases)}")
    for name in options.names or cases:
        if options.memory:
            command = [sys.executable, __file__, "--one", name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            print(f"{name:20s} peak {done.stdout.strip()} GiB", flush=True)
            continue
        whole, parts, ratio, copies = measure_time(cases[name](), options.repetitions)
        print(
            f"{name:20s} forward {whole:.3f} s, operators {parts:.3f} s, "
            f"ratio {ratio:.3f}, {copies} copies",
            flush=True,
        )


if __name__ == "__main__":
    main()
