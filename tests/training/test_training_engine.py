"""The training loop: repeatable, interrupted, in several processes, stopped early."""

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from roundoff.errors import RoundoffError
from roundoff.rounding import RandomRounding
from roundoff.training.engine import Schedule, fit
from roundoff.training.history import progress_bar, read_history, write_history
from roundoff.training.processes import World, joined

WORKER = Path(__file__).with_name("engine_worker.py")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


class Line:
    """Fit of a line to noisy points: a task that takes milliseconds."""

    def network(self):
        return nn.Linear(1, 1)

    def batch(self, numbers):
        drawn = [np.random.default_rng(n).normal(size=2) for n in numbers]
        x, noise = torch.tensor(np.array(drawn)).float().split(1, dim=1)
        return x, 2 * x + 1 + 0.01 * noise

    def loss(self, network, batch, done):
        x, y = batch
        return {"loss": (network(x) - y).square().mean(), "done": torch.tensor(done)}


SHORT = Schedule(steps=60, batch=4, learning_rate=0.1, warm_up=1, window=10)


def worker(folder, *arguments, processes=1):
    folder.mkdir(exist_ok=True)
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", "--standalone"]
        launch += [f"--nproc-per-node={processes}"]
    command = [*launch, str(WORKER), str(folder), *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)


def result(folder):
    return json.loads((folder / "result.json").read_text())


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    done = worker(folder, 20)
    assert done.returncode == 0, done.stderr
    return folder


def test_training_lowers_the_loss_and_reports_every_window():
    rows = []
    network, kept = fit(Line(), SHORT, report=rows.append)
    assert [row["step"] for row in rows] == [10, 20, 30, 40, 50, 60]
    assert rows == kept
    assert rows[-1]["loss"] < 0.05 * rows[0]["loss"]
    assert network.weight.item() == pytest.approx(2, abs=0.2)
    assert not network.training
    assert rows[0]["done"] == pytest.approx(4.5 / 60)


def test_the_same_seed_gives_the_same_weights():
    one, two = (fit(Line(), SHORT)[0].weight.item() for _ in range(2))
    assert one == two


def test_random_rounding_changes_the_weights_and_its_seed_repeats_them():
    def trained(seed):
        return fit(
            Line(), SHORT, arithmetic=lambda step: RandomRounding(seed=seed + step)
        )[0].weight.item()

    assert trained(5) == trained(5)
    assert len({trained(5), trained(500), fit(Line(), SHORT)[0].weight.item()}) == 3


def test_early_stop():
    patient = Schedule(steps=1000, batch=2, learning_rate=0.0, patience=3, window=5)
    _, rows = fit(Line(), patient)
    assert rows[-1]["step"] < 1000


def test_the_rate_rises_and_falls():
    schedule = Schedule(steps=100, learning_rate=1.0, warm_up=10, descent=0.5)
    rates = [schedule.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:51] == [1.0] * 42
    assert rates[-1] == pytest.approx(0.05)
    assert all(a >= b for a, b in pairwise(rates[50:]))


@pytest.mark.parametrize("interrupted", [17, 30, 60])
def test_resumed_in_one_process(tmp_path, interrupted):
    class StoppedError(Exception):
        pass

    def stop(step, network, measures):
        if step == interrupted:
            raise StoppedError

    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    schedule = Schedule(steps=60, batch=2, save_every=7, window=10)
    fit(Line(), schedule, state=whole)
    if interrupted < 60:
        with pytest.raises(StoppedError):
            fit(Line(), schedule, state=parts, watch=stop)
    else:
        fit(Line(), schedule, state=parts)
    _, rows = fit(Line(), schedule, state=parts)
    assert parts.read_bytes() == whole.read_bytes()
    assert [row["step"] for row in rows] == [10, 20, 30, 40, 50, 60]


def test_killed_and_resumed_ends_with_the_same_bytes(alone, tmp_path):
    folder = tmp_path / "killed"
    killed = worker(folder, 20, 11)
    assert killed.returncode == -signal.SIGKILL
    assert not (folder / "result.json").exists()
    resumed = worker(folder, 20)
    assert resumed.returncode == 0, resumed.stderr
    assert len(result(folder)["losses"]) == 20 - 9  # the checkpoint of step 9
    same = (folder / "state.safetensors").read_bytes() == (
        alone / "state.safetensors"
    ).read_bytes()
    assert same


def test_two_processes_equal_one_with_the_same_global_batch(alone, tmp_path):
    folder = tmp_path / "two"
    done = worker(folder, 20, processes=2)
    assert done.returncode == 0, done.stderr
    one, two = result(alone), result(folder)
    for a, b in zip(one["gradients"], two["gradients"], strict=True):
        assert np.allclose(a, b, rtol=0, atol=1e-6)
    assert np.allclose(one["losses"], two["losses"], rtol=0, atol=1e-5)
    with safe_open(folder / "state.safetensors", "pt") as file:
        names = file.keys()
        moments = [name for name in names if name.endswith(".exp_avg")]
    assert len(moments) == len(one["gradients"])  # consolidated on process 0


def test_samples_are_dealt_out_once():
    numbers = range(12, 18)
    parts = [World(rank, 3).share(numbers) for rank in range(3)]
    assert [n for part in parts for n in part] == list(numbers)
    with pytest.raises(RoundoffError, match=r"batch is 6.*4 processes"):
        World(0, 4).share(numbers)


def test_slurm_tasks_need_an_address(monkeypatch):
    for name in ("SLURM_PROCID", "MASTER_ADDR", "WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RoundoffError, match=r"SLURM_PROCID is not set.*srun"):
        joined(slurm=True).__enter__()
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    with pytest.raises(RoundoffError, match="MASTER_ADDR"):
        joined(slurm=True).__enter__()
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_NTASKS", "1")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    with joined(slurm=True) as world:
        assert world == World(0, 1)


def test_a_checkpoint_of_another_schedule_is_refused(tmp_path):
    fit(Line(), SHORT, state=tmp_path / "state.safetensors")
    other = Schedule(steps=60, batch=4, learning_rate=0.2, warm_up=1)
    with pytest.raises(RoundoffError, match=r"learning_rate = 0.1, now it is 0.2"):
        fit(Line(), other, state=tmp_path / "state.safetensors")


def test_settings_out_of_range_are_refused():
    with pytest.raises(RoundoffError, match="steps is 0"):
        Schedule(steps=0)


def test_history_is_written_and_read(tmp_path):
    rows = [{"step": 10, "loss": 0.5, "dice": 0.25}]
    write_history(tmp_path / "log.csv", rows)
    assert read_history(tmp_path / "log.csv") == rows


def test_progress_says_loss_dice_and_time_left(capsys):
    report = progress_bar(100, every=0)
    report({"step": 50, "loss": 0.51234, "dice": 0.6})
    line = capsys.readouterr().err
    assert "step 50 of 100: loss 0.5123  dice 0.6" in line
    assert "s left" in line
