"""Exact mode on real slices: FastSurferVINN over a volume, with and without skull.

    python benchmarks/nan_volume.py brain.nii.gz head.nii.gz

Each image is conformed to 256 x 256 x 256 at 1 mm and every eighth coronal stack of
seven slices goes through the full-size network (random weights unless --weights), in
exact mode and as batch-norm-folded channels-last PyTorch, the strongest dense baseline.
Slices alternate between the two. Printed: the ratio of the summed times (above 1 exact
mode is quicker), of the slices with head alone, and the labels that agree. The first
slice, on which the background is recorded, is timed by itself.
"""

import argparse
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from nan_conv import folded, steady_allocator

from roundoff.images.conform import conform
from roundoff.models.base import Grid
from roundoff.models.fastsurfer.checkpoint import load_network
from roundoff.models.fastsurfer.network import FastSurferVINN
from roundoff.nan import convert


def stacks(path: Path, step: int) -> torch.Tensor:
    """Every `step`-th coronal stack, float32 [slices, 7, 256, 256] in 0 to 1."""
    image = conform(nib.load(path), Grid())
    data = np.asarray(image.dataobj).astype(np.float32) / 255
    middles = range(3, data.shape[2] - 3, step)
    chosen = [data[:, :, m - 3 : m + 4].transpose(2, 0, 1) for m in middles]
    return torch.from_numpy(np.ascontiguousarray(chosen))


def main() -> None:
    """Measure each image and print one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--weights", type=Path, help="an official checkpoint")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--step", type=int, default=8, help="one slice in so many")
    parser.add_argument("--cpu-time", action="store_true", help="processor time")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu_time else time.perf_counter
    steady_allocator()
    torch.manual_seed(0)
    weights = options.weights
    model = load_network(weights) if weights else FastSurferVINN(79).eval()
    nets = {"dense": folded(model), "exact": convert(model, "exact")}
    with torch.inference_mode():
        for path in options.images:
            compare(path, nets, stacks(path, options.step), clock)


def compare(path: Path, nets: dict, slices: torch.Tensor, clock) -> None:
    """Time both networks slice by slice and print the ratios."""
    times = {name: [] for name in nets}
    same, pixels, heads = 0, 0, []
    for x in slices[:, None]:
        labels = {}
        for name, net in nets.items():
            start = clock()
            out = net(x)
            times[name].append(clock() - start)
            labels[name] = out.argmax(1)
        head = (x != x.flatten()[0]).any(1)
        heads.append(bool(head.any()))
        same += int((labels["dense"] == labels["exact"])[head].sum())
        pixels += int(head.sum())
    dense, exact = (np.array(times[n]) for n in ("dense", "exact"))
    later = np.arange(len(dense)) > 0
    inside = later & np.array(heads)
    counted = nets["exact"].skip_summary()["macs"]
    print(
        f"{path.name:28} {len(dense)} slices, {sum(heads)} with head: "
        f"{dense[later].sum() / exact[later].sum():.2f}x, with head "
        f"{dense[inside].sum() / exact[inside].sum():.2f}x, first slice "
        f"{dense[0] / exact[0]:.2f}x; labels in the head {same / pixels:.6f}, "
        f"multiply-accumulates saved {counted:.2f}",
        flush=True,
    )
    nets["exact"].reset_counts()


if __name__ == "__main__":
    main()
