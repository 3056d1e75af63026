"""Other tools' default drift rules, written anew on numpy and scipy, and rows to try them on beside custody's detector.

Each rule is what the tool does to a column when nothing is configured, as read in its source:
- evidently 0.7 (`calculations/stattests/registry.py`): above 1,000 reference rows the Wasserstein distance over the reference's
  standard deviation for numbers and the Jensen-Shannon distance (natural logarithm) for categories, each drifts at 0.1; up to
  1,000 rows p < 0.05 of Kolmogorov-Smirnov, of a z test for two levels, and of a one-sample chi-square that takes the reference's
  shares as exact (`chisquare_stattest.py`). Its "dataset drift" asks for half of the columns.
- NannyML 0.13 (`drift/univariate/methods.py`): Jensen-Shannon distance (base 2) on Doane's bins or on values, drifts outside mean
  +- 3 standard deviations over the chunks of the reference.
- alibi-detect 0.13 (`cd/tabular.py`): Kolmogorov-Smirnov and two-sample chi-square at 0.05 over the number of columns.
- frouros 0.9: the same two tests at 0.05 for each column. - deepchecks 0.19: Kolmogorov-Smirnov distance or Cramer's V of 0.2.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial import distance as scipy_distance
from scipy.special import chdtrc, kolmogorov, ndtr

Floats = NDArray[np.float64]
Rows = Mapping[str, Floats]
LEVELS = (2, 5, 20, 50, 200)
Drifting = NDArray[np.bool_]


def rows(rng: np.random.Generator, n: int, shift: float = 0.0) -> dict[str, Floats]:
    """Draw n rows: 8 normal, 4 lognormal, 4 heavy-tailed (t, 3 degrees), 4 mixed numbers (zeros and exponential), 5 categories.

    shift: standard deviations by which the mean of a normal, a lognormal's logarithm and a t column move. Categories are codes.
    """
    normal = rng.normal(size=(16, n))
    normal[[0, 8]] += shift
    tailed = rng.standard_t(3, size=(4, n)) / sqrt(3)
    tailed[0] += shift
    found = {f"x{i}": column for i, column in enumerate([*normal[:8], *np.exp(normal[8:12])])}
    found |= {f"t{i}": column for i, column in enumerate(tailed)}
    found |= {f"m{i}": np.round(rng.exponential(size=n) * (rng.random(n) < 0.6), 1) for i in range(4)}
    for place, levels in enumerate(LEVELS):
        chances = np.arange(1, levels + 1) ** -0.8
        found[f"c{place}"] = rng.choice(levels, n, p=chances / chances.sum()).astype(np.float64)
    return found


@dataclass(frozen=True)
class Side:
    """One column of the reference, sorted, with what the rules ask of it."""

    values: Floats
    category: bool

    @classmethod
    def of(cls, name: str, values: Floats) -> "Side":
        return cls(np.sort(values), name.startswith("c"))


def ks(side: Side, current: Floats) -> tuple[float, float]:
    """Return the Kolmogorov-Smirnov distance and its asymptotic two-sample p-value."""
    ordered = np.sort(current)
    n, m = len(side.values), len(ordered)
    points = np.concatenate([side.values, ordered])
    gap = np.searchsorted(side.values, points, side="right") / n - np.searchsorted(ordered, points, side="right") / m
    distance = float(np.abs(gap).max())
    return distance, float(kolmogorov(distance * sqrt(n * m / (n + m))))


def counted(side: Side, current: Floats) -> tuple[Floats, Floats]:
    """Count the values of either side, shape (k,) each."""
    values = np.union1d(side.values, current)
    before, now = (np.zeros(len(values)) for _ in range(2))
    for table, found in ((before, side.values), (now, current)):
        np.add.at(table, np.searchsorted(values, found), 1)
    return before, now


def chi_square(before: Floats, now: Floats, *, exact_reference: bool) -> float:
    """Return the p-value of the chi-square test: of two samples, or with the reference's shares taken as the truth."""
    n, m = before.sum(), now.sum()
    if exact_reference:
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = float(np.where(before + now > 0, (now - before * m / n) ** 2 / (before * m / n), 0.0).sum())
    else:
        pooled = (before + now) / (n + m)
        statistic = float(((before - n * pooled) ** 2 / (n * pooled) + (now - m * pooled) ** 2 / (m * pooled)).sum())
    return float(chdtrc(len(before) - 1, statistic))


def z_test(before: Floats, now: Floats) -> float:
    """Return the two-sided p-value that two shares are equal."""
    n, m = before.sum(), now.sum()
    pooled = (before[0] + now[0]) / (n + m)
    z = (before[0] / n - now[0] / m) / sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return 2 * float(ndtr(-abs(z)))


def jensen_shannon(p: Floats, q: Floats) -> float:
    """Return the Jensen-Shannon distance of two lists of shares, natural logarithm."""
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(one > 0, one * np.log(one / middle), 0.0).sum() for one in (p, q)]
    return sqrt(max(sum(parts) / 2, 0.0))


