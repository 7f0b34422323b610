"""Rules for what Verrou leaves alone: real libraries, exact names, reasons."""

import re
import subprocess
from pathlib import Path

import pytest

from roundoff.errors import RoundoffError
from roundoff.instruments.exclusions import (
    ANY,
    Rule,
    check_used,
    exclusion_rules,
    loaded_libraries,
    missing_rules,
    summary,
    user_rule,
    write_rules,
)
from roundoff.instruments.symbols import function_names

CERTAIN = Rule(ANY, "/lib/libc.so.6", "numbers", certain=True)


@pytest.fixture(scope="module")
def rules():
    import torch

    torch.ones(2) @ torch.ones(2)
    return exclusion_rules(loaded_libraries())


def objects(rules):
    return {Path(rule.object).name for rule in rules if rule.symbol == ANY}


def test_libraries_are_those_of_this_process_by_canonical_path():
    found = loaded_libraries()
    assert any(Path(p).name.startswith("libc.so") for p in found)
    assert found == sorted({str(Path(p).resolve()) for p in found})


def test_maps_with_spaces_and_deleted_files(tmp_path):
    library = tmp_path / "my libm.so.6"
    library.touch()
    link = tmp_path / "link.so"
    link.symlink_to(library)
    maps = "".join(
        f"7f-8f {rights} 0 08:01 1   {name}\n"
        for rights, name in [
            ("r-xp", link), ("r--p", "/data.so"), ("r-xp", "/gone.so (deleted)"),
            ("rwxp", "[heap]"),
        ]
    )  # fmt: skip
    assert loaded_libraries(maps) == [str(library)]


def test_every_rule_has_a_reason_and_an_existing_object(rules):
    for rule in rules:
        assert rule.reason
        assert Path(rule.object).is_file()
        assert not re.search(r"\s", rule.symbol)


def test_what_must_be_left_out_is(rules):
    names = objects(rules)
    for part in ("libc.so", "libm.so", "libquadmath", "ld-linux", "libstdc++"):
        assert any(part in name for name in names), part
    assert any(name.startswith(("python3", "libpython3")) for name in names)
    assert any("_multiarray_umath" in name for name in names)


def test_torch_itself_is_perturbed_but_for_named_functions(rules):
    by_name = [r.symbol for r in rules if r.object.endswith("libtorch_cpu.so")]
    assert ANY not in by_name
    assert "mkl_vml_kernel_sSin_L9HAynn" in by_name
    assert "mkl_vml_kernel_sErf_L9HAynn" in by_name
    assert any("arange_kernel" in name for name in by_name)
    assert not [n for n in by_name if "Exp" in n or "sum_kernel" in n]


def test_numpy_is_perturbed_when_asked_for():
    names = objects(exclusion_rules(loaded_libraries(), numpy=True))
    assert not any("_multiarray_umath" in name for name in names)


def test_names_are_those_readelf_prints():
    library = next(p for p in loaded_libraries() if Path(p).name.startswith("libm.so"))
    done = subprocess.run(
        ["readelf", "-Ws", library], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("no readelf")
    rows = [line.split() for line in done.stdout.splitlines()]
    expected = {
        r[7].split("@")[0]
        for r in rows
        if len(r) > 7 and r[3] == "FUNC" and r[6] != "UND" and "sin" in r[7]
    }
    assert set(function_names(Path(library), "sin")) == expected


def test_a_file_that_is_no_library(tmp_path):
    path = tmp_path / "text.so"
    path.write_text("hello")
    with pytest.raises(RoundoffError, match="no 64-bit ELF"):
        function_names(path, "x")


def test_the_file_holds_rules_and_reasons(tmp_path):
    path = tmp_path / "rules.txt"
    extra = Rule("f", "/lib/libfoo.so", "because")
    write_rules([CERTAIN, extra], path)
    lines = path.read_text().splitlines()
    assert [x for x in lines if x[0] != "#"] == [
        "*\t/lib/libc.so.6",
        "f\t/lib/libfoo.so",
    ]
    assert "# because" in lines


def test_rules_of_the_user(tmp_path):
    library = tmp_path / "my lib.so"
    library.touch()
    assert user_rule(f"f {library}").line() == f"f\t{library}"
    assert user_rule("f *").object == ANY
    for wrong, words in [("f", "not of the form"), ("f /no/such.so", "no file")]:
        with pytest.raises(RoundoffError, match=words):
            user_rule(wrong)


def test_a_file_that_did_not_act_is_an_error():
    assert check_used([CERTAIN], [CERTAIN.line()]) == []
    with pytest.raises(RoundoffError, match=r"no use of the exclusion of .*libc"):
        check_used([CERTAIN], [])
    other = Rule(ANY, "/lib/ld.so", "loader", certain=True)
    assert check_used([CERTAIN, other], [CERTAIN.line()]) == ["/lib/ld.so"]


def test_a_library_loaded_late_is_noticed():
    late = ["/lib/libc.so.6", "/usr/lib/libm.so.6", "/usr/lib/libfoo.so"]
    assert missing_rules([CERTAIN], late) == ["/usr/lib/libm.so.6"]


def test_summary_counts_rules_met():
    rows = summary(
        [CERTAIN, Rule("f", "/t.so", "r"), Rule("g", "/t.so", "r")], ["f\t/t.so"]
    )
    assert [(r["rules"], r["used"], r["symbols"]) for r in rows] == [
        (1, 0, "all"),
        (2, 1, "by name"),
    ]
