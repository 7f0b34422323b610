"""The machine fails: processes are killed, disk and memory run out, clocks jump."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_kill import processes_of, start, wait_for_job

from faults_support import forget, line_with, short_study
from workflow_study import ROOT, Study

# One worker runs them all: they share the undisturbed study.
pytestmark = [pytest.mark.slow]
IDENTICAL = "run again: identical"


def native(status):
    """The row of the perturbed samples of a study of one subject."""
    return status.set_index("instrument").loc["native"]


@contextmanager
def small_disk(folder: Path, size: str):
    """A file system of its own, of this size; skips where it cannot be made."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    command = ["mount", "-o", f"remount,{options}", str(folder)]
    subprocess.run(command, check=True, capture_output=True)


def test_full_disk(short_finished, tmp_path, drill):
    folder = tmp_path / "disk"
    with small_disk(folder, "64m"):
        study = Study.at(folder / "study", short_finished.config)
        shutil.copytree(short_finished.folder, study.folder)
        forget(study, "001", "002")
        free = shutil.disk_usage(folder).free
        with open(folder / "ballast", "wb") as ballast:
            ballast.write(bytes(free - 200_000))
        done = study.run(check=False)
        assert done.returncode != 0
        seen = line_with(done.stdout, "error: the disk is full")
        (folder / "ballast").unlink()
        study.run()
        assert study.checksums() == short_finished.checksums()
        assert not list(folder.rglob(".partial-*"))
    drill("disk full", seen, IDENTICAL)


def test_read_only_results(short_finished, tmp_path, drill):
    folder = tmp_path / "disk"
    with small_disk(folder, "64m"):
        study = Study.at(folder / "study", short_finished.config)
        shutil.copytree(short_finished.folder, study.folder)
        forget(study, "002")
        remount(folder, "ro")
        done = study.run(check=False)
        assert done.returncode != 0
        seen = line_with(done.stdout, "Read-only file system")
        remount(folder, "rw")
        study.run()
        assert study.checksums() == short_finished.checksums()
    drill("results on a read-only disk", seen, IDENTICAL)


def test_exhausted_memory(copied_short, short_finished, drill, monkeypatch):
    forget(copied_short, "002")
    monkeypatch.setenv("TINY_FAULT", "memory")
    done = copied_short.run(check=False)
    assert done.returncode != 0
    seen = line_with(done.stdout, "error: out of memory")
    status = native(copied_short.status())
    assert status["failed"] == 1
    assert status["why"].startswith("out of memory")
    monkeypatch.delenv("TINY_FAULT")
    copied_short.run()
    assert copied_short.checksums() == short_finished.checksums()
    drill("a sample asks for more memory than there is", seen, IDENTICAL)


def test_a_sample_killed_without_a_word(
    copied_short, short_finished, drill, monkeypatch
):
    """As the kernel does when memory runs out (exit 137)."""
    forget(copied_short, "002")
    monkeypatch.setenv("TINY_FAULT", "kill")
    done = copied_short.run(check=False)
    assert done.returncode != 0
    status = native(copied_short.status())
    assert "stopped without a message: killed, out of memory" in status["why"]
    monkeypatch.delenv("TINY_FAULT")
    copied_short.run()
    assert copied_short.checksums() == short_finished.checksums()
    drill("a sample killed by the system (exit 137)", status["why"], IDENTICAL)


def test_a_sample_that_hangs(copied_short, short_finished, drill, monkeypatch):
    forget(copied_short, "001")
    copied_short.write(time_limit=0.3)
    monkeypatch.setenv("TINY_FAULT", "hang")
    done = copied_short.run(check=False)
    assert done.returncode != 0
    seen = line_with(done.stdout, "error: no result after 0.3 minutes")
    assert not processes_of(copied_short, "infer.py")
    monkeypatch.delenv("TINY_FAULT")
    copied_short.write(time_limit=None)
    copied_short.run()
    assert copied_short.checksums() == short_finished.checksums()
    drill("a sample hangs (`time_limit`)", seen, IDENTICAL)


