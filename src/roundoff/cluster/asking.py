"""Answers about jobs that keep the Slurm plugin from waiting for ever.

The plugin runs `squeue` or `sacct` from the PATH and takes what they print. In four
states it then waits for ever; two small programs put before them on the PATH answer in
its stead (docs/cluster.md lists the states):

- slurmctld silent for a moment: the plugin turns to `sacct`, which fails for ever where
  there is no accounting database. Here `sacct` asks `squeue`.
- `sacct` says "CANCELLED by 0", which is not among the plugin's words. The same cure.
- a job Slurm has forgotten (MinJobAge, a lost state): it is listed as COMPLETED, and
  Snakemake itself finds out whether its files are there.
- `squeue` without an answer blocks: it gets a time limit.
"""

import os
import shutil
from pathlib import Path

from roundoff.atomic import write_text

SACCT = """\
#!/bin/bash
# The plugin's question about all its jobs goes to squeue, any other to the real sacct.
here=$(cd "$(dirname "$0")" && pwd)
name=
for ((i = 1; i < $#; i++)); do
    if [ "${!i}" = --name ]; then j=$((i + 1)); name=${!j}; fi
done
if [ -n "$name" ]; then
    exec "$here/squeue" --format='%i|%T' --states=all --noheader --name "$name"
fi
[ -n "REAL" ] || { echo "sacct: not on this machine" >&2; exit 1; }
exec "REAL" "$@"
"""

SQUEUE = """\
#!/bin/bash
# squeue with a time limit. Asked about the jobs of one name, it also lists those it
# once listed and Slurm has forgotten since.
here=$(cd "$(dirname "$0")" && pwd)
answer=$(timeout 50 "REAL" "$@") || exit
[ -z "$answer" ] || printf '%s\\n' "$answer"
name=
for ((i = 1; i < $#; i++)); do
    if [ "${!i}" = --name ]; then j=$((i + 1)); name=${!j}; fi
done
[ -n "$name" ] || exit 0
seen=$here/$name.seen
touch "$seen"
now=$(cut -d'|' -f1 <<< "$answer" | sort -u)
comm -13 <(echo "$now") "$seen" | grep -E '^[0-9_]+$' | while read -r job; do
    # Only what slurmctld answers not to know; silence is no answer.
    if timeout 20 "SCONTROL" show job "$job" 2>&1 | grep -q 'Invalid job id'; then
        echo "$job|COMPLETED"
    fi
done
{ echo "$now"; cat "$seen"; } | grep . | sort -u > "$seen.new"
mv "$seen.new" "$seen"
exit 0
"""


def ask_squeue(folder: Path) -> None:
    """Put the two programs into `folder`, and that first on this process's PATH."""
    folder = folder.resolve()
    others = [p for p in os.environ["PATH"].split(os.pathsep) if Path(p) != folder]
    search = os.pathsep.join(others)
    shutil.rmtree(folder, ignore_errors=True)
    for name, script in (("sacct", SACCT), ("squeue", SQUEUE)):
        real = shutil.which(name, path=search) or ""
        scontrol = shutil.which("scontrol", path=search) or "scontrol"
        text = script.replace("REAL", real).replace("SCONTROL", scontrol)
        write_text(folder / name, text)
        (folder / name).chmod(0o755)
    os.environ["PATH"] = os.pathsep.join([str(folder), *others])
