"""What single days of a quiet phase tell: how much shares move by themselves, by weekday, and how rows hang together."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from custody.core.errors import InvalidInput

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

TOGETHER, WEEKEND, WEEKDAYS = (0, 0, 0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 1, 1), (0, 1, 2, 3, 4, 5, 6)  # groups, Monday first
GROUPINGS = (TOGETHER, WEEKEND, WEEKDAYS)
CHANCE = 0.01  # that days without a weekly pattern show one
FORTNIGHT = 14  # days without which nothing is weekly
EXPECTED = 5  # rows of an event, and of its opposite, that a day needs for the event to say how days vary


def design_effect(entities: ArrayLike, *, correlation: float = 1.0) -> float:
    """Say how many rows are worth one independent row, >= 1, if rows of one entity hang together.

    entities: rows of each entity in the data, shape (m,), whole numbers >= 1. correlation: between two rows of one entity,
    0..1; 1 = they are all alike, the worst case.
    Raises: InvalidInput if there is no entity, one without rows, or the correlation is outside 0..1.
    Source: Kish 1965, for unequal clusters: 1 + (sum of m^2 / sum of m - 1) * correlation.

    >>> design_effect([1, 1, 1, 1]), design_effect([5, 5]), design_effect([5, 5], correlation=0.25)
    (1.0, 5.0, 2.0)
    """
    sizes = np.asarray(entities, dtype=np.float64)
    if not sizes.size or sizes.min() < 1 or not 0 <= correlation <= 1:
        raise InvalidInput("A design effect needs the rows of each entity, 1 or more, and a correlation between 0 and 1.")
    return 1 + (float(sizes @ sizes) / float(sizes.sum()) - 1) * correlation


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """Events counted on single days. counts: shape (d, e). rows: of each day, >= 1, shape (d,). groups: of each day, or one."""

    counts: Counts
    rows: Counts
    groups: Counts

    @classmethod
    def of(cls, counts: Sequence[Counts], rows: Sequence[int], events: int) -> "Days":
        """Gather days; those without rows say nothing and are left out."""
        table, sizes = np.array(counts, dtype=np.int64).reshape(len(rows), events), np.array(rows, dtype=np.int64)
        return cls(table[sizes > 0], sizes[sizes > 0], np.zeros(int((sizes > 0).sum()), dtype=np.int64))

    @property
    def shares(self) -> Floats:
        """Return each day's shares, shape (d, e)."""
        found: Floats = self.counts / self.rows[:, None]
        return found

    @property
    def residuals(self) -> Floats:
        """Return each day's shares less the mean of its group's days, shape (d, e)."""
        shares = self.shares
        for group in np.unique(self.groups):
            shares[self.groups == group] -= shares[self.groups == group].mean(axis=0)
        return shares

    @property
    def free(self) -> int:
        """Return the degrees of freedom that are left to say how days of one group vary."""
        return len(self.rows) - len(np.unique(self.groups))

    @property
    def noise(self) -> Floats:
        """Return the standard deviation between days of one group beyond that of sampling, in share, shape (e,)."""
        if self.free < 1:
            return np.zeros(self.counts.shape[1])
        sampling = (self.shares * (1 - self.shares) / self.rows[:, None]).mean(axis=0)
        found: Floats = np.sqrt(np.maximum((self.residuals**2).sum(axis=0) / self.free - sampling, 0.0))
        return found

    def effect(self, starts: Counts) -> Floats:
        """Return the design effect of each event, >= 1, shape (e,): how much more its column varies than independent rows.

        Pearson's dispersion over days, the mean over the column's events that are frequent enough. starts: first event of
        each column. Raises: InvalidInput if too few days are there to tell.
        """
        if self.free < 1:
            raise InvalidInput("How rows hang together cannot be told from fewer than two days.", fix="Give more days.")
        share = self.counts.sum(axis=0) / self.rows.sum()
        expected = np.minimum(share, 1 - share) * self.rows.mean()
        told = expected >= EXPECTED
        scale = np.where(told, share * (1 - share), 1.0)
        squares = (self.residuals**2 * self.rows[:, None]).sum(axis=0) / self.free / scale
        sums = np.add.reduceat(np.where(told, squares, 0.0), starts) / np.maximum(np.add.reduceat(told, starts), 1)
        sizes = np.diff(np.append(starts, len(share)))
        found: Floats = np.repeat(np.maximum(sums, 1.0), sizes)
        return found

    def grouped(self, weekdays: Sequence[int], grouping: Sequence[int]) -> "Days":
        """Return the same days, compared only within the groups of their weekdays (0 = Monday)."""
        return Days(self.counts, self.rows, np.array([grouping[day] for day in weekdays], dtype=np.int64))


def _surprise(simple: Days, finer: Days, told: "NDArray[np.bool_]") -> float:
    """Return the smallest p-value of the told events that days vary no less around the finer groups' means.

    The F test of two nested sets of means over days, so that noise between days is part of the yardstick.
    Source: Paulson 1942, for the normal approximation of F.
    """
    extra = simple.free - finer.free
    before, after = ((days.residuals**2 * days.rows[:, None]).sum(axis=0)[told] for days in (simple, finer))
    if extra < 1 or finer.free < 1 or not before.size:
        return 1.0
    ratio = np.maximum(before - after, 0.0) / extra / np.maximum(after / finer.free, 1e-12)
    root, a, b = np.cbrt(ratio), 2 / (9 * extra), 2 / (9 * finer.free)
    z = ((1 - b) * root - (1 - a)) / np.sqrt(b * root**2 + a)
    return NormalDist().cdf(-float(z.max()))


def weekly(days: Days, weekdays: Sequence[int], notice: float) -> tuple[int, ...]:
    """Choose the groups of weekdays (Monday first) that are compared apart: all together, weekends apart, or each its own.

    Days are split only where a weekly pattern is shown beyond chance, and would otherwise raise the tolerance above `notice`:
    three standard deviations between days. It takes 14 days, and two of each group. weekdays: of the days, 0 = Monday.
    """
    if len(days.rows) < FORTNIGHT:
        return TOGETHER
    share = days.counts.sum(axis=0) / days.rows.sum()
    frequent = np.minimum(share, 1 - share) * days.rows.mean() >= EXPECTED
    chosen, found = TOGETHER, days
    for grouping in GROUPINGS[1:]:
        finer = days.grouped(weekdays, grouping)
        _, sizes = np.unique(finer.groups, return_counts=True)
        told = frequent & (3 * found.noise > notice)
        enough = len(sizes) == len(set(grouping)) and sizes.min() >= 2 and finer.free >= len(sizes)
        if enough and told.any() and _surprise(found, finer, told) * frequent.sum() * (len(GROUPINGS) - 1) <= CHANCE:
            chosen, found = grouping, finer
    return chosen
