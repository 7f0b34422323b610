"""The one compiled part: optional, so that a missing compiler is no error.

Everything else about the package is in pyproject.toml.
"""

from setuptools import Extension, setup

NATIVE = "src/roundoff/nan/native"

setup(
    ext_modules=[
        Extension(
            "roundoff.nan._skipping",
            sources=[f"{NATIVE}/skipping.c"],
            depends=[
                f"{NATIVE}/{n}" for n in ("skipping.h", "kernels.inc", "tile.inc")
            ],
            # Products and sums stay apart: the tie test must round as PyTorch's does.
            extra_compile_args=["-O3", "-ffp-contract=off", "-pthread"],
            extra_link_args=["-pthread", "-ldl"],
            optional=True,
        )
    ]
)