def wasserstein(side: Side, current: Floats) -> float:
    """Return the earth mover's distance over the reference's standard deviation, at least 0.001."""
    ordered = np.sort(current)
    points = np.sort(np.concatenate([side.values, ordered]))
    first = np.searchsorted(side.values, points[:-1], side="right") / len(side.values)
    second = np.searchsorted(ordered, points[:-1], side="right") / len(ordered)
    return float(np.abs(first - second) @ np.diff(points)) / max(float(side.values.std()), 0.001)


@dataclass
class Compared:
    """One column of a day beside the reference; what several rules ask for is computed once."""

    side: Side
    current: Floats

    @cached_property
    def ks(self) -> tuple[float, float]:
        return ks(self.side, self.current)

    @cached_property
    def counts(self) -> tuple[Floats, Floats]:
        return counted(self.side, self.current)

    @cached_property
    def two_sample(self) -> float:
        """Return the p-value of the usual test of two samples."""
        return chi_square(*self.counts, exact_reference=False) if self.side.category else self.ks[1]


def _evidently(column: Compared) -> bool:
    if len(column.side.values) > 1000:
        if column.side.category:
            return jensen_shannon(*column.counts) >= 0.1
        return wasserstein(column.side, column.current) >= 0.1
    if not column.side.category:
        return column.ks[1] < 0.05
    before, now = column.counts
    return (z_test(before, now) if len(before) <= 2 else chi_square(before, now, exact_reference=True)) < 0.05


def _deepchecks(column: Compared) -> bool:
    if not column.side.category:
        return column.ks[0] >= 0.2
    before, now = column.counts
    n, m = before.sum(), now.sum()
    pooled = (before + now) / (n + m)
    statistic = ((before - n * pooled) ** 2 / (n * pooled) + (now - m * pooled) ** 2 / (m * pooled)).sum()
    return sqrt(max(float(statistic) / (n + m) - (len(before) - 1) / (n + m - 1), 0.0)) >= 0.2


def _nannyml(values: Floats, side: Side, chunk: int) -> Callable[[Floats], bool]:
    distinct = np.unique(values)
    numeric = not side.category and (len(distinct) > 50 or len(distinct) / len(values) > 0.1)
    bins = np.histogram_bin_edges(values, bins="doane") if numeric else distinct

    def shares(of: Floats) -> Floats:
        if numeric:
            return np.histogram(of, bins)[0] / len(of)
        places = np.clip(np.searchsorted(bins, of), 0, len(bins) - 1)
        return np.bincount(places[bins[places] == of], minlength=len(bins)) / len(of)

    reference = shares(values)

    def distance(of: Floats) -> float:
        now = shares(of)
        rest = max(1 - float(now.sum()), 0.0)
        return jensen_shannon(np.append(reference, 0.0), np.append(now, rest)) / sqrt(np.log(2))

    usual = np.array([distance(values[start : start + chunk]) for start in range(0, len(values) - chunk + 1, chunk)])
    low, high = max(usual.mean() - 3 * usual.std(), 0.0), usual.mean() + 3 * usual.std()
    return lambda of: not low <= distance(of) <= high


def rules(reference: Rows, chunk: int) -> Callable[[Rows], dict[str, Drifting]]:
    """Return what tells, for the rows of a day, which columns drift by each tool's rule, shape (k,) each."""
    sides = {name: Side.of(name, values) for name, values in reference.items()}
    chunked = len(reference["x0"]) >= 5 * chunk  # a mean and a deviation need chunks
    alone = {name: _nannyml(values, sides[name], chunk) for name, values in reference.items() if chunked}

    def judged(current: Rows) -> dict[str, Drifting]:
        columns = [Compared(side, current[name]) for name, side in sides.items()]
        evidently = np.array([_evidently(column) for column in columns])
        p = np.array([column.two_sample for column in columns])
        found: dict[str, Drifting] = {
            "evidently, any column": evidently,
            "evidently, dataset drift (half of columns)": evidently & (evidently.mean() >= 0.5),
            "plain KS + chi-square, p < .05 (frouros)": p < 0.05,
            "alibi-detect TabularDrift (Bonferroni)": p < 0.05 / len(p),
            "deepchecks (KS or Cramer's V >= 0.2)": np.array([_deepchecks(column) for column in columns]),
        }
        if chunked:
            found["NannyML (JS, mean + 3 sd of chunks)"] = np.array([alone[name](current[name]) for name in sides])
        return found

    return judged


def checked(rng: np.random.Generator) -> None:
    """Compare the statistics with scipy's on one pair of samples; an AssertionError tells which one is off."""
    before, now = rows(rng, 3000), rows(rng, 500)
    for name in ("x0", "x9", "t0", "m0"):
        side = Side.of(name, before[name])
        assert np.isclose(ks(side, now[name])[0], stats.ks_2samp(before[name], now[name]).statistic), name
        own = wasserstein(side, now[name]) * before[name].std()
        assert np.isclose(own, stats.wasserstein_distance(before[name], now[name])), name
    for name in ("c0", "c2", "c3"):
        p, q = counted(Side.of(name, before[name]), now[name])
        assert np.isclose(chi_square(p, q, exact_reference=False), stats.chi2_contingency([p, q], correction=False)[1]), name
        assert np.isclose(chi_square(p, q, exact_reference=True), stats.chisquare(q, p * q.sum() / p.sum())[1]), name
        assert np.isclose(jensen_shannon(p, q), scipy_distance.jensenshannon(p, q)), name
