"""Several samples in one job: cut, resumed, put in place together."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundoff.batches import PLENTY, Task, batch_size, batches, run_batch
from roundoff.errors import RoundoffError

# Writes its output, notes that it ran, and fails while a file says so.
WORK = """
import pathlib, sys
name, source, folder = sys.argv[1:]
with open("ran.txt", "a") as stream:
    print(name, file=stream)
if pathlib.Path(f"break-{name}").exists():
    sys.exit("error: told to")
pathlib.Path(folder, name).write_text(pathlib.Path(source).read_text() + name)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("scan").write_text("scan of ")
    return tmp_path


def task(name: str, work: str = WORK) -> Task:
    return Task(
        command=[sys.executable, "-c", work, name, "scan", "{folder}"],
        inputs=[Path("scan")],
        outputs=[Path("results", name)],
        log=Path("logs", f"{name}.log"),
        benchmark=Path("benchmarks", f"{name}.tsv"),
    )


def ran() -> Counter:
    return Counter(Path("ran.txt").read_text().split())


@given(
    st.dictionaries(st.sampled_from(["ieee", "native"]), st.integers(1, 60)),
    st.integers(1, 70),
)
def test_batches_hold_every_sample_once(samples, size):
    cut = batches(samples, size)
    for label, number in samples.items():
        found = [s for b in cut if b.label == label for s in b.samples]
        assert found == [f"{i:03d}" for i in range(1, number + 1)]
    assert all(1 <= len(b.samples) <= size for b in cut)


def test_only_large_studies_are_batched_unless_asked():
    assert batch_size(None, PLENTY) == 1
    assert batch_size(None, PLENTY + 1) == 10
    assert batch_size(3, 12) == 3
    assert batch_size(1, 10**6) == 1


def test_outputs_appear_together_with_log_and_benchmark(place):
    run_batch([task("a"), task("b")], Path("aside"))
    assert Path("results/a").read_text() == "scan of a"
    assert Path("results/b").read_text() == "scan of b"
    assert not Path("aside").exists()
    columns, values = Path("benchmarks/a.tsv").read_text().splitlines()
    row = dict(zip(columns.split("\t"), values.split("\t"), strict=True))
    assert float(row["max_rss"]) > 1
    assert float(row["s"]) > 0


def test_a_failed_sample_is_named_and_the_others_are_not_computed_again(place):
    Path("break-b").touch()
    with pytest.raises(RoundoffError, match=r"1 of 3 samples failed: logs/b\.log"):
        run_batch([task("a"), task("b"), task("c")], Path("aside"))
    assert "told to" in Path("logs/b.log").read_text()
    assert not Path("results").exists()
    Path("break-b").unlink()
    run_batch([task("a"), task("b"), task("c")], Path("aside"))
    assert ran() == {"a": 1, "b": 2, "c": 1}
    assert sorted(p.name for p in Path("results").iterdir()) == ["a", "b", "c"]


@pytest.mark.parametrize("change", ["input", "damage", "command"])
def test_what_was_put_aside_counts_only_for_the_same_task(place, change):
    Path("break-b").touch()
    with pytest.raises(RoundoffError):
        run_batch([task("a"), task("b")], Path("aside"))
    Path("break-b").unlink()
    first = task("a")
    if change == "input":
        Path("scan").write_text("another scan of ")
    elif change == "damage":
        Path("aside/001/a").write_text("half")
    else:
        first = task("a", WORK + "\n# changed")
    run_batch([first, task("b")], Path("aside"))
    assert ran()["a"] == 2
    assert Path("results/a").read_text() == Path("scan").read_text() + "a"


def test_a_killed_batch_leaves_no_process_and_goes_on(place):
    slow = WORK + "\nimport os, time\nif name == 'b': time.sleep(1000)"
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_batches import task
from roundoff.batches import run_batch
run_batch([task("a"), task("b", {slow!r})], Path("aside"))
"""
    runner = subprocess.Popen([sys.executable, "-c", script])
    end = time.monotonic() + 60
    while not Path("aside/002/b").exists():
        assert runner.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    os.kill(runner.pid, signal.SIGKILL)
    runner.wait(timeout=30)
    time.sleep(0.5)
    assert not processes_in(place)
    run_batch([task("a"), task("b")], Path("aside"))
    assert ran() == {"a": 1, "b": 2}
    assert Path("results/b").read_text() == "scan of b"


def processes_in(folder: Path) -> list[str]:
    """Other processes whose working directory is `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if (entry / "cwd").resolve() == folder.resolve():
                    found.append((entry / "cmdline").read_text())
            except OSError:
                continue
    return found
