"""Run any command under Verrou, in the images of the official tools.

    perturb.py --seed 7 --evidence out/sub-01_007 -- run_fastsurfer.sh --sid 01 ...
    perturb.py --selftest

Its outputs are the command's own; what Verrou did is kept beside --evidence.
"""

import argparse
import json
import sys
from pathlib import Path

# In a tool's image the package lies beside the scripts; the tool's Python has its own.
sys.path.append(str(Path(__file__).resolve().parents[1] / "lib"))

from roundoff.errors import RoundoffError
from roundoff.runtimes.inside import require_place
from roundoff.runtimes.tool import run_tool, selftest


def main() -> None:
    """Parse the command line and run."""
    args = parse()
    if args.selftest:
        print(json.dumps({"Sums": selftest(args.python, args.valgrind)}))
        return
    run_tool(
        args.command,
        mode=args.mode,
        seed=args.seed,
        stem=args.evidence,
        valgrind=args.valgrind,
    )


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--selftest", action="store_true", help="does Verrou act in this image?")
    add("--mode", default="random", help="rounding mode")
    add("--seed", type=int, help="of the random rounding")
    add("--evidence", type=Path, metavar="STEM", help="where the record is kept")
    add("--valgrind", default="valgrind", help="name on the PATH, or a path")
    add("--python", default=sys.executable, help="the tool's own, for the self-test")
    add("command", nargs="*", help="after --: the command and its arguments")
    args = parser.parse_args()
    if not args.selftest and None in (args.seed, args.evidence, *args.command[:1]):
        parser.error("--seed, --evidence and a command are needed")
    if not args.selftest and not args.command:
        parser.error("a command is needed, after --")
    return args


if __name__ == "__main__":
    # Not `roundoff.scripting`, whose needs a tool's Python may lack.
    try:
        require_place()
        main()
    except RoundoffError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
