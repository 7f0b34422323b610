"""What is done, what failed and why: read from the results, at any time."""

from roundoff.status.collect import collect
from roundoff.status.reasons import last_error

__all__ = ["collect", "last_error"]
