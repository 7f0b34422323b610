"""Run the Python of a documentation page, and compare what it prints.

A page's ```python blocks run one after another in one namespace, as a reader would
type them; a ```text block right after one is what it must print. By hand, in the
repository's root: `python tests/docs/page_runner.py docs/convolution.md`.
"""

import contextlib
import io
import re
import sys
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """Code of a page, the output shown below it (None: none shown), its first line."""

    code: str
    shown: str | None
    line: int


def examples(text: str) -> list[Example]:
    """The Python blocks of a page with the output shown right after each."""
    blocks = list(BLOCK.finditer(text))
    found = []
    for index, block in enumerate(blocks):
        if block[1] != "python":
            continue
        after = blocks[index + 1] if index + 1 < len(blocks) else None
        follows = (
            after is not None
            and after[1] == "text"
            and not text[block.end() : after.start()].strip()
        )
        line = text.count("\n", 0, block.start(2)) + 1
        found.append(Example(block[2], after[2] if follows else None, line))
    return found


def run_page(path: Path) -> list[tuple[Example, str]]:
    """Run the examples of a page; each with what it printed."""
    namespace: dict = {"__name__": "__page__"}
    results = []
    for example in examples(path.read_text("utf-8")):
        printed = io.StringIO()
        # blank lines in front, so that a traceback names the line of the page
        code = compile("\n" * (example.line - 1) + example.code, str(path), "exec")
        with contextlib.redirect_stdout(printed):
            exec(code, namespace)
        results.append((example, printed.getvalue()))
    return results


def main() -> None:
    """Run the pages named on the command line; show where they say something else."""
    for name in sys.argv[1:]:
        for example, printed in run_page(Path(name)):
            if example.shown is not None and printed != example.shown:
                print(f"{name}:{example.line} prints\n{printed}")


if __name__ == "__main__":
    main()
