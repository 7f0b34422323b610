"""Verrou's log, in the words and columns of versions 2.4 to 2.7."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundoff.instruments.counters import parse_log, split_version

LOG = """\
==77== Verrou, Check floating-point rounding errors
==77== Copyright (C) 2014-2019, EDF.
==77==
==77== Using Valgrind-3.26.0+verrou-2.7.0 and LibVEX; rerun with -h for copyright info
==77== Command: python infer.py --note NaN
==77==
==77== Loading exclusions list from `rules.txt'... OK.
==77== First seed : 12345
==77== Backend verrou : 1.x-dev
==77== Instrumented operations :
==77== \tadd : yes
==77== Backend verrou simulating RANDOM rounding mode
==77== EXCLUDE DETECTED: /usr/lib/libm.so.6
==77== Using exclusion rule: *\t/usr/lib/ld-linux-x86-64.so.2
==77== Using exclusion rule: *\t/opt/my libs/libm.so.6
==77== New seed : 99
--77-- Client Request: instrumentation switched ON
==77==
==77==  ---------------------------------------------------------------------
==77==  Operation                            Instruction count
==77==   `- Precision
==77==       `- Vectorization          Total             Instrumented
==77==  ---------------------------------------------------------------------
==77==  add                 5000                 4000          ( 80%)
==77==   `- flt                 4500                 4000      ( 89%)
==77==       `- llo                  500                    0  (  0%)
==77==       `- vec8                4000                 4000  (100%)
==77==   `- dbl                  500                    0      (  0%)
==77==       `- llo                  500                    0  (  0%)
==77==  ---------------------------------------------------------------------
==77==  mAdd          1632199710           1632199710          (100%)
==77==   `- flt          1632199710           1632199710      (100%)
==77==       `- vec8         1632199710           1632199710  (100%)
==77==  ---------------------------------------------------------------------
==77==  cmp                   70                   70          (100%)
==77==   `- flt                   70                   70      (100%)
==77==       `- scal                  70                   70  (100%)
==77==  ---------------------------------------------------------------------
==77==  conv                  12                    5          ( 42%)
==77==   `- dbl=>flt               5                    5      (100%)
==77==       `- scal                   5                    5  (100%)
==77==   `- flt=>dbl               7                    0      (  0%)
==77==  ---------------------------------------------------------------------
==77== Warning exclude unused: mkl_vml_kernel_sSin_Z0HAynn\t/t/libtorch_cpu.so
==77== ERROR SUMMARY: 0 errors from 0 contexts (suppressed: 0 from 0)
"""


@pytest.fixture
def log():
    return parse_log(LOG)


def test_versions_mode_and_seeds(log):
    assert (log.valgrind, log.verrou) == ("3.26.0", "2.7.0")
    assert (log.mode, log.first_seed, log.new_seeds) == ("random", 12345, [99])


def test_counters_by_operation_and_precision(log):
    assert log.counters["add"] == {
        "total": 5000, "perturbed": 4000, "flt total": 4500, "flt perturbed": 4000,
        "dbl total": 500, "dbl perturbed": 0,
    }  # fmt: skip
    assert log.counters["conv"]["dbl=>flt perturbed"] == 5


def test_comparisons_are_not_perturbations(log):
    assert log.instrumented == 4000 + 1632199710 + 5


def test_exclusions_used_and_unused(log):
    assert log.used == [
        "*\t/usr/lib/ld-linux-x86-64.so.2",
        "*\t/opt/my libs/libm.so.6",
    ]
    assert log.unused == ["mkl_vml_kernel_sSin_Z0HAynn\t/t/libtorch_cpu.so"]
    assert log.detected == ["/usr/lib/libm.so.6"]


def test_the_command_line_is_no_problem(log):
    assert log.problems == []


def test_of_several_tables_the_last_counts():
    later = LOG + LOG[LOG.index("==77==  ----") :].replace("4000", "4800")
    assert parse_log(later).counters["add"]["perturbed"] == 4800


def test_an_older_version_and_no_prefix():
    text = LOG.replace("==77== ", "").replace("+verrou-2.7.0", ".verrou-dev")
    log = parse_log(text.replace("RANDOM", "AVERAGE"))
    assert (log.valgrind, log.verrou, log.mode) == ("3.26.0", "dev", "average")
    assert log.instrumented == 4000 + 1632199710 + 5


def test_a_log_of_another_tool():
    log = parse_log("==1== Nulgrind\n==1== Using Valgrind-3.19.0 and LibVEX\n")
    assert (log.valgrind, log.verrou, log.counters, log.instrumented) == (
        "3.19.0", "", {}, 0,
    )  # fmt: skip


def test_problems_are_kept():
    text = "vex amd64->IR: unhandled instruction bytes: 0x62 0xF1\n==1== panic: x\n"
    assert len(parse_log(text).problems) == 2


@given(st.text(max_size=300))
def test_any_text_is_read(text):
    parse_log(text)
    parse_log(LOG[:200] + text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("valgrind-3.26.0+verrou-2.7.0", ("3.26.0", "2.7.0")),
        ("valgrind-3.26.0.verrou-dev", ("3.26.0", "dev")),
        ("valgrind-3.19.0", ("3.19.0", "")),
    ],
)
def test_version_strings(text, expected):
    assert split_version(text) == expected
