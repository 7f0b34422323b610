"""Why a job failed, from what it wrote to its log."""

from pathlib import Path

NO_WORD = (
    "stopped without a message: killed, out of memory (exit 137) or out of time. "
    "Give it more memory or time, and run again"
)
TAIL = 1 << 16  # bytes of a log that are read
LONGEST = 300


def last_error(log: Path) -> str | None:
    """The sentence a failed job ended with; None where the log shows no failure.

    Our own errors start with "error:"; of a traceback the last line says most.
    """
    lines = _tail(log)
    ours = [i for i, line in enumerate(lines) if line.startswith("error: ")]
    if ours:
        return _short(" ".join(lines[ours[-1] :]).removeprefix("error: "))
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        return _short(next((x for x in reversed(lines) if x.strip()), ""))
    return None


def _short(text: str) -> str:
    """On one line of a table."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _tail(log: Path) -> list[str]:
    if not log.is_file():
        return []
    with open(log, "rb") as stream:
        stream.seek(max(0, log.stat().st_size - TAIL))
        return stream.read().decode(errors="replace").splitlines()
