"""Wall time of the NaN convolution against PyTorch's own, by share and shape of NaN.

    python benchmarks/nan_conv.py                     # the goals and the usual losers
    python benchmarks/nan_conv.py --full              # every size, mask and share
    python benchmarks/nan_conv.py --network           # FastSurferVINN end to end
    python benchmarks/nan_conv.py --full --csv out.csv

Each row: planning from carried counts, the kernels and writing NaN into the skipped
outputs, against dense `F.conv2d` / `F.conv3d` without NaN in channels-last layout, the
strongest dense baseline (oneDNN), and in default layout. Repetitions are interleaved
and the median of the paired ratios is shown; above 1 we are quicker. `ideal` is
1 / (1 - skipped). `bands` is the PyTorch path where there is no compiled extension,
`choice` what the library picks (oneDNN below its crossover). Rows below 1 are marked
LOSS. All contestants get the same memory allocator settings (large blocks are reused).

Wall time by default; on a busy machine processor time of one thread (--cpu-time
--threads 1) is steadier. 1x1 convolutions on one thread flatter us: PyTorch does not
call oneDNN there. The published comparison, a scalar loop with and without NaN, is
--history.
"""

import argparse
import copy
import csv
import ctypes
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from roundoff.atomic import atomic_path
from roundoff.models.fastsurfer.checkpoint import load_network
from roundoff.models.fastsurfer.network import FastSurferVINN
from roundoff.nan import ConvertedModel, convert, kernels
from roundoff.nan.convolution import _in_bands
from roundoff.nan.quick import crossover
from roundoff.nan.skips import ConvShape, conv_shape, nan_counts, skip_mask

THRESHOLD = 0.5
clock = time.perf_counter  # or time.process_time, by --cpu-time


@dataclass(frozen=True)
class Layer:
    """A convolution without stride that keeps the size of its input."""

    inputs: int
    outputs: int
    kernel: int
    plane: tuple[int, ...]
    dilation: int = 1
    batch: int = 1

    def __str__(self) -> str:
        size = "x".join(map(str, self.plane))
        extra = f" d{self.dilation}" if self.dilation > 1 else ""
        extra += f" b{self.batch}" if self.batch > 1 else ""
        ways = f"{self.inputs}->{self.outputs}"
        return f"{len(self.plane)}d k{self.kernel} {ways} {size}{extra}"


GOALS = [
    Layer(64, 64, 5, (256, 256)),
    Layer(64, 64, 3, (256, 256)),
    Layer(71, 71, 3, (256, 256)),
    Layer(64, 64, 1, (256, 256)),
    Layer(32, 32, 3, (96, 96, 96)),
]
LOSERS = [
    Layer(1, 1, 3, (256, 256)),
    Layer(5, 5, 3, (96, 96, 96)),
    Layer(21, 21, 3, (64, 64, 64), dilation=8),
    Layer(64, 64, 3, (32, 32)),
]
SHARES = (0.0, 0.25, 0.5, 2 / 3, 0.8, 0.9, 0.95)
MASKS = ("brain", "border", "random")


def grid_of_layers() -> list[Layer]:
    """Every size, channel count and kernel of the study."""
    flat = [
        Layer(c, c, k, (n, n))
        for n in (32, 64, 128, 256, 512)
        for c in (1, 4, 16, 64, 128)
        for k in (1, 3, 5)
        if c * c * k * k * n * n <= 64 * 64 * 25 * 256 * 256
    ]
    return flat + [Layer(c, c, 3, (96, 96, 96)) for c in (1, 5, 16, 32)] + LOSERS


def nan_mask(kind: str, plane: tuple[int, ...], share: float) -> Tensor:
    """bool [*plane], True where NaN: the same share whatever the kind."""
    axes = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in plane], indexing="ij")
    if kind == "random":
        score = torch.rand(plane, generator=torch.Generator().manual_seed(0))
    elif kind == "border":
        score = torch.stack([a.abs() for a in axes]).amax(0)
    else:  # an ellipsoid, as a head in its field of view
        widths = (0.9, 0.75, 0.8)
        score = sum((a / w) ** 2 for a, w in zip(axes, widths, strict=False))
    count = round(share * prod(plane))
    if count == 0:
        return torch.zeros(plane, dtype=torch.bool)
    mask = torch.zeros(prod(plane), dtype=torch.bool)
    mask[score.flatten().argsort(descending=True)[:count]] = True
    return mask.reshape(plane)


@dataclass
class Row:
    """One measurement; times are medians in ms, ratios paired medians."""

    layer: str
    mask: str
    nan_share: float
    skipped: float
    ideal: float
    threads: int
    ours_ms: float
    last_ms: float
    vs_last: float
    vs_default: float
    vs_bands: float
    choice: str
    chosen: float


