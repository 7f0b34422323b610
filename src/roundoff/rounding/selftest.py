"""Self-test of the compiled primitives: do they obey the rounding direction here?"""

import numpy as np

from roundoff.rounding.compilation import keep_apart, kernel
from roundoff.rounding.elementary import add, fma, mul, narrow, signs
from roundoff.rounding.environment import (
    DIRECTIONS,
    NEAREST,
    current_direction,
    nearest_on_exit,
    set_rounding,
)
from roundoff.rounding.streams import element_word

_COUNT = 4096


@kernel
def _apply(a, b, c, out, key, rounder):
    keep_apart()
    for i in range(out.shape[1]):
        word = element_word(key, i)
        out[0, i] = add(a[i], b[i], word, 0, rounder)
        out[1, i] = mul(a[i], b[i], word, 1, rounder)
        out[2, i] = fma(a[i], b[i], c[i], word, 2, rounder)
        out[3, i] = narrow(np.float64(a[i]) * np.float64(b[i]), word, 3, rounder)


@kernel
def _run(a, b, c, out, key, rounder, direction):
    set_rounding(direction)
    _apply(a, b, c, out, key, rounder)
    set_rounding(NEAREST)


def failures() -> list[str]:
    """Return what is wrong with mode `random` on this machine; empty if nothing is."""
    draw = np.random.default_rng(20240613)
    a, b, c = draw.uniform(1, 2, (3, _COUNT)).astype(np.float32)
    b *= np.float32(2**-9)
    out = np.empty((4, _COUNT), np.float32)
    with nearest_on_exit():
        _run(a, b, c, out, np.uint64(7), signs("random"), DIRECTIONS["downward"])
        restored = current_direction() == NEAREST
    product = a.astype(np.float64) * b
    exact = np.stack([a.astype(np.float64) + b, product, product + c, product])
    found = [] if restored else ["the rounding direction was not restored"]
    for name, value, result in zip(
        ("add", "mul", "fma", "conversion"), exact, out, strict=True
    ):
        found += _problems(name, value, result)
    return found


def _problems(name: str, exact: np.ndarray, result: np.ndarray) -> list[str]:
    nearest = exact.astype(np.float32)
    floor = np.where(
        nearest > exact, np.nextafter(nearest, -np.float32(np.inf)), nearest
    )
    ceiling = np.where(floor < exact, np.nextafter(floor, np.float32(np.inf)), floor)
    if not ((result == floor) | (result == ceiling)).all():
        return [f"{name} leaves the floor and the ceiling of the exact value"]
    inexact = floor != ceiling
    share = (result == ceiling)[inexact].mean()
    # six standard errors
    if abs(share - 0.5) > 3 / np.sqrt(inexact.sum()):
        return [f"{name} rounds up {share:.1%} of the time instead of 50%"]
    return []
