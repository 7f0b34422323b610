"""The workflow on a real Slurm, disturbed in every way: the same results, bit for bit.

One study and two runs of it meet all the faults. The first run: a sample takes too much
memory, a job is cancelled, a node goes down and up, slurmctld is away for a while, and
at last the run itself is killed while its jobs go on. The second run finds those jobs,
and a sample of its own hangs until its time is up.
"""

import os
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file
from throwaway_slurm import ThrowawaySlurm, why_not

from roundoff.training.history import read_history
from workflow_study import ROOT, Study

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

# A sample that finds one of these files takes it away and misbehaves: once, and
# whichever sample comes first.
FAULTS = '''

def build(weights):
    """Factory named in the configuration: now and then a bad one."""
    import os
    import time

    for fault in ("hog", "hang"):
        try:
            os.unlink(fault)
        except FileNotFoundError:
            continue
        ballast = np.ones(250_000_000 if fault == "hog" else 1)  # 2 GB
        time.sleep(1000)
    return Tiny()
'''
OPTIONS = """
--workflow-profile {root}/profiles/slurm-shared --latency-wait 20
--slurm-init-seconds-before-status-checks 3 --seconds-between-status-checks 3
--max-status-checks-per-second 0.5
--set-resources infer_tiny:mem_mb=1400*attempt infer_tiny:runtime=2*attempt
--default-resources slurm_partition=main mem_mb=1400 runtime=10
"""


class Driver:
    """A snakemake process that submits to Slurm."""

    def __init__(self, study: Study, cluster: ThrowawaySlurm, name: str) -> None:
        self.log = study.folder / f"{name}.log"
        command = study.command(*OPTIONS.format(root=ROOT).split())
        where = command.index("--cores")
        del command[where : where + 2]
        self.process = subprocess.Popen(
            command,
            env=cluster.environment | {"OMP_NUM_THREADS": "1"},
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait(self, limit: float) -> int:
        return self.process.wait(timeout=limit)

    def kill(self) -> None:
        """SIGKILL to it and to what it runs itself; jobs of Slurm go on."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    memory = min(6000, int(psutil.virtual_memory().total / 1e6 / 2) - 200)
    folder = tmp_path_factory.mktemp("slurm") / "cluster"
    with ThrowawaySlurm(folder, cpus=2, memory_mb=memory) as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Study:
    """The study, run to its end on this machine."""
    study = small_study(tmp_path_factory.mktemp("local"))
    study.run()
    return study


def small_study(folder) -> Study:
    study = Study(folder, subjects=("01",))
    study.write(samples=4)
    return study


@pytest.fixture
def study(tmp_path) -> Study:
    return small_study(tmp_path)


@pytest.fixture
def drivers(study, cluster):
    """Start drivers by name; whatever happens, they end with the test."""
    started = []

    def start(name: str) -> Driver:
        started.append(Driver(study, cluster, name))
        return started[-1]

    yield start
    for driver in started:
        driver.kill()


def samples(cluster, *states: str) -> list[dict[str, str]]:
    """Jobs of samples in these states."""
    jobs = cluster.jobs()
    return [j for j in jobs if "infer" in j["comment"] and j["state"] in states]


def wait_until(true, driver, what: str, limit: float = 240) -> None:
    end = time.monotonic() + limit
    while not true():
        if driver.process.poll() is not None or time.monotonic() > end:
            pytest.fail(f"{what} did not happen:\n{driver.text()[-4000:]}")
        time.sleep(0.5)


def test_disturbed_runs_end_with_the_results_of_a_local_one(
    undisturbed, study, cluster, drivers
):
    with (study.folder / "tiny_model.py").open("a") as stream:
        stream.write(FAULTS)
    (study.folder / "hog").touch()

    first = drivers("first")
    wait_until(lambda: not (study.folder / "hog").exists(), first, "the hog")
    wait_until(lambda: samples(cluster, "FAILED"), first, "its end")
    wait_until(lambda: samples(cluster, "RUNNING"), first, "a running sample")
    running = samples(cluster, "RUNNING")
    victim, bystander = running[0], running[-1]
    cluster.client("scancel", victim["id"])
    cluster.set_node(bystander["node"], "down")
    time.sleep(5)
    cluster.set_node(bystander["node"], "resume")
    cluster.stop_controller()
    time.sleep(15)
    cluster.start_controller()
    cluster.wait_for_nodes("idle,mixed,alloc")
    said = f"'{victim['id']}' failed, SLURM status is: 'CANCELLED'"
    wait_until(lambda: said in first.text(), first, "the cancelling")
    (study.folder / "hang").touch()  # so that a job is sure to outlive the run
    wait_until(lambda: not (study.folder / "hang").exists(), first, "the first hang")
    first.kill()
    assert samples(cluster, "RUNNING")

    (study.folder / "hang").touch()
    second = drivers("second")
    code = second.wait(limit=480)
    assert code == 0, second.text()[-6000:]
    assert "Cancelled Slurm job" in second.text()
    assert not (study.folder / "hang").exists()
    assert "TIMEOUT" in {j["state"] for j in cluster.jobs()}
    assert study.checksums() == undisturbed.checksums()


TRAINING_JOB = """#!/bin/bash
#SBATCH --partition main --ntasks 2 --mem 2800 --time 10
export MASTER_ADDR=localhost MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
export OMP_NUM_THREADS=1
srun {command} --slurm
"""


def test_two_tasks_of_a_job_train_what_one_process_trains(cluster, tmp_path):
    """docs/training.md: `srun`, a task per process, Slurm's variables for the ranks."""

    def command(name: str) -> list[str]:
        options = ["--size", "tiny", "--steps", "6", "--batch", "2", "--seed", "1"]
        for option, end in (
            ("output", "safetensors"),
            ("log", "csv"),
            ("curve", "png"),
        ):
            options += [f"--{option}", str(tmp_path / f"{name}.{end}")]
        options += ["--state", str(tmp_path / f"{name}.state")]
        return [
            sys.executable,
            f"{ROOT}/scripts/train_synthmorph.py",
            "train",
            *options,
        ]

    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command("alone"), env=alone, check=True, timeout=120)
    script = tmp_path / "job.sh"
    script.write_text(TRAINING_JOB.format(command=shlex.join(command("tasks"))))
    submit = ["sbatch", "--wait", "--output", str(tmp_path / "job.log"), str(script)]
    done = subprocess.run(submit, env=cluster.environment, timeout=300, check=False)
    assert done.returncode == 0, (tmp_path / "job.log").read_text()
    losses = [read_history(tmp_path / f"{n}.csv")[-1] for n in ("alone", "tasks")]
    assert losses[0]["step"] == losses[1]["step"] == 6
    assert losses[0]["loss"] == pytest.approx(losses[1]["loss"], rel=1e-5)
    weights = [load_file(tmp_path / f"{n}.safetensors") for n in ("alone", "tasks")]
    for name, value in weights[0].items():
        assert np.allclose(value, weights[1][name], atol=1e-4)
