"""What a drift detector compares with: the events of a reference summary, each with its tolerated band of shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, inf, isfinite, log, log10

import numpy as np
from numpy.typing import NDArray

from custody.core.digest import Digest, Json, digest_of_json
from custody.core.errors import InvalidInput
from custody.core.measures.spec import Kind
from custody.core.measures.summary import ColumnSummary, Summary, bucket_ends
from custody.monitoring.days import Days, design_effect

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

BETS = np.array([0.01, 0.03, 0.08, 0.2, 0.45])
NOTICE, ALARM = 0, 1
REFERENCE_SHARE = 0.4  # of alpha, for the bands; the rest pays for the looks
NUMBERS_SHARE = 0.8  # of the bands' alpha, for the bands of numbers; the rest is for levels and for data quality
CUTS = 16


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much drift is no drift, and how often a detector may be wrong.

    alpha: chance of any false alarm in the detector's whole life (the same for any false notice). notice, alarm: points of
    share that an event may leave its reference band by, 0..1. quality: the same for null, NaN, infinite, unseen and
    out-of-range values, and, at notice, for levels rarer than `notice`.
    """

    alpha: float = 0.05
    notice: float = 0.02
    alarm: float = 0.05
    quality: float = 0.005


@dataclass(frozen=True, slots=True)
class Event:
    """One thing a row can be: `age <= 23`, `plan = gold`, a missing value.

    cut: the highest bucket rank counted by a number's event. above: counts what lies above this rank. level: the counted
    place of a category. special: which other counter it reads (`null`, `nan`, `infinite`). Exactly one is set.
    unseen: a level that the reference never held. outside: a number below or above all of the reference.
    """

    column: int
    words: str
    cut: int | None = None
    above: int | None = None
    level: int | None = None
    special: str | None = None
    unseen: bool = False
    outside: bool = False

    @property
    def quality(self) -> bool:
        """Tell whether this is about the data's quality, not its values."""
        return self.special is not None or self.unseen

    @property
    def ordinary(self) -> bool:
        """Tell whether this is about values as the reference holds them: neither quality nor out of range."""
        return not self.quality and not self.outside

    @property
    def news(self) -> bool:
        """Tell whether the reference held no such row, so that only more of them can be drift."""
        return self.unseen or self.outside


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A reference summary as a detector uses it; made by `reference_of`.

    hits, low, high: rows and confidence band of each event, shape (e,). tolerated: shape (2 levels, e). limit: the largest
    share of hits that is no drift, shape (2, e, 2 sides up and down). gain: log-likelihood ratio a hit adds, shape
    (2, e, 2, 5 bets), 0 of a bet that is not placed. prior: log share of its column's wealth on each bet, -inf if not placed.
    starts: first event of each column, shape (k,). effect: design effect of the rows of one look, shape (e,), 1 =
    independent. cap: the most rows that one look may count for. digest: of all that evidence depends on.
    """

    summary: Summary
    tolerance: Tolerance
    events: tuple[Event, ...]
    hits: Counts
    low: Floats
    high: Floats
    tolerated: Floats
    limit: Floats
    gain: Floats
    prior: Floats
    starts: Counts
    effect: Floats
    cap: float
    digest: Digest

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the watched columns' names."""
        return tuple(spec.column for spec in self.summary.specs)

    @property
    def shares(self) -> Floats:
        """Return the share of each event in the reference, shape (e,)."""
        return self.hits / self.summary.rows

    @property
    def eps_ref(self) -> Floats:
        """Return how far each event's true share may lie from the reference's, shape (e,): what no stream can see below."""
        found: Floats = np.maximum(self.high - self.shares, self.shares - self.low)
        return found

    @property
    def warning(self) -> str:
        """Say if the reference is too small to see drift at the notice level; empty if it is large enough."""
        width = float((self.high - self.shares).max())
        if width <= self.tolerance.notice:
            return ""
        return f"the reference has only {self.summary.rows:,} rows: a share must move by about {100 * width:.2g} points more to be seen"


def _spoken(column: ColumnSummary, ranks: Sequence[int]) -> list[str]:
    """Write the shortest decimal inside each bucket, not finer than a hundredth or so of the column's scale."""
    lows, highs = bucket_ends(column.spec, np.array(ranks, dtype=np.int64))
    finest = 2 - floor(log10(column.spec.scale))
    return [_short(low, high, finest) for low, high in zip(lows.tolist(), highs.tolist(), strict=True)]


def _short(low: float, high: float, finest: int) -> str:
    if not isfinite(low) or not isfinite(high):
        return f"{low:.6g}"
    rounded = (round(low / 2 + high / 2, digits) for digits in range(finest - 8, finest + 1))
    return f"{next((value for value in rounded if low <= value <= high), round(low / 2 + high / 2, finest)):.15g}"


