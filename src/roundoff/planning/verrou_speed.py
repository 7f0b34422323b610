"""How fast Verrou is here: a convolution timed in a process that Verrou runs."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from roundoff.errors import RoundoffError
from roundoff.instruments import exclusions
from roundoff.instruments.installation import clean_environment, find_valgrind
from roundoff.instruments.rerun import load_libraries
from roundoff.instruments.under_verrou import INSIDE
from roundoff.instruments.verrou import Settings, verrou_command
from roundoff.planning.costs import ValgrindCost

CHANNELS, SIDE, KERNEL = 32, 48, 3
OPERATIONS = CHANNELS * CHANNELS * KERNEL**2 * SIDE**2


def measure(valgrind: str = "valgrind", library: str | None = None) -> ValgrindCost:
    """Costs with Verrou's own speed; the documented ones where there is no Verrou."""
    try:
        found = find_valgrind(valgrind, library)
    except RoundoffError:
        return ValgrindCost()
    load_libraries()
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.txt"
        known = exclusions.exclusion_rules(exclusions.loaded_libraries())
        exclusions.write_rules(known, rules)
        command = verrou_command(
            [sys.executable, "-m", "roundoff.planning.verrou_speed"],
            Settings(),
            1,
            valgrind=found,
            exclusions=rules,
            log=Path(folder) / "log",
        )
        env = command.env | {INSIDE: json.dumps({"folder": folder})}
        done = _run(command.argv, env)
    if done is None:
        return ValgrindCost()
    return ValgrindCost(operation=done, measured=True)


def _run(argv: list[str], env: dict[str, str]) -> float | None:
    done = subprocess.run(
        argv,
        env=clean_environment(os.environ) | env,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return float(done.stdout.split()[-1])
    except (IndexError, ValueError):
        print(f"plan: Verrou could not be timed. {done.stderr[-500:]}", file=sys.stderr)
        return None


def main() -> None:
    """In the child: print the seconds per perturbed operation of a convolution."""
    import torch

    from roundoff.instruments.under_verrou import Verrou

    torch.set_num_threads(1)
    x = torch.rand(1, CHANNELS, SIDE, SIDE)
    weight = torch.rand(CHANNELS, CHANNELS, KERNEL, KERNEL)
    instrument = Verrou()
    times = []
    with torch.inference_mode(), instrument.session():
        for seed in (1, 2):  # the first translates the code
            with instrument.sample(seed):
                begun = time.perf_counter()
                torch.conv2d(x, weight, padding=1)
                times.append(time.perf_counter() - begun)
    print(times[-1] / OPERATIONS)


if __name__ == "__main__":
    main()
