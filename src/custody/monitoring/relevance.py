"""How well the training data still covers live traffic: what it counts for, where it is thin, which slices it lacks."""

from dataclasses import dataclass, replace
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from custody.core.measures.intervals import quantile, wilson
from custody.monitoring.shift.pool import Side, pool_of
from custody.monitoring.shift.ratio import Ratio, ratio_of
from custody.monitoring.shift.resample import drawn, resampled, shuffled, without_drift
from custody.monitoring.shift.rows import Floats
from custody.monitoring.shift.slices import Slice, slices_lacking

MIN_ROWS = 30
SAMPLE = 5_000  # rows of each side that the classifier sees
RESAMPLES, DEALS, CHUNK = 100, 39, 50_000
THIN = log(10)  # training is thin where live rows are more than ten times as dense


@dataclass(frozen=True, slots=True)
class Reading:
    """A share with its interval, and what it reads with no drift.

    no_drift: the mean over samples of the same sizes without drift. limit: what only one such sample in 40 reads beyond,
    below it for the effective share, above it for the thin share.
    """

    value: float
    low: float
    high: float
    no_drift: float
    limit: float


@dataclass(frozen=True, slots=True)
class Relevance:
    """What the training data says about live traffic.

    effective: the share of the training rows that count for live traffic, 0..1; None with fewer than 30 rows (of equal weight)
    on a side.
    thin: the share of live rows where training is less than a tenth as dense, 0..1. slices: what training lacks, most first.
    left_out: columns that the classifier had no room for; slices look at all.
    """

    training_rows: int
    live_rows: int
    effective: Reading | None
    thin: Reading | None
    slices: tuple[Slice, ...]
    left_out: int
    sentence: str

    @property
    def effective_rows(self) -> float:
        """Return the number of training rows that count, 0..n."""
        return self.effective.value * self.training_rows if self.effective else 0.0

    @property
    def moved(self) -> bool:
        """Tell whether a share reads beyond its limit or a slice is lacking; without drift in about one of 20 samples."""
        if self.effective is None or self.thin is None:
            return False
        return self.effective.value < self.effective.limit or self.thin.value > self.thin.limit or bool(self.slices)


