"""Pictures of the study of ReLU'(0): volume, zeros, surprise, learning."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.ticker import PercentFormatter

from roundoff.figures import style

COLORS = {
    "float16": style.RED,
    "bfloat16": style.ORANGE,
    "float32": style.BLUE,
    "float64": style.BLACK,
}
AXES = {"layers": "hidden layers", "width": "neurons per layer", "batch": "batch size"}
TOP = 0.55  # inches between the heading and the axes, for their titles


def volume(path: str | Path, table: pd.DataFrame, lines: Sequence[str]) -> None:
    """Draw the share of draws in the bifurcation zone along each axis.

    `table`: `tables.probabilities`; published counts are the open markers.
    """
    axes_names = [name for name in AXES if name in set(table["axis"])]
    with style.picture(path, 10, 4.6) as figure:
        title = "Share of initialisations where s = 0 and s = 1 give other gradients"
        top = style.heading(figure, title, list(lines))
        all_axes = figure.subplots(1, len(axes_names), sharey=True, squeeze=False)[0]
        for axes, name in zip(all_axes, axes_names, strict=True):
            _volume_axis(axes, table[table["axis"] == name])
            axes.set_xlabel(AXES[name])
        all_axes[0].set_ylabel("probability (95 % interval)")
        all_axes[0].set_ylim(-0.03, 1.05)
        handles, labels = all_axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=len(labels))
        figure.subplots_adjust(
            left=0.07,
            right=0.985,
            bottom=0.235,
            top=1 - (top + 0.12) / 4.6,
            wspace=0.08,
        )


def _volume_axis(axes: Axes, table: pd.DataFrame) -> None:
    values = sorted(table["value"].unique())
    place = {value: index for index, value in enumerate(values)}
    for shift, (precision, color) in enumerate(COLORS.items()):
        part = table[table["precision"] == precision]
        if part.empty:
            continue
        x = np.array([place[v] for v in part["value"]]) + 0.07 * (shift - 1.5)
        spread = [part["probability"] - part["low"], part["high"] - part["probability"]]
        axes.errorbar(
            x, part["probability"], spread, color=color, marker="o", ms=4, lw=1.2,
            capsize=2, label=precision,
        )  # fmt: skip
        known = part["published_count"].notna().to_numpy()
        share = (part["published_count"] / part["published_draws"]).astype(float)
        axes.plot(
            x[known], share[known], color=color, marker="D", ms=6, mfc="none", ls="",
            label=f"{precision}, published" if known.any() else None,
        )  # fmt: skip
    axes.set_xticks(range(len(values)), [str(v) for v in values])
    axes.grid(axis="y")


def zero_shares(path: str | Path, table: pd.DataFrame, lines: Sequence[str]) -> None:
    """Draw exact zeros per ReLU input by layer, ordinary and random rounding.

    `table`: `tables.zero_shares`. A layer without a zero is drawn at the bottom edge
    as an open triangle: fewer than one in all inputs seen.
    """
    layers = sorted(table["layer"].unique())
    with style.picture(path, 7.6, 4.4) as figure:
        top = style.heading(figure, "Exact zeros among ReLU inputs", list(lines))
        axes = figure.add_axes((0.1, 0.25, 0.87, 0.75 - (top + 0.12) / 4.4))
        for shift, (precision, color) in enumerate(COLORS.items()):
            part = table[table["precision"] == precision].set_index("layer")
            if part.empty:
                continue
            x = np.array(layers) + 0.06 * (shift - 1.5)
            for column, marker, fill in (
                ("share", "o", color), ("rounded_share", "s", "none"),
            ):  # fmt: skip
                share = part[column].reindex(layers)
                limit = 1 / part["inputs"].reindex(layers)
                found = (share > 0).to_numpy()
                words = "ordinary" if column == "share" else "random"
                axes.plot(
                    x[found], share[found], color=color, marker=marker, mfc=fill, ls="",
                    label=f"{precision}, {words}" if found.any() else None,
                )  # fmt: skip
                axes.plot(
                    x[~found], limit[~found], color=color, marker="v", mfc="none", ls=""
                )
        axes.set_yscale("log")
        axes.set_xticks(layers)
        axes.set_xlabel("hidden layer")
        axes.set_ylabel("zeros per ReLU input")
        axes.grid(axis="y")
        figure.legend(loc="lower center", ncols=4)


def rounding(
    path: str | Path,
    shares: pd.DataFrame,
    probabilities: pd.DataFrame,
    lines: Sequence[str],
) -> None:
    """Draw what random rounding does to zeros and to the probability.

    `shares`: `tables.zero_shares`; `probabilities`: `tables.rounding_probabilities`.
    """
    order = [p for p in COLORS if p in set(probabilities["precision"])]
    with style.picture(path, 9, 4.4) as figure:
        title = "Exact zeros under random rounding"
        top = style.heading(figure, title, list(lines))
        left, right = figure.subplots(1, 2)
        _zero_bars(left, shares, order)
        _rounding_points(right, probabilities, order)
        figure.subplots_adjust(
            left=0.08, right=0.985, bottom=0.17, top=1 - (top + 0.35) / 4.4, wspace=0.2
        )


def _zero_bars(axes: Axes, shares: pd.DataFrame, order: list[str]) -> None:
    counts = shares.groupby("precision")[["zeros", "rounded_zeros", "kept"]].sum()
    counts = counts.reindex(order)
    parts = {
        "zero in both": (counts["kept"], style.BLUE),
        "destroyed": (counts["zeros"] - counts["kept"], style.RED),
        "created": (counts["rounded_zeros"] - counts["kept"], style.GREEN),
    }
    x = np.arange(len(order))
    for index, (label, (values, color)) in enumerate(parts.items()):
        bars = axes.bar(x + 0.27 * (index - 1), values, 0.25, color=color, label=label)
        axes.bar_label(bars, size=8)
    axes.set_xticks(x, order)
    axes.set_ylabel("ReLU inputs, over all draws")
    axes.set_title("which zeros stay")
    axes.margins(y=0.12)
    axes.legend()


def _rounding_points(axes: Axes, table: pd.DataFrame, order: list[str]) -> None:
    for shift, (rounding_name, color, marker) in enumerate(
        (("ieee", style.BLACK, "o"), ("random", style.PINK, "s"))
    ):
        part = table[table["rounding"] == rounding_name].set_index("precision")
        part = part.reindex(order)
        spread = [part["probability"] - part["low"], part["high"] - part["probability"]]
        words = "ordinary" if rounding_name == "ieee" else "random"
        axes.errorbar(
            np.arange(len(order)) + 0.16 * (shift - 0.5), part["probability"], spread,
            color=color, marker=marker, ls="", capsize=3, label=f"{words} rounding",
        )  # fmt: skip
    images = table.drop_duplicates("precision").set_index("precision")["images"]
    names = [f"{p}\n{images[p]:,}\nimages" for p in order]
    axes.set_xticks(range(len(order)), names)
    axes.set_xlim(-0.5, len(order) - 0.5)
    axes.set_ylim(-0.03, 1.05)
    axes.set_ylabel("probability (95 % interval)")
    axes.set_title("gradients of s = 0 and s = 1 differ")
    axes.grid(axis="y")
    axes.legend(loc="best")


def surprise(path: str | Path, table: pd.DataFrame, lines: Sequence[str]) -> None:
    """Draw weight distances and the smallest preactivation along training.

    `table`: `surprise.surprise_table` of one or more precisions; the first
    initialisation of each is drawn.
    """
    table = table[table["seed_number"] == table["seed_number"].min()]
    precisions = list(dict.fromkeys(table["precision"]))
    with style.picture(path, 10, 5.8) as figure:
        title = "Copies of one network that differ in ReLU'(0) alone"
        top = style.heading(figure, title, list(lines))
        grid = figure.subplots(
            2, len(precisions), sharex=True, sharey="row", squeeze=False
        )
        for column, precision in enumerate(precisions):
            part = table[table["precision"] == precision]
            _distances(grid[0, column], part)
            _smallest(grid[1, column], part)
            grid[0, column].set_title(precision)
            grid[1, column].set_xlabel("iteration")
        grid[0, 0].set_ylabel("L1 distance of all weights")
        grid[1, 0].set_ylabel("smallest |ReLU input|,\nfirst layer")
        grid[0, 0].legend(loc="lower right")
        figure.subplots_adjust(
            left=0.085, right=0.985, bottom=0.085, top=1 - (top + 0.3) / 5.8,
            wspace=0.06, hspace=0.12,
        )  # fmt: skip


def _distances(axes: Axes, part: pd.DataFrame) -> None:
    series = {
        "distance_s0_s1": ("s = 1 and s = 0", style.RED),
        "distance_s0_reversed": ("s = 0, batch in reverse", style.SKY),
    }
    for name, (label, color) in series.items():
        values = part[name].where(part[name] > 0)
        axes.plot(part["iteration"], values, color=color, label=label)
    axes.set_yscale("log")
    axes.grid(axis="y")
    words = _sameness(part)
    axes.text(0.02, 0.5, words, transform=axes.transAxes, va="top", size=8.5)


def _sameness(part: pd.DataFrame) -> str:
    last = part["distance_s0_s0"].max()
    again = "exactly 0 throughout" if last == 0 else f"up to {last:.3g}"
    apart = part.loc[part["distance_s0_s1"] > 0, "iteration"]
    found = f"from iteration {apart.iloc[0]}" if len(apart) else "never"
    return f"s = 0 and s = 0 again: {again}\ns = 1 and s = 0 apart: {found}"


def _smallest(axes: Axes, part: pd.DataFrame) -> None:
    values = part["smallest"].where(part["smallest"] > 0)
    axes.plot(part["iteration"], values, color=style.MUTED, lw=0.8)
    exact = part[part["zeros"] > 0]
    transform = axes.get_xaxis_transform()
    axes.plot(
        exact["iteration"], np.full(len(exact), 0.03), color=style.RED, marker="^",
        ls="", transform=transform, label="an exact zero in some layer (s = 0)",
    )  # fmt: skip
    axes.set_yscale("log")
    axes.grid(axis="y")
    axes.margins(y=0.2)
    if len(exact):
        axes.legend(loc="upper right")


def plane(path: str | Path, table: pd.DataFrame, lines: Sequence[str]) -> None:
    """Draw the sign of a ReLU input near its hyperplane, and its exact zeros.

    `table`: `plane.plane_table`, a square grid of points.
    """
    side = round(len(table) ** 0.5)
    titles = {
        "float64": "float64",
        "float32": "float32",
        "random": "random rounding",
    }
    edge = table["a"].max()
    box = (-edge, edge, -edge, edge)
    with style.picture(path, 9.6, 4.3) as figure:
        title = "The hyperplane where a ReLU switches, from close up"
        top = style.heading(figure, title, list(lines))
        all_axes = figure.subplots(1, 3, sharey=True)
        for axes, (name, words) in zip(all_axes, titles.items(), strict=True):
            values = table[name].to_numpy().reshape(side, side)
            axes.imshow(
                np.sign(values), cmap=_signs(), vmin=-1, vmax=1, extent=box,
                origin="lower", interpolation="nearest",
            )  # fmt: skip
            zero = table[table[name] == 0]
            axes.plot(zero["a"], zero["b"], "o", color=style.BLACK, ms=3)
            axes.set_title(f"{words}: {len(zero)} exact zeros", size=9)
            axes.set_xlabel("one direction of the weights")
        all_axes[0].set_ylabel("another direction")
        note = "blue: negative, the ReLU is off · orange: positive · dots: exactly zero"
        figure.text(0.5, 0.02, note, ha="center", size=8.5, color=style.MUTED)
        figure.subplots_adjust(
            left=0.075, right=0.985, bottom=0.16, top=1 - (top + 0.3) / 4.3, wspace=0.08
        )


def _signs() -> ListedColormap:
    return ListedColormap(["#bcd7ea", "#000000", "#f9dcb0"])


def learning(path: str | Path, table: pd.DataFrame, lines: Sequence[str]) -> None:
    """Draw the loss along training, and the final test accuracy against s, by network.

    `table`: rows of `learning.learning_table`; dotted: the variant that was released.
    """
    networks = list(dict.fromkeys(table["network"]))
    height = 1.2 + 2.5 * len(networks)
    with style.picture(path, 9, height) as figure:
        top = style.heading(figure, "Learning with another ReLU'(0)", list(lines))
        grid = figure.subplots(len(networks), 2, squeeze=False)
        for row, network in zip(grid, networks, strict=True):
            part = table[table["network"] == network]
            _curves(row[0], part)
            _final(row[1], part)
            rate = part["rate"].iloc[0]
            row[0].set_title(f"{network}, {part['data'].iloc[0]}, rate {rate:.2g}")
            row[1].set_title(f"last epoch; zeros in its last batch: {_zeros(part)}")
        figure.subplots_adjust(
            left=0.085, right=0.985, bottom=0.95 / height,
            top=1 - (top + 0.3) / height, wspace=0.26, hspace=0.45,
        )  # fmt: skip
        handles, labels = grid[0, 1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower right", ncols=2)


def _zeros(part: pd.DataFrame) -> str:
    share = part["zeros"].mean()
    return f"{share:.1%}" if share > 1e-3 else f"{share:.1g}"


def _curves(axes: Axes, part: pd.DataFrame) -> None:
    slopes = sorted(part["slope"].unique())
    colors = style.matplotlib.colormaps["viridis"](np.linspace(0, 0.92, len(slopes)))
    for (variant, slope), runs in part.groupby(["variant", "slope"], sort=False):
        mean = runs.groupby("epoch")["loss"].mean()
        correct = variant == "correct"
        axes.plot(
            mean.index, mean, color=colors[slopes.index(slope)], marker="o", ms=3,
            ls="-" if correct else ":", label=f"s = {slope:g}" if correct else None,
        )  # fmt: skip
    axes.set_xlabel("epoch")
    axes.set_ylabel("training loss (mean)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(axis="y")
    axes.legend(ncols=2, fontsize=7.5)


def _final(axes: Axes, part: pd.DataFrame) -> None:
    last = part[part["epoch"] == part["epoch"].max()]
    slopes = sorted(last["slope"].unique())
    place = {slope: index for index, slope in enumerate(slopes)}
    looks = {"correct": (style.BLUE, "o"), "published": (style.RED, "D")}
    for variant, runs in last.groupby("variant", sort=False):
        color, marker = looks[variant]
        x = runs["slope"].map(place)
        words = "s times the gradient" if variant == "correct" else "s alone (released)"
        axes.plot(x, runs["accuracy"], color=color, marker=marker, ls="", alpha=0.5)
        mean = runs.groupby("slope")["accuracy"].mean()
        axes.plot(mean.index.map(place), mean, color=color, lw=1, label=words)
    axes.set_xticks(range(len(slopes)), [f"{s:g}" for s in slopes])
    axes.set_xlabel("s, the derivative at zero")
    axes.set_ylabel("test accuracy")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(axis="y")
    axes.margins(y=0.12)


def first_batches(path: str | Path, table: pd.DataFrame, lines: Sequence[str]) -> None:
    """Draw, by network and precision, the first batch whose gradients differ.

    `table`: rows of `first_batch.first_batch_table`.
    """
    networks = list(dict.fromkeys(table["network"]))
    with style.picture(path, 7.6, 3.8) as figure:
        title = "First batch of CIFAR-10 whose gradients differ"
        top = style.heading(figure, title, list(lines))
        axes = figure.add_axes((0.1, 0.13, 0.87, 0.87 - (top + 0.15) / 3.8))
        present = [p for p in COLORS if p in set(table["precision"])]
        for shift, precision in enumerate(present):
            part = table[table["precision"] == precision]
            x = part["network"].map(networks.index) + 0.15 * (shift - 0.5)
            y = part["first_batch"].astype(float)
            axes.plot(
                x, y, color=COLORS[precision], marker="o", ls="", alpha=0.6,
                label=precision,
            )  # fmt: skip
        axes.set_xticks(range(len(networks)), networks)
        axes.set_ylabel("batch, counted from 0")
        axes.grid(axis="y")
        axes.legend()
