"""A script runs itself again under Valgrind: what it leaves when all goes well or ill.

Most of it with a stand-in for Verrou whose log, requests and command line are Verrou's.
"""

import json
import os
import signal
import subprocess
import time

import nibabel as nib
import numpy as np
import pytest

from roundoff.instruments.rerun import needs_valgrind
from roundoff.instruments.under_verrou import INSIDE

RANDOM = {"mode": "random"}


def infer(tiny, settings=RANDOM, fail="", instrument="verrou", **more):
    env = os.environ | {"FAKE_VERROU": fail, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        tiny(instrument, settings, **more),
        capture_output=True, text=True, env=env, check=False,
    )  # fmt: skip


def left(tiny, name="out"):
    folder = tiny.folder / name
    return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []


def logit(tiny, name="out"):
    return np.asarray(nib.load(tiny.folder / name / "logit.nii.gz").dataobj)


def test_a_sample_and_its_evidence(tiny, stand_in):
    done = infer(tiny)
    assert done.returncode == 0, done.stderr
    assert left(tiny) == [
        "kept_exclusions.txt", "kept_valgrind.log", "labels.json", "labels.nii.gz",
        "logit.json", "logit.nii.gz",
    ]  # fmt: skip
    record = json.loads((tiny.folder / "out/logit.json").read_text())
    evidence = record["Evidence"]
    assert evidence["perturbed_operations"] > 16**3 * 27 * 4
    assert evidence["counters"]["mAdd"]["flt perturbed"] > 0
    assert evidence["seed_set_in_process"]
    assert evidence["instrumented_from"] == "region"
    assert evidence["client"] == "stub"
    assert evidence["environment"]["PYTHONHASHSEED"] == "0"
    assert any("libm.so" in row["object"] for row in evidence["excluded"])
    assert any("libtorch_cpu" in path for path in evidence["instrumented_objects"])
    assert record["Instrument"]["verrou"] == "2.7.0"
    assert record["Seed"] == 7
    assert record["CpuCapability"] == "AVX2"


def test_seeds_differ_and_repeat(tiny, stand_in):
    for name, seed in [("a", 1), ("b", 2), ("c", 1)]:
        assert infer(tiny, seed=seed, name=name).returncode == 0
    assert (logit(tiny, "a") != logit(tiny, "b")).mean() > 0.1
    assert np.array_equal(logit(tiny, "a"), logit(tiny, "c"))


def test_layers_perturb_those_modules_only(tiny, stand_in):
    for name, layers in [("some", ["network.2"]), ("wrong", ["decoder*"])]:
        done = infer(tiny, RANDOM | {"layers": layers}, name=name)
        if name == "wrong":
            assert "verrou.layers: 'decoder*' names no module" in done.stderr
            assert "network.2" in done.stderr
        else:
            record = json.loads((tiny.folder / "some/logit.json").read_text())
            assert record["Evidence"]["layers"] == ["network.2"]


@pytest.mark.parametrize(
    ("fail", "words"),
    [
        ("silent", "the instrument did nothing"),
        ("killed", "was killed (exit 137), most likely because memory ran out"),
        ("no_log", "the log holds no operation counters"),
    ],
)
def test_a_run_that_failed_leaves_its_log_and_one_sentence(tiny, stand_in, fail, words):
    done = infer(tiny, fail=fail)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("error:") == 1
    assert set(left(tiny)) <= {"kept_exclusions.txt", "kept_valgrind.log"}


def test_requests_that_are_not_heard_mean_perturbation_from_the_start(tiny, stand_in):
    done = infer(tiny, fail="deaf")
    assert done.returncode == 0, done.stderr
    assert "could not be switched on by client request" in done.stderr
    record = json.loads((tiny.folder / "out/logit.json").read_text())
    assert record["Evidence"]["instrumented_from"] == "process start"
    assert record["Evidence"]["perturbed_operations"] > 0


def test_missing_verrou(tiny, monkeypatch):
    monkeypatch.setenv("PATH", str(tiny.folder))
    done = infer(tiny)
    assert done.returncode == 2
    assert "no Valgrind called 'valgrind'" in done.stderr
    assert "fetch_source.py --source verrou" in done.stderr
    assert left(tiny) == []


