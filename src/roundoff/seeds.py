"""Seeds of the samples: from what a sample is, never from time."""

import hashlib


def derive_seed(
    master: int, subject: str, model: str, instrument: str, sample: int
) -> int:
    """Seed of one sample, in 0 .. 2**63 - 1.

    A function of (master seed, subject, model, instrument, sample) alone, so a sample
    can be repeated, resumed or added without touching any other.
    """
    identity = f"{master}\0{subject}\0{model}\0{instrument}\0{sample}"
    digest = hashlib.blake2b(identity.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
