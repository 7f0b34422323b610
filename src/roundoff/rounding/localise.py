"""Where the digits are lost: bits per module, one module at a time, delta debugging.

All of it rests on streams keyed by module: leaving a module out does not change the
draws of the others. `run` is a callable without arguments that computes the outputs
under study, for instance ``lambda: model(x)``; `settings` are those of
`RandomRounding` (mode, order, seed, modules, ...).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from roundoff.rounding.context import RandomRounding

MANTISSA_BITS = {torch.float64: 53.0, torch.float16: 11.0, torch.bfloat16: 8.0}
Run = Callable[[], Tensor]
Metric = Callable[[Tensor], float]


def _mantissa(dtype: torch.dtype) -> float:
    return MANTISSA_BITS.get(dtype, 24.0)


def significant_bits(samples: Tensor) -> Tensor:
    """Significant bits of each element over samples (n, ...), n at least 2.

    -log2(std / |mean|), between 0 and the bits of the type (24 for float32); elements
    equal in all samples get the maximum. Not finite in any sample: NaN.
    """
    if samples.shape[0] < 2:
        raise ValueError("significant bits need at least 2 samples")
    most = _mantissa(samples.dtype)
    wide = samples.to(torch.float64)
    spread, centre = wide.std(0), wide.mean(0).abs()
    bits = -torch.log2(spread / centre)
    bits = torch.where(spread == 0, most, bits).clamp(0, most)
    return torch.where(torch.isfinite(wide).all(0), bits, torch.nan)


def lost_bits(samples: Tensor) -> float:
    """Median over elements of the bits lost to rounding: the default metric."""
    bits = significant_bits(samples)
    return _mantissa(samples.dtype) - bits.nanmedian().item()


def draw(run: Run, samples: int, **settings: Any) -> Tensor:
    """Outputs (samples, ...) of `run` under samples 0, 1, ... of random rounding."""
    outputs = []
    for sample in range(samples):
        with torch.no_grad(), RandomRounding(sample=sample, **settings):
            outputs.append(run().detach().clone())
    return torch.stack(outputs)


def perturbed_modules(run: Run, **settings: Any) -> dict[str, int]:
    """Modules that round, by path, with their elementary operations."""
    with torch.no_grad(), RandomRounding(**settings) as rounding:
        run()
    totals = rounding.coverage.by_module()
    return {
        name: int(total["operations"])
        for name, total in totals.items()
        if total["operations"]
    }


@dataclass(frozen=True)
class ModuleBits:
    """Significant bits of one module's output (all of its calls together)."""

    module: str
    median: float
    lowest: float  # 1st percentile over elements
    elements: int


class _Moments:
    """Running mean and variance of a module's outputs over samples."""

    def __init__(self) -> None:
        self.count, self.mean, self.square = 0, None, None
        self.dtype = torch.float32

    def add(self, value: Tensor) -> None:
        self.dtype, value = value.dtype, value.to(torch.float64)
        if self.mean is None:
            self.mean, self.square = torch.zeros_like(value), torch.zeros_like(value)
        self.count += 1
        delta = value - self.mean
        self.mean += delta / self.count
        self.square += delta * (value - self.mean)

    def bits(self) -> Tensor:
        most = _mantissa(self.dtype)
        spread = (self.square / (self.count - 1)).sqrt()
        bits = -torch.log2(spread / self.mean.abs())
        return torch.where(spread == 0, most, bits).clamp(0, most)


def bits_per_module(
    model: nn.Module,
    run: Run,
    samples: int = 5,
    modules: Sequence[str] | None = None,
    **settings: Any,
) -> list[ModuleBits]:
    """Bits that survive in the output of each module, in order of first call.

    `modules`: names to watch (default: all that return one float tensor); memory is
    two float64 copies of each watched output. Raises ValueError for unknown names or
    fewer than 2 samples.
    """
    if samples < 2:
        raise ValueError("bits_per_module needs at least 2 samples")
    named = dict(model.named_modules())
    unknown = [name for name in modules or () if name not in named]
    if unknown:
        raise ValueError(f"modules {unknown} are not in the model's named_modules()")
    watched = named if modules is None else {name: named[name] for name in modules}
    moments: dict[tuple[str, int], _Moments] = {}
    calls: dict[str, int] = {}

    def hook(name: str):
        def collect(_module, _inputs, output):
            if isinstance(output, Tensor) and output.is_floating_point():
                number = calls[name] = calls.get(name, -1) + 1
                kept = moments.setdefault((name, number), _Moments())
                kept_outputs.append((kept, output.detach().clone()))

        return collect

    handles = [
        module.register_forward_hook(hook(name)) for name, module in watched.items()
    ]
    try:
        for sample in range(samples):
            calls.clear()
            kept_outputs: list[tuple[_Moments, Tensor]] = []
            with torch.no_grad(), RandomRounding(sample=sample, **settings):
                run()
            for kept, output in kept_outputs:  # outside: not perturbed
                kept.add(output)
    finally:
        for handle in handles:
            handle.remove()
    return _summaries(moments)


