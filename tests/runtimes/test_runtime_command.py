"""The command line of a container: every part stays one argument, mounts are exact."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundoff.errors import RoundoffError
from roundoff.runtimes import Limits, wrap

CONTAINERS = ("docker", "podman", "apptainer")
words = st.text(st.characters(exclude_characters="\0\n\r"), min_size=1, max_size=20)
engines = st.sampled_from(CONTAINERS)
names = words.filter(lambda w: w not in (".", "..") and "/" not in w)


def build(runtime, command=("python", "x.py"), env=None, **changes):
    options = {"image": "roundoff:1", "reads": [], "writes": []} | changes
    return wrap(command, env or {}, runtime=runtime, **options)


def mounts(argv):
    """(source, target, read-only) of every --mount, as an engine reads it."""
    found = []
    for part in argv:
        if part.startswith("--mount="):
            fields = next(csv.reader([part.removeprefix("--mount=")]))
            values = dict(f.partition("=")[::2] for f in fields)
            target = values.get("target", values.get("destination"))
            found.append(
                (values["source"], target, bool({"ro", "readonly"} & set(values)))
            )
    return found


def test_docker_command_in_full():
    argv = build(
        "docker",
        env={"A": "1 2"},
        reads=[Path("/in/scan.nii.gz")],
        writes=[Path("/out")],
        limits=Limits(memory_mb=4000, cpus=1),
        name="n",
        user=(12, 34),
        workdir=Path("/w"),
    )
    assert argv == [
        *("docker", "run", "--rm", "--init", "--pull", "never", "--network", "none"),
        *("--security-opt", "no-new-privileges", "--name", "n", "--user", "12:34"),
        *("--workdir", "/w", "--memory", "4000m", "--memory-swap", "4000m"),
        *("--cpus", "1", "--env", "A=1 2", "--env", "ROUNDOFF_RUNTIME=docker"),
        *("--env", "ROUNDOFF_CONTAINER=docker:roundoff:1"),
        "--mount=type=bind,source=/out,target=/out",
        "--mount=type=bind,source=/in/scan.nii.gz,target=/in/scan.nii.gz,readonly",
        *("--entrypoint", "python", "roundoff:1", "x.py"),
    ]


def test_apptainer_has_no_network_no_home_and_a_clean_environment():
    argv = build("apptainer", image="/i.sif", workdir=Path("/w"))
    head = argv[: argv.index("/i.sif")]
    assert {"--cleanenv", "--contain", "--no-home", "--net"} <= set(head)
    assert argv[argv.index("--network") + 1] == "none"
    assert argv[-2:] == ["python", "x.py"]
    assert "ROUNDOFF_RUNTIME=apptainer" in argv


def test_host_runs_the_command_itself():
    assert build("host", env={"A": "1"}) == ["env", "A=1", "python", "x.py"]


def test_rootless_podman_keeps_the_caller():
    assert "keep-id" in build("podman", user=(1000, 1000))
    assert "keep-id" not in build("podman", user=(0, 0))


@given(
    command=st.lists(words, min_size=1),
    value=words,
    runtime=engines,
)
def test_hostile_arguments_stay_single_arguments(command, value, runtime):
    argv = build(runtime, command, {"SUBJECT": value})
    if runtime == "apptainer":
        assert argv[-len(command) :] == command
    else:
        start = argv.index("--entrypoint")
        assert [argv[start + 1], *argv[start + 3 :]] == command
    assert f"SUBJECT={value}" in argv


@given(parts=st.lists(names, min_size=1, max_size=3), runtime=engines)
def test_any_path_is_mounted_at_its_own_place(parts, runtime):
    path = Path("/", *parts)
    assert mounts(build(runtime, reads=[path])) == [(str(path), str(path), True)]
    assert mounts(build(runtime, writes=[path])) == [(str(path), str(path), False)]


def test_a_folder_to_write_in_lies_in_one_to_read():
    argv = build("docker", reads=[Path("/s"), Path("/s/a")], writes=[Path("/s/out")])
    assert mounts(argv) == [("/s", "/s", True), ("/s/out", "/s/out", False)]


def test_a_folder_to_read_and_write_is_written():
    assert mounts(build("docker", reads=[Path("/s")], writes=[Path("/s")])) == [
        ("/s", "/s", False)
    ]


@pytest.mark.parametrize("path", ["relative", "/a\nb"])
def test_paths_no_engine_can_mount_are_refused(path):
    with pytest.raises(RoundoffError, match="cannot be mounted"):
        build("docker", reads=[Path(path)])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"runtime": "lxc"}, "unknown; known: host"),
        ({"image": "--privileged"}, "no name of an image"),
        ({"command": []}, "no command"),
    ],
)
def test_nonsense_is_refused(change, words):
    with pytest.raises(RoundoffError, match=words):
        build(**({"runtime": "docker"} | change))
