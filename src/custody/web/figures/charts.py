"""Charts as plain geometry that a template draws as SVG: sparklines, lines over time with intervals, and their axes."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

WIDTH, HEIGHT = 560, 250
LEFT, RIGHT, TOP, BOTTOM = 46, 552, 14, 176
STRIP_TOP, STRIP_BOTTOM = 208, 234
HUES = 6
MOST_DOTS = 30  # a denser line is drawn without dots; its data table has the numbers
EVENT_ROOM = 100  # an event nearer to the next one than this, in pixels, loses its label
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_TIME_STEPS = (
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 5, 7, 14, 30, 60, 90, 180, 365, 730)),
)


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight map from values to pixels; a range of no length becomes one around its value."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value, to one decimal."""
        low, high = (self.low, self.high) if self.high > self.low else (self.low - 0.5, self.low + 0.5)
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 1)


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis; a minor one gives way on narrow screens."""

    at: float
    label: str
    minor: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured at a time; value None: nothing, which is drawn as a gap and never as zero."""

    at: datetime
    value: float | None
    low: float | None = None
    high: float | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """A named line; hue 1..6 picks its colour, a dashed one is an expectation and gets no dots."""

    name: str
    hue: int
    points: tuple[Point, ...]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """A part of 0..1 that holds from one time to another, for the strip below a chart."""

    start: datetime
    end: datetime
    part: float
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A measured point in pixels."""

    x: float
    y: float
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    """A series in pixels: one path per unbroken run, one closed band per run with intervals."""

    name: str
    hue: int
    dashed: bool
    paths: tuple[str, ...]
    bands: tuple[str, ...]
    dots: tuple[Dot, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the strip in pixels."""

    x: float
    y: float
    width: float
    height: float
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A whole chart in pixels; limit is a labelled horizontal line, most the share that fills the strip, events are labelled vertical ones."""

    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    bars: tuple[Bar, ...]
    most: float
    limit: Tick | None
    events: tuple[Tick, ...]
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A line of at most 30 points in a box of 90 x 22 pixels, and the height of what is expected."""

    points: str
    end: tuple[float, float]
    limit: float | None


def sparkline(values: Sequence[float], expected: float | None) -> Sparkline | None:
    """Draw the newest 30 values; the scale reaches five times the expected, so that a quiet series looks quiet."""
    kept = [value for value in values[-30:] if math.isfinite(value)]
    if not kept:
        return None
    y = Scale(0, max(*kept, 5 * (expected or 0), 1e-9), 20.5, 1.5)
    x = Scale(0, max(len(kept) - 1, 1), 1, 88)
    places = [(x(i), y(value)) for i, value in enumerate(kept)]
    return Sparkline(" ".join(f"{a},{b}" for a, b in places), places[-1], None if expected is None else y(expected))


