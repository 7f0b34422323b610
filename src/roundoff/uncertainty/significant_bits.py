"""Significant bits per voxel over repeated samples, General and CNH estimators.

Definitions: Sohier et al. 2021 (doi 10.1145/3432184), computed by the package
`significantdigits` (0.6.0: other versions give other maps). Here: which voxels may be
given to it at all, and what to say about the others.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Literal

import numpy as np
import scipy.stats
from numpy.typing import NDArray
from significantdigits import Error, Method, significant_digits

from roundoff.errors import RoundoffError
from roundoff.uncertainty.confidence import require_samples
from roundoff.uncertainty.normality import not_normal

ErrorKind = Literal["relative", "absolute"]
HALF_MANTISSA = {"float16": 10, "bfloat16": 7}
_ERRORS = {"relative": Error.Relative, "absolute": Error.Absolute}


class State(IntEnum):
    """What is known about a voxel. Only the last two carry a number of bits."""

    MASKED = 0  # outside the mask: not looked at
    UNDEFINED = 1  # finite in no sample, or relative error of a mean of exactly zero
    TOO_FEW = 2  # finite in some samples only: N would differ from the rest of the map
    MEASURED = 3
    IDENTICAL = 4  # the same bits in all samples: "at least x bits", never "x bits"


@dataclass(frozen=True)
class SlabBits:
    """Per-voxel results of one block of V voxels (or of several, concatenated).

    `general` (whole bits), `cnh`: float32 (V,), 0 to the mantissa, NaN unless the state
    is MEASURED or IDENTICAL.
    `state`: uint8 (V,) of `State`. `mean`, `std` (ddof 1), `max_error` (largest
    |sample - mean|): dtype of the samples (V,), in the unit of the samples, NaN where
    not all samples are finite or masked. `not_normal`: bool (V,), Anderson-Darling
    rejects normality at 5 % (False where untested), the check CNH asks for.
    """

    general: NDArray[np.float32]
    cnh: NDArray[np.float32]
    state: NDArray[np.uint8]
    mean: NDArray
    std: NDArray
    max_error: NDArray
    not_normal: NDArray[np.bool_]


@dataclass(frozen=True)
class BitsSettings:
    """How bits are measured: error kind, and probability and confidence of CNH.

    "relative": Z = X/mean - 1. "absolute": Z = X - mean, scaled by the power of two at
    or below |mean|; it stays defined where the mean is zero. Near a zero crossing both
    fall: for displacement fields read `std` and `max_error` (mm) beside the bits.
    `precision`: "float16" or "bfloat16" for samples stored in float32 whose values had
    been rounded to that type before: identical values then show 10 or 7 bits, not 23.
    """

    error: ErrorKind = "relative"
    probability: float = 0.95
    confidence: float = 0.95
    precision: str | None = None


def mantissa_bits(dtype: np.dtype | type) -> int:
    """Bits of the stored mantissa, the cap of all estimates: float32 23, float64 52."""
    dtype = np.dtype(dtype)
    if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise RoundoffError(
            f"samples: dtype {dtype} has no significant bits here; pass float32 or "
            "float64 as the model printed them (np.asarray(image.dataobj), "
            "never get_fdata(), which turns float32 into float64)"
        )
    return int(np.finfo(dtype).nmant)


def cap_of(dtype: np.dtype | type, settings: BitsSettings) -> int:
    """The most bits an estimate can show: of the samples' type, or a coarser one's."""
    cap = mantissa_bits(dtype)
    if settings.precision is None:
        return cap
    if settings.precision not in HALF_MANTISSA:
        raise RoundoffError(
            f"precision: {settings.precision!r} is unknown; it is one of "
            f"{', '.join(HALF_MANTISSA)}, or left out"
        )
    return min(cap, HALF_MANTISSA[settings.precision])


def cnh_bracket(
    samples: int, probability: float = 0.95, confidence: float = 0.95
) -> float:
    """Bits CNH subtracts for the finite number of samples (1.839 for N = 10)."""
    require_samples(samples)
    chi2 = scipy.stats.chi2.ppf((1 - confidence) / 2, samples - 1)
    normal = scipy.stats.norm.ppf((probability + 1) / 2)
    return float(0.5 * np.log2((samples - 1) / chi2) + np.log2(normal))


def identical_bound(
    estimator: Literal["general", "cnh"],
    samples: int,
    dtype: np.dtype | type = np.float32,
    settings: BitsSettings | None = None,
) -> float:
    """What a voxel identical in all samples is given: its bits are at least this.

    float32: General 23; CNH 20.51 (N = 5), 21.16 (N = 10), 21.60 (N = 30).
    """
    settings = settings or BitsSettings()
    cap = cap_of(dtype, settings)
    if estimator == "general":
        return float(cap)
    return cap - cnh_bracket(samples, settings.probability, settings.confidence)


def bits_of_slab(
    samples: NDArray,
    mask: NDArray[np.bool_] | None = None,
    settings: BitsSettings | None = None,
) -> SlabBits:
    """Measure one block of voxels.

    `samples`: (N, V) float32 or float64, the same V voxels in N >= 2 samples, in the
    dtype the model printed. `mask`: bool (V,), voxels to look at; None takes all.
    The reference is the sample mean. Errors are computed in double precision (the
    rounding of a float32 error costs up to 0.002 bit) and capped at the mantissa of the
    samples' dtype. Memory: a few times the block, whatever the volume.

    Raises `RoundoffError` for one sample, another dtype or mismatched shapes.
    """
    settings = settings or BitsSettings()
    mask = _checked_mask(samples, mask)
    state = _states(samples, mask, settings.error)
    complete = state >= State.MEASURED
    if settings.error == "relative":  # a zero mean has a spread all the same
        complete |= (state == State.UNDEFINED) & np.isfinite(samples).all(axis=0)
    chosen = samples[:, complete].astype(np.float64)
    moments = {
        name: _scatter(values, np.flatnonzero(complete), state.size, samples.dtype)
        for name, values in _moments(chosen).items()
    }
    numbered = (state >= State.MEASURED)[complete]
    general, cnh, odd = _estimate(chosen[:, numbered], samples.dtype, settings)
    where = np.flatnonzero(complete)[numbered]
    return SlabBits(
        general=_scatter(general, where, state.size, np.float32),
        cnh=_scatter(cnh, where, state.size, np.float32),
        state=state,
        not_normal=_scatter(odd, where, state.size, np.bool_, False),
        **moments,
    )


def significant_bits(
    slabs: Iterable[tuple[NDArray, NDArray[np.bool_] | None]],
    settings: BitsSettings | None = None,
) -> SlabBits:
    """Measure a volume block by block.

    `slabs` yields (samples (N, V_i), mask (V_i,) or None), for instance one slice at a
    time, read lazily from N files. Returns the blocks concatenated in order: memory is
    that of the result plus one block, whatever N.
    """
    return concatenate([bits_of_slab(s, mask, settings) for s, mask in slabs])


def concatenate(parts: list[SlabBits]) -> SlabBits:
    """Join the results of consecutive blocks."""
    if not parts:
        raise RoundoffError("slabs: none given; a map needs at least one block")
    names = [f.name for f in fields(SlabBits)]
    return SlabBits(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


def average_components(bits: SlabBits, components: int) -> SlabBits:
    """Merge the components of a vector field, stored last, into one value per voxel.

    `bits` of V * components values (a block (N, V, components) reshaped to (N, -1)).
    Bits are averaged over components as in arXiv 2308.01939; a voxel has the worst
    state of its components; `mean`, `std` and `max_error` become Euclidean norms.
    """
    if bits.state.size % components:
        raise RoundoffError(
            f"components: {bits.state.size} values do not split into {components}"
        )

    def split(values: NDArray) -> NDArray:
        return values.reshape(-1, components)

    def norm(values: NDArray) -> NDArray:
        return np.sqrt((split(values) ** 2).sum(axis=1)).astype(values.dtype)

    return SlabBits(
        general=split(bits.general).mean(axis=1),
        cnh=split(bits.cnh).mean(axis=1),
        state=split(bits.state).min(axis=1),
        mean=norm(bits.mean),
        std=norm(bits.std),
        max_error=norm(bits.max_error),
        not_normal=split(bits.not_normal).any(axis=1),
    )


def _checked_mask(samples: NDArray, mask: NDArray | None) -> NDArray[np.bool_]:
    if samples.ndim != 2:
        raise RoundoffError(
            f"samples: shape {samples.shape}, expected (N samples, V voxels)"
        )
    require_samples(samples.shape[0])
    mantissa_bits(samples.dtype)
    if mask is None:
        return np.ones(samples.shape[1], bool)
    if mask.shape != samples.shape[1:]:
        raise RoundoffError(
            f"mask: shape {mask.shape}, expected {samples.shape[1:]} as the samples"
        )
    return mask.astype(bool)


def _states(samples: NDArray, mask: NDArray, error: ErrorKind) -> NDArray[np.uint8]:
    finite = np.isfinite(samples).sum(axis=0)
    identical = (samples == samples[0]).all(axis=0)
    state = np.where(identical, State.IDENTICAL, State.MEASURED).astype(np.uint8)
    if error == "relative":
        with np.errstate(invalid="ignore"):  # inf - inf, about to be overwritten
            zero = samples.mean(axis=0, dtype=np.float64) == 0
        state[zero] = State.UNDEFINED
    state[finite < len(samples)] = State.TOO_FEW
    state[finite == 0] = State.UNDEFINED
    state[~mask] = State.MASKED
    return state


def _estimate(
    chosen: NDArray[np.float64], dtype: np.dtype, settings: BitsSettings
) -> tuple[NDArray, NDArray, NDArray]:
    """General, CNH and failed normality of complete float64 columns (N, M)."""
    if chosen.shape[1] == 0:
        return np.empty(0), np.empty(0), np.empty(0, bool)
    cap = cap_of(dtype, settings)
    reference = _sample_mean(chosen)

    def estimate(method: Method) -> NDArray:
        return significant_digits(
            chosen,
            reference=reference,
            axis=0,
            error=_ERRORS[settings.error],
            method=method,
            probability=settings.probability,
            confidence=settings.confidence,
            dtype=dtype,  # the cap follows the model's precision, not the errors'
        )

    # CNH alone leaves the range: one flipped last bit among N samples scores above the
    # mantissa, a spread beyond the mean below zero.
    cnh = np.clip(estimate(Method.CNH), 0, cap)
    identical = (chosen == chosen[0]).all(axis=0)
    general = np.minimum(estimate(Method.General), cap)
    return general, cnh, not_normal(chosen) & ~identical


def _sample_mean(chosen: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over samples (N, M) -> (M,), exact where all are identical."""
    identical = (chosen == chosen[0]).all(axis=0)
    return np.where(identical, chosen[0], chosen.mean(axis=0))


def _moments(chosen: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    mean = _sample_mean(chosen)
    errors = chosen - mean
    return {
        "mean": mean,
        "std": np.sqrt((errors**2).sum(axis=0) / (len(chosen) - 1)),
        "max_error": np.abs(errors).max(axis=0),
    }


def _scatter(
    values: NDArray,
    where: NDArray,
    size: int,
    dtype: np.dtype | type,
    fill: float = np.nan,
) -> NDArray:
    full = np.full(size, fill, dtype)
    full[where] = values
    return full
