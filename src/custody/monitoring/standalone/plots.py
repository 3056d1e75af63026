"""Plots of one column, the reference beside the current rows, as small SVG: shares per bin and cumulated, or per level."""

from collections.abc import Sequence
from html import escape
from math import floor, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custody.core.measures.spec import Kind
from custody.core.measures.summary import ColumnSummary, bucket_ends
from custody.monitoring.report import percent

Floats = NDArray[np.float64]
WIDTH, LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 330, 36, 308, 8, 178, 196
BINS, POINTS, LEVELS, TAIL = 40, 48, 8, 0.005
BAR, NAME = 19, 110
STYLE = (
    ".cd-plot{width:100%;max-width:330px;height:auto;font:10px system-ui,sans-serif;color-scheme:inherit}"
    ".cd-plot text{fill:light-dark(#5b6673,#97a3b2)}.cd-plot .g{stroke:light-dark(#e3e7ec,#272e38);fill:none}"
    ".cd-plot .r{fill:light-dark(#8a94a3,#7d8896);fill-opacity:.38}.cd-plot .c{fill:light-dark(#2456c7,#7aa2ff)}"
    ".cd-plot .rl,.cd-plot .cl{fill:none;stroke:light-dark(#8a94a3,#7d8896);stroke-width:1.5}"
    ".cd-plot .cl{stroke:light-dark(#2456c7,#7aa2ff)}"
)


class Plot(str):
    """An SVG text that a notebook shows as a picture."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return f"<style>{STYLE}</style>{self}"


def plot(reference: ColumnSummary, current: ColumnSummary) -> Plot:
    """Draw a column of both sides: a number's shares per bin and cumulated share, a category's share per level.

    Bins leave out the outer half percent on each side, so that a few far values do not hide the others.
    """
    if reference.spec.kind is Kind.CATEGORY:
        return Plot(_levels(reference, current))
    return Plot(_histogram(reference, current) + _cumulated(reference, current))


def _cumulated_at(column: ColumnSummary, places: Floats) -> Floats:
    """Return the share of rows at or below each place, as if a bucket's rows lay evenly in it."""
    if not column.keys.size:
        return np.zeros(places.shape)
    ends = np.clip(np.stack(bucket_ends(column.spec, column.keys), axis=1).ravel(), -1e300, 1e300)
    after = np.cumsum(column.counts)
    shares = np.stack([after - column.counts, after], axis=1).ravel() / column.rows
    return np.interp(places, ends, shares, left=0.0)


def _range(columns: Sequence[ColumnSummary]) -> tuple[float, float]:
    ends = [column.quantile(q) for column in columns for q in (TAIL, 1 - TAIL)]
    known = [min(max(end, -1e300), 1e300) for end in ends if end is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    room = 0.03 * (high - low) or max(abs(low) / 100, 1e-9)
    return low - room, high + room


def nice(raw: float) -> float:
    """Round a positive number up to 1, 2 or 5 times a power of ten.

    >>> nice(0.13), nice(21.0)
    (0.2, 50.0)
    """
    power = 10.0 ** floor(log10(raw))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))


def _svg(height: int, label: str, body: str) -> str:
    head = f'<svg class="cd-plot" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">'
    return f"{head}{body}</svg>"


def _across(low: float, high: float) -> str:
    """Draw the axis below a plot, with a few round values."""
    step = nice((high - low) / 4)
    marks = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    places = LEFT + (marks - low) / (high - low) * (RIGHT - LEFT)
    texts = (
        f'<text x="{x:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{_said(m)}</text>' for m, x in zip(marks, places, strict=True)
    )
    return f'<path class="g" d="M{LEFT} {BOTTOM}H{RIGHT}"/>{"".join(texts)}'


def _said(value: float) -> str:
    return f"{value + 0.0:.12g}" if 1e-4 <= abs(value) < 1e11 or abs(value) < 1e-12 else f"{value:.4g}"


def _up(text: str, y: int = TOP + 8) -> str:
    return f'<text x="{LEFT - 4}" y="{y}" text-anchor="end">{text}</text>'


