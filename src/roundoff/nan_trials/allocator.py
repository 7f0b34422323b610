"""The same memory allocator settings for all contestants of a time trial."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def steady_allocator() -> None:
    """Keep large blocks instead of returning them to the system after every call."""
    if sys.platform == "linux":
        libc = ctypes.CDLL("libc.so.6")
        for setting in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
            libc.mallopt(setting, 1 << 30)