def _number_events(place: int, column: ColumnSummary) -> list[Event]:
    name = column.spec.column
    words = {"null": "missing", "nan": "not-a-number", "infinite": "infinite"}
    events = [Event(place, f"{word} values in {name}", special=special) for special, word in words.items()]
    if column.keys.size:
        wanted = (2 * np.arange(CUTS) + 1) / (2 * CUTS) * column.finite
        first, last = int(column.keys[0]), int(column.keys[-1])
        cuts = np.unique(column.keys[np.searchsorted(np.cumsum(column.counts), wanted)])
        inner = [int(cut) for cut in cuts if cut < last]
        low, high, *said = _spoken(column, [first, last, *inner])
        events.append(Event(place, f"{name} < {low}", cut=first - 1, outside=True))
        events.append(Event(place, f"{name} > {high}", above=last, outside=True))
        events += [Event(place, f"{name} <= {cut}", cut=rank) for rank, cut in zip(inner, said, strict=True)]
    return events


def _category_events(place: int, column: ColumnSummary) -> list[Event]:
    spec, name = column.spec, column.spec.column
    events = [Event(place, f"{name} = {level}", level=i) for i, level in enumerate(spec.levels)]
    if spec.known:
        events.append(Event(place, f"other known values of {name}", level=len(spec.levels)))
    events.append(Event(place, f"values of {name} never seen before", level=len(spec.levels) + 1, unseen=True))
    return [*events, Event(place, f"missing values in {name}", special="null")]


def events_of(summary: Summary) -> tuple[Event, ...]:
    """List what is watched in a reference, column by column."""
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
    if event.above is not None:
        return column.high + column.finite - int(cumulated[column.keys.searchsorted(event.above, side="right")])
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


def _bands(summary: Summary, events: Sequence[Event], hits: Counts, alpha: float, effect: Floats) -> tuple[Floats, Floats]:
    """Bound every event's reference share, all together with chance 1 - alpha.

    Numbers: one Dvoretzky-Kiefer-Wolfowitz band each (Massart 1990), uniform over cuts that depend on the data. Everything
    else, and the shares below and above all of the reference (order statistics, for which it is exact, or wider with ties):
    Clopper-Pearson, at a level for all levels that the reference held, since the most frequent were chosen. The share of
    levels that it saw once estimates what it has not seen yet (Good 1953), and by as much the levels it saw look too frequent:
    the upper bound of unseen ones holds for that share, the lower bound of the other known ones for theirs less it.
    effect: rows count as rows / effect, in whole rows to the safe side.
    """
    rows, cut = summary.rows, np.array([event.cut is not None and not event.outside for event in events])
    numbers = sum(spec.kind is Kind.NUMBER for spec in summary.specs)
    share = NUMBERS_SHARE if numbers else 0.0
    reach = np.sqrt(log(2 * max(numbers, 1) / (NUMBERS_SHARE * alpha)) / (2 * rows / effect))
    tail = (1 - share) * alpha / (2 * max(int((~cut).sum()) + sum(len(spec.known) for spec in summary.specs), 1))
    n = np.maximum(np.floor(rows / effect), 1).astype(np.int64)
    specs = [summary.columns[event.column].spec for event in events]
    once = np.array([spec.once if event.unseen else 0 for event, spec in zip(events, specs, strict=True)])
    known = np.array([spec.once if event.level == len(spec.levels) else 0 for event, spec in zip(events, specs, strict=True)])
    most = np.minimum(np.ceil(np.maximum(hits, once) / effect), n).astype(np.int64)
    least = np.floor(np.maximum(hits - known, 0) / effect).astype(np.int64)
    low, high = np.zeros(len(events)), np.ones(len(events))
    for size in np.unique(n):  # one, unless columns differ in their design effect
        low[n == size] = clopper_pearson(least[n == size], int(size), tail)[0]
        high[n == size] = clopper_pearson(most[n == size], int(size), tail)[1]
    return np.where(cut, np.maximum(hits / rows - reach, 0.0), low), np.where(cut, np.minimum(hits / rows + reach, 1.0), high)


def _tolerated(events: Sequence[Event], shares: Floats, tolerance: Tolerance, noise: Floats) -> Floats:
    quality = np.array([not event.ordinary for event in events])
    rare = np.array([event.level is not None for event in events]) & (shares < tolerance.notice)
    notice = np.where(quality | rare, min(tolerance.quality, tolerance.notice), tolerance.notice)
    alarm = np.where(quality, min(tolerance.quality, tolerance.alarm), tolerance.alarm)
    chosen: Floats = np.maximum(np.stack([notice, alarm]), 3 * noise)
    return chosen


