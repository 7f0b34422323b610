"""Real engines for the tests: Docker's and Apptainer, started or installed here.

A machine's own engines are used where they answer. Otherwise, as root on Debian, a
Docker engine of the package docker.io is started in a folder, and Apptainer is taken
from Debian's packages. What cannot be had is told, and the tests skip with that reason.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE = Path(
    os.environ.get("ROUNDOFF_TEST_CACHE", Path.home() / ".cache" / "roundoff-tests")
)
"""Where what was fetched for the tests stays: base image, Apptainer, wheels."""

STUB = "roundoff-test/stub:1"
BASE_PACKAGES = "ca-certificates,python3,python3-venv"
APPTAINER_PACKAGES = ("apptainer", "libc6", "libseccomp2", "libsqlite3-0")


class MissingError(Exception):
    """An engine or a part of it cannot be had here; the words say why."""


def ask(*command: str | Path, **options) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, **options
    )
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise MissingError(
            f"{Path(command[0]).name}: {words[-1] if words else 'failed'}"
        )
    return done.stdout


def need(*programs: str) -> None:
    """Raise `MissingError` unless all programs are on the PATH."""
    absent = [name for name in programs if shutil.which(name) is None]
    if absent:
        raise MissingError(f"not installed: {', '.join(absent)}")


# --- Docker ---------------------------------------------------------------------------


@contextmanager
def docker_engine(folder: Path) -> Iterator[dict[str, str]]:
    """Variables that reach an engine; one is started in `folder` if none answers."""
    environment = {"PATH": f"{docker_folder()}{os.pathsep}{os.environ['PATH']}"}
    if _answers(environment):
        yield environment
        return
    need("dockerd")
    if os.geteuid():
        raise MissingError("no Docker engine answers, and only root can start one")
    socket = folder / "docker.sock"
    environment["DOCKER_HOST"] = f"unix://{socket}"
    settings = folder / "daemon.json"
    settings.write_text(json.dumps(_daemon_settings(folder, socket)))
    with open(folder / "dockerd.log", "w") as log:
        daemon = subprocess.Popen(
            ["dockerd", "--config-file", str(settings)], stdout=log, stderr=log
        )
    try:
        _wait(lambda: _answers(environment), daemon, folder / "dockerd.log")
        yield environment
    finally:
        daemon.terminate()
        try:
            daemon.wait(timeout=30)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def docker_folder() -> Path:
    """Folder of the `docker` to use: Debian's before others, it brings BuildKit."""
    need("docker")
    own = Path("/usr/bin/docker")
    return own.parent if own.exists() else Path(shutil.which("docker")).parent


def _daemon_settings(folder: Path, socket: Path) -> dict:
    # No bridge and no packet filter: nothing here needs a network of its own.
    return {
        "data-root": str(folder / "data"),
        "exec-root": str(folder / "exec"),
        "pidfile": str(folder / "docker.pid"),
        "hosts": [f"unix://{socket}"],
        "storage-driver": "overlay2",
        "bridge": "none",
        **dict.fromkeys(("iptables", "ip6tables", "ip-forward", "ip-masq"), False),
        # A container may not raise limits the machine itself cannot.
        "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 20000, "Hard": 20000}},
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
    }


