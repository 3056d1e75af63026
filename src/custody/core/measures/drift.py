"""How far two summaries of one column lie apart: distances to show beside what they read with no drift, never to alarm on."""

from dataclasses import dataclass
from math import isfinite, log, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from custody.core.errors import InvalidInput
from custody.core.measures.spec import Kind
from custody.core.measures.summary import ColumnSummary, aligned, bucket_ends

Shares = NDArray[np.float64]
BINS = 32


@dataclass(frozen=True, slots=True)
class Distance:
    """A distance and the value it is expected to have when nothing drifted.

    error: how far the value read from buckets can lie from the exact one (ks: below it).
    """

    name: str
    value: float
    expected: float
    error: float = 0.0


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two columns on one axis, shape (k,) each: keys in order, row counts p and q, their shares; spread = 1/n + 1/m."""

    column: ColumnSummary
    keys: NDArray[np.int64]
    counts: tuple[NDArray[np.int64], NDArray[np.int64]]
    shares: tuple[Shares, Shares]
    cumulated: tuple[Shares, Shares]
    spread: float


def _paired(reference: ColumnSummary, current: ColumnSummary) -> _Pair:
    if reference.spec != current.spec or not reference.keys.size or not current.keys.size:
        raise InvalidInput(
            f"'{reference.spec.column}' cannot be compared.",
            why="Both summaries need the same spec and at least one ordinary value.",
        )
    keys, first, second = aligned(reference, current)
    n, m = reference.finite, current.finite
    cumulated = np.cumsum(first) / n, np.cumsum(second) / m
    return _Pair(reference, keys, (first, second), (first / n, second / m), cumulated, 1 / n + 1 / m)


def _ks(pair: _Pair) -> Distance:
    value = float(np.abs(pair.cumulated[0] - pair.cumulated[1]).max())
    return Distance("ks", value, 0.869 * sqrt(pair.spread), float(np.minimum(*pair.shares).max()))


def _wasserstein(pair: _Pair) -> Distance:
    low, high = bucket_ends(pair.column.spec, pair.keys)
    steps = np.diff(low / 2 + high / 2)
    first, second = pair.cumulated[0][:-1], pair.cumulated[1][:-1]
    expected = sqrt(2 * pair.spread / pi) * float(np.sqrt(np.maximum(first * (1 - first), 0.0)) @ steps)
    error = float((pair.shares[0] + pair.shares[1]) @ (high - low)) / 2
    return Distance("wasserstein", float(np.abs(first - second) @ steps), expected, error)


def _binned(pair: _Pair) -> tuple[Shares, Shares]:
    """Return smoothed shares over at most 32 reference-quantile bins, or over the levels."""
    first, second = pair.counts
    if pair.column.spec.kind is Kind.NUMBER:
        before = np.cumsum(first) - first
        _, starts = np.unique(BINS * before // first.sum(), return_index=True)
        first, second = np.add.reduceat(first, starts), np.add.reduceat(second, starts)
    k = len(first)
    return (first + 0.5) / (first.sum() + 0.5 * k), (second + 0.5) / (second.sum() + 0.5 * k)


def _psi(pair: _Pair) -> Distance:
    p, q = _binned(pair)
    return Distance("psi", float((q - p) @ np.log(q / p)), (len(p) - 1) * pair.spread)


def _js(pair: _Pair) -> Distance:
    p, q = _binned(pair)
    middle = (p + q) / 2
    divergence = float(p @ np.log(p / middle) + q @ np.log(q / middle)) / 2
    return Distance("js", sqrt(min(max(divergence, 0.0), log(2))), sqrt((len(p) - 1) * pair.spread / 8))


def _chi_squared(pair: _Pair) -> Distance:
    first, second = pair.counts
    tilt = sqrt(int(second.sum()) / int(first.sum()))
    value = float(((first * tilt - second / tilt) ** 2 / (first + second)).sum())
    return Distance("chi_squared", value, len(pair.keys) - 1.0)


def ks(reference: ColumnSummary, current: ColumnSummary) -> Distance:
    """Measure the largest gap between two cumulative shares, 0..1, of a numeric column.

    Buckets only under-state: the exact value lies between `value` and `value + error`. Without drift about
    0.869 sqrt(1/n + 1/m), the mean of the Kolmogorov distribution.
    Raises: InvalidInput if the specs differ or a side has no ordinary value; so do the other distances.
    Source: Kolmogorov 1933, Smirnov 1939.
    """
    return _ks(_paired(reference, current))


def wasserstein(reference: ColumnSummary, current: ColumnSummary) -> Distance:
    """Measure the earth mover's distance of a numeric column, in its unit; `error` is the most that the grid can change it.

    Without drift about sqrt(2 (1/n + 1/m) / pi) times the integral of sqrt(F (1 - F)).
    Source: Vallender 1974 (the integral of |F - G|); its mean from that of a normal F - G at every point.
    """
    return _wasserstein(_paired(reference, current))


def psi(reference: ColumnSummary, current: ColumnSummary) -> Distance:
    """Measure the population stability index, nats, >= 0, on at most 32 reference-quantile bins, or on the levels.

    Every bin gets half a row more. Without drift about (bins - 1)(1/n + 1/m); the cut-offs 0.1 and 0.25 are folklore.
    Source: Kullback and Leibler 1951, the symmetric divergence J, on binned shares.
    """
    return _psi(_paired(reference, current))


def js(reference: ColumnSummary, current: ColumnSummary) -> Distance:
    """Measure the Jensen-Shannon distance, 0..sqrt(ln 2), on the bins of `psi`.

    Without drift about sqrt((bins - 1)(1/n + 1/m) / 8).
    Source: Lin 1991; Endres and Schindelin 2003 for the square root.
    """
    return _js(_paired(reference, current))


def chi_squared(reference: ColumnSummary, current: ColumnSummary) -> Distance:
    """Measure the two-sample chi-squared statistic over the levels of a category, >= 0, against their pooled shares.

    Both sides are samples: taking the reference's shares for exact makes every clean day look like drift. Without drift
    about K - 1 with K levels.
    Source: Pearson 1900 for homogeneity of two samples.
    """
    return _chi_squared(_paired(reference, current))


def distances(reference: ColumnSummary, current: ColumnSummary) -> tuple[Distance, ...]:
    """Measure what a column allows: ks, wasserstein, psi, js of a number; psi, js, chi_squared of a category; () without values."""
    if not reference.keys.size or not current.keys.size:
        return ()
    measures = (_ks, _wasserstein, _psi, _js) if reference.spec.kind is Kind.NUMBER else (_psi, _js, _chi_squared)
    pair = _paired(reference, current)
    with np.errstate(over="ignore", invalid="ignore"):
        found = [measure(pair) for measure in measures]
    return tuple(one for one in found if isfinite(one.value) and isfinite(one.expected) and isfinite(one.error))
