"""How many digits of a brain-MRI network's output are real."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from roundoff.rounding import RandomRounding

__version__ = "0.1.0"
__all__ = ["RandomRounding", "__version__"]

# Resolved on first use, so that `import roundoff` costs nothing.
_LAZY = {"RandomRounding": "roundoff.rounding"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'roundoff' has no attribute {name!r}")