def _summaries(moments: dict[tuple[str, int], _Moments]) -> list[ModuleBits]:
    by_name: dict[str, list[Tensor]] = {}
    for (name, _), kept in moments.items():
        by_name.setdefault(name, []).append(kept.bits().flatten())
    result = []
    for name, parts in by_name.items():
        bits = torch.cat(parts)
        finite = bits[~bits.isnan()].sort().values
        if finite.numel():
            low = finite[int(0.01 * (finite.numel() - 1))].item()
            middle = finite[finite.numel() // 2].item()
            result.append(ModuleBits(name, middle, low, bits.numel()))
    return result


@dataclass(frozen=True)
class Effect:
    """Metric with a module alone perturbed, or with all but it."""

    module: str
    value: float
    operations: int


def _effects(
    run: Run,
    kind: str,
    metric: Metric,
    samples: int,
    modules: Sequence[str] | None,
    settings: dict[str, Any],
) -> list[Effect]:
    operations = perturbed_modules(run, **settings)
    chosen = list(operations) if modules is None else list(modules)
    rows = []
    for module in chosen:
        choice = {kind: (f"={module}" if modules is None else module,)}
        value = metric(draw(run, samples, **settings, **choice))
        rows.append(Effect(module, value, operations.get(module, 0)))
    return rows


def one_at_a_time(
    run: Run,
    metric: Metric = lost_bits,
    samples: int = 5,
    modules: Sequence[str] | None = None,
    **settings: Any,
) -> list[Effect]:
    """Metric with each module alone perturbed, the most harmful first.

    `modules`: paths or globs, each taking everything below it; by default every module
    that rounds, without its children.
    """
    rows = _effects(run, "include", metric, samples, modules, settings)
    return sorted(rows, key=lambda row: -row.value)


def all_but_one(
    run: Run,
    metric: Metric = lost_bits,
    samples: int = 5,
    modules: Sequence[str] | None = None,
    **settings: Any,
) -> list[Effect]:
    """Metric with every module but one perturbed, the most helpful omission first."""
    rows = _effects(run, "exclude", metric, samples, modules, settings)
    return sorted(rows, key=lambda row: row.value)


def minimise(items: Sequence[str], fails: Callable[[Sequence[str]], bool]) -> list[str]:
    """Smallest subset found that still fails: `ddmin` of Zeller and Hildebrandt (2002).

    The result is 1-minimal: without any one of its items it does not fail. Raises
    ValueError where the whole set does not fail.
    """
    known: dict[frozenset[str], bool] = {}

    def test(subset: Sequence[str]) -> bool:
        key = frozenset(subset)
        if key not in known:
            known[key] = bool(subset) and fails(subset)
        return known[key]

    current, parts = list(items), 2
    if not test(current):
        raise ValueError(
            "perturbing all modules together does not reach the threshold: lower it or "
            "give more samples"
        )
    while len(current) > 1:
        size = -(-len(current) // parts)
        chunks = [current[i : i + size] for i in range(0, len(current), size)]
        rests = [[x for x in current if x not in chunk] for chunk in chunks]
        if (found := next(filter(test, chunks), None)) is not None:
            current, parts = found, 2
        elif (found := next(filter(test, rests), None)) is not None:
            current, parts = found, max(parts - 1, 2)
        elif parts < len(current):
            parts = min(2 * parts, len(current))
        else:
            break
    return current


def smallest_set(
    run: Run,
    threshold: float,
    metric: Metric = lost_bits,
    samples: int = 5,
    modules: Sequence[str] | None = None,
    **settings: Any,
) -> list[str]:
    """Smallest set of modules whose perturbation alone brings the metric to threshold.

    `metric` maps outputs (samples, ...) to a number that grows with the damage.
    Raises ValueError where even all modules together stay below the threshold.
    """
    if modules is None:
        chosen = [f"={name}" for name in perturbed_modules(run, **settings)]
    else:
        chosen = list(modules)

    def fails(subset: Sequence[str]) -> bool:
        outputs = draw(run, samples, **settings, include=tuple(subset))
        return metric(outputs) >= threshold

    found = minimise(chosen, fails)
    return [name.removeprefix("=") if modules is None else name for name in found]
