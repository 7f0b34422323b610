"""The Slurm profiles: alike, and plannable where there is no Slurm."""

import subprocess

import pytest
import yaml

from workflow_study import ROOT

PROFILES = ROOT / "workflow/profiles"


def profile(name: str) -> dict:
    return yaml.safe_load((PROFILES / name / "config.yaml").read_text())


def test_the_two_profiles_differ_in_apptainer_alone():
    slurm = profile("slurm")
    assert slurm.pop("software-deployment-method") == "apptainer"
    assert slurm == profile("slurm-shared")


@pytest.mark.parametrize("name", ["slurm", "slurm-shared"])
def test_states_that_hang_stay_cured(name):
    settings = profile(name)
    assert settings["slurm-status-command"] == "squeue"
    assert settings["slurm-status-attempts"] >= 1000
    assert settings["retries"] >= 2  # here; a rule's own retries rerun inside a job
    # MinJobAge is 300 s unless changed; under three times this the plugin asks sacct.
    assert 3 * settings["slurm-init-seconds-before-status-checks"] <= 300


def test_a_study_is_planned_by_the_profile(study):
    command = study.command(
        "--workflow-profile", str(ROOT / "profiles/slurm-shared"), "--dry-run"
    )
    where = command.index("--cores")
    del command[where : where + 2]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    assert "Group job conform" in text
    assert "Group job measure" in text
    assert "Group job report" in text


def test_partition_and_account_need_only_be_uncommented():
    text = (PROFILES / "slurm-shared/config.yaml").read_text()
    text = text.replace("# - slurm_", "- slurm_")
    resources = yaml.safe_load(text)["default-resources"]
    assert resources[2:] == ["slurm_partition=main", "slurm_account=mylab"]