def _steps(shares: Floats, most: float) -> str:
    """Write a staircase over equal bins as a path from the axis up and back to it."""
    x = _pixels(LEFT + (RIGHT - LEFT) / len(shares) * np.arange(1, len(shares) + 1))
    y = _pixels(BOTTOM - shares / most * (BOTTOM - TOP))
    return f"M{LEFT} {BOTTOM}" + "".join(f"V{b}H{a}" for a, b in zip(x, y, strict=True)) + f"V{BOTTOM}"


def _pixels(places: NDArray[Any]) -> list[int]:
    found: list[int] = np.rint(places).astype(np.int64).tolist()
    return found


def _histogram(reference: ColumnSummary, current: ColumnSummary) -> str:
    low, high = _range((reference, current))
    step = nice((high - low) / BINS)
    start = (floor(low / step) - 0.7863) * step  # so that no round value lies on a bin's edge
    edges: Floats = start + step * np.arange(floor((high - start) / step) + 2, dtype=np.float64)
    before, now = (np.diff(_cumulated_at(column, edges)) for column in (reference, current))
    most = float(max(before.max(), now.max())) or 1.0
    paths = f'<path class="r" d="{_steps(before, most)}Z"/><path class="cl" d="{_steps(now, most)}"/>'
    axes = _across(float(edges[0]), float(edges[-1])) + _up(f"{100 * most:.{0 if most > 0.095 else 1}f} %")
    return _svg(HEIGHT, f"Shares of {reference.spec.column} per bin, reference and current", axes + paths)


def _cumulated(reference: ColumnSummary, current: ColumnSummary) -> str:
    low, high = _range((reference, current))
    places, x = np.linspace(low, high, POINTS), _pixels(np.linspace(LEFT, RIGHT, POINTS))
    lines = []
    for hue, column in (("rl", reference), ("cl", current)):
        y = _pixels(BOTTOM - _cumulated_at(column, places) * (BOTTOM - TOP))
        lines.append(f'<path class="{hue}" d="M{" ".join(f"{a} {b}" for a, b in zip(x, y, strict=True))}"/>')
    label = f"Cumulated shares of {reference.spec.column}, reference and current"
    return _svg(HEIGHT, label, _across(low, high) + _up("100 %") + _up("0", BOTTOM) + "".join(lines))


def level_shares(column: ColumnSummary) -> dict[str, float]:
    """Return the shares of a category's levels, 0..1 of all rows; `other` and `never seen before` in the end."""
    names = (*column.spec.levels, "(other)", "(never seen before)")
    found = dict.fromkeys(range(len(names)), 0.0) | dict(
        zip(column.keys.tolist(), (column.counts / max(column.rows, 1)).tolist(), strict=True)
    )
    return {names[place]: found[place] for place in range(len(names)) if place < len(names) - 2 or found[place]}


def _levels(reference: ColumnSummary, current: ColumnSummary) -> str:
    before, now = level_shares(reference), level_shares(current)
    names = sorted({**before, **now}, key=lambda name: -max(before.get(name, 0.0), now.get(name, 0.0)))[:LEVELS]
    most = max((max(before.get(name, 0.0), now.get(name, 0.0)) for name in names), default=0.0) or 1.0
    bars = "".join(_level(place, name, (before.get(name, 0.0), now.get(name, 0.0)), most) for place, name in enumerate(names))
    return _svg(BAR * max(len(names), 1) + 4, f"Shares of {reference.spec.column} per level, reference and current", bars)


def _level(place: int, name: str, shares: tuple[float, float], most: float) -> str:
    y, room = BAR * place + 3, 130
    widths = [share / most * room for share in shares]
    short = name if len(name) <= 18 else name[:17] + "\N{HORIZONTAL ELLIPSIS}"
    return (
        f'<text x="{NAME - 4}" y="{y + 11}" text-anchor="end">{escape(short)}</text>'
        f'<path class="r" d="M{NAME} {y}h{widths[0]:.0f}v7h-{widths[0]:.0f}z"/>'
        f'<path class="c" d="M{NAME} {y + 7}h{widths[1]:.0f}v7h-{widths[1]:.0f}z"/>'
        f'<text x="{NAME + max(widths) + 5:.0f}" y="{y + 11}">{percent(shares[0], shares[1])} \N{RIGHTWARDS ARROW} '
        f"{percent(shares[1], shares[0])}</text>"
    )
