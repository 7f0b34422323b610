"""A small registration training, started alone or by torchrun, for the tests.

    engine_worker.py FOLDER STEPS [KILL_AFTER]

writes FOLDER/state.safetensors, and FOLDER/result.json with the losses of every step
and the gradients of the first. After step KILL_AFTER the process ends itself by
SIGKILL.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch

from roundoff.training.engine import Schedule, fit
from roundoff.training.processes import joined
from roundoff.training.registration.pairs import Pairs, Source
from roundoff.training.registration.sizes import TINY
from roundoff.training.registration.task import RegistrationTask


def main() -> None:
    folder, steps = Path(sys.argv[1]), int(sys.argv[2])
    kill_after = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    torch.set_num_threads(1)
    source = Source(TINY.shapes, shape=TINY.box, knots=TINY.knots)
    task = RegistrationTask(Pairs([source], TINY.generator, seed=3), TINY.recipe)
    schedule = Schedule(steps=steps, batch=2, warm_up=5, window=4, save_every=3)
    losses, first = [], []

    def watch(step, network, measures):
        losses.append(measures["loss"])
        if step == 0:
            first.append([p.grad.flatten().tolist() for p in network.parameters()])
        if step + 1 == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)

    with joined() as world:
        options = {
            "world": world,
            "state": folder / "state.safetensors",
            "watch": watch,
        }
        fit(task, schedule, **options)
        if world.leads:
            result = {"losses": losses, "gradients": first and first[0]}
            (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