def value_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Choose round values inside a range, 1, 2 or 5 times a power of ten apart."""
    raw = max(high - low, 1e-9) / most
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
    return [round(i * step, 10) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def time_ticks(first: datetime, last: datetime, scale: Scale, most: int = 6) -> tuple[Tick, ...]:
    """Choose round times in UTC inside a range; days read `11-23`, times of day `04:00`."""
    length = (last - first).total_seconds()
    step = next((step for step in _TIME_STEPS if length / step <= most), _TIME_STEPS[-1])
    form = "%m-%d" if step >= _DAY else "%H:%M"
    start = math.ceil(first.timestamp() / step) * step
    times = range(start, math.floor(last.timestamp()) + 1, step)
    return tuple(Tick(scale(at), datetime.fromtimestamp(at, UTC).strftime(form), minor=i % 2 == 1) for i, at in enumerate(times))


def _label(value: float, step: float) -> str:
    places = max(0, -math.floor(math.log10(step) + 1e-9)) if step < 1 else 0
    return f"{value:.{places}f}".replace("-", "\N{MINUS SIGN}")


def _value_axis(values: Sequence[float], scale: Scale) -> tuple[Tick, ...]:
    ticks = value_ticks(scale.low, scale.high)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else max(abs(values[0]), 0.01)
    return tuple(Tick(scale(value), _label(value, step)) for value in ticks)


def runs(points: Iterable[Point]) -> list[list[Point]]:
    """Split points where nothing was measured, or where far more time passed than usual between two."""
    measured = list(points)
    steps = [(b.at - a.at).total_seconds() for a, b in itertools.pairwise(measured)]
    usual = median(steps) if steps else 0.0
    found: list[list[Point]] = []
    last: datetime | None = None
    for point in measured:
        if point.value is None:
            last = None
            continue
        if last is None or (point.at - last).total_seconds() > 2.5 * usual:
            found.append([])
        found[-1].append(point)
        last = point.at
    return found


def _line(series: Series, x: Scale, y: Scale) -> Line:
    paths, bands, dots = [], [], []
    for run in runs(series.points):
        places = [(x(point.at.timestamp()), y(point.value), point.title) for point in run if point.value is not None]
        dots += [Dot(*place) for place in places] if len(series.points) <= MOST_DOTS else []
        paths.append("M" + " L".join(f"{a} {b}" for a, b, _ in places))
        known = [(x(p.at.timestamp()), y(p.low), y(p.high)) for p in run if p.low is not None and p.high is not None]
        if len(known) == 1:  # one window alone still shows how uncertain it is
            known = [(known[0][0] + side, *known[0][1:]) for side in (-5, 5)]
        if known:
            edge = [(a, top) for a, _, top in known] + [(a, low) for a, low, _ in reversed(known)]
            bands.append("M" + " L".join(f"{a} {b}" for a, b in edge) + "Z")
    return Line(series.name, series.hue, series.dashed, tuple(paths), tuple(bands), () if series.dashed else tuple(dots))


def _bar(share: Share, x: Scale, most: float, widest: float = 34) -> Bar:
    start, end = max(LEFT, x(share.start.timestamp())), min(RIGHT, x(share.end.timestamp()))
    width = min(max(end - start - 2, 3), widest)
    height = round(max(share.part / most * (STRIP_BOTTOM - STRIP_TOP), 1 if share.part > 0 else 0), 1)
    left = round((start + end - width) / 2, 1)
    return Bar(left, round(STRIP_BOTTOM - height, 1), round(width, 1), height, share.label, share.title)


def _events(events: Sequence[tuple[datetime, str]], x: Scale) -> tuple[Tick, ...]:
    places = [x(at.timestamp()) for at, _ in events]
    gaps = [b - a for a, b in itertools.pairwise(places)]
    roomy = [*(gap >= EVENT_ROOM for gap in gaps), True]
    return tuple(Tick(place, label if room else "") for place, (_, label), room in zip(places, events, roomy, strict=False))


def _range(series: Sequence[Series], limit: tuple[float, str] | None, *, from_zero: bool) -> list[float]:
    points = [point for one in series for point in one.points]
    known = [v for p in points for v in (p.value, p.low, p.high) if v is not None and math.isfinite(v)]
    known += [limit[0]] if limit else []
    if not known:
        return []
    low, high = (0.0 if from_zero else min(known)), max(known)
    room = 0.08 * (high - low) or 0.05
    bounded = min(known) >= 0 and high <= 1
    return [low if from_zero else max(low - room, 0.0 if bounded else -math.inf), min(high + room, 1.0 if bounded else math.inf)]


def chart(
    series: Sequence[Series],
    *,
    limit: tuple[float, str] | None = None,
    strip: Sequence[Share] = (),
    events: Sequence[tuple[datetime, str]] = (),
    from_zero: bool = False,
) -> Chart | None:
    """Lay series out over their common time; None if nothing was ever measured.

    limit: a value and its label, drawn across. strip: shares drawn as bars below the time axis. events: times and labels.
    """
    bounds = _range(series, limit, from_zero=from_zero)
    times = [point.at for one in series for point in one.points] + [t for s in strip for t in (s.start, s.end)]
    if not bounds or not times:
        return None
    first, last = min(times), max(times)
    if first == last:
        first, last = first - timedelta(hours=1), last + timedelta(hours=1)
    x = Scale(first.timestamp(), last.timestamp(), LEFT + 8, RIGHT - 8)
    most = max((share.part for share in strip), default=0.0) or 1.0
    y = Scale(bounds[0], bounds[1], BOTTOM, TOP)
    return Chart(
        time_ticks(first, last, x),
        _value_axis(bounds, y),
        tuple(_line(one, x, y) for one in series),
        tuple(_bar(one, x, most) for one in strip),
        most,
        Tick(y(limit[0]), limit[1]) if limit else None,
        _events([(at, label) for at, label in events if first <= at <= last], x),
        first,
        last,
    )
