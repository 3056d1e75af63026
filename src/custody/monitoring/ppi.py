"""Metrics from few labels: drawn by known chances, helped by the scores of all predictions, with intervals that hold.

The scores only steady the estimate (a control variate); wrong scores cost width, never coverage. Source: Angelopoulos et al.
2023 (prediction-powered inference; PPI++ for lam); Zrnic and Candes 2024 (arXiv:2403.03208, active inference).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import ArrayLike

from custody.core.errors import InvalidInput
from custody.core.evidence import Estimate
from custody.core.measures.ratio import Outcomes, skewed_ratio, tilted_ratio
from custody.monitoring.ratios import METRICS, Bools, Floats, Terms, scored, terms_of
from custody.monitoring.sampling import Sample


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """One closed window: scores and decisions of all its predictions, shape (N,), the sample, and the labels that came back.

    actual: shape (n,), one value a draw in the order drawn: 0, 1, or NaN where none came back (`Sample.labels` makes it).
    """

    scores: ArrayLike
    decided: ArrayLike
    sample: Sample
    actual: ArrayLike

    @property
    def response(self) -> float:
        """Return the share of draws whose label came back."""
        return float(np.isfinite(np.asarray(self.actual, dtype=np.float64)).mean())


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows of one or more windows, shape (n,): terms, scores, weights w; their windows' means of fu and fv, shape (n, 2)."""

    terms: Terms
    scores: Floats
    weights: Floats
    means: Floats

    def scaled(self, factor: float) -> "_Rows":
        """Return rows that count `factor` times as much."""
        return _Rows(self.terms, self.scores, self.weights * factor, self.means * factor)

    def parts(self, u: Floats, v: Floats, lam: float) -> tuple[Floats, Floats]:
        """Return what each row adds to numerator and denominator at these u and v, the scores' share lam taken out and put back."""
        (mean_u, mean_v), (fu, fv) = self.means.T, self.terms.expected(self.scores)
        return lam * mean_u + self.weights * (u - lam * fu), lam * mean_v + self.weights * (v - lam * fv)


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """Draws with a label, shape (n,), and rows that stand for all that could be drawn, shape (k,), with their chances."""

    rows: _Rows
    actual: Bools
    cells: _Rows
    chances: Floats


def estimates(
    windows: Sequence[Labelled],
    *,
    metrics: Sequence[str] = METRICS,
    groups: Sequence[ArrayLike] | None = None,
    confidence: float = 0.95,
) -> tuple[Estimate, ...]:
    """Estimate metrics of one or more closed windows together, each with an interval; n counts draws whose label matters.

    The estimand is the metric of all predictions of these windows. Windows are strata: each counts by its size, whatever
    its share of the labels. groups: for each window true/false of its N rows, to estimate one slice of them. Labels that did
    not come back are left out, as if they were missing at random; `missing_bounds` tells what that may hide.
    A metric that nothing can be said about is left out, never NaN: no predicted positive, no label that matters.
    Raises: InvalidInput if arrays do not fit, or a window has no label at all: it cannot speak for its predictions.
    """
    if groups is not None and len(groups) != len(windows):
        raise InvalidInput(f"There are {len(groups)} group columns for {len(windows)} windows.")
    found = []
    for metric in metrics:
        drawn = [_drawn(window, metric, groups[place] if groups else None) for place, window in enumerate(windows)]
        if interval := _metric(metric, _pooled(drawn, windows), confidence):
            found.append(interval)
    return tuple(found)