def test_a_network_that_diverges(copied_short, short_finished, drill, monkeypatch):
    for run in ("001", "002"):
        forget(copied_short, run)
    monkeypatch.setenv("TINY_FAULT", "nan")
    done = copied_short.run(check=False)
    assert done.returncode != 0
    seen = line_with(done.stdout, "no voxel is finite")
    monkeypatch.delenv("TINY_FAULT")
    forget(copied_short, "001", "002")
    copied_short.run()
    assert copied_short.checksums() == short_finished.checksums()
    drill("a network gives NaN everywhere", seen, "refused; " + IDENTICAL)


def test_terminated_driver(short, short_finished, drill):
    driver = start(short)
    wait_for_job(short, driver)
    driver.send_signal(signal.SIGTERM)
    output, _ = driver.communicate(timeout=1500)
    assert driver.returncode != 0
    seen = line_with(output, "Will exit after finishing")
    short.run()
    assert short.checksums() == short_finished.checksums()
    drill("SIGTERM to the driver", seen, "running jobs end; " + IDENTICAL)


def test_lost_bookkeeping(short, short_finished, drill):
    """Killed in the middle, and then .snakemake is lost as well."""
    driver = start(short)
    wait_for_job(short, driver)
    time.sleep(1.5)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait(timeout=60)
    while left := processes_of(short, "infer.py"):
        for process in left:
            os.kill(process, signal.SIGKILL)
        time.sleep(0.2)
    shutil.rmtree(short.folder / ".snakemake")
    short.run()
    assert short.checksums() == short_finished.checksums()
    drill("driver killed, then `.snakemake` lost", "", IDENTICAL)


def test_two_runs_at_once(short, short_finished, drill):
    first = start(short)
    wait_for_job(short, first)
    second = short.run(check=False)
    assert second.returncode != 0
    seen = line_with(second.stdout, "another run is at work")
    status = short.run("--", "status")
    assert "samples are done" in status.stdout
    assert "running" in status.stdout
    output, _ = first.communicate(timeout=1500)
    assert first.returncode == 0, output[-3000:]
    assert short.checksums() == short_finished.checksums()
    drill(
        "two runs started at once", seen, "the second is refused; the first completes"
    )


def test_clocks_that_jump(copied_short, short_finished, drill):
    """Scans dated into next year, results into the last: all runs anew, the same."""
    year = 365 * 86400
    scan = copied_short.folder / "my scans/01.nii.gz"
    os.utime(scan, (time.time() + year, time.time() + year))
    for path in (copied_short.folder / "results").rglob("*run-002*.nii.gz"):
        os.utime(path, (time.time() - year, time.time() - year))
    done = copied_short.run(check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert copied_short.checksums() == short_finished.checksums()
    drill("clocks jump a year", "", "what looks old runs again: identical")


def test_an_unwritable_temporary_folder(
    copied_short, short_finished, drill, monkeypatch
):
    forget(copied_short, "002")
    monkeypatch.setenv("TMPDIR", "/proc/nowhere")
    done = copied_short.run(check=False)
    seen = ""
    if done.returncode:
        seen = line_with(done.stdout, "/proc/nowhere")
        monkeypatch.delenv("TMPDIR")
        copied_short.run()
    assert copied_short.checksums() == short_finished.checksums()
    drill("TMPDIR cannot be written", seen, IDENTICAL)


def test_unicode_and_spaces_in_paths(tmp_path, short_finished, drill):
    folder = tmp_path / "Gehirn-Bilder für Zoë's $HOME; 脳"
    folder.mkdir()
    study = short_study(folder)
    study.run()
    mine, theirs = study.checksums(), short_finished.checksums()
    assert mine == theirs
    drill("unicode, spaces, quotes and `$` in paths", "", "identical")


def test_the_checkout_may_lie_in_a_folder_with_spaces(
    copied_short, short_finished, tmp_path
):
    checkout = tmp_path / "my tools"
    checkout.mkdir()
    for name in ("Snakefile", "workflow", "scripts", "config.yaml", "CITATION.cff"):
        (checkout / name).symlink_to(ROOT / name)
    forget(copied_short, "002")
    command = copied_short.command()
    command[command.index("--snakefile") + 1] = str(checkout / "Snakefile")
    assert command[0] == sys.executable
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert copied_short.checksums() == short_finished.checksums()
