"""One look for every picture: sizes, fonts, colours, the caption, saving."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from roundoff.atomic import atomic_path
from roundoff.errors import RoundoffError

DPI = 150
INK, MUTED, GRID = "#222222", "#666666", "#dddddd"
# Okabe and Ito: told apart with any colour vision.
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, RED, YELLOW, BLACK = "#56B4E9", "#D55E00", "#F0E442", "#000000"
SERIES = (BLUE, RED, GREEN, PINK, ORANGE, SKY)
CLEAR = (0.0, 0.0, 0.0, 0.0)
IDENTICAL = BLUE  # "the same in all samples", on every picture

BITS_SCALE = (0.0, 24.0)  # float32: 23 stored mantissa bits and the implicit one
BITS_COLORS = "RdYlGn"
DIGITS_PER_BIT = 0.30103

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "hatch.linewidth": 0.6,
}


@dataclass(frozen=True)
class Caption:
    """What every picture of results must say about where they come from.

    `weights`: "demo weights", "official weights", ... `instrument`: in words, e.g.
    "native random rounding". `samples`: N. `confidence`: the sentence of
    `uncertainty.confidence.statement(N)`. Leave `subject` or `model` empty on pictures
    that show several.
    """

    subject: str
    model: str
    weights: str
    instrument: str
    samples: int
    confidence: str

    def lines(self, note: str = "") -> list[str]:
        """Two lines below the title: who and what; how sure."""
        model = f"{self.model} ({self.weights})" if self.weights else self.model
        who = f"sub-{self.subject.removeprefix('sub-')}" if self.subject else ""
        first = " · ".join(part for part in (who, model, self.instrument) if part)
        sure = self.confidence or f"N = {self.samples} samples"
        sure = sure.replace(">=", "≥")
        return [first, " · ".join(part for part in (note, sure) if part)]


@contextmanager
def picture(
    path: str | Path, width: float, height: float, layout: str | None = None
) -> Iterator[Figure]:
    """Yield a figure of `width` x `height` inches; save it to `path` when all is drawn.

    PNG at 150 dpi, written atomically, without the date and version stamps that would
    change its bytes from run to run. Raises `RoundoffError` for another file type.
    """
    if Path(path).suffix != ".png":
        raise RoundoffError(f"{path}: figures are PNG files; name it .png")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=DPI, layout=layout)
        FigureCanvasAgg(figure)
        yield figure
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=DPI, metadata={"Software": None})


def heading(figure: Figure, title: str, lines: list[str], left: float = 0.15) -> float:
    """Write a bold title and muted lines at the top left; returns inches used.

    `left`: distance from the left edge in inches.
    """
    width, height = figure.get_size_inches()
    x, y = left / width, 0.14
    style = {"ha": "left", "va": "top"}
    figure.text(x, 1 - y / height, title, size=13, weight="bold", **style)
    y += 0.29
    for line in filter(None, lines):
        figure.text(x, 1 - y / height, line, size=9, color=MUTED, **style)
        y += 0.19
    return y + 0.06


def every(samples: int) -> str:
    """ "both" for two samples, else "all 10"."""
    return "both" if samples == 2 else f"all {samples}"


def bits_colormap(name: str = BITS_COLORS) -> Colormap:
    """The colour map of bits, fully transparent where there is no number."""
    return matplotlib.colormaps[name].with_extremes(bad=CLEAR)


def bits_axis(axis, label: str = "significant bits", horizontal: bool = True) -> None:
    """Fix an axis to the scale of bits, ticks every four, decimal digits opposite."""
    low, high = BITS_SCALE
    ticks = range(int(low), int(high) + 1, 4)
    digits = (
        lambda bits: bits * DIGITS_PER_BIT,
        lambda decimals: decimals / DIGITS_PER_BIT,
    )
    if horizontal:
        axis.set_xlim(low, high)
        axis.set_xticks(ticks)
        axis.set_xlabel(label)
        second = axis.secondary_xaxis("top", functions=digits)
        second.set_xlabel("decimal digits", color=MUTED, size=8)
    else:
        axis.set_ylim(low, high)
        axis.set_yticks(ticks)
        axis.set_ylabel(label)
        second = axis.secondary_yaxis("right", functions=digits)
        second.set_ylabel("decimal digits", color=MUTED, size=8)
    second.tick_params(labelsize=8, labelcolor=MUTED)
    second.spines[:].set_visible(False)