def _gain(events: Sequence[Event], limit: Floats) -> Floats:
    silent = np.repeat(limit[..., None] >= 1 - 1e-6, len(BETS), axis=-1)
    silent[:, [event.news for event in events], 1] = True  # fewer unseen values than expected are no news
    gain: Floats = np.where(silent, 0.0, np.log((limit[..., None] + BETS * (1 - limit[..., None])) / limit[..., None]))
    return gain


def _prior(gain: Floats, starts: Counts) -> Floats:
    """Share each column's wealth equally among the bets that are placed: a bet that can never win gets nothing."""
    placed = gain > 0
    number = np.maximum(np.add.reduceat(placed.sum(axis=(2, 3)), starts, axis=1), 1)
    sizes = np.diff(np.append(starts, gain.shape[1]))
    shared: Floats = np.where(placed, -np.log(np.repeat(number, sizes, axis=1))[..., None, None], -inf)
    return shared


def checked(summary: Summary, tolerance: Tolerance, cap: float = inf) -> None:
    """Refuse a reference without rows, shares outside (0, 1), and a cap below one row, as InvalidInput."""
    if not summary.rows:
        raise InvalidInput("A reference without rows says nothing about drift.", fix="Summarise training or test rows.")
    if not all(0 < share < 1 for share in (tolerance.alpha, tolerance.notice, tolerance.alarm, tolerance.quality)):
        raise InvalidInput("Alpha and the tolerated shares lie between 0 and 1, both excluded.", facts={"alpha": tolerance.alpha})
    if not cap >= 1:
        raise InvalidInput(f"One look cannot be capped at {cap:g} rows.", fix="Give 1 row or more, or no cap.")


def assembled(
    summary: Summary,
    events: tuple[Event, ...],
    tolerance: Tolerance,
    *,
    alpha: float,
    days: Days,
    clustered: bool = False,
    entities: float = 1.0,
    cap: float = inf,
) -> Reference:
    """Build a reference from its parts: rows for the bands, events, what days say about noise; `reference_of` is the door.

    alpha: chance that any band of this reference misses. entities: design effect of the reference's own rows.
    """
    hits, starts = count_events(events, summary), np.flatnonzero(np.diff([event.column for event in events], prepend=-1))
    effect = days.effect(starts) if clustered else np.ones(len(events))
    low, high = _bands(summary, events, hits, alpha, np.maximum(effect, entities))
    tolerated = _tolerated(events, hits / summary.rows, tolerance, np.zeros(len(events)) if clustered else days.noise)
    limit = np.clip(np.stack([high + tolerated, 1 - low + tolerated], axis=-1), 1e-12, 1 - 1e-9)
    gain = _gain(events, limit)
    cap = min(cap, float(days.rows.max())) if clustered else cap
    rows: list[Json] = [[e.words, *map(float, row)] for e, row in zip(events, np.c_[hits, tolerated.T, effect], strict=True)]
    parts: dict[str, Json] = {"rows": summary.rows, "alpha": [tolerance.alpha, alpha], "entities": entities}
    parts["rare"] = [[spec.once, len(spec.known)] for spec in summary.specs]
    digest = digest_of_json({**parts, "cap": cap if isfinite(cap) else None, "events": rows})
    found = (summary, tolerance, events, hits, low, high, tolerated, limit, gain, _prior(gain, starts), starts)
    return Reference(*found, effect, cap, digest)


def reference_of(
    summary: Summary,
    tolerance: Tolerance | None = None,
    *,
    days: Sequence[Summary] = (),
    clustered: bool = False,
    entities: Sequence[int] = (),
    cap: float = inf,
) -> Reference:
    """Prepare a reference: its events, their bands, and the bets against them.

    days: summaries of single days of a quiet phase, same specs; an event that moves between them by itself is tolerated to
    move by 3 standard deviations of that. clustered: rows of one day hang together (many rows of one user), so what moves
    between days makes rows count for less instead, and no look counts for more rows than the largest of the days.
    entities: rows of each entity in the reference itself, if it may hold several rows of one; they widen the bands.
    cap: the most rows that one look may count for, so that no single batch decides.
    Raises: InvalidInput if the summary has no rows or no columns, alpha or a tolerated share is outside (0, 1), the cap is
    below 1, or `clustered` comes without at least two days.
    """
    chosen = tolerance or Tolerance()
    checked(summary, chosen, cap)
    events = events_of(summary)
    seen = Days.of([count_events(events, day) for day in days], [day.rows for day in days], len(events))
    own = design_effect(entities) if len(entities) else 1.0
    alpha = REFERENCE_SHARE * chosen.alpha
    return assembled(summary, events, chosen, alpha=alpha, days=seen, clustered=clustered, entities=own, cap=cap)
