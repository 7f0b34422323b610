"""Is the text of a figure legible: on the page, and not over other text?"""

from itertools import combinations

import pytest
from matplotlib.axes._base import _AxesBase
from matplotlib.legend import Legend

from roundoff.figures import style


def drawn_texts(figure):
    """(text, bounding box) of all text on the page, ticks outside an axis left out."""
    found = list(figure.texts)
    for one in figure.findobj(_AxesBase):
        found += [*one.texts, one.title, one.xaxis.label, one.yaxis.label]
        for axis, place in ((one.xaxis, 0), (one.yaxis, 1)):
            low, high = sorted(axis.get_view_interval())
            ticks = axis.get_ticklabels()
            found += [t for t in ticks if low <= t.get_position()[place] <= high]
    for legend in figure.findobj(Legend):
        found += legend.get_texts()
    renderer = figure.canvas.get_renderer()
    shown = [t for t in found if t.get_visible() and t.get_text().strip()]
    return [(t.get_text(), t.get_window_extent(renderer)) for t in shown]


@pytest.fixture
def legible(monkeypatch):
    """Call with a drawing function; fails on text off the page or over other text."""
    figures, heading = [], style.heading

    def spy(figure, *arguments, **options):
        figures.append(figure)
        return heading(figure, *arguments, **options)

    monkeypatch.setattr(style, "heading", spy)

    def check(draw):
        figures.clear()
        draw()
        (figure,) = figures
        boxes = drawn_texts(figure)
        assert len(boxes) > 5
        for text, box in boxes:
            inside = (box.min >= figure.bbox.min) & (box.max <= figure.bbox.max)
            assert inside.all(), f"{text!r} leaves the page"
        for (text, box), (other, near) in combinations(boxes, 2):
            assert not box.overlaps(near), f"{text!r} and {other!r} overlap"

    return check