def _drawn(window: Labelled, metric: str, group: ArrayLike | None) -> _Drawn:
    q, h = scored(window.scores, window.decided)
    sample, actual = window.sample, np.asarray(window.actual, dtype=np.float64)
    if sample.size != len(q) or actual.shape != sample.rows.shape:
        raise InvalidInput(
            "A window's scores, sample and labels do not belong together.",
            why=f"The sample is of {sample.size} predictions and {len(sample.rows)} draws.",
            facts={"predictions": len(q), "labels": actual.size},
        )
    came = np.isfinite(actual)
    if not came.any():
        raise InvalidInput("A window has no label.", why="It cannot speak for its predictions.", fix="Leave it out.")
    if not np.isin(actual[came], (0, 1)).all():
        raise InvalidInput("A label is neither 0 nor 1.")
    terms = terms_of(metric, h)
    if group is not None:
        inside = np.asarray(group, dtype=np.bool_)
        if inside.shape != q.shape:
            raise InvalidInput(f"A group column has {inside.size} values for {len(q)} predictions.")
        terms = terms.within(inside)
    means = np.array([float(part.mean()) for part in terms.expected(q)])
    rows, cells = sample.rows[came], sample.cells
    drawn = _Rows(terms.at(rows), q[rows], sample.weights[came], np.tile(means, (len(rows), 1)))
    if not len(cells.rows):  # of a design that knew no scores: the draws stand for themselves
        return _Drawn(drawn, actual[came] == 1, drawn, np.full(len(rows), 1 / len(rows)))
    others = _Rows(terms.at(cells.rows), q[cells.rows], cells.weights(sample.size), np.tile(means, (len(cells.rows), 1)))
    return _Drawn(drawn, actual[came] == 1, others, cells.shares)


def _pooled(parts: Sequence[_Drawn], windows: Sequence[Labelled]) -> _Drawn:
    """Put strata together: a draw of stratum k counts n N_k / (n_k N) times, so that plain means are stratified means.

    What strata differ by counts as noise of the draws: a little wider than need be, and right with one label a window.
    """
    total = sum(window.sample.size for window in windows)
    labels = sum(len(part.actual) for part in parts)
    factors = [labels * window.sample.size / (len(part.actual) * total) for part, window in zip(parts, windows, strict=True)]
    return _Drawn(
        _joined([part.rows.scaled(factor) for part, factor in zip(parts, factors, strict=True)]),
        np.concatenate([part.actual for part in parts]),
        _joined([part.cells.scaled(factor) for part, factor in zip(parts, factors, strict=True)]),
        np.concatenate([part.chances * len(part.actual) / labels for part in parts]),
    )


def _joined(parts: Sequence[_Rows]) -> _Rows:
    terms = Terms(*(np.concatenate([getattr(part.terms, name) for part in parts]) for name in ("u0", "v0", "u1", "v1")))
    return _Rows(terms, *(np.concatenate([getattr(part, name) for part in parts]) for name in ("scores", "weights", "means")))


def _metric(metric: str, drawn: _Drawn, confidence: float, lam: float | None = None) -> Estimate | None:
    """Estimate one metric by the score interval of tilted laws; lam is tuned on these labels if not given."""
    power = _tuned(drawn) if lam is None else lam
    rows, cells = drawn.rows, drawn.cells
    outcomes = Outcomes(
        seen=rows.parts(*rows.terms.seen(drawn.actual), power),
        no=cells.parts(cells.terms.u0, cells.terms.v0, power),
        yes=cells.parts(cells.terms.u1, cells.terms.v1, power),
        chances=drawn.chances,
        scores=cells.scores,
        matter=int(rows.terms.matter.sum()),
    )
    interval = tilted_ratio(outcomes, confidence=confidence)
    return Estimate(metric, *interval, outcomes.matter, confidence) if interval else None


def _tuned(drawn: _Drawn) -> float:
    rows = drawn.rows
    return _power(*rows.terms.seen(drawn.actual), *rows.terms.expected(rows.scores), rows.weights, rows.means)


