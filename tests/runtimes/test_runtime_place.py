"""A job that was sent into a container and runs elsewhere refuses to run."""

import json
from pathlib import Path

import pytest

from roundoff import __version__
from roundoff.config import load_config
from roundoff.errors import RoundoffError
from roundoff.runtimes.asking import asked_runtime, bind_list
from roundoff.runtimes.inside import engine_here, require_place


def place(root: Path, engine: str, image: bool = True) -> dict[str, str]:
    """Leave the marks of an engine and an image; the variables it sets."""
    mark = {"docker": ".dockerenv", "podman": "run/.containerenv"}.get(engine)
    if mark:
        (root / mark).parent.mkdir(exist_ok=True)
        (root / mark).touch()
    if engine == "apptainer":
        (root / ".singularity.d").mkdir()
    if image:
        (root / "opt/roundoff").mkdir(parents=True)
        (root / "opt/roundoff/image.json").write_text(json.dumps({"image": "roundoff"}))
    return {"APPTAINER_CONTAINER": "/x.sif"} if engine == "apptainer" else {}


@pytest.mark.parametrize("engine", ["docker", "podman", "apptainer", "host"])
def test_the_engine_is_told_by_its_mark(tmp_path, engine):
    environment = place(tmp_path, engine)
    assert engine_here(environment, tmp_path) == engine
    require_place(environment | {"ROUNDOFF_RUNTIME": engine}, tmp_path)
    require_place(environment, tmp_path)


def test_an_inherited_variable_is_no_proof(tmp_path):
    assert engine_here({"APPTAINER_CONTAINER": "/x.sif"}, tmp_path) == "host"


@pytest.mark.parametrize("asked", ["docker", "podman", "apptainer"])
def test_a_container_that_was_not_started_is_an_error(tmp_path, asked):
    with pytest.raises(RoundoffError, match="runs on the host"):
        require_place({"ROUNDOFF_RUNTIME": asked}, tmp_path)


def test_another_image_is_an_error(tmp_path):
    place(tmp_path, "docker", image=False)
    with pytest.raises(RoundoffError, match="no image of Roundoff"):
        require_place({"ROUNDOFF_RUNTIME": "docker"}, tmp_path)


def test_an_image_of_another_version_is_an_error(tmp_path):
    place(tmp_path, "docker")
    told = {"ROUNDOFF_RUNTIME": "docker", "ROUNDOFF_VERSION": "0.0.1"}
    with pytest.raises(RoundoffError, match=r"sent by version 0\.0\.1"):
        require_place(told, tmp_path)
    require_place(told | {"ROUNDOFF_VERSION": __version__}, tmp_path)


def asked(deployment=(), **settings):
    return asked_runtime(load_config(settings), deployment, Path("/checkout"))


def test_images_are_those_make_builds_unless_named():
    assert asked(runtime="docker").image == f"roundoff:{__version__}"
    assert asked(runtime="podman", instrument="verrou").image.startswith("roundoff-ver")
    assert asked(["apptainer"]).image == "/checkout/containers/roundoff/roundoff.sif"
    assert asked(["apptainer"], images={"roundoff": "/my.sif"}).image == "/my.sif"
    assert asked().image == ""


def test_apptainer_without_snakemakes_flag_is_an_error():
    with pytest.raises(RoundoffError, match="software-deployment-method apptainer"):
        asked(runtime="apptainer")
    assert asked(["apptainer"], runtime="apptainer").runtime == "apptainer"


def test_two_engines_at_once_are_an_error():
    with pytest.raises(RoundoffError, match="exclude each other"):
        asked(["apptainer"], runtime="docker")


def test_jobs_are_told_where_they_run_or_where_to_send():
    told = asked(["apptainer"]).environment()
    assert told["ROUNDOFF_RUNTIME"] == "apptainer"
    assert asked(runtime="docker").environment() == {
        "ROUNDOFF_SEND_TO": "docker",
        "ROUNDOFF_SEND_IMAGE": f"roundoff:{__version__}",
    }
    assert asked().environment() == {}


def test_only_folders_outside_are_bound(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = tmp_path.parent / "other place"
    reads = ["in/scan.nii", other / "a.nii", other / "b.nii"]
    assert bind_list(reads, "/data") == f"/data,{other}:{other}:ro"
    assert bind_list(reads, f"{other}:{other}:ro") == f"{other}:{other}:ro"


def test_folders_apptainer_cannot_name_are_refused():
    with pytest.raises(RoundoffError, match="comma or colon"):
        bind_list([Path("/a,b/scan.nii")])


def test_an_engine_or_image_that_is_missing_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RoundoffError, match="podman is not on the PATH"):
        asked(runtime="podman").check()
    (tmp_path / "apptainer").write_text("#!/bin/sh\n")
    (tmp_path / "apptainer").chmod(0o755)
    with pytest.raises(RoundoffError, match=r"no image .*make sif"):
        asked(["apptainer"]).check()
    image = tmp_path / "i.sif"
    image.touch()
    asked(["apptainer"], images={"roundoff": str(image)}).check()
    spaced = tmp_path / "my i.sif"
    spaced.touch()
    with pytest.raises(RoundoffError, match="space in its path"):
        asked(["apptainer"], images={"roundoff": str(spaced)}).check()
