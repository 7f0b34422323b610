"""A real Slurm of one machine, made for a test and taken down after it.

Debian's slurm-wlm and munge, started by hand: no systemd, no cgroups, no accounting
database, everything in one folder and on the loopback interface. Needs root.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "squeue", "scontrol", "scancel", "sbatch")
# Jobs lose SLURM_CONF (the jobstep plugin strips SLURM_*), so they look here.
SYSTEM_CONF = Path("/etc/slurm/slurm.conf")

CONF = """\
ClusterName=throwaway
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
PropagateResourceLimits=NONE
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmdParameters=config_overrides
ReturnToService=1
SlurmdTimeout=60
KillWait=2
MinJobAge=300
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} \
CPUs={cpus} RealMemory={memory} State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} \
CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES DefaultTime=30 MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """What keeps Slurm from being started here, or None."""
    missing = [name for name in PROGRAMS if not _program(name)]
    if missing:
        return f"no {', '.join(missing)} (Debian: apt-get install slurm-wlm munge)"
    if os.geteuid():
        return "Slurm's daemons are started as root, and this is not root"
    if SYSTEM_CONF.exists():
        return f"{SYSTEM_CONF} exists: this machine has a Slurm of its own"
    return None


class ThrowawaySlurm:
    """Two nodes on this machine. Use it as a context manager."""

    nodes = ("n1", "n2")

    def __init__(self, folder: Path, cpus: int = 2, memory_mb: int = 6000) -> None:
        self.folder = folder
        for part in ("etc", "log", "run", "state", "spool", "munge"):
            (folder / part).mkdir(parents=True)
        self.conf = folder / "etc/slurm.conf"
        self.conf.write_text(
            CONF.format(
                folder=folder,
                host=socket.gethostname().split(".")[0],
                ports=_free_ports(3),
                cpus=cpus,
                memory=memory_mb,
            )
        )
        (folder / "etc/cgroup.conf").write_text("CgroupAutomount=no\n")
        self.environment = os.environ | {"SLURM_CONF": str(self.conf)}

    def __enter__(self) -> "ThrowawaySlurm":
        SYSTEM_CONF.parent.mkdir(parents=True, exist_ok=True)
        SYSTEM_CONF.symlink_to(self.conf)
        try:
            self._start_munge()
            self.start_controller()
            for node in self.nodes:
                self._daemon("slurmd", "-N", node)
            self.wait_for_nodes()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def start_controller(self) -> None:
        """Start slurmctld, again after `stop_controller` too."""
        self._daemon("slurmctld")

    def stop_controller(self) -> None:
        """End slurmctld; jobs run on, squeue and sbatch fail."""
        self._end("slurmctld.pid")

    def stop(self) -> None:
        """Cancel what runs, end every daemon, remove the link in /etc."""
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            self.client("scancel", "--user=root", timeout=10)
        for name in (*(f"slurmd.{n}.pid" for n in self.nodes), "slurmctld.pid"):
            self._end(name)
        self._end("munged.pid")
        self._end_steps()
        if SYSTEM_CONF.is_symlink():
            SYSTEM_CONF.unlink()

    def client(self, *command: str, timeout: float = 20) -> str:
        """Run a Slurm client: one that talks to a dead slurmctld hangs for minutes."""
        done = subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def jobs(self, states: str = "all") -> list[dict[str, str]]:
        """Jobs slurmctld knows: id, state, comment, node."""
        text = self.client(
            "squeue", "--noheader", f"--states={states}", "--format=%i|%T|%k|%N|%r"
        )
        keys = ("id", "state", "comment", "node", "reason")
        return [dict(zip(keys, row.split("|"), strict=True)) for row in _rows(text)]

    def set_node(self, node: str, state: str) -> None:
        """Take a node down or back up, as an administrator would."""
        command = ("scontrol", "update", f"nodename={node}", f"state={state}")
        self.client(*command, *(("reason=test",) if state == "down" else ()))

    def wait_for_nodes(self, states: str = "idle", limit: float = 40) -> None:
        """Wait until every node is in one of these states."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                text = self.client("sinfo", "-h", "-N", "-t", states, "-o", "%N")
                if len(_rows(text)) == len(self.nodes):
                    return
            time.sleep(0.5)
        raise RuntimeError(f"the nodes did not come up:\n{self.logs()}")

    def logs(self) -> str:
        """The ends of the daemons' logs."""
        ends = []
        for path in sorted((self.folder / "log").iterdir()):
            lines = path.read_text(errors="replace").splitlines()[-15:]
            ends.append("\n".join([f"== {path.name}", *lines]))
        return "\n".join(ends)

    def _start_munge(self) -> None:
        key = self.folder / "munge/key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        (self.folder / "munge").chmod(0o700)
        run, log = self.folder / "run", self.folder / "log"
        options = [f"--key-file={key}", f"--socket={run}/munge.sock"]
        options += [f"--pid-file={run}/munged.pid", f"--log-file={log}/munged.log"]
        options += [f"--seed-file={self.folder}/munge/seed"]
        self._daemon("munged", "--force", *options)

    def _daemon(self, name: str, *arguments: str) -> None:
        """Start a daemon, which goes to the background by itself."""
        log = self.folder / "log" / f"start-{name}.log"
        with log.open("a") as stream:
            subprocess.run(
                [_program(name), *arguments],
                env=self.environment,
                stdout=stream,
                stderr=stream,
                timeout=60,
                check=True,
            )

    def _end(self, pid_file: str) -> None:
        path = self.folder / "run" / pid_file
        with contextlib.suppress(OSError, ValueError):
            pid = int(path.read_text())
            os.kill(pid, signal.SIGTERM)
            for _ in range(40):
                time.sleep(0.25)
                os.kill(pid, 0)
            os.kill(pid, signal.SIGKILL)

    def _end_steps(self) -> None:
        """End what outlived its job: without cgroups Slurm loses orphans from sight."""
        ours = f"SLURM_CONF={self.conf}".encode()
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                pid = int(entry.name)
                if ours in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(pid, signal.SIGKILL)


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def _rows(text: str) -> list[str]:
    return [row for row in text.splitlines() if row.strip()]


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