def _power(u: Floats, v: Floats, fu: Floats, fv: Floats, weights: Floats, means: Floats) -> float:
    """Return lam, how far to trust the scores: the regression of w psi on w f, cut to 0..1; 0 if the denominator turns <= 0."""
    whole = float((weights * v).sum())
    if not whole > 0:
        return 0.0
    ratio = float((weights * u).sum()) / whole
    a = weights * (u - ratio * v)
    b = weights * (fu - ratio * fv) - (means[:, 0] - ratio * means[:, 1])
    variance = float(b.var())
    if not variance > 0:
        return 0.0
    lam = min(max(float(np.mean((a - a.mean()) * (b - b.mean()))) / variance, 0.0), 1.0)
    steadied = lam * means[:, 1] + weights * (v - lam * fv)
    return lam if steadied.mean() > 0 else 0.0


def ratio_estimate(
    u: ArrayLike,
    v: ArrayLike,
    fu: ArrayLike,
    fv: ArrayLike,
    *,
    weights: ArrayLike,
    means: tuple[float, float],
    metric: str,
    confidence: float = 0.95,
    limits: tuple[float, float] = (-inf, inf),
) -> Estimate | None:
    """Estimate any ratio E[u] / E[v] from labelled draws of one window, shape (n,) each; None if nothing can be said.

    fu, fv: what was predicted for u and v of these draws; means: the means of both over all N predictions. weights: 1 / (N pi)
    of each draw (`Sample.weights`). A regression's loss: u = loss, v = 1, fu = any predicted loss, fv = 1.
    limits: where the ratio can lie, such as (0, inf) for a loss. The interval is `skewed_ratio`'s.
    Raises: InvalidInput if a column is of another length or holds what is no finite number.
    """
    columns = [np.asarray(column, dtype=np.float64) for column in (u, v, fu, fv, weights)]
    if any(column.ndim != 1 or column.shape != columns[0].shape or not np.isfinite(column).all() for column in columns):
        raise InvalidInput("u, v, fu, fv and weights must be columns of finite numbers, of equal length.")
    n, (u_, v_, fu_, fv_, w) = len(columns[0]), columns
    every = np.tile(np.array(means, dtype=np.float64), (n, 1))
    lam = _power(u_, v_, fu_, fv_, w, every) if n else 0.0
    top, bottom = lam * means[0] + w * (u_ - lam * fu_), lam * means[1] + w * (v_ - lam * fv_)
    interval = skewed_ratio(top, bottom, confidence=confidence, limits=limits)
    return Estimate(metric, *interval, n, confidence) if interval else None


@dataclass(frozen=True, slots=True)
class Bounds:
    """A metric if every label that did not come back were wrong for the model, and if every one were right.

    response: share of draws whose label came back. worst, best: estimates; None where nothing can be said.
    """

    response: float
    worst: Estimate | None
    best: Estimate | None


def missing_bounds(windows: Sequence[Labelled], metric: str, *, confidence: float = 0.95) -> Bounds:
    """Bound what missing labels can hide: a label that never comes is not missing at random.

    Right means that the label agrees with the decision; that makes accuracy, precision, recall, specificity and f1 highest,
    and wrong makes them lowest. How far to trust the scores is tuned on the labels that came and then kept, so that no way
    to fill in the missing ones gives a value outside worst.value to best.value.
    """
    if metric == "prevalence":
        raise InvalidInput("The prevalence has no right and wrong labels.", fix="Bound accuracy, say.")
    answered = [window for window in windows if window.response > 0]
    lam = _tuned(_pooled([_drawn(window, metric, None) for window in answered], answered)) if answered else 0.0
    bounds = []
    for right in (False, True):
        filled = [_filled(window, right) for window in windows]
        bounds.append(_metric(metric, _pooled([_drawn(window, metric, None) for window in filled], filled), confidence, lam))
    labels = sum(len(window.sample.rows) for window in windows)
    came = sum(window.response * len(window.sample.rows) for window in windows)
    return Bounds(came / labels, *bounds)


def _filled(window: Labelled, right: bool) -> Labelled:
    decided = np.asarray(window.decided, dtype=np.bool_)[window.sample.rows]
    actual = np.asarray(window.actual, dtype=np.float64)
    filled = np.where(np.isfinite(actual), actual, decided == right)
    return Labelled(window.scores, window.decided, window.sample, filled)
