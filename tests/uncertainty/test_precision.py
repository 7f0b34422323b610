"""Values that had been rounded to a half type cannot show float32's bits."""

import numpy as np
import pytest

from roundoff.errors import RoundoffError
from roundoff.uncertainty.significant_bits import (
    BitsSettings,
    bits_of_slab,
    identical_bound,
)


@pytest.mark.parametrize(("precision", "cap"), [("float16", 10), ("bfloat16", 7)])
def test_identical_half_values_show_their_own_bits(precision, cap):
    samples = np.full((5, 3), 1.5, np.float32)
    settings = BitsSettings(precision=precision)
    bits = bits_of_slab(samples, settings=settings)
    assert (bits.general == cap).all()
    assert (bits.cnh <= cap).all()
    assert identical_bound("general", 5, settings=settings) == cap


def test_noise_below_the_cap_is_measured_as_ever():
    samples = np.array([[1.0], [1.01], [0.99]], np.float32)
    half = bits_of_slab(samples, settings=BitsSettings(precision="float16"))
    assert half.general == bits_of_slab(samples).general


def test_unknown_precision():
    with pytest.raises(RoundoffError, match="'float8' is unknown"):
        bits_of_slab(
            np.ones((2, 1), np.float32), settings=BitsSettings(precision="float8")
        )
