"""Significant bits of converted networks under random rounding, beside the original's.

The joint question: does replacing undetermined values by NaN leave digits that hold?
Every network, unmodified or converted, is run several times under the instrument on
the same slices. Under random rounding the convolutions are PyTorch's own: compiled
kernels would hide their arithmetic.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from roundoff.instruments.base import Instrument
from roundoff.models.base import Progress
from roundoff.nan_sweep.networks import Subject
from roundoff.nan_sweep.settings import Setting
from roundoff.uncertainty.dice import PairwiseDice
from roundoff.uncertainty.significant_bits import mantissa_bits

ORIGINAL = {"mode": "original", "threshold": np.nan, "epsilon": ""}
OUTPUT = "output"
ZONES = ("brain", "background")


def general_bits(samples: NDArray) -> NDArray[np.float32]:
    """Whole significant bits (General estimator) of samples (N, ...), relative.

    floor(-log2 max |X_i / mean - 1|), 0 to the mantissa; the mantissa where all are
    identical. NaN where a sample is not finite, or the mean is zero. The same numbers
    as `uncertainty.significant_bits`, without its other maps.
    """
    cap = mantissa_bits(samples.dtype)
    values = samples.astype(np.float64)
    mean = values.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.abs(values / mean - 1).max(axis=0)
        bits = np.clip(np.floor(-np.log2(error)), 0, cap)
    identical = (samples == samples[0]).all(axis=0)
    bits[identical] = cap
    bits[~np.isfinite(samples).all(axis=0) | (mean == 0)] = np.nan
    return bits.astype(np.float32)


def measure_bits(
    subject: Subject,
    settings: Sequence[Setting],
    instrument: Instrument,
    seeds: Sequence[int],
    progress: Progress | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bits of the output and of every block, on the fullest slice of every view.

    Returns two tables. Output, one row per network, view and zone: pixels, defined
    (share with a number), bits (mean over those), bits_original (mean of the original
    over the same pixels), undetermined (share below 1 bit), dice (lowest over pairs of
    samples of a segmentation), labels_vary (share of pixels). Blocks: bits per network,
    view, block and zone, mean over channels and pixels that have a number, and the
    share defined.
    """
    tell = progress or (lambda fraction, words: None)
    outputs, blocks = [], []
    for k, view in enumerate(subject.views):
        number = subject.fullest(view)
        zones = zone_masks(subject, view, number)
        base = None
        for i, setting in enumerate([None, *settings]):
            done = (k + i / (1 + len(settings))) / len(subject.views)
            tell(done, f"{view}, {'original' if setting is None else setting}")
            captured = _capture(subject, view, number, setting, instrument, seeds)
            name = ORIGINAL if setting is None else setting.columns
            name = {**name, "view": view, "slice": number}
            raw = captured.pop(OUTPUT)
            bits = general_bits(_final(subject, raw))
            base = bits if base is None else base
            extra = _label_rows(subject, raw, zones)
            for zone, row in _zone_rows(bits, base, zones):
                outputs.append({**name, "zone": zone, **row, **extra[zone]})
            blocks += [{**name, **row} for row in _block_rows(captured, zones)]
    tell(1.0, "tables")
    return pd.DataFrame(outputs), pd.DataFrame(blocks)


def zone_masks(subject: Subject, view: str, number: int) -> dict[str, NDArray]:
    """Brain, and constant background (zero in what the network is given), (H, W)."""
    brain = subject.plane(subject.brain, view, number)
    given = subject.plane(subject.given, view, number)
    return {"brain": brain, "background": (given == 0) & ~brain}


def _capture(subject, view, number, setting, instrument, seeds) -> dict[str, NDArray]:
    """Outputs (N, C, H, W) of the blocks in the order they ran, then of all."""
    network = blocks = subject.network(view)
    if setting is not None:
        network = setting.converted(network, compiled=False)
        blocks = network.model
    inputs = subject.inputs(view, number)
    samples = []
    for seed in seeds:
        with (
            _listening(blocks) as kept,
            torch.inference_mode(),
            instrument.sample(seed),
        ):
            output = network(*inputs)
        samples.append({**kept, OUTPUT: output[0].numpy()})
    return {name: np.stack([s[name] for s in samples]) for name in samples[0]}


@contextmanager
def _listening(network: nn.Module) -> Iterator[dict[str, NDArray]]:
    """Keep the first output of every part that has weights; of its last call."""
    kept: dict[str, NDArray] = {}

    def keep(name: str):
        def hook(module: nn.Module, args, output) -> None:
            first = output if isinstance(output, Tensor) else output[0]
            kept[name] = first.detach().numpy()[0].copy()

        return hook

    handles = [
        module.register_forward_hook(keep(name))
        for name, module in network.named_children()
        if next(module.parameters(), None) is not None
    ]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def _final(subject: Subject, raw: NDArray) -> NDArray:
    """What is measured of the output, (N, H, W): winning logit, or the image."""
    return raw.max(axis=1) if subject.segments else raw[:, 0]


def _zone_rows(bits, base, zones) -> Iterator[tuple[str, dict]]:
    for zone, mask in zones.items():
        here, before = bits[mask], base[mask]
        known = np.isfinite(here)
        both = known & np.isfinite(before)
        yield (
            zone,
            {
                "pixels": int(mask.sum()),
                "defined": _mean(known),
                "bits": _mean(here[known]),
                "bits_paired": _mean(here[both]),
                "bits_original": _mean(before[both]),
                "undetermined": _mean(here[known] < 1),
            },
        )


def _label_rows(subject: Subject, raw: NDArray, zones) -> dict[str, dict]:
    if not subject.segments:
        return {zone: {} for zone in zones}
    clean = np.where(np.isnan(raw).any(axis=1, keepdims=True), 0, raw)
    labels = clean.argmax(axis=1).astype(np.int16)
    pairs = PairwiseDice(len(labels))
    pairs.add(labels.reshape(len(labels), -1))
    lowest = pairs.minimum()["min_dice"].mean()
    vary = (labels != labels[0]).any(axis=0)
    return {
        zone: {"dice": lowest, "labels_vary": _mean(vary[mask])}
        for zone, mask in zones.items()
    }


def _block_rows(captured: dict[str, NDArray], zones) -> Iterator[dict]:
    for order, (block, samples) in enumerate(captured.items()):
        bits = general_bits(samples)
        for zone, mask in zones.items():
            here = bits[:, whole_patches(mask, bits.shape[1:])]
            known = np.isfinite(here)
            yield {
                "order": order,
                "block": block,
                "zone": zone,
                "defined": _mean(known),
                "bits": _mean(here[known]),
                "undetermined": _mean(here[known] < 1),
            }


def whole_patches(mask: NDArray, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask on another grid: true where all it covers is true."""
    share = F.adaptive_avg_pool2d(torch.from_numpy(mask)[None].double(), shape)
    return (share[0] == 1).numpy()


def _mean(values: NDArray) -> float:
    return float(np.mean(values)) if values.size else float("nan")
