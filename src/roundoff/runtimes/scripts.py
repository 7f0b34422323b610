"""A script that runs itself again in a container, where its options ask for one."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from roundoff import __version__
from roundoff.runtimes.command import ENGINES, Limits
from roundoff.runtimes.execute import run
from roundoff.runtimes.inside import ASKED, VERSION

IN_IMAGE = Path("/opt/roundoff/scripts")
SEND_TO, IMAGE = "ROUNDOFF_SEND_TO", "ROUNDOFF_SEND_IMAGE"
"""Variables that stand for --runtime and --container: the workflow sets them."""

MEMORY = "ROUNDOFF_MEMORY_MB"
PASSED_ON = ("ROUNDOFF_TIME_LIMIT",)


def add_runtime(parser: argparse.ArgumentParser) -> None:
    """Options that name the engine, the image and the memory it may use."""
    add = parser.add_argument
    told = os.environ.get
    add("--runtime", choices=ENGINES, default=told(SEND_TO, "host"))
    add("--container", default=told(IMAGE, ""), metavar="IMAGE", help="for the engine")
    memory = told(MEMORY)
    add("--memory", type=int, default=memory, metavar="MB", help="of the container")


def sent(
    args: argparse.Namespace, reads: Sequence[Path], outputs: Sequence[Path]
) -> bool:
    """Run this very script in the container `args` ask for; False if here is right.

    `reads`: what it reads, beside the working folder; `outputs`: what it writes. The
    child checks that it is in the container. What a killed child began to write is
    removed. Raises `RoundoffError` as `runtimes.run` does, and SystemExit with the
    child's status when it failed and said why.
    """
    if args.runtime == "host" or os.environ.get(ASKED, "host") != "host":
        return False
    env = {"OMP_NUM_THREADS": "1", VERSION: __version__}
    env |= {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    writes = [path.parent for path in outputs]
    if args.runtime == "apptainer" and (cache := _kernel_cache()):
        env["NUMBA_CACHE_DIR"] = str(cache)
        writes.append(cache)
    script = IN_IMAGE / Path(sys.argv[0]).name
    try:
        status = run(
            ["python", str(script), *sys.argv[1:]],
            env,
            runtime=args.runtime,
            image=args.container,
            reads=[Path.cwd(), *reads],
            writes=writes,
            workdir=Path.cwd(),
            limits=Limits(memory_mb=args.memory, cpus=1),
        )
        if status:
            raise SystemExit(status)
    except BaseException:
        _remove_halves(outputs)
        raise
    return True


def _remove_halves(outputs: Sequence[Path]) -> None:
    """Remove what atomic writers had begun (src/roundoff/atomic.py)."""
    for path in outputs:
        for half in (f".partial-{path.name}", f".partial-{path.stem}"):
            beside = path.with_name(half)
            if beside.is_dir():
                shutil.rmtree(beside, ignore_errors=True)
            else:
                beside.unlink(missing_ok=True)


def _kernel_cache() -> Path | None:
    """Where compiled kernels outlive a read-only image; None without a home."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = home / "roundoff" / "kernels"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None
