"""The command line of a sample under Verrou, option by option."""

import dataclasses
from pathlib import Path

import pytest
from fake_valgrind import HELP

from roundoff.config import Config
from roundoff.errors import RoundoffError
from roundoff.instruments.installation import (
    Valgrind,
    clean_environment,
    find_for_control,
    find_valgrind,
)
from roundoff.instruments.roles import controls, roles
from roundoff.instruments.verrou import (
    MODES,
    Settings,
    canonical_mode,
    mode_option,
    plain_command,
    verrou_command,
)

NEW = Valgrind(
    "/opt/v/bin/valgrind", "/opt/v/libexec/valgrind", "3.26.0", "2.7.0", HELP
)
OLD = dataclasses.replace(
    NEW, help="--rounding-mode=<random|average|nearest> --vr-seed="
)


def command(valgrind=NEW, seed=11, at_start=False, **settings):
    return verrou_command(
        ["python", "infer.py", "--subject", "a b;rm"],
        Settings.of(settings),
        seed,
        valgrind=valgrind,
        exclusions=Path("/x/my rules.txt"),
        log=Path("/x/100%/log"),
        at_start=at_start,
    )


def test_everything_is_said_explicitly():
    argv = command().argv
    assert argv[0] == "/opt/v/bin/valgrind"
    for option in (
        "--tool=verrou", "--trace-children=yes", "--rounding-mode=random",
        "--vr-seed=11", "--instr-atstart=no", "--count-op=yes", "--check-nan=no",
        "--check-inf=no", "--libm=manual_exclude", "--python=auto_exclude",
        "--exclude=/x/my rules.txt", "--command-line-only=yes",
    ):  # fmt: skip
        assert option in argv


def test_the_program_stays_as_it_is_and_comes_last():
    assert command().argv[-4:] == ["python", "infer.py", "--subject", "a b;rm"]


def test_percent_signs_of_the_log_are_not_codes():
    assert "--log-file=/x/100%%/log.%p" in command().argv


def test_threads_kernels_and_hashes_are_fixed():
    env = command().env
    assert env["OMP_NUM_THREADS"] == env["MKL_NUM_THREADS"] == "1"
    assert env["ATEN_CPU_CAPABILITY"] == "avx2"
    assert env["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    assert env["PYTHONHASHSEED"] == "0"
    assert env["VALGRIND_LIB"] == "/opt/v/libexec/valgrind"


def test_instrumented_libm_and_perturbation_from_the_start():
    argv = command(libm="instrumented", at_start=True).argv
    assert "--libm=instrumented" in argv
    assert "--instr-atstart=yes" in argv


@pytest.mark.parametrize(
    ("mode", "new", "old"),
    [
        ("average", "nearness", "average"),
        ("sr", "nearness", "average"),
        ("nearness", "nearness", "average"),
        ("average_det", "nearness_det", "average_det"),
        ("random", "random", "random"),
        ("nearest", "nearest", "nearest"),
    ],
)
def test_mode_names_of_old_and_new_versions(mode, new, old):
    assert canonical_mode(mode) == new
    assert canonical_mode(mode) in MODES
    assert mode_option(mode, NEW) == new
    assert mode_option(mode, OLD) == old


def test_options_a_release_does_not_know_are_left_out():
    argv = command(OLD).argv
    assert not [a for a in argv if a.startswith(("--libm", "--check-nan", "--python"))]
    assert "--vr-seed=11" in argv


def test_unknown_mode():
    with pytest.raises(RoundoffError, match=r"verrou\.mode: 'sideways'"):
        Settings.of({"mode": "sideways"})


def test_the_control_runs_under_valgrind_without_verrou():
    argv = plain_command(["python"], valgrind=NEW, log=Path("/x/log")).argv
    assert "--tool=none" in argv
    assert not [a for a in argv if "rounding" in a or "seed" in a]


def test_variables_that_would_overrule_the_command_line_are_taken_out():
    kept = clean_environment(
        {"VERROU_ROUNDING_MODE": "native", "VALGRIND_OPTS": "-q", "HOME": "/h"}
    )
    assert kept == {"HOME": "/h"}


def test_missing_valgrind_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RoundoffError, match=r"no Valgrind .*fetch_source.py .*verrou"):
        find_valgrind()


def test_valgrind_without_verrou_says_how_to_get_it(tmp_path):
    path = tmp_path / "valgrind"
    path.write_text("#!/bin/sh\necho failed to start tool >&2\nexit 1\n")
    path.chmod(0o755)
    words = r"has no tool 'verrou' \(failed to start.*fetch_source.py --source verrou"
    with pytest.raises(RoundoffError, match=words):
        find_valgrind(str(path))


def test_a_moved_prefix_is_found(tmp_path, monkeypatch):
    """The fetched release was compiled for another prefix: VALGRIND_LIB is set."""
    library = tmp_path / "v/libexec/valgrind"
    library.mkdir(parents=True)
    (library / "verrou-amd64-linux").touch()
    (library / "verrouCBinding.so").touch()
    path = tmp_path / "v/bin/valgrind"
    path.parent.mkdir()
    path.write_text(
        '#!/bin/sh\n[ -n "$VALGRIND_LIB" ] || exit 1\n'
        'case "$*" in *version*) echo valgrind-3.26.0.verrou-dev;; *) echo nearness;; '
        "esac\n"
    )
    path.chmod(0o755)
    monkeypatch.delenv("VALGRIND_LIB", raising=False)
    found = find_valgrind(str(path))
    assert (found.version, found.verrou) == ("3.26.0", "dev")
    assert found.environment == {"VALGRIND_LIB": str(library)}
    assert found.binding == library / "verrouCBinding.so"


def test_the_fetched_release_serves_where_the_path_has_no_verrou(tmp_path, monkeypatch):
    """And the control runs under the same Valgrind."""
    monkeypatch.chdir(tmp_path)
    for folder, code in [("system", 1), ("resources/verrou/bin", 0)]:
        path = tmp_path / folder / "valgrind"
        path.parent.mkdir(parents=True)
        path.write_text(f'#!/bin/sh\ncase "$*" in *verrou*) exit {code};; esac\n')
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'system'}:/usr/bin:/bin")
    fetched = str(tmp_path / "resources/verrou/bin/valgrind")
    assert find_valgrind().path == find_for_control().path == fetched
    (tmp_path / "resources/verrou/bin/valgrind").unlink()
    assert find_for_control().path == str(tmp_path / "system/valgrind")


def test_wrong_library_folder(tmp_path, stand_in):
    with pytest.raises(RoundoffError, match=r"verrou\.library"):
        find_valgrind(library=str(tmp_path / "none"))


def test_roles_of_a_study_under_verrou():
    config = Config(instrument="verrou", samples=5, verrou={"mode": "average"})
    found = roles(config)
    assert list(found) == ["ieee", "nearest", "plain", "verrou"]
    assert [role.samples for role in found.values()] == [2, 1, 1, 5]
    assert found["ieee"].settings["under"] == "valgrind"
    assert found["nearest"].settings["mode"] == "nearest"
    assert found["verrou"].settings["mode"] == "average"
    assert controls(config) == ["ieee", "nearest"]


def test_roles_of_other_studies():
    assert list(roles(Config(instrument="native"))) == ["ieee", "native"]
    assert list(roles(Config(instrument="ieee"))) == ["ieee"]
    assert controls(Config()) == ["ieee"]
