"""What a drift detector compares with: the events of a reference summary, each with its tolerated band of shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, isfinite, log, log10, sqrt

import numpy as np
from numpy.typing import NDArray

from custody.core.digest import Digest, Json, digest_of_json
from custody.core.errors import InvalidInput
from custody.core.measures.spec import Kind
from custody.core.measures.summary import ColumnSummary, Summary, bucket_ends

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

BETS = np.array([0.01, 0.03, 0.08, 0.2, 0.45])
NOTICE, ALARM = 0, 1
REFERENCE_SHARE = 0.2  # of alpha, for the bands; the rest pays for the looks
CUTS = 16


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much drift is no drift, and how often a detector may be wrong.

    alpha: chance of any false alarm in the detector's whole life (the same for any false notice). notice, alarm: points of
    share that an event may leave its reference band by, 0..1. quality: the same for null, NaN, infinite and unseen values,
    and, at notice, for levels rarer than `notice`.
    """

    alpha: float = 0.05
    notice: float = 0.02
    alarm: float = 0.05
    quality: float = 0.005


@dataclass(frozen=True, slots=True)
class Event:
    """One thing a row can be: `age <= 23`, `plan = gold`, a missing value.

    cut: the highest bucket rank counted by a number's event. level: the counted place of a category. special: which other
    counter it reads (`null`, `nan`, `infinite`). Exactly one is set.
    """

    column: int
    words: str
    cut: int | None = None
    level: int | None = None
    special: str | None = None
    unseen: bool = False

    @property
    def quality(self) -> bool:
        """Tell whether this is about the data's quality, not its values."""
        return self.special is not None or self.unseen


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A reference summary as a detector uses it; made by `reference_of`.

    hits, low, high: rows and confidence band of each event, shape (e,). gain: log-likelihood ratio a hit adds, shape
    (2 levels, e, 2 sides up and down, 5 bets). starts: first event of each column, shape (k,). tolerated: shape (2, e).
    """

    summary: Summary
    tolerance: Tolerance
    events: tuple[Event, ...]
    hits: Counts
    low: Floats
    high: Floats
    tolerated: Floats
    gain: Floats
    starts: Counts
    digest: Digest

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the watched columns' names."""
        return tuple(spec.column for spec in self.summary.specs)

    @property
    def warning(self) -> str:
        """Say if the reference is too small to see drift at the notice level; empty if it is large enough."""
        width = float((self.high - self.hits / self.summary.rows).max())
        if width <= self.tolerance.notice:
            return ""
        return f"the reference has only {self.summary.rows:,} rows: a share must move by about {100 * width:.2g} points more to be seen"


def _spoken(column: ColumnSummary, rank: int) -> str:
    """Write the shortest decimal inside a bucket, not finer than a hundredth or so of the column's scale."""
    low, high = (float(end[0]) for end in bucket_ends(column.spec, np.array([rank])))
    if not isfinite(low) or not isfinite(high):
        return f"{low:.6g}"
    middle, finest = low / 2 + high / 2, 2 - floor(log10(column.spec.scale))
    rounded = [round(middle, digits) for digits in range(finest - 8, finest + 1)]
    return f"{next((value for value in rounded if low <= value <= high), rounded[-1]):.15g}"


def _number_events(place: int, column: ColumnSummary) -> list[Event]:
    name, events = column.spec.column, []
    if column.keys.size:
        wanted = (2 * np.arange(CUTS) + 1) / (2 * CUTS) * column.finite
        cuts = np.unique(column.keys[np.searchsorted(np.cumsum(column.counts), wanted)])
        first, last = int(column.keys[0]), int(column.keys[-1])
        events.append(Event(place, f"{name} < {_spoken(column, first)}", cut=first - 1))
        inner = [int(cut) for cut in cuts if cut < last]
        events += [Event(place, f"{name} <= {_spoken(column, cut)}", cut=cut) for cut in [*inner, last]]
    words = {"null": "missing", "nan": "not-a-number", "infinite": "infinite"}
    return [*events, *(Event(place, f"{word} values in {name}", special=special) for special, word in words.items())]


def _category_events(place: int, column: ColumnSummary) -> list[Event]:
    spec, name = column.spec, column.spec.column
    events = [Event(place, f"{name} = {level}", level=i) for i, level in enumerate(spec.levels)]
    if spec.known:
        events.append(Event(place, f"other known values of {name}", level=len(spec.levels)))
    events.append(Event(place, f"values of {name} never seen before", level=len(spec.levels) + 1, unseen=True))
    return [*events, Event(place, f"missing values in {name}", special="null")]


def _events(summary: Summary) -> tuple[Event, ...]:
    found: list[Event] = []
    for place, column in enumerate(summary.columns):
        found += _number_events(place, column) if column.spec.kind is Kind.NUMBER else _category_events(place, column)
    return tuple(found)


def count_events(events: Sequence[Event], summary: Summary) -> Counts:
    """Count the rows of a summary in which each event happened, shape (e,)."""
    cumulated = [np.concatenate([[0], np.cumsum(column.counts)]) for column in summary.columns]
    return np.array([_count(event, summary.columns[event.column], cumulated[event.column]) for event in events], dtype=np.int64)


def _count(event: Event, column: ColumnSummary, cumulated: Counts) -> int:
    if event.special is not None:
        return {"null": column.null, "nan": column.nan, "infinite": column.high + column.low}[event.special]
    if event.cut is not None:
        return column.low + int(cumulated[column.keys.searchsorted(event.cut, side="right")])
    place = int(column.keys.searchsorted(event.level or 0))
    found = place < column.keys.size and column.keys[place] == event.level
    return int(column.counts[place]) if found else 0


