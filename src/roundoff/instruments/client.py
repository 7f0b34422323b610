"""Valgrind client requests from Python: how a program talks to the tool it runs under.

A request is a sequence of rotations that adds up to nothing on a processor and that
Valgrind recognises (its manual, "The client request mechanism"). No compiler is needed:
the sequence is a few bytes of machine code in an executable page. Where a system
forbids such pages, Verrou's own `verrouCBinding.so` serves; it knows no seed request.
"""

import ctypes
import mmap
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from roundoff.errors import RoundoffError

RUNNING_ON_VALGRIND = 0x1001
# Verrou numbers its requests from 'V' 'R' 0 0 (its public header verrou.h).
VERROU = ord("V") << 24 | ord("R") << 16
START, STOP, DISPLAY_COUNTERS, COUNT_INSTRUMENTED, SET_SEED = (
    VERROU + number for number in (0, 1, 4, 6, 9)
)
BINDING_NAMES = {
    START: "c_verrou_start_instrumentation",
    STOP: "c_verrou_stop_instrumentation",
    DISPLAY_COUNTERS: "c_verrou_display_counters",
    COUNT_INSTRUMENTED: "c_verrou_count_fp_instrumented",
}

# f(rdi = arguments, rsi = default): rax, rdx = rdi, rsi; the sequence; return rdx.
STUB = bytes.fromhex(
    "4889f8 4889f2"
    "48c1c703 48c1c70d 48c1c73d 48c1c733"  # rol rdi by 3, 13, 61, 51: 128 in all
    "4887db"  # xchg rbx, rbx: the request itself
    "4889d0 c3"
)

Request = Callable[..., int]
"""Called with a request's number and up to five integers; returns its answer."""


@dataclass(frozen=True)
class Client:
    """A way to make requests, and its name for the record."""

    request: Request
    name: str  # "stub" or the binding's path

    def running(self) -> bool:
        """Whether this process runs under Valgrind; unknown (False) to the binding."""
        return bool(self.request(RUNNING_ON_VALGRIND))


def connect(binding: Path | None = None) -> Client:
    """The stub, or Verrou's own binding where no executable page can be had.

    Raises `RoundoffError` when neither can be used.
    """
    try:
        return Client(stub_request(), "stub")
    except OSError as refused:
        if binding is not None and binding.is_file():
            return Client(_binding_request(binding), str(binding))
        raise RoundoffError(
            f"verrou: this system gives no executable memory page ({refused}), and "
            "Verrou's verrouCBinding.so was not found beside it, so instrumentation "
            "cannot be switched on from Python."
        ) from refused


def stub_request() -> Request:
    """Requests by machine code. Raises OSError where no page can be had for it."""
    if platform.machine() not in ("x86_64", "AMD64"):
        raise OSError(f"no stub for {platform.machine()}")
    rights = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=rights)
    page.write(STUB)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    kind = ctypes.CFUNCTYPE(
        ctypes.c_uint64, ctypes.POINTER(ctypes.c_uint64), ctypes.c_uint64
    )
    function = kind(address)

    def request(number: int, *arguments: int) -> int:
        block = (ctypes.c_uint64 * 6)(number, *arguments)
        return function(block, 0)

    request.page = page  # lives as long as the function
    return request


def _binding_request(path: Path) -> Request:
    library = ctypes.CDLL(str(path))

    def request(number: int, *arguments: int) -> int:
        name = BINDING_NAMES.get(number)
        return 0 if name is None else int(getattr(library, name)(*arguments) or 0)

    return request