def _answers(environment: dict[str, str]) -> bool:
    done = subprocess.run(
        ["docker", "info"],
        env=os.environ | environment,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def _wait(ready, daemon: subprocess.Popen, log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if daemon.poll() is not None or time.monotonic() > end:
            words = [w for w in log.read_text().splitlines() if "level=info" not in w]
            raise MissingError(f"dockerd did not come up: {words[-1] if words else ''}")
        time.sleep(0.3)


# --- Base image and wheels ------------------------------------------------------------


def import_image(rootfs: Path, name: str, environment: dict[str, str]) -> None:
    """Make an image of a folder."""
    with subprocess.Popen(
        ["tar", "-C", str(rootfs), "-c", "."], stdout=subprocess.PIPE
    ) as tar:
        subprocess.run(
            ["docker", "import", "-", name],
            stdin=tar.stdout,
            env=os.environ | environment,
            capture_output=True,
            check=True,
        )


def debian_rootfs() -> Path:
    """A small Debian with Python, in the cache; made by debootstrap where absent."""
    rootfs = CACHE / "debian"
    if rootfs.is_dir():
        return rootfs
    need("debootstrap")
    scratch = CACHE / f".partial-debian-{os.getpid()}"
    scratch.parent.mkdir(parents=True, exist_ok=True)
    include = f"--include={BASE_PACKAGES}"
    try:
        ask("debootstrap", "--variant=minbase", include, "bookworm", scratch, mirror())
        for archive in (scratch / "var/cache/apt/archives").glob("*.deb"):
            archive.unlink()
        scratch.rename(rootfs)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return rootfs


def mirror() -> str:
    """The Debian mirror this machine uses."""
    for file in Path("/etc/apt/sources.list.d").glob("*.sources"):
        for line in file.read_text().splitlines():
            if line.startswith("URIs:"):
                return line.split()[1]
    return "http://deb.debian.org/debian"


def busybox_rootfs(folder: Path) -> Path:
    """The smallest file system that runs commands; `python` in it is a shell script."""
    need("busybox")
    program = Path(shutil.which("busybox"))
    if subprocess.run(["ldd", program], capture_output=True).returncode == 0:
        raise MissingError("busybox is not static (apt-get install busybox-static)")
    for name in ("bin", "tmp", "etc", "proc", "sys", "dev", "opt/roundoff/scripts"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(program, folder / "bin/busybox")
    names = ("sh", "env", "cat", "id", "sleep", "dd", "tail", "ls", "touch", "pwd")
    for name in (*names, "true", "kill", "stat", "ip"):
        (folder / "bin" / name).symlink_to("busybox")
    (folder / "tmp").chmod(0o1777)
    return folder


def wheels(root: Path) -> Path:
    """The wheels of the pinned environment, in the cache, by this machine's own pip."""
    folder = CACHE / "wheels"
    if not (folder / "complete").is_file():
        make = ["make", "--silent", "-C", str(root), "wheels"]
        ask(*make, f"WHEELS={folder}", f"PYTHON={sys.executable}")
        (folder / "complete").touch()
    return folder


# --- Apptainer ------------------------------------------------------------------------


def apptainer_folder() -> Path:
    """Folder of a working `apptainer`: the machine's, or one put into the cache."""
    found = shutil.which("apptainer")
    if found:
        return Path(found).parent
    folder = CACHE / "apptainer"
    program = folder / "bin" / "apptainer"
    if not program.exists():
        install_apptainer(folder)
    ask(program, "--version")
    return program.parent


def install_apptainer(folder: Path) -> None:
    """Debian's Apptainer (of sid) with a C library of its own that no child sees."""
    need("apt-get", "dpkg-deb", "patchelf", "mksquashfs")
    if os.geteuid():
        raise MissingError("apptainer is not installed, and only root can try it here")
    root, debs = folder / "root", folder / "debs"
    for name in ("bin", "debs", "root", "lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    _download(folder, debs)
    for package in debs.glob("*.deb"):
        ask("dpkg-deb", "-x", package, root)
    libraries = root / "usr/lib/x86_64-linux-gnu"
    loader = libraries / "ld-linux-x86-64.so.2"
    for program in (root / "usr/bin/apptainer", libraries / "apptainer/bin/starter"):
        set_loader = ("--set-interpreter", loader, "--force-rpath")
        ask("patchelf", *set_loader, "--set-rpath", libraries, program)
    # The moved program looks for etc and var beside its libraries.
    (root / "var/lib/apptainer/mnt/session").mkdir(parents=True, exist_ok=True)
    for name in ("etc", "var"):
        (root / "usr" / name).symlink_to(f"../{name}")
        (root / "usr/lib" / name).symlink_to(f"../../{name}")
    settings = root / "etc/apptainer/apptainer.conf"
    text = settings.read_text()
    # Root may lack a capability here (in a virtual machine); the default asks for all.
    asked = "root default capabilities = "
    settings.write_text(text.replace(f"{asked}full", f"{asked}no"))
    (folder / "bin/apptainer").symlink_to("../root/usr/bin/apptainer")


def _download(folder: Path, debs: Path) -> None:
    """Fetch packages of Debian sid, leaving the machine's own lists alone."""
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    source = f"deb [signed-by={keys}] {mirror()} sid main\n"
    (folder / "sources.list").write_text(source)
    (folder / "status").touch()
    values = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State": folder,
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "APT::Architecture": "amd64",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    options = [part for k, v in values.items() for part in ("-o", f"{k}={v}")]
    ask("apt-get", *options, "-qq", "update")
    ask("apt-get", *options, "-qq", "download", *APPTAINER_PACKAGES, cwd=debs)


# --- The image ------------------------------------------------------------------------


def build_context(root: Path, folder: Path, wheels_at: Path) -> Path:
    """What a build may see: the files `.dockerignore` lets through, and the wheels."""
    names = [
        line[1:]
        for line in (root / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    junk = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info", "*.whl")
    for name in names:
        source, target = root / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=junk, symlinks=True)
        else:
            shutil.copy(source, target)
    for wheel in wheels_at.glob("*.whl"):
        os.link(wheel, folder / "containers/wheels" / wheel.name)
    return folder


def unpack(image: str, folder: Path, environment: dict[str, str]) -> None:
    """An image of the Docker engine as a folder that Apptainer runs.

    What `apptainer build --sandbox` makes, without compressing every layer on the way:
    the files, and the image's variables where Apptainer looks for them.
    """
    everything = os.environ | environment
    container = ask("docker", "create", image, env=everything).strip()
    try:
        folder.mkdir(parents=True)
        with subprocess.Popen(
            ["docker", "export", container], stdout=subprocess.PIPE, env=everything
        ) as export:
            ask("tar", "-C", folder, "-x", "--exclude=./dev/*", stdin=export.stdout)
    finally:
        ask("docker", "rm", container, env=everything)
    (folder / ".dockerenv").unlink(missing_ok=True)
    found = ask("docker", "image", "inspect", image, env=everything)
    variables = folder / ".singularity.d/env/10-docker2singularity.sh"
    variables.parent.mkdir(parents=True)
    lines = (v.partition("=") for v in json.loads(found)[0]["Config"]["Env"])
    variables.write_text(
        "".join(f"export {name}={shlex.quote(value)}\n" for name, _, value in lines)
    )