def test_an_error_of_the_sample_is_told(tiny, stand_in):
    values = np.arange(512, dtype=np.uint8).reshape(8, 8, 8)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tiny.folder / "scan.nii.gz")
    done = infer(tiny)
    assert done.returncode == 2
    assert "shape (8, 8, 8)" in done.stderr
    assert done.stderr.count("error:") == 1
    assert "labels.nii.gz" not in left(tiny)


def test_the_child_dies_with_its_driver(tiny, stand_in):
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    job = subprocess.Popen(
        tiny("verrou", RANDOM), env=env, stderr=subprocess.DEVNULL, text=True
    )
    children = f"/proc/{job.pid}/task/{job.pid}/children"
    found = ""
    for _ in range(200):
        with open(children) as stream:
            found = stream.read()
        if found:
            break
        time.sleep(0.05)
    assert found
    job.send_signal(signal.SIGKILL)
    job.wait()
    child = int(found.split()[0])
    for _ in range(100):
        if not os.path.exists(f"/proc/{child}") or _zombie(child):
            break
        time.sleep(0.05)
    else:
        pytest.fail("the child outlived its driver")
    assert "logit.nii.gz" not in left(tiny)


def _zombie(pid):
    with open(f"/proc/{pid}/stat") as stream:
        return stream.read().rpartition(")")[2].split()[0] == "Z"


def test_only_some_instruments_start_again(monkeypatch):
    assert needs_valgrind("verrou", {})
    assert needs_valgrind("ieee", {"under": "valgrind"})
    assert not needs_valgrind("ieee", {})
    assert not needs_valgrind("native", {})
    monkeypatch.setenv(INSIDE, "{}")
    assert not needs_valgrind("verrou", {})


@pytest.mark.slow
def test_the_control_runs_under_a_real_valgrind(tiny, valgrind):
    """Real wrapping, request, caps and inference of PyTorch; Verrou is not needed."""
    for name in ("a", "b"):
        done = infer(tiny, {"under": "valgrind"}, instrument="ieee", name=name)
        assert done.returncode == 0, done.stderr
    assert np.array_equal(logit(tiny, "a"), logit(tiny, "b"))
    record = json.loads((tiny.folder / "a/logit.json").read_text())
    assert record["CpuCapability"] == "AVX2"
    assert record["Threads"] == 1
    log = (tiny.folder / "a/kept_valgrind.log").read_text()
    assert f"Using Valgrind-{record['Instrument']['valgrind']}" in log
    infer(tiny, {"kernels": "avx2"}, instrument="ieee", name="plain")
    assert np.allclose(logit(tiny, "a"), logit(tiny, "plain"), rtol=1e-5, atol=1e-6)


def test_the_real_verrou(tiny, real_verrou):
    """Counters, two seeds, one seed twice, rounding to nearest against the control."""
    under = {"under": "valgrind"}
    assert infer(tiny, under, instrument="ieee", name="control").returncode == 0
    runs = [("a", "random", 1), ("b", "random", 2), ("c", "random", 1)]
    for name, mode, seed in [*runs, ("n", "nearest", 1)]:
        done = infer(tiny, {"mode": mode}, name=name, seed=seed)
        assert done.returncode == 0, done.stderr
        record = json.loads((tiny.folder / name / "logit.json").read_text())
        assert record["Evidence"]["perturbed_operations"] > 16**3 * 27 * 4
        assert record["Evidence"]["instrumented_from"] == "region"
    assert (logit(tiny, "a") != logit(tiny, "b")).mean() > 0.1
    assert np.array_equal(logit(tiny, "a"), logit(tiny, "c"))
    assert np.array_equal(logit(tiny, "n"), logit(tiny, "control"))
    assert np.allclose(logit(tiny, "a"), logit(tiny, "n"), rtol=1e-4, atol=1e-5)


def test_a_process_that_is_not_under_valgrind_is_refused(tiny, monkeypatch):
    folder = tiny.folder / "inside"
    folder.mkdir()
    monkeypatch.setenv(INSIDE, json.dumps({"folder": str(folder)}))
    done = infer(tiny)
    assert done.returncode == 2
    assert "does not run under Valgrind" in done.stderr
