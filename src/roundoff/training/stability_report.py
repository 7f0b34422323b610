"""Tables, figures and summary of trainings repeated in three arms."""

from dataclasses import dataclass
from pathlib import Path

from roundoff import aggregate
from roundoff.atomic import write_text
from roundoff.figures import training as figures
from roundoff.training import stability
from roundoff.training.stability import Traces

PUBLISHED = "grey: published, arXiv 2509.05238 (other networks and tasks)"


@dataclass(frozen=True)
class Words:
    """What a study is called: heading, line below every title, name of outputs."""

    title: str
    line: str
    outputs: str


def write_report(arms: dict[str, Traces], words: Words, folder: Path) -> None:
    """Write losses, lost_bits, points (.tsv), loss, points, published (.png) and
    summary.md into `folder`."""
    losses = stability.loss_table(arms)
    lost, points = stability.lost_table(losses), stability.point_table(arms)
    for name, table in (("losses", losses), ("lost_bits", lost), ("points", points)):
        aggregate.save_table(folder / f"{name}.tsv", table)
    count = len(arms["control"].losses)
    lines = [f"{words.line} · {count} trainings per arm"]
    figures.loss_stability(folder / "loss.png", losses, lines)
    figures.point_stability(folder / "points.png", points, words.outputs, lines)
    figures.beside_published(folder / "published.png", points, [*lines, PUBLISHED])
    text = stability.summary(words.title, words.outputs, arms, losses, lost, points)
    write_text(folder / "summary.md", text)
