"""What one mode skips and what it costs, slice by slice, on one subject.

Every slice goes once through the unmodified network and once through every converted
one. NaN in an output is cleaned by the stated rule (logits 0 in every class, so
background; pixels 0) before it is compared; the share of such pixels is kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from roundoff.models.base import Progress
from roundoff.nan import ConvertedModel
from roundoff.nan.skips import SkipCount
from roundoff.nan_sweep.networks import Subject
from roundoff.nan_sweep.settings import Setting
from roundoff.training.segmentation.losses import soft_dice
from roundoff.uncertainty.dice import ReferenceDice
from roundoff.uncertainty.image_quality import mean_squared_error, ssim

CERTAIN = 30.0  # logit: the softmax of +-30 is 1 and 0 in float32


@dataclass
class Measured:
    """Tables of one job, and maps of the share of work skipped at every pixel.

    `slices`: one row per setting, view and slice. `layers`: per setting, view and
    convolution, counts summed over slices. `regions`: Dice to the unmodified network
    per setting, view and class (segmentation only; else empty). `maps`: float32
    [settings, H, W] per view, of the slice with the most brain; `planes` the scan
    there.
    """

    slices: pd.DataFrame
    layers: pd.DataFrame
    regions: pd.DataFrame
    maps: dict[str, NDArray] = field(default_factory=dict)
    planes: dict[str, NDArray] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)


@torch.inference_mode()
def measure(
    subject: Subject,
    settings: Sequence[Setting],
    stride: int,
    progress: Progress | None = None,
) -> Measured:
    """Run every stride-th slice of every view, and the fullest one for the maps."""
    tell = progress or (lambda fraction, words: None)
    slices, layers, regions = [], [], []
    done = Measured(pd.DataFrame(), pd.DataFrame(), pd.DataFrame())
    for k, view in enumerate(subject.views):
        runner = _View(subject, view, settings)
        numbers = subject.numbers(view, stride)
        for i, number in enumerate(numbers):
            tell((k + i / len(numbers)) / len(subject.views), f"{view}, slice {number}")
            slices += runner.run(number)
        layers += runner.layer_rows()
        regions += runner.region_rows()
        number = subject.fullest(view)
        done.maps[view] = runner.skip_maps(number)
        done.planes[view] = subject.plane(subject.scan, view, number)
        done.numbers[view] = number
    tell(1.0, "tables")
    done.slices, done.layers = pd.DataFrame(slices), pd.DataFrame(layers)
    done.regions = pd.DataFrame(regions)
    return done


class _View:
    """One view: its network, converted under every setting, and what adds up."""

    def __init__(self, subject: Subject, view: str, settings: Sequence[Setting]):
        self.subject, self.view, self.settings = subject, view, settings
        self.network = subject.network(view)
        self.converted = [s.converted(self.network, maps=True) for s in settings]
        self.layers: list[dict[str, SkipCount]] = [{} for _ in settings]
        self.dice = [ReferenceDice(1) for _ in settings]
        self.order: list[str] = []

    def run(self, number: int) -> Iterator[dict]:
        """One row per setting of one slice."""
        inputs = self.subject.inputs(self.view, number)
        self.order = self.order or run_order(self.converted[0], inputs)
        original = self.network(*inputs)
        brain = self.subject.plane(self.subject.brain, self.view, number)
        for k, setting in enumerate(self.settings):
            network = self.converted[k]
            network.reset_counts()
            output = network(*inputs)
            for name, count in network.counts().items():
                self.layers[k][name] = self.layers[k].get(name, SkipCount()) + count
            row = {**setting.columns, "view": self.view, "slice": number}
            row |= {"brain": int(brain.sum()), **_shares(network, output, brain)}
            compare = self._labels if self.subject.segments else self._image
            yield row | compare(k, output, original, number, brain)

    def _labels(self, k, output: Tensor, original: Tensor, number, brain) -> dict:
        clean = self.subject.clean(output)
        labels, wanted = clean.argmax(1), original.argmax(1)
        self.dice[k].add(
            labels.numpy().reshape(1, -1).astype(np.int16),
            wanted.numpy().reshape(-1).astype(np.int16),
        )
        same = (labels == wanted).numpy()[0]
        row = {"labels_equal": same.mean(), "labels_equal_brain": _mean(same[brain])}
        if bool((wanted > 0).any()):
            sure = certain_background(output)
            row["loss"] = float(soft_dice(sure, wanted))
            row["loss_original"] = float(soft_dice(original, wanted))
            row["entropy_loss"] = float(F.cross_entropy(sure, wanted))
            row["entropy_loss_original"] = float(F.cross_entropy(original, wanted))
        return row

    def _image(self, k, output: Tensor, original: Tensor, number, brain) -> dict:
        subject, clean = self.subject, self.subject.clean(output)
        scan = subject.scaled(subject.plane(subject.scan, self.view, number))
        ours, base = clean[0, 0].numpy(), original[0, 0].numpy()
        row = {
            "mse": mean_squared_error(ours, base),
            "mse_scan": mean_squared_error(ours, scan),
            "mse_scan_original": mean_squared_error(base, scan),
        }
        if brain.any():
            row |= {
                "mse_brain": mean_squared_error(ours, base, brain),
                "mse_scan_brain": mean_squared_error(ours, scan, brain),
                "mse_scan_brain_original": mean_squared_error(base, scan, brain),
                "ssim": ssim(ours, base),
                "ssim_scan": ssim(ours, scan),
                "ssim_scan_original": ssim(base, scan),
            }
        return row

    def layer_rows(self) -> Iterator[dict]:
        """Counts of every convolution that ran, summed over the slices."""
        for setting, counts in zip(self.settings, self.layers, strict=True):
            for order, name in enumerate(self.order):
                if (count := counts[name]).total:
                    yield {
                        **setting.columns,
                        "view": self.view,
                        "order": order,
                        "layer": name,
                        "block": name.partition(".")[0],
                        **vars(count),
                    }

    def region_rows(self) -> Iterator[dict]:
        """Dice of every class to the unmodified network, over all slices run."""
        if not self.subject.segments:
            return
        for setting, dice in zip(self.settings, self.dice, strict=True):
            for row in dice.table().itertuples():
                yield {
                    **setting.columns,
                    "view": self.view,
                    "class": row.label,
                    "dice": row.dice,
                }

    def skip_maps(self, number: int) -> NDArray[np.float32]:
        """Share of the multiply-accumulates skipped per pixel, [settings, H, W]."""
        inputs = self.subject.inputs(self.view, number)
        maps = []
        for network in self.converted:
            network.reset_counts()
            network(*inputs)
            maps.append(skip_map(network, tuple(inputs[0].shape[2:])))
        return np.stack(maps)


def certain_background(logits: Tensor) -> Tensor:
    """Logits [N, C, H, W] with background for certain wherever there is NaN.

    That is what is decided there. Zeros in all classes would decide the same, but a
    softmax calls them equally likely, and a loss would punish every one.
    """
    sure = torch.full((1, logits.shape[1], 1, 1), -CERTAIN)
    sure[:, 0] = CERTAIN
    return torch.where(logits.isnan().any(1, keepdim=True), sure, logits)


def run_order(network: ConvertedModel, inputs: tuple) -> list[str]:
    """The convolutions by name in the order they are first called."""
    called: list[str] = []
    handles = [
        conv.register_forward_pre_hook(lambda *_, name=name: called.append(name))
        for name, conv in network.convolutions().items()
    ]
    network(*inputs)
    for handle in handles:
        handle.remove()
    return list(dict.fromkeys(called))


def skip_map(network: ConvertedModel, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Where work was skipped in the last call: float32 (H, W), 0 to 1.

    Of every convolution the skipped positions are brought to the slice's pixels
    (nearest) and weighted by the multiply-accumulates it has there.
    """
    total, weight = torch.zeros(shape), 0.0
    counts = network.counts()
    for name, skipped in network.skip_maps().items():
        macs = counts[name].total_macs
        if skipped is None or not macs:
            continue
        share = skipped[0].float().mean(0)[None, None]
        total += macs * F.interpolate(share, shape, mode="nearest")[0, 0]
        weight += macs
    return (total / max(weight, 1.0)).numpy()


def _shares(network: ConvertedModel, output: Tensor, brain: NDArray) -> dict:
    """Skipped shares of this slice, and NaN in the output."""
    summary = network.skip_summary()
    unknown = output.isnan().any(1)[0].numpy()
    return {
        "skip_convolutions": summary["convolutions"],
        "skip_blocks": summary["blocks"],
        "skip_macs": summary["macs"],
        "nan_output": unknown.mean(),
        "nan_output_brain": _mean(unknown[brain]),
    }


def _mean(values: NDArray) -> float:
    return float(values.mean()) if values.size else float("nan")