class Trial:
    """The contestants on one input."""

    def __init__(self, layer: Layer, kind: str, share: float):
        g = torch.Generator().manual_seed(1)
        self.layer, self.kind, self.share = layer, kind, share
        cells = (layer.kernel,) * len(layer.plane)
        dense = torch.randn(layer.batch, layer.inputs, *layer.plane, generator=g)
        self.weight = torch.randn(layer.outputs, layer.inputs, *cells, generator=g)
        self.weight /= prod(self.weight.shape[1:]) ** 0.5
        self.bias = torch.randn(layer.outputs, generator=g)
        self.default, self.last = dense, kernels.channels_last(dense)
        self.weight_last = kernels.channels_last(self.weight)
        self.convolve = F.conv2d if len(cells) == 2 else F.conv3d
        self.padding = layer.dilation * (layer.kernel // 2)
        self.shape: ConvShape = conv_shape(
            dense, self.weight.shape, 1, self.padding, layer.dilation, 1
        )
        hole = nan_mask(kind, layer.plane, share)
        self.x = self.last.clone()
        self.x.masked_fill_(hole, float("nan"))
        self.counts = kernels.scan(self.x)
        self.packed = kernels.pack_weight(self.weight, self.bias)
        self.skipped = 0.0

    def ours(self) -> Tensor:
        """Plan, compute, write NaN."""
        plan = kernels.Plan(self.x.shape, self.shape, THRESHOLD, "mean", self.counts)
        self.skipped = plan.share(kernels.SKIPPED)
        return plan.run(self.x, self.packed, write_nan=True)[0]

    def channels_last(self) -> Tensor:
        """oneDNN, channels last, no NaN anywhere."""
        return self.convolve(
            self.last, self.weight_last, self.bias, 1, self.padding, self.layer.dilation
        )

    def default_layout(self) -> Tensor:
        """PyTorch as most networks call it."""
        return self.convolve(
            self.default, self.weight, self.bias, 1, self.padding, self.layer.dilation
        )

    def in_bands(self) -> Tensor:
        """Bands of rows, PyTorch only; NaN counted from the data."""
        missing = self.x.isnan()
        counts = nan_counts(self.x, self.shape)
        skipped = skip_mask(counts, self.shape, THRESHOLD)
        known = torch.where(missing, 0.0, self.x)
        return _in_bands(
            known, missing, counts, skipped, self.weight, self.bias, self.shape, "mean"
        )


def measure(trial: Trial, repeats: int) -> Row:
    """Interleaved repetitions of all contestants."""
    runs: dict[str, Callable[[], Tensor]] = {
        "ours": trial.ours,
        "last": trial.channels_last,
        "default": trial.default_layout,
    }
    if len(trial.layer.plane) == 2:
        runs["bands"] = trial.in_bands
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(repeats + 1):
        for name, run in runs.items():
            start = clock()
            run()
            if number:  # the first round warms up
                times[name].append(clock() - start)
    ratio = {
        name: statistics.median(
            other / ours for other, ours in zip(spent, times["ours"], strict=True)
        )
        for name, spent in times.items()
    }
    picks = trial.skipped >= crossover(trial.shape)
    return Row(
        str(trial.layer),
        trial.kind,
        trial.share,
        trial.skipped,
        1 / max(1e-9, 1 - trial.skipped),
        torch.get_num_threads(),
        1e3 * statistics.median(times["ours"]),
        1e3 * statistics.median(times["last"]),
        ratio["last"],
        ratio["default"],
        ratio["last"] / ratio["bands"] if "bands" in ratio else float("nan"),
        "skip" if picks else "oneDNN",
        ratio["last"] if picks else 1.0,
    )


HEADER = (
    f"{'layer':28} {'mask':7} {'NaN':>5} {'skip':>5} {'ideal':>6} {'T':>2} "
    f"{'ours ms':>8} {'last ms':>8} {'x last':>7} {'x deflt':>7} {'bands x':>7} choice"
)


def show(row: Row) -> None:
    """One line; losses are marked, not hidden."""
    loss = "  LOSS" if row.vs_last < 1 else ""
    print(
        f"{row.layer:28} {row.mask:7} {row.nan_share:5.2f} {row.skipped:5.2f} "
        f"{row.ideal:6.2f} {row.threads:2} {row.ours_ms:8.2f} {row.last_ms:8.2f} "
        f"{row.vs_last:7.2f} {row.vs_default:7.2f} {row.vs_bands:7.2f} "
        f"{row.choice}{loss}",
        flush=True,
    )


def trials(full: bool) -> Iterator[tuple[Layer, str, float]]:
    """What to measure: everything, or the goals at all shares and the usual losers."""
    if full:
        for layer in grid_of_layers() + GOALS:
            for kind in MASKS:
                for share in SHARES if kind == "brain" else (0.5, 2 / 3, 0.9):
                    yield layer, kind, share
        return
    for layer in GOALS:
        for share in (0.0, 0.5, 2 / 3, 0.9):
            yield layer, "brain", share
        yield layer, "border", 2 / 3
        yield layer, "random", 2 / 3
    for layer in LOSERS:
        yield layer, "brain", 2 / 3


def history() -> None:
    """The published comparison: one scalar loop, with and without NaN (2x2 kernel)."""
    rng = np.random.default_rng(0)
    print("scalar Python loop, 32x32, 3 channels, 2x2 kernel, threshold 0.5")
    for share in (0.0, 1 / 3, 0.5, 2 / 3, 0.9):
        x = rng.standard_normal((3, 32, 32))
        dense = x.copy()
        x[:, rng.random((32, 32)) < share] = np.nan
        w = rng.standard_normal((4, 3, 2, 2))
        ratios = []
        for _ in range(5):
            spent = []
            for values in (dense, x):
                start = clock()
                _scalar_loop(values, w)
                spent.append(clock() - start)
            ratios.append(spent[0] / spent[1])
        print(f"  NaN {share:4.2f}: {statistics.median(ratios):5.2f}x against itself")


def _scalar_loop(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    outputs, channels, rows, columns = w.shape
    out = np.full((outputs, x.shape[1] - rows + 1, x.shape[2] - columns + 1), np.nan)
    for i, j in np.ndindex(*out.shape[1:]):
        window = x[:, i : i + rows, j : j + columns]
        missing = np.isnan(window)
        if missing.mean() >= THRESHOLD:
            continue
        if missing.any():
            window = np.where(missing, window[~missing].mean(), window)
        for o in range(outputs):
            total = 0.0
            for c, u, v in np.ndindex(channels, rows, columns):
                total += w[o, c, u, v] * window[c, u, v]
            out[o, i, j] = total
    return out


def folded(model: FastSurferVINN) -> nn.Module:
    """The strongest dense network: batch norm folded into weights, channels last."""
    copied = copy.deepcopy(model)
    for block in copied.modules():
        for i in range(getattr(block, "steps", 0)):
            conv, norm = f"conv{i}", f"{block.norm}{i + 1}"
            fused = fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm))
            setattr(block, conv, fused)
            setattr(block, norm, nn.Identity())
    return copied.to(memory_format=torch.channels_last)