def clopper_pearson(k: Counts, n: int, tail: float) -> tuple[Floats, Floats]:
    """Bound shares of k successes in n trials, missing each side with chance <= tail; shape of k.

    Source: Clopper and Pearson 1934, by the inverse incomplete beta function.
    """
    from scipy.special import betaincinv  # noqa: PLC0415 - only who registers a reference waits for it

    low = np.where(k > 0, betaincinv(np.maximum(k, 1), n - np.maximum(k, 1) + 1, tail), 0.0)
    high = np.where(k < n, betaincinv(np.minimum(k, n - 1) + 1, n - np.minimum(k, n - 1), 1 - tail), 1.0)
    return low, high


def _bands(summary: Summary, events: Sequence[Event], hits: Counts, alpha: float) -> tuple[Floats, Floats]:
    """Bound every event's reference share, all together with chance 1 - alpha.

    Half of alpha pays for numbers: one Dvoretzky-Kiefer-Wolfowitz band each (Massart 1990), uniform over cuts that depend on
    the data. Half pays for all other events. The upper bound of unseen levels also holds for the share of levels that the
    reference saw once, which estimates what it has not seen yet (Good 1953).
    """
    rows, cut = summary.rows, np.array([event.cut is not None for event in events])
    numbers = sum(spec.kind is Kind.NUMBER for spec in summary.specs)
    reach = sqrt(log(4 * max(numbers, 1) / alpha) / (2 * rows))
    tail = alpha / (4 * max(int((~cut).sum()), 1))
    low, high = clopper_pearson(hits, rows, tail)
    unseen = np.flatnonzero([event.unseen for event in events])
    once = np.array([summary.columns[event.column].spec.once for event in events if event.unseen], dtype=np.int64)
    high[unseen] = clopper_pearson(np.minimum(np.maximum(once, hits[unseen]), rows), rows, tail)[1]
    return np.where(cut, np.maximum(hits / rows - reach, 0.0), low), np.where(cut, np.minimum(hits / rows + reach, 1.0), high)


def _between_days(events: Sequence[Event], days: Sequence[Summary]) -> Floats:
    if len(days) < 2:
        return np.zeros(len(events))
    rows = np.array([[day.rows] for day in days])
    shares = np.array([count_events(events, day) for day in days]) / rows
    sampling = (shares * (1 - shares) / rows).mean(axis=0)
    noise: Floats = np.sqrt(np.maximum(shares.var(axis=0, ddof=1) - sampling, 0.0))
    return noise


def _tolerated(events: Sequence[Event], shares: Floats, tolerance: Tolerance, noise: Floats) -> Floats:
    quality = np.array([event.quality for event in events])
    rare = np.array([event.level is not None for event in events]) & (shares < tolerance.notice)
    notice = np.where(quality | rare, min(tolerance.quality, tolerance.notice), tolerance.notice)
    alarm = np.where(quality, min(tolerance.quality, tolerance.alarm), tolerance.alarm)
    chosen: Floats = np.maximum(np.stack([notice, alarm]), 3 * noise)
    return chosen


def _gain(events: Sequence[Event], low: Floats, high: Floats, tolerated: Floats) -> Floats:
    limit = np.stack([high + tolerated, 1 - low + tolerated], axis=-1)  # the largest share of hits that is no drift
    limit = np.clip(limit, 1e-12, 1 - 1e-9)[..., None]
    silent = limit >= 1 - 1e-6
    silent[:, [event.unseen for event in events], 1] = True  # fewer unseen values than expected are no news
    gain: Floats = np.where(silent, 0.0, np.log((limit + BETS * (1 - limit)) / limit))
    return gain


def reference_of(summary: Summary, tolerance: Tolerance | None = None, *, days: Sequence[Summary] = ()) -> Reference:
    """Prepare a reference: its events, their bands, and the bets against them.

    days: summaries of single days of a quiet phase, same specs; an event that moves between them by itself is tolerated to
    move by 3 standard deviations of that.
    Raises: InvalidInput if the summary has no rows or no columns, or alpha or a tolerated share is outside (0, 1).
    """
    chosen = tolerance or Tolerance()
    if not summary.rows:
        raise InvalidInput("A reference without rows says nothing about drift.", fix="Summarise training or test rows.")
    if not all(0 < share < 1 for share in (chosen.alpha, chosen.notice, chosen.alarm, chosen.quality)):
        raise InvalidInput("Alpha and the tolerated shares lie between 0 and 1, both excluded.", facts={"alpha": chosen.alpha})
    events = _events(summary)
    hits = count_events(events, summary)
    low, high = _bands(summary, events, hits, REFERENCE_SHARE * chosen.alpha)
    tolerated = _tolerated(events, hits / summary.rows, chosen, _between_days(events, days))
    gain = _gain(events, low, high, tolerated)
    starts = np.flatnonzero(np.diff([event.column for event in events], prepend=-1))
    words: list[Json] = [[event.words, *map(float, row)] for event, row in zip(events, np.c_[hits, tolerated.T], strict=True)]
    digest = digest_of_json({"rows": summary.rows, "alpha": chosen.alpha, "events": words})
    return Reference(summary, chosen, events, hits, low, high, tolerated, gain, starts, digest)
