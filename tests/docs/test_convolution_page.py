"""The convolution page: its code runs, prints what it shows, and draws its figures."""

import re
from pathlib import Path

import pytest
from page_runner import examples, run_page
from PIL import Image

PAGE = Path(__file__).parents[2] / "docs" / "convolution.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page's results and the folder it ran in."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "docs" / "images").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield run_page(PAGE), folder


def test_page_prints_what_it_shows(page):
    results, _ = page
    assert len(results) > 15
    for example, printed in results:
        assert printed == (example.shown or ""), f"line {example.line}"


def test_page_draws_the_figures_it_shows(page):
    _, folder = page
    text = PAGE.read_text("utf-8")
    shown = re.findall(r"!\[[^]]+\]\((images/[^)]+)\)", text)
    assert len(shown) == 4
    for name in shown:
        drawn = Image.open(folder / "docs" / name)
        kept = Image.open(PAGE.parent / name)
        assert drawn.size == kept.size


# Every number of the specification, as the page prints it.
@pytest.mark.parametrize(
    "line",
    [
        "non-zero at [ 9 10 11] = [ 1 -2  1]",
        "15 values: [ 0  0  0  0  0  0  0  0  0  1 -2  1  0  0  0]",
        "torch       [0, 0, 0, 0, 0, 0, -1, 2, -1]",
        "stride 2     [0, 0, 0, -1, -1]",
        "[0, 0, 0, 0, 0, 0, -1, -1, -1, -1]",
        "7 to 10: [-1, 1, -1, 1] rest: 0",
        "convolution [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, -2, 1, 0, 0, 0]",
        "<conv a, b> - <a, transposed b> = 0",
        "ordinary = by coin = NaN convolution: True True",
    ],
)
def test_number_of_the_specification(page, line):
    results, _ = page
    printed = "".join(output for _, output in results)
    assert line in printed.splitlines()


def test_blocks_are_paired_with_the_output_right_below():
    first = "```python\na\n```\n```text\nA\n```\n"
    text = first + "words\n```python\nb\n```\nwords\n```text\nB\n```\n"
    found = examples(text)
    assert [(e.code, e.shown) for e in found] == [("a\n", "A\n"), ("b\n", None)]


def test_failing_example_names_the_line_of_the_page(tmp_path):
    bad = tmp_path / "bad.md"
    bad.write_text("# Title\n\n```python\nx = 1\nraise KeyError(x)\n```\n")
    with pytest.raises(KeyError) as caught:
        run_page(bad)
    assert caught.traceback[-1].lineno + 1 == 5
