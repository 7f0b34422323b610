"""Client requests without a compiler, under a real Valgrind."""

import subprocess
import sys

import pytest

from roundoff.errors import RoundoffError
from roundoff.instruments import client
from roundoff.instruments.client import RUNNING_ON_VALGRIND, connect, stub_request

CALLGRIND = ord("C") << 24 | ord("T") << 16
START, STOP = CALLGRIND + 4, CALLGRIND + 5  # valgrind/callgrind.h


def run(valgrind, *options, code):
    program = (
        "from roundoff.instruments.client import connect, stub_request;"
        "request = stub_request();" + code
    )
    argv = [valgrind, *options, sys.executable, "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return done.stdout.split(), done.stderr


def instructions(log):
    return int(log.split("Collected :")[1].split()[0])


def test_requests_are_nothing_outside_valgrind():
    request = stub_request()
    assert request(RUNNING_ON_VALGRIND) == 0
    assert request(client.START) == 0
    assert not connect().running()


def test_a_process_under_valgrind_knows_it(valgrind):
    code = f"print(connect().running(), request({RUNNING_ON_VALGRIND}))"
    out, _ = run(valgrind, "--tool=none", code=code)
    assert out == ["True", "1"]


def test_requests_of_another_tool_change_nothing(valgrind):
    code = f"request({client.START}); print(request({client.COUNT_INSTRUMENTED}))"
    out, _ = run(valgrind, "--tool=none", code=code)
    assert out == ["0"]


def test_instrumentation_is_switched_on_for_a_region_only(valgrind, tmp_path):
    """Callgrind has the switch Verrou has, and counts what it sees."""
    options = [
        "--tool=callgrind", "--instr-atstart=no",
        f"--callgrind-out-file={tmp_path / 'out'}",
    ]  # fmt: skip
    work = "sum(range(20_000))"
    _, never = run(valgrind, *options, code=work)
    counted = []
    for repeats in (1, 5):
        region = (
            f"request({START}); [{work} for _ in range({repeats})]; request({STOP})"
        )
        _, log = run(valgrind, *options, code=f"{work}; {region}; {work}")
        counted.append(instructions(log))
    assert instructions(never) == 0
    assert 20_000 < counted[0] < counted[1]
    assert counted[1] > 3 * counted[0]


def test_arguments_reach_valgrind(valgrind, tmp_path):
    """A message printed by request 0x1403 (PRINTF_VALIST_BY_REF) shows in the log."""
    code = (
        "import ctypes; text = ctypes.create_string_buffer(b'seed %lu heard\\n');"
        "area = (ctypes.c_uint64 * 1)(4321);"
        # va_list of x86-64: no registers left, the rest on the stack `area`.
        "va = (ctypes.c_uint32 * 6)(48, 304); q = ctypes.cast(va, "
        "ctypes.POINTER(ctypes.c_uint64)); q[1] = ctypes.addressof(area);"
        "request(0x1403, ctypes.addressof(text), ctypes.addressof(va))"
    )
    _, log = run(valgrind, "--tool=none", code=code)
    assert "seed 4321 heard" in log


def test_a_system_that_refuses_executable_pages(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise PermissionError("not permitted")

    monkeypatch.setattr(client.mmap, "mmap", refuse)
    with pytest.raises(RoundoffError, match="no executable memory page"):
        connect(tmp_path / "verrouCBinding.so")


def test_other_processors_are_told(monkeypatch):
    monkeypatch.setattr(client.platform, "machine", lambda: "aarch64")
    with pytest.raises(RoundoffError, match="no stub for aarch64"):
        connect()
