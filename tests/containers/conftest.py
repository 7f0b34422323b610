"""Engines and images for the tests; what cannot be had skips them with the reason."""

import os
import subprocess
from pathlib import Path

import engines
import pytest

BASE, IMAGE = "roundoff-test/base:1", "roundoff:test"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def docker(tmp_path_factory):
    """Variables that reach a real Docker engine; they are set for the session."""
    try:
        # A short path: the name of a socket has at most 107 characters.
        folder = tmp_path_factory.mktemp("docker")
        with engines.docker_engine(folder) as environment, environ(environment):
            yield environment
    except engines.MissingError as error:
        pytest.skip(f"no Docker engine: {error}")


@pytest.fixture(scope="session")
def apptainer():
    """A real Apptainer on the PATH."""
    try:
        folder = engines.apptainer_folder()
    except engines.MissingError as error:
        pytest.skip(f"no Apptainer: {error}")
    with environ({"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}):
        yield folder / "apptainer"


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory) -> Path:
    """A file system with nothing but busybox."""
    try:
        return engines.busybox_rootfs(tmp_path_factory.mktemp("stub"))
    except engines.MissingError as error:
        pytest.skip(f"no stub image: {error}")


@pytest.fixture(params=["docker", "apptainer"])
def stub(request, rootfs) -> tuple[str, str]:
    """(engine, stub image) for each engine."""
    environment = request.getfixturevalue(request.param)
    if request.param == "apptainer":
        return "apptainer", str(rootfs)
    engines.import_image(rootfs, engines.STUB, environment)
    return "docker", engines.STUB


@pytest.fixture(scope="session")
def image(docker, tmp_path_factory) -> str:
    """The image `roundoff`, built by its recipe on a small Debian."""
    try:
        rootfs, wheels = engines.debian_rootfs(), engines.wheels(ROOT)
    except engines.MissingError as error:
        pytest.skip(f"the image cannot be built here: {error}")
    engines.import_image(rootfs, BASE, docker)
    context = engines.build_context(ROOT, tmp_path_factory.mktemp("context"), wheels)
    command = ["docker", "build", "--network", "host", "--build-arg", f"BASE={BASE}"]
    command += ["-t", IMAGE, "-f", "containers/roundoff/Dockerfile", "."]
    done = subprocess.run(
        command,
        cwd=context,
        env=os.environ | docker | {"DOCKER_BUILDKIT": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"the image does not build:\n{done.stdout[-4000:]}")
    return IMAGE


@pytest.fixture(scope="session")
def sandbox(image, apptainer, docker, tmp_path_factory) -> Path:
    """The image unpacked for Apptainer (a SIF file takes minutes to compress)."""
    folder = tmp_path_factory.mktemp("apptainer") / "roundoff"
    engines.unpack(image, folder, docker)
    return folder


class environ:  # noqa: N801 (reads as `with environ(...)`)
    """Set environment variables for a block."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values

    def __enter__(self) -> None:
        self.before = {name: os.environ.get(name) for name in self.values}
        os.environ.update(self.values)

    def __exit__(self, *_) -> None:
        for name, value in self.before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