def _shares(scores: Floats, live: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return the effective share and the thin share of b samples: all (N, b), weights 0 where a row was not drawn.

    The effective share is Kish's (sum w)^2 / (n sum w^2) over training rows, or the mean of w over training divided by that
    over live rows, if that is less. Both estimate 1 / E[w^2]; only the second sees live rows where there is no training row.
    """
    odds = np.exp(scores)
    training, current = weights * (1 - live), weights * live
    n, m = (training > 0).sum(axis=0), current.sum(axis=0)
    kish = (training * odds).sum(axis=0) ** 2 / (training**2 * odds**2).sum(axis=0) / n
    even = training.sum(axis=0) ** 2 / (training**2).sum(axis=0) / n
    seen = (training * odds).sum(axis=0) / training.sum(axis=0) / ((current * odds).sum(axis=0) / m)
    return np.minimum(np.minimum(kish, seen * even), 1.0), (current * (scores > THIN)).sum(axis=0) / m


def _effective(value: float, again: Floats, still: Floats, confidence: float) -> Reading:
    tiny = 1e-12
    reach = quantile(confidence) * float(np.log(np.maximum(again, tiny)).std())
    low, high = (min(exp(log(max(value, tiny)) + sign * reach), 1.0) for sign in (-1, 1))
    return Reading(value, min(low, value), high, float(still.mean()), float(still.min()))


def _thin(value: float, again: Floats, still: Floats, rows: float, confidence: float) -> Reading:
    low, high = wilson(min(value * rows, rows), rows, confidence)
    tail = (1 - confidence) / 2
    least, most = (float(bound) for bound in np.quantile(again, (tail, 1 - tail)))
    return Reading(value, min(low, least, value), max(high, most, value), float(still.mean()), float(still.max()))


def _readings(ratio: Ratio, confidence: float, rng: np.random.Generator) -> tuple[Reading, Reading]:
    pool = ratio.pool
    live, weights = pool.live.astype(np.float64)[:, None], pool.weights[:, None]
    effective, thin = (float(share[0]) for share in _shares(ratio.scores[:, None], live, weights))
    counts = drawn(pool, RESAMPLES, rng)
    again = _shares(resampled(ratio, counts), live, weights * counts)
    dealt = shuffled(pool, DEALS, rng)
    still = _shares(without_drift(ratio, dealt), dealt, weights)
    return _effective(effective, again[0], still[0], confidence), _thin(thin, again[1], still[1], pool.sizes[1], confidence)


def relevance(training: Side, live: Side, *, confidence: float = 0.95, seed: int = 0) -> Relevance:
    """Say how well training rows still cover live rows: `Side(columns)` each, the same columns, optionally weighted.

    The classifier sees at most 5,000 rows of each side, chosen by a hash of their content; slices are counted on all rows.
    The same rows in any order give the same answer. confidence: of the intervals; slices are listed falsely with chance at
    most 1 - confidence. The effective share's interval resamples rows and fits again 100 times.
    Raises: InvalidInput if a side has no row or no column, the columns' names differ, or lengths or weights do not fit.
    Source: Kish 1965 and Kong 1992 (effective sample size); Sugiyama, Suzuki and Kanamori 2012 (density ratio).
    """
    pool = pool_of(training, live, seed=seed)
    m = int(pool.live.sum())
    n = len(pool.live) - m
    if min(pool.sizes) < MIN_ROWS:
        there = f"there are {pool.sizes[0]:,.0f} training and {pool.sizes[1]:,.0f} live rows"
        said = f"Nothing can be said: {MIN_ROWS} rows of both are needed, and {there}."
        return Relevance(n, m, None, None, (), 0, said)
    ratio = ratio_of(pool.first(SAMPLE))
    effective, thin = _readings(ratio, confidence, np.random.default_rng(seed))
    slices = slices_lacking(pool, alpha=1 - confidence)
    found = Relevance(n, m, effective, thin, slices, ratio.encoding.left_out, "")
    return replace(found, sentence=_sentence(found, effective, thin))


def importance_weights(training: Side, live: Side, *, seed: int = 0) -> NDArray[np.float64]:
    """Return how much each training row counts for live traffic, shape (n,), in the order given; their (weighted) mean is 1.

    Training again with these weights optimises for the inputs of live traffic, as far as there are rows there. Each row's
    weight comes from a fit without its fold. All are 1 with fewer than 30 rows on a side.
    Raises: as `relevance`. Source: Shimodaira 2000; the weights: Bickel, Brueckner and Scheffer 2009.
    """
    pool = pool_of(training, live, seed=seed)
    if min(pool.sizes) < MIN_ROWS:
        return np.ones(int((~pool.live).sum()))
    ratio = ratio_of(pool.first(SAMPLE))
    found = np.empty(int((~pool.live).sum()))
    rows = np.flatnonzero(~pool.live)
    for part in np.array_split(rows, max(len(rows) // CHUNK, 1)):
        found[pool.origin[part]] = np.exp(ratio.scores_of(pool, part))
    base = np.empty(len(found))
    base[pool.origin[rows]] = pool.weights[rows]
    return found / float((found * base).sum() / base.sum())


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.095 or share == 0 else f"{100 * share:.1f} %"


def _sentence(found: Relevance, effective: Reading, thin: Reading) -> str:
    share, low, high = (_percent(part) for part in (effective.value, effective.low, effective.high))
    counts = (
        f"its {found.training_rows:,} rows count as {found.effective_rows:,.0f} ({share} [{low}, {high}]; "
        f"with no drift {_percent(effective.no_drift)}), and {_percent(thin.value)} [{_percent(thin.low)}, {_percent(thin.high)}] "
        f"of live rows lie where it is thin (with no drift {_percent(thin.no_drift)})"
    )
    if not found.moved:
        return f"The training data covers live traffic: {counts}."
    lacking = f"; it lacks most rows at {found.slices[0]}" if found.slices else ""
    return f"Live traffic has moved away from the training data: {counts}{lacking}."
