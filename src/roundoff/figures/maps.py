"""Maps over the anatomy: bits, entropy, labels, in three orthogonal planes.

Upper row: the scan alone, with lines where the other planes cut. Lower row: the same
cuts with the map. A voxel without a number is transparent, never zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from roundoff.errors import RoundoffError
from roundoff.figures import style
from roundoff.figures.planes import (
    PLANES,
    Convention,
    Frame,
    Plane,
    busiest,
    check_grid,
    frame,
    to_ras,
)
from roundoff.figures.style import Caption

IDENTICAL_STATE = 4  # roundoff.uncertainty.significant_bits.State.IDENTICAL
WIDTH, EDGE, GAP = 10.6, 0.15, 0.06  # inches
BAR_SIDE, LEGEND_SIDE = 1.35, 1.85  # strip at the right for the key


@dataclass(frozen=True)
class View:
    """Which planes are shown: see `planes.frame`. Passed on by every map function.

    `focus`: bool volume the cuts go through (majority label > 0, say). `cuts`: world
    coordinates in mm instead. `convention`: which side of the picture is left.
    """

    focus: NDArray | None = None
    cuts: tuple[float, float, float] | None = None
    convention: Convention = "neurological"


def bits_map(
    path: str | Path,
    bits: NDArray,
    anatomy: NDArray,
    affine: NDArray,
    caption: Caption,
    *,
    state: NDArray | None = None,
    what: str = "the output",
    estimator: str = "General",
    bound: float = 23.0,
    scale: tuple[float, float] = style.BITS_SCALE,
    colors: str = style.BITS_COLORS,
    view: View | None = None,
) -> None:
    """Draw significant bits over the scan they were computed from.

    `bits` float (X, Y, Z), NaN where masked or undefined. `anatomy` (X, Y, Z) on the
    same grid, `affine` (4, 4) of both. `state` (X, Y, Z) of `State`: voxels identical
    in all samples are painted in their own colour and explained as "at least `bound`
    bits" (`uncertainty.significant_bits.identical_bound`). `what`: the output measured,
    in words. `scale` is fixed so that pictures can be compared; `colors` a matplotlib
    colour map ("cividis" for readers who cannot tell red from green).
    """
    check_grid("bits", bits, anatomy)
    layers = [_Layer(bits, style.bits_colormap(colors), Normalize(*scale, clip=True))]
    keys = []
    if state is not None:
        check_grid("state", state, anatomy)
        same = np.where(state == IDENTICAL_STATE, 1.0, np.nan)
        if np.isfinite(same).any():
            layers.append(_flat(same, style.IDENTICAL))
            text = f"identical in {style.every(caption.samples)} samples"
            keys.append((style.IDENTICAL, f"{text}: at least {bound:.4g} bits"))
    keys.append((None, "not coloured: masked or undefined (no number, not zero)"))
    title = f"Significant bits of {what}"
    lines = caption.lines(f"{estimator} estimator")
    with _Page(path, anatomy, affine, view, title, lines, keys) as page:
        page.draw(layers)
        page.bar(layers[0], "significant bits", range(int(scale[0]), 25, 4), True)


def entropy_map(
    path: str | Path,
    entropy: NDArray,
    anatomy: NDArray,
    affine: NDArray,
    caption: Caption,
    *,
    view: View | None = None,
) -> None:
    """Draw label entropy (X, Y, Z), natural logarithm, over the scan.

    The scale is 0 to ln N, the largest entropy N samples can have. Voxels where all
    samples agree (entropy 0) are left transparent and said so. Unless `view.cuts` says
    otherwise, the planes are those with the most disagreement.
    """
    check_grid("entropy", entropy, anatomy)
    top = float(np.log(caption.samples))
    shown = np.where(entropy > 0, entropy, np.nan)
    # The dark end of plasma would vanish in the scan, and low entropy is the rule.
    bright = matplotlib.colormaps["plasma"](np.linspace(0.4, 1, 256))
    colormap = ListedColormap(bright).with_extremes(bad=style.CLEAR)
    layer = _Layer(shown, colormap, Normalize(0, top, clip=True))
    agree = f"{style.every(caption.samples)} samples give one label"
    keys = [(None, f"not coloured: {agree}")]
    if not (entropy > 0).any():
        keys = [(None, f"{agree} in every voxel: nothing to colour")]
    view = view or View()
    if view.cuts is None:
        view = replace(view, cuts=busiest(entropy, affine))
    lines = caption.lines("natural logarithm")
    title = "Disagreement of labels (entropy)"
    with _Page(path, anatomy, affine, view, title, lines, keys, dim=0.55) as page:
        page.draw([layer])
        ticks = [0, 0.5, 1, 1.5, 2, 2.5, 3][: int(top / 0.5) + 1]
        page.bar(layer, f"entropy (at most ln {caption.samples} = {top:.2f})", ticks)


def label_map(
    path: str | Path,
    labels: NDArray,
    anatomy: NDArray,
    affine: NDArray,
    caption: Caption,
    *,
    names: Mapping[int, str],
    colors: Mapping[int, str],
    title: str = "Majority vote of the labels",
    view: View | None = None,
) -> None:
    """Draw a label map (integers (X, Y, Z), 0 = background) over the scan.

    `names`, `colors` ("#rrggbb"): by label value. A label without colour is drawn grey
    and listed; the legend names what these cuts show, one line for a left-right pair.
    """
    check_grid("labels", labels, anatomy)
    if not np.issubdtype(labels.dtype, np.integer):
        raise RoundoffError(f"labels: dtype {labels.dtype}, expected integers")
    values = np.unique(labels[labels != 0])
    table = ListedColormap([colors.get(int(v), "#999999") for v in values] or ["k"])
    table = table.with_extremes(bad=style.CLEAR)
    index = np.full(labels.shape, np.nan)
    index[labels != 0] = np.searchsorted(values, labels[labels != 0])
    layer = _Layer(index, table, Normalize(-0.5, max(len(values), 1) - 0.5), 0.75)
    page = _Page(
        path, anatomy, affine, view, title, caption.lines(), [], side=LEGEND_SIDE
    )
    with page:
        page.draw([layer])
        seen = page.visible(labels)
        page.legend(_label_keys([int(v) for v in values if v in seen], names, colors))


@dataclass(frozen=True)
class _Layer:
    values: NDArray  # NaN is transparent
    colormap: matplotlib.colors.Colormap
    norm: Normalize
    alpha: float = 1.0


def _flat(values: NDArray, color: str) -> _Layer:
    table = ListedColormap([color]).with_extremes(bad=style.CLEAR)
    return _Layer(values, table, Normalize(0, 2))


class _Page:
    """Two rows of three cuts at one scale, with a strip at the right for the key."""

    def __init__(
        self,
        path: str | Path,
        anatomy: NDArray,
        affine: NDArray,
        view: View | None,
        title: str,
        lines: list[str],
        keys: Sequence[tuple[str | None, str]],
        side: float = BAR_SIDE,
        dim: float = 1.0,
    ) -> None:
        view = view or View()
        self.side, self.dim = side, dim
        self.affine = affine
        self.frame: Frame = frame(
            anatomy, affine, view.focus, view.cuts, view.convention
        )
        self.anatomy = to_ras(np.asarray(anatomy, np.float32), affine)
        self.white = _white(anatomy, view.focus)
        extents = [self.frame.extent(plane) for plane in PLANES]
        across = sum(width for width, _ in extents)
        room = WIDTH - 2 * EDGE - side - 2 * GAP
        self.inches = room / across  # per mm, the same in all cuts
        self.row = max(height for _, height in extents) * self.inches
        self.top = 0.14 + 0.29 + 0.19 * len([x for x in lines if x]) + 0.1
        self.height = self.top + 2 * self.row + GAP + 0.52
        self.title, self.lines, self.keys = title, lines, keys
        self._open = style.picture(path, WIDTH, self.height)

    def __enter__(self) -> "_Page":
        self.figure: Figure = self._open.__enter__()
        style.heading(self.figure, self.title, self.lines)
        self.rows = [[self._axes(r, p) for p in range(3)] for r in range(2)]
        return self

    def __exit__(self, *error: object) -> bool | None:
        if error[0] is None:
            self._footer()
        return self._open.__exit__(*error)

    def draw(self, layers: Sequence[_Layer]) -> None:
        """The scan above; the scan with the layers on it below."""
        turned = [to_ras(layer.values, self.affine) for layer in layers]
        for plane, above, below in zip(PLANES, *self.rows, strict=True):
            self._scan(above, plane)
            self._scan(below, plane, self.dim)
            self._marks(above, plane)
            self._sides(below, plane)
            for layer, values in zip(layers, turned, strict=True):
                below.imshow(
                    np.ma.masked_invalid(self.frame.slice(values, plane)),
                    cmap=layer.colormap,
                    norm=layer.norm,
                    alpha=layer.alpha,
                    origin="lower",
                    aspect="auto",
                    interpolation="nearest",
                )

    def bar(
        self, layer: _Layer, label: str, ticks: Sequence[float], digits: bool = False
    ) -> None:
        """A colour bar beside the lower row; with decimal digits on its left."""
        bottom = 0.52 + 0.08 * self.row
        axes = self._place(WIDTH - self.side + 0.42, bottom, 0.17, 0.84 * self.row)
        scale = matplotlib.cm.ScalarMappable(layer.norm, layer.colormap)
        bar = self.figure.colorbar(scale, cax=axes, ticks=list(ticks))
        bar.set_label(label, size=9)
        bar.outline.set_linewidth(0.6)
        if not digits:
            return
        low, high = layer.norm.vmin, layer.norm.vmax
        for whole in range(0, int(high * style.DIGITS_PER_BIT) + 1):
            bits = whole / style.DIGITS_PER_BIT
            if low <= bits <= high:
                at = {"xycoords": ("axes fraction", "data"), "va": "center"}
                axes.annotate(
                    f"{whole} -",
                    (-0.05, bits),
                    ha="right",
                    size=8,
                    color=style.MUTED,
                    **at,
                )
        axes.annotate(
            "decimal digits",
            (-1.9, 0.5),
            xycoords="axes fraction",
            rotation=90,
            va="center",
            ha="center",
            size=8,
            color=style.MUTED,
        )

    def visible(self, labels: NDArray) -> set[int]:
        """Values that occur in the cuts shown."""
        turned = to_ras(labels, self.affine)
        cuts = [np.unique(self.frame.slice(turned, plane)) for plane in PLANES]
        return {int(v) for v in np.concatenate(cuts)}

    def legend(self, keys: Sequence[tuple[str, str]]) -> None:
        """Patches in the strip at the right, over both rows; as many as fit."""
        size = 8 if len(keys) * _line(8) <= 2 * self.row else 6.5
        room = int(2 * self.row / _line(size))
        handles = [Patch(color=color, label=text) for color, text in keys]
        if len(keys) > room:
            text = f"and {len(keys) - room + 1} more"
            handles[room - 1 :] = [Patch(color="none", label=text)]
        self.figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=((WIDTH - self.side) / WIDTH, 1 - self.top / self.height),
            fontsize=size,
            handlelength=0.9,
            handletextpad=0.4,
            labelspacing=0.35,
            borderpad=0,
            borderaxespad=0,
        )

    def _axes(self, row: int, column: int) -> Axes:
        extents = [self.frame.extent(plane) for plane in PLANES]
        left = EDGE + sum(w * self.inches + GAP for w, _ in extents[:column])
        bottom = 0.52 + (1 - row) * (self.row + GAP)
        return self._place(left, bottom, extents[column][0] * self.inches, self.row)

    def _place(self, left: float, bottom: float, width: float, height: float) -> Axes:
        box = (left / WIDTH, bottom / self.height, width / WIDTH, height / self.height)
        return self.figure.add_axes(box)

    def _scan(self, axes: Axes, plane: Plane, light: float = 1.0) -> None:
        image = self.frame.slice(self.anatomy, plane)
        axes.set_facecolor("black")
        axes.imshow(
            image,
            cmap="gray",
            vmin=0,
            vmax=self.white / light,
            origin="lower",
            aspect="auto",
            interpolation="bilinear",
        )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        # A cut lower than the row keeps its scale: air above and below.
        rows = image.shape[0]
        full = self.row / (self.frame.extent(plane)[1] * self.inches) * rows
        pad = (full - rows) / 2
        axes.set_ylim(-0.5 - pad, rows - 0.5 + pad)

    def _marks(self, axes: Axes, plane: Plane) -> None:
        rows, columns = self.frame.slice(self.anatomy, plane).shape
        line = {"color": style.SKY, "linewidth": 0.6, "alpha": 0.8}
        axes.axvline(self.frame.place(plane, plane.across) * columns - 0.5, **line)
        axes.axhline(self.frame.place(plane, plane.up) * rows - 0.5, **line)
        text = f"{plane.name}  {self.frame.position(plane)}"
        axes.text(0.03, 0.97, text, color="white", size=8.5, **_corner(axes, "top"))

    def _sides(self, axes: Axes, plane: Plane) -> None:
        left, right, bottom, top = self.frame.sides(plane)
        places = ((left, 0.03, 0.5), (right, 0.97, 0.5), (bottom, 0.5, 0.04))
        for letter, x, y in (*places, (top, 0.5, 0.96)):
            axes.text(
                x,
                y,
                letter,
                transform=axes.transAxes,
                color="white",
                size=10,
                weight="bold",
                ha="center",
                va="center",
                path_effects=[withStroke(linewidth=2, foreground="black")],
            )

    def _footer(self) -> None:
        side = {"neurological": "left", "radiological": "right"}
        convention = self.frame.convention
        text = (
            f"{convention.capitalize()} convention: the subject's left is on the "
            f"{side[convention]}. Lines: where the other planes cut."
        )
        self.figure.text(
            EDGE / WIDTH, 0.09 / self.height, text, size=8, color=style.MUTED
        )
        handles = [_key(color, label) for color, label in self.keys]
        if handles:
            self.figure.legend(
                handles=handles,
                loc="lower left",
                ncols=len(handles),
                bbox_to_anchor=(EDGE / WIDTH, 0.23 / self.height),
                handlelength=1.1,
                handleheight=0.9,
                columnspacing=1.8,
                borderpad=0,
                borderaxespad=0,
            )


def _key(color: str | None, label: str) -> Patch:
    face = to_rgba("#bbbbbb", 0.35) if color is None else color
    return Patch(facecolor=face, edgecolor=style.MUTED, linewidth=0.5, label=label)


def _corner(axes: Axes, where: str) -> dict[str, object]:
    return {"transform": axes.transAxes, "ha": "left", "va": where}


def _label_keys(
    values: Sequence[int], names: Mapping[int, str], colors: Mapping[int, str]
) -> list[tuple[str, str]]:
    """Colour and text of legend entries; both sides of one structure are one entry."""
    keys: dict[str, dict[str, str]] = {}  # structure: colour to full name
    for value in values:
        full = name = names.get(value, f"label {value}")
        for side in ("Left-", "Right-", "ctx-lh-", "ctx-rh-", "lh-", "rh-"):
            name = name.removeprefix(side)
        color = colors.get(value, "#999999")
        known = keys.setdefault(name, {})
        if not any(_close(color, other) for other in known):
            known[color] = full
    return [
        (color, (full if len(found) > 1 else name).replace("-", " "))
        for name, found in keys.items()
        for color, full in found.items()
    ]


def _white(anatomy: NDArray, focus: NDArray | None) -> float:
    """The intensity drawn white: that of the brain where it is known, not of fat."""
    inside = np.isfinite(anatomy) & (anatomy > 0)
    if not inside.any():
        return 1.0
    top = float(np.percentile(anatomy[inside], 99.3))
    if focus is not None and (inside & focus).any():
        top = min(top, 1.2 * float(np.percentile(anatomy[inside & focus], 98)))
    return top


def _line(points: float) -> float:
    """Height of one legend line in inches."""
    return 1.55 * points / 72


def _close(first: str, second: str) -> bool:
    distance = np.abs(np.subtract(to_rgba(first), to_rgba(second))).sum()
    return bool(distance < 0.15)
