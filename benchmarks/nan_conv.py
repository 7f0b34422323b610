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
--history. `snakemake time_trials` measures and draws the same (docs/nan_sweep.md).
"""

import argparse
import csv
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch

from roundoff.atomic import atomic_path
from roundoff.nan_trials.allocator import steady_allocator
from roundoff.nan_trials.history import history_rows
from roundoff.nan_trials.layers import GOALS, LOSERS, SERIES, Case, series
from roundoff.nan_trials.machine import kernel_level
from roundoff.nan_trials.measure import Row, measure
from roundoff.nan_trials.network import folded, network_rows
from roundoff.scripting import run

__all__ = ["folded", "steady_allocator"]  # for the other benchmarks
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
        f"{row.vs_last:7.2f} {row.vs_default:7.2f} {row.bands_vs_last:7.2f} "
        f"{row.choice}{loss}",
        flush=True,
    )


def cases(full: bool) -> Iterator[Case]:
    """What to measure: everything, or the goals at all shares and the usual losers."""
    if full:
        for name in SERIES:
            yield from series(name, "full")
    for layer in GOALS:
        for share in (0.0, 0.5, 2 / 3, 0.9):
            yield Case("goals", layer, "brain", share)
        yield Case("goals", layer, "border", 2 / 3)
        yield Case("goals", layer, "random", 2 / 3)
    for layer in LOSERS:
        yield Case("losers", layer, "brain", 2 / 3)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--full", action="store_true", help="every size and mask")
    add("--history", action="store_true", help="the published loop")
    add("--network", action="store_true", help="FastSurferVINN")
    add("--weights", type=Path, help="checkpoint for --network")
    add("--threads", type=int, default=torch.get_num_threads())
    add(
        "--cpu-time",
        action="store_true",
        help="processor time of all threads: for a busy machine, with --threads 1",
    )
    add("--repeats", type=int, default=9)
    add("--csv", type=Path, help="write the rows as a table")
    return parser.parse_args()


def rows_of(options: argparse.Namespace) -> list:
    """Measure and print."""
    clock = "cpu" if options.cpu_time else "wall"
    if options.history:
        rows = history_rows(repeats=options.repeats)
        print("scalar loop with NaN against the same without, processor time")
        for r in rows:
            print(
                f"{r.side:4} {r.mask:7} NaN {r.nan_share:.2f} skipped {r.skipped:.2f} "
                f"{r.speed_up:5.2f}x itself; PyTorch {r.loop_ms / r.torch_ms:.0f}x"
            )
        return rows
    print(f"kernels: {kernel_level()}")
    if options.network:
        rows = network_rows(options.repeats, clock, options.weights)
        for r in rows:
            print(
                f"{r.network:22} {r.ms:8.1f} ms {r.speed_up:5.2f}x, labels "
                f"{r.labels_equal:.5f}, skipped MACs {r.skipped_macs:.2f}"
            )
        return rows
    print(HEADER)
    rows = []
    for case in cases(options.full):
        rows.append(measure(case, options.repeats, clock))
        show(rows[-1])
    return rows


def main() -> None:
    """Measure, print, write."""
    options = parse()
    torch.set_num_threads(options.threads)
    steady_allocator()
    rows = rows_of(options)
    if options.csv:
        with atomic_path(options.csv) as path, path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(asdict(rows[0])))
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)


if __name__ == "__main__":
    run(main)
