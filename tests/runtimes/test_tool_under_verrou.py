"""A foreign command under Verrou: its record, and when its output is refused.

The stand-in for Valgrind runs the command as it is and writes a log in Verrou's words.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from roundoff.errors import RoundoffError
from roundoff.runtimes import tool

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = """#!{python}
import os, subprocess, sys
options = dict(a[2:].partition("=")[::2] for a in sys.argv[1:] if a.startswith("--"))
if "version" in options or "help" in options:
    print("valgrind-3.26.0+verrou-2.7.0 nearness --libm --python --check-nan")
    sys.exit()
program = sys.argv[[a.startswith("--") for a in sys.argv].index(False, 1):]
nearest = options["rounding-mode"] == "nearest"
told = {{"STAND_IN": "0" if nearest else options["vr-seed"]}}
status = subprocess.call(program, env=os.environ | told)
count = 0 if "{fail}" == "silent" else 4242
rule = open(options["exclude"]).read().splitlines()[-1]
for pid in ("11", "12"):
    with open(options["log-file"].replace("%p", pid), "w") as log:
        for line in (
            "Using Valgrind-3.26.0+verrou-2.7.0 and LibVEX; rerun with -h",
            "Using exclusion rule: " + rule,
            " Operation                            Instruction count",
            f" add             5000            {{count}}          ( 99%)",
        ):
            log.write(f"=={{pid}}== {{line}}\\n")
sys.exit(status % 256 if status >= 0 else 128 - status)
"""
# What the stand-in's "rounding" does to a sum.
SUM = "import os; print(20000.0 + int(os.environ.get('STAND_IN', '0')))"


@pytest.fixture
def stand_in(tmp_path):
    """Write a stand-in for `valgrind` that fails in a chosen way."""

    def write(fail=""):
        path = tmp_path / "valgrind"
        path.write_text(STAND_IN.format(python=sys.executable, fail=fail))
        path.chmod(0o755)
        return str(path)

    return write


def run(valgrind, tmp_path, code="pass"):
    return tool.run_tool(
        [sys.executable, "-c", code],
        mode="random",
        seed=3,
        stem=tmp_path / "kept" / "sub-01",
        libraries=["numpy", "no_such_library"],
        valgrind=valgrind,
    )


def test_what_verrou_did_is_kept(stand_in, tmp_path):
    record = run(stand_in(), tmp_path)
    assert record["PerturbedOperations"] == 2 * 4242
    assert record["Counters"]["add"] == {"total": 10_000, "perturbed": 8484}
    assert record["Processes"] == 2
    assert record["LibrariesAsked"] == ["numpy"]
    kept = json.loads((tmp_path / "kept/sub-01_verrou.json").read_text())
    assert kept == json.loads(json.dumps(record))
    assert "libm" in (tmp_path / "kept/sub-01_exclusions.txt").read_text()


def test_a_command_that_was_not_perturbed_is_refused(stand_in, tmp_path):
    with pytest.raises(RoundoffError, match="no operation was perturbed"):
        run(stand_in("silent"), tmp_path)
    assert not (tmp_path / "kept/sub-01_verrou.json").exists()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise SystemExit(3)", "ended with status 3"),
        ("import os; os.kill(os.getpid(), 9)", "exit 137"),
    ],
)
def test_a_command_that_failed_is_told(stand_in, tmp_path, code, words):
    with pytest.raises(RoundoffError, match=words):
        run(stand_in(), tmp_path, code)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (SUM, ""),
        ("print(20000.0)", "two seeds gave one sum"),
        ("import time; print(time.time())", "did not repeat"),
        (SUM.replace("'0'))", "'1'))"), "changed a sum"),
    ],
)
def test_the_selftest_sees_what_is_wrong(stand_in, monkeypatch, code, words):
    monkeypatch.setattr(tool, "SUM", code)
    monkeypatch.setattr(tool, "LIBRARIES", ("numpy",))
    if words:
        with pytest.raises(RoundoffError, match=words):
            tool.selftest(valgrind=stand_in())
    else:
        sums = tool.selftest(valgrind=stand_in())
        assert sums == {"random 1": 20001.0, "random 2": 20002.0, "nearest 1": 20000.0}


def test_the_sum_of_the_selftest_is_the_processors():
    done = subprocess.run(
        [sys.executable, "-c", tool.SUM], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) == pytest.approx(20_000, rel=1e-2)


def test_the_script_says_what_is_missing():
    script = [sys.executable, str(ROOT / "scripts/perturb.py")]
    none = [
        "--valgrind",
        "/no/valgrind",
        "--seed",
        "1",
        "--evidence",
        "x",
        "--",
        "true",
    ]
    done = subprocess.run([*script, *none], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no Valgrind" in done.stderr
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "are needed" in done.stderr