def network(repeats: int, weights: Path | None) -> None:
    """FastSurferVINN, 7x256x256, two thirds of it exactly constant background."""
    if weights is None:
        torch.manual_seed(0)
        model = FastSurferVINN(79).eval()
    else:
        model = load_network(weights)
    head = ~nan_mask("brain", (256, 256), 2 / 3)
    x = torch.rand(1, model.in_channels, 256, 256) * head
    nets = {
        "folded, channels last": folded(model),
        "as written": model,
        "conservative 0.5": convert(model, "conservative", 0.5),
        "exact": convert(model, "exact"),
        "exact + conservative": convert(model, "conservative", 0.5, exact=True),
    }
    outputs = {name: net(x) for name, net in nets.items()}
    times = {name: [] for name in nets}
    for _ in range(repeats):
        for name, net in nets.items():
            start = clock()
            net(x)
            times[name].append(clock() - start)
    base = times["folded, channels last"]
    labels = outputs["folded, channels last"].argmax(1)
    for name, net in nets.items():
        pairs = zip(base, times[name], strict=True)
        ratio = statistics.median(b / t for b, t in pairs)
        same = (outputs[name].argmax(1) == labels)[0][head].float().mean()
        saved = ""
        if isinstance(net, ConvertedModel):
            saved = f", skipped MACs {net.skip_summary()['macs']:.2f}"
        middle = 1e3 * statistics.median(times[name])
        print(f"{name:22} {middle:8.1f} ms {ratio:5.2f}x, labels {same:.5f}{saved}")


def steady_allocator() -> None:
    """Keep large blocks instead of returning them to the system after every call."""
    if sys.platform == "linux":
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="every size and mask")
    parser.add_argument("--history", action="store_true", help="the published loop")
    parser.add_argument("--network", action="store_true", help="FastSurferVINN")
    parser.add_argument("--weights", type=Path, help="checkpoint for --network")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="processor time of all threads: for a busy machine, with --threads 1",
    )
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--csv", type=Path, help="write the rows as a table")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.cpu_time:
        global clock
        clock = time.process_time
    steady_allocator()
    if kernels.library() is None:
        sys.exit("the compiled extension is needed for these measurements")
    if options.history:
        return history()
    with torch.inference_mode():
        if options.network:
            return network(options.repeats, options.weights)
        print(f"kernels: {['', 'AVX2', 'AVX-512'][kernels.library().roundoff_level()]}")
        print(HEADER)
        rows = []
        for case in trials(options.full):
            rows.append(measure(Trial(*case), options.repeats))
            show(rows[-1])
    if options.csv:
        with atomic_path(options.csv) as path, path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(asdict(rows[0])))
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)
    return None


if __name__ == "__main__":
    main()
