"""The status of files laid out by hand."""

import json

import pandas as pd
import pytest
from rich.console import Console

from roundoff import layout
from roundoff.models.base import Grid, MapSpec, ModelSpec
from roundoff.status import collect
from roundoff.status.reasons import NO_WORD
from roundoff.status.show import print_table, summary, write_page

SPEC = ModelSpec(
    name="net",
    title="A network",
    task="denoising",
    weights_kind="random",
    factory="x:y",
    weights={},
    grid=Grid(2.0, (8, 8, 8)),
    maps=(MapSpec("image", "image"),),
)
ASKED = {"native": 3, "ieee": 2}


@pytest.fixture
def home(tmp_path):
    """Sample 1 done, 2 failed with words, 3 started; both controls done."""

    def write(path, text=""):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    done = [("native", "001"), ("ieee", "001"), ("ieee", "002")]
    for label, run in done:
        for f in layout.sample_files(SPEC, "01", label, run).values():
            write(f)
        for f in layout.sample_sidecars(SPEC, "01", label, run).values():
            write(f, json.dumps({}))
    write("results/benchmarks/infer/net/sub-01_native_001.tsv", "s\tmax_rss\n4\t90.4\n")
    logs = "results/logs/infer/net/sub-01_native_00"
    write(f"{logs}2.log", "error: the weights are damaged\n")
    write(f"{logs}3.log", "net: 5%\n")
    return tmp_path


def row(table, label):
    return table.set_index("instrument").loc[label]


def test_states_of_samples_are_counted(home):
    table = collect({"net": SPEC}, ["01"], ASKED, "native", running=True, home=home)
    native = row(table, "native")
    states = ["asked", "done", "failed", "running", "waiting"]
    assert list(native[states]) == [3, 1, 1, 1, 0]
    assert native["why"] == "the weights are damaged"
    assert (native["seconds"], native["peak_memory_mb"]) == (4.0, 90)
    assert list(row(table, "ieee")[states]) == [2, 2, 0, 0, 0]
    assert row(table, "ieee")["why"] == ""


def test_a_job_without_a_word_is_dead_once_the_run_is_over(home):
    log = home / "results/logs/infer/net/sub-01_native_002.log"
    log.unlink()
    table = collect({"net": SPEC}, ["01"], ASKED, "native", home=home)
    native = row(table, "native")
    assert (native["failed"], native["waiting"]) == (1, 1)
    assert native["why"] == NO_WORD


def test_a_damaged_scan_explains_what_waits(home):
    log = home / "results/logs/conform/sub-02_res-2mm8.log"
    log.parent.mkdir(parents=True)
    log.write_text("error: subjects[02]: scan.nii.gz is damaged\n")
    table = collect({"net": SPEC}, ["01", "02"], ASKED, "native", home=home)
    broken = table[table["subject"] == "02"]
    assert set(broken["why"]) == {"subjects[02]: scan.nii.gz is damaged"}
    assert broken["waiting"].sum() == 5
    assert "2 subject(s): 01, 02" in summary(table)


def test_the_table_is_shown_in_full(home, tmp_path):
    table = collect({"net": SPEC}, ["01"], ASKED, "native", running=True, home=home)
    with open(tmp_path / "out.txt", "w") as stream:
        print_table(table, Console(file=stream))
    text = (tmp_path / "out.txt").read_text()
    assert "the weights are damaged" in text
    assert "3 of 5 samples are done, 1 running, 1 failed" in text
    page = tmp_path / "status.html"
    write_page(page, table)
    content = page.read_text()
    assert "the weights are damaged" in content
    assert 'class="bad"' in content
    assert "http" not in content


def test_nothing_done_yet_is_all_waiting(tmp_path):
    table = collect({"net": SPEC}, ["01"], ASKED, "native", home=tmp_path)
    assert table["waiting"].sum() == 5
    assert isinstance(table, pd.DataFrame)
    assert summary(table) == "0 of 5 samples are done, 5 waiting."
