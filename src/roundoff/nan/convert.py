"""Turn a network into one with NaN operations, leaving its weights untouched."""

import copy
import warnings
from collections.abc import Callable, Collection
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from roundoff.nan.background import Follower
from roundoff.nan.carried import Carried
from roundoff.nan.checks import check_threshold
from roundoff.nan.convolution import Fill
from roundoff.nan.layers import (
    ConvertedConv2d,
    ConvertedConv3d,
    ConvertedPool,
    ConvertedUnpool,
    Mode,
    Settings,
    pool,
    unpool,
)
from roundoff.nan.policy import clean_image, clean_logits
from roundoff.nan.skips import SkipCount
from roundoff.nan.ties import Criterion, TieRule

Output = Literal["finite", "propagate", "zero", "input"]
MODES = ("conservative", "aggressive", "exact")
OUTPUTS = ("finite", "propagate", "zero", "input")


def convert(
    model: nn.Module,
    mode: Mode = "conservative",
    threshold: float = 0.5,
    *,
    output: Output = "finite",
    max_threshold: int = 1,
    rtol: float | None = None,
    atol: float = 0.0,
    criterion: Criterion = "close",
    fill: Fill = "mean",
    nan_probability: float = 1.0,
    generator: torch.Generator | None = None,
    keep: Collection[str] = (),
    maps: bool = False,
    exact: bool = False,
    compiled: bool = True,
    always_skip: bool = False,
) -> "ConvertedModel":
    """A copy of `model` whose poolings, unpoolings and convolutions know NaN.

    Weights are shared with the original, which itself is not changed. Poolings and
    unpoolings called as functions inside the network are caught as well.

    `mode`: "aggressive" pools ties to NaN; "conservative" keeps their maxima and
    writes NaN when unpooling, so that it needs poolings with indices; "exact" makes no
    NaN at all. `threshold`: NaN share from which a convolution skips a window.
    `max_threshold`, `rtol`, `atol`, `criterion`, `nan_probability`, `generator`: the
    tie test, see `nan_max_pool2d`; `fill`: see `nan_conv2d`.

    `output`: what becomes of NaN in the result. "propagate": left, as published.
    "finite": logits with any NaN at a voxel are 0 there in every class, so that views
    sum over finite values only and a voxel nobody knows is background. For images:
    "zero", or "input", the middle channel of the network's input.

    `exact`: windows of nothing but background (pixels that all hold the very same
    values, as around a stripped skull) are computed once and copied, to the same bits,
    beside the mode's own skipping; mode "exact" does that alone.

    `keep`: names of layers (or of whole parts) to leave as they are. `maps`: keep the
    last mask of skipped windows of every convolution. `compiled` False: PyTorch only.
    `always_skip`: do not leave layers to oneDNN where that is expected to be quicker.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    if output not in OUTPUTS:
        raise ValueError(f"output must be one of {', '.join(OUTPUTS)}, not {output!r}")
    settings = Settings(
        mode,
        check_threshold(threshold),
        fill,
        TieRule(max_threshold, rtol, atol, criterion),
        nan_probability,
        generator,
        maps,
        exact,
        compiled,
        always_skip,
    )
    if mode == "aggressive" and nan_probability not in (0, 1) and generator is None:
        raise ValueError("nan_probability below 1 needs a torch.Generator as generator")
    inner = _share(model)
    inner = _swap(inner, settings, frozenset(keep))
    return ConvertedModel(inner, settings, output)


def _share(model: nn.Module) -> nn.Module:
    """Copy the structure of a model; parameters and buffers stay the same objects."""
    memo = {id(t): t for t in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, memo)


def _stand_in(module: nn.Module, settings: Settings) -> nn.Module | None:
    makers: list[tuple[tuple[type, ...], Callable]] = [
        ((nn.Conv2d,), ConvertedConv2d.of),
        ((nn.Conv3d,), ConvertedConv3d.of),
        ((nn.MaxPool2d, nn.MaxPool3d), ConvertedPool),
        ((nn.MaxUnpool2d, nn.MaxUnpool3d), ConvertedUnpool),
    ]
    for kinds, make in makers:
        if isinstance(module, kinds):
            return make(module, settings)
    return None


def _swap(model: nn.Module, settings: Settings, keep: frozenset[str]) -> nn.Module:
    """Replace layers in place; a layer used twice gets one stand-in."""
    known = {name for name, _ in model.named_modules()}
    if not keep <= known:
        raise ValueError(f"keep names no layer of the model: {sorted(keep - known)}")
    alone = None if "" in keep else _stand_in(model, settings)
    if alone is not None:
        return alone
    made: dict[int, nn.Module] = {}
    kept = tuple(f"{name}." for name in keep)
    for prefix, parent in list(model.named_modules()):
        if prefix in keep or prefix.startswith(kept):
            continue
        for name, child in list(parent._modules.items()):  # shared ones as well
            if child is None:
                continue
            if (f"{prefix}.{name}" if prefix else name) in keep:
                continue
            if id(child) not in made:
                stand_in = _stand_in(child, settings)
                if stand_in is None:
                    continue
                made[id(child)] = stand_in
            setattr(parent, name, made[id(child)])
    if not made:
        warnings.warn(
            "convert found no convolution, pooling or unpooling layer to replace",
            stacklevel=3,
        )
    return model


class ConvertedModel(nn.Module):
    """A converted network: call it like the original, which `model` is the copy of.

    Attributes of the original (`in_channels`, ...) are reached through it.
    """

    def __init__(self, model: nn.Module, settings: Settings, output: Output):
        super().__init__()
        self.model = model
        self.settings = settings
        self.output = output
        self.train(model.training)
        exact = settings.exact or settings.mode == "exact"
        self._follower = None
        if exact and settings.compiled:
            self._follower = Follower(self.convolutions(), maps=settings.maps)

    def __getattr__(self, name: str):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("model"), name)

    def forward(self, *args, **kwargs):
        """Run the network and treat NaN in its output as `output` says."""
        if self.training and any(_is_norm(m) for m in self.model.modules()):
            raise RuntimeError(
                "NaN would spoil the running statistics of batch normalisation: call "
                "eval() before using a converted network"
            )
        with _FunctionalPools(self.settings):
            if self._follower is None:
                result = self.model(*args, **kwargs)
            else:
                result = self._follower.run(self.model, args, kwargs)
        if isinstance(result, Carried):
            counts, result = result.known_counts(), result.plain()
            if counts is None:
                return result
            if self.output == "finite":
                return clean_logits(result, (counts.int() > 0)[:, None])
        if not isinstance(result, Tensor) or self.output == "propagate":
            return result
        if self.output == "finite":
            return clean_logits(result)
        if self.output == "zero":
            return clean_image(result)
        source = args[0]
        return clean_image(result, source[:, source.shape[1] // 2, None])

    def convolutions(self) -> dict[str, nn.Module]:
        """The converted convolutions by the names of their originals."""
        kinds = (ConvertedConv2d, ConvertedConv3d)
        return {n: m for n, m in self.model.named_modules() if isinstance(m, kinds)}

    def counts(self) -> dict[str, SkipCount]:
        """What each convolution skipped since the start or `reset_counts`."""
        return {name: conv.count for name, conv in self.convolutions().items()}

    def reset_counts(self) -> None:
        """Forget all counts, for instance between two slices."""
        for conv in self.convolutions().values():
            conv.count = SkipCount()

    def skip_maps(self) -> dict[str, Tensor]:
        """Skipped windows of the last call, bool [N, groups, *output]; `maps=True`."""
        if not self.settings.maps:
            raise RuntimeError("convert with maps=True to keep maps of skipped windows")
        convs = self.convolutions().items()
        return {n: c.skipped for n, c in convs if c.skipped is not None}

    def skip_summary(self) -> dict[str, float]:
        """Skipped share over the network, by three conventions, 0 to 1.

        `convolutions`: unweighted mean over convolutions. `blocks`: mean over the
        network's parts (first component of the name) of each part's mean.
        `macs`: weighted by multiply-accumulates, what could be saved at most.
        Convolutions that did not run are left out.
        """
        counts = {n: c for n, c in self.counts().items() if c.total}
        if not counts:
            return dict.fromkeys(("convolutions", "blocks", "macs"), float("nan"))
        blocks: dict[str, list[float]] = {}
        for name, count in counts.items():
            blocks.setdefault(name.split(".")[0], []).append(count.share)
        shares = [c.share for c in counts.values()]
        means = [sum(b) / len(b) for b in blocks.values()]
        return {
            "convolutions": sum(shares) / len(shares),
            "blocks": sum(means) / len(means),
            "macs": sum(counts.values(), SkipCount()).mac_share,
        }


def _is_norm(module: nn.Module) -> bool:
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    return isinstance(module, kinds) and module.training


class _FunctionalPools(TorchFunctionMode):
    """Catches poolings and unpoolings that a network calls as functions."""

    def __init__(self, settings: Settings):
        super().__init__()
        self.settings = settings

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if self.settings.mode == "exact":
            return func(*args, **kwargs)
        if func in (torch.max_pool2d, torch.max_pool3d):
            return self._pool(*args, **kwargs)[0]
        if func in (F.max_pool2d_with_indices, F.max_pool3d_with_indices):
            return self._pool(*args, **kwargs)
        if func in (F.max_unpool2d, F.max_unpool3d):
            return self._unpool(*args, **kwargs)
        return func(*args, **kwargs)

    def _pool(
        self,
        x,
        kernel_size,
        stride=None,
        padding=0,
        dilation=1,
        ceil_mode=False,
        return_indices=False,
    ):
        if dilation not in (1, (1, 1), (1, 1, 1)):
            raise ValueError(
                f"max pooling with dilation {dilation} has no NaN operation"
            )
        return pool(x, self.settings, kernel_size, stride or None, padding, ceil_mode)

    def _unpool(
        self, x, indices, kernel_size, stride=None, padding=0, output_size=None
    ):
        return unpool(
            x, indices, self.settings, kernel_size, stride, output_size, padding
        )
