"""Time of whole slices, converted and not, interleaved on the same inputs."""

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor, nn

from roundoff.nan import kernels
from roundoff.nan_sweep.networks import Subject
from roundoff.nan_sweep.settings import Setting
from roundoff.nan_trials.allocator import steady_allocator
from roundoff.nan_trials.machine import kernel_level, processor
from roundoff.nan_trials.network import folded
from roundoff.nan_trials.pairs import CLOCKS, interleave, middle, speed_up

ORIGINAL, DENSE = "unmodified", "unmodified, channels last"


def path_in_use() -> str:
    """What converted convolutions are computed with on this machine, in words."""
    if kernels.library() is None:
        return "PyTorch, bands of rows (no compiled kernels here)"
    return f"compiled kernels ({kernel_level()}), layers below their crossover: oneDNN"


@torch.inference_mode()
def time_rows(
    subject: Subject, settings: Sequence[Setting], repeats: int, threads: int
) -> pd.DataFrame:
    """Paired medians of all settings, per view on its fullest slice, batch of one.

    Columns: view, slice, network, mode, threshold, epsilon, clock, ms, speed_up (over
    the unmodified network), speed_up_dense (over it with batch norm folded, where the
    model has any, and channels last), skip_macs, threads, path, machine. The clock is
    wall time, or processor time of all threads.
    """
    torch.set_num_threads(threads)
    steady_allocator()
    rows = []
    for view in subject.views:
        number = subject.fullest(view)
        rows += _view_rows(subject, view, number, settings, repeats)
    return pd.DataFrame(rows).assign(
        threads=threads, path=path_in_use(), machine=processor()
    )


def _view_rows(subject, view, number, settings, repeats) -> list[dict]:
    network = subject.network(view)
    image, scale = subject.inputs(view, number)
    last = image.contiguous(memory_format=torch.channels_last)
    nets: dict[object, tuple[nn.Module, Tensor]] = {
        ORIGINAL: (network, image),
        DENSE: (folded(network), last),
    }
    nets |= {s: (s.converted(network), image) for s in settings}
    runs = {k: (lambda n=n, x=x: n(x, scale)) for k, (n, x) in nets.items()}
    times = interleave(runs, repeats)
    rows = []
    for key, (net, _) in nets.items():
        named = isinstance(key, Setting)
        row = key.columns if named else {"mode": "", "threshold": None, "epsilon": ""}
        skipped = net.skip_summary()["macs"] if named else 0.0
        row = row | {"network": "converted" if named else key, "skip_macs": skipped}
        for clock in CLOCKS:
            rows.append(
                {
                    "view": view,
                    "slice": number,
                    **row,
                    "clock": clock,
                    "ms": middle(times[key], clock),
                    "speed_up": speed_up(times[ORIGINAL], times[key], clock),
                    "speed_up_dense": speed_up(times[DENSE], times[key], clock),
                }
            )
    return rows
