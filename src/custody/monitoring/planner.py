"""What a label budget can find: how far a metric must fall before a bet on that many labels is likely to notice."""

from dataclasses import dataclass
from math import ceil, log

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from custody.core.errors import InvalidInput
from custody.core.measures.roots import root
from custody.monitoring.betting import NOTHING, STAKES
from custody.monitoring.ratios import Floats, Terms, scored, terms_of
from custody.monitoring.rounds import parts_of
from custody.monitoring.sampling import Design

_SURE = 1e-6  # a planner's scores are never surer than this: no label is impossible
_FAR = 40.0  # log odds


@dataclass(frozen=True, slots=True)
class Plan:
    """What `per_day` labels a day find in about `days` days: a fall of the metric to `drop` below `limit`, None if nothing.

    limit: the registered value's lower bound less the tolerance, as `Betting.limit`. drop: 0..1.
    """

    metric: str
    limit: float
    per_day: int
    days: int
    drop: float | None

    @property
    def sentence(self) -> str:
        """Say it in one line for people who set a budget."""
        budget = f"{self.per_day:,} label{'s' * (self.per_day != 1)} a day"
        span = f"about {self.days:,} day{'s' * (self.days != 1)}"
        if self.drop is None:
            return f"{budget}: no drop of {self.metric} in {span}; more labels are needed"
        return f"{budget}: a drop {100 * self.drop:.1f} points past the tolerance in {span}"


@dataclass(frozen=True, slots=True, eq=False)
class Budget:
    """A bet on draws from windows like this one: made by `budget_of`.

    z: of each of N predictions at label no and yes, as share of the largest, shape (2, N). chances: pi, shape (N,).
    """

    metric: str
    limit: float
    alpha: float
    scores: Floats
    decided: Floats
    chances: Floats
    z: Floats

    def growth(self, drop: float) -> Floats:
        """Return how fast each stake's log wealth grows a label, if the metric lies `drop` below the limit, shape (8,).

        The world imagined: the odds of every decision being right fall by one factor, until the metric is that low.
        """
        chances = self.fallen(self.limit - drop)
        weights = self.chances * np.stack([1 - chances, chances])
        return np.array([float((weights * np.log1p(-stake * self.z)).sum()) for stake in STAKES])

    def labels(self, drop: float) -> int | None:
        """Return after about how many labels a drop is found, None if it cannot be expected to be found at all.

        The wealth is taken to grow at its mean rate; half the runs find it sooner, half later, roughly.
        Raises: InvalidInput if the drop is not between 0 and the limit.
        """
        if not 0 < drop < self.limit:
            raise InvalidInput(f"A drop of {drop} is not between 0 and the limit {self.limit}.")
        growth = self.growth(drop)
        if growth.max() <= 0:
            return None
        most = (-log(self.alpha) + log(len(STAKES))) / float(growth.max())
        return ceil(root(lambda labels: _evidence(growth, labels) + log(self.alpha), 0, most + 1))

    def finds(self, labels: int) -> float | None:
        """Return the smallest drop that this many labels find, to 0.0001; None if not even a metric near 0 is found."""

        def lacking(drop: float) -> float:
            return -log(self.alpha) - _evidence(self.growth(drop), labels)

        least, most = min(1e-4, self.limit / 2), self.limit * 0.99
        if lacking(most) > 0:
            return None
        return least if lacking(least) <= 0 else root(lacking, least, most, xtol=1e-4)

    def plan(self, per_day: int, days: int) -> Plan:
        """Say what so many labels a day find in so many days; both at least 1."""
        if per_day < 1 or days < 1:
            raise InvalidInput("A budget needs at least one label a day and one day.")
        return Plan(self.metric, self.limit, per_day, days, self.finds(per_day * days))

    def fallen(self, value: float) -> Floats:
        """Return each prediction's chance of yes in the imagined world in which the metric is `value`, shape (N,)."""
        odds, signs = logit(np.clip(self.scores, _SURE, 1 - _SURE)), 2 * self.decided - 1
        terms = terms_of(self.metric, self.decided)
        against = root(lambda shift: _ratio(terms, expit(odds - shift * signs)) - value, -_FAR, _FAR)
        chances: Floats = expit(odds - against * signs)
        return chances


def budget_of(scores: ArrayLike, decided: ArrayLike, design: Design, *, metric: str, limit: float, alpha: float = 0.05) -> Budget:
    """Prepare a planner from one window like those to come: its scores and decisions, shape (N,), and the design of draws.

    limit, alpha: of the bet (`Betting.limit`, `Betting.alpha`). Growth rate: Kelly 1956; Waudby-Smith and Ramdas 2024.
    Raises: InvalidInput if the limit is not between 0 and 1, or the window cannot say anything about the metric.
    """
    q, h = scored(scores, decided)
    if not 0 < limit < 1 or not 0 < alpha < 1:
        raise InvalidInput("The limit and alpha must lie between 0 and 1.")
    z = np.stack([part @ (1, -limit) for part in parts_of(metric, q, h, design)])
    largest = float(z.max())
    if not terms_of(metric, h).matter.any() or largest <= NOTHING:
        raise InvalidInput(f"No prediction of this window says anything about {metric}.", why="None was decided yes, perhaps.")
    return Budget(metric, limit, alpha, q, h.astype(np.float64), design.chances, z / largest)


def _evidence(growth: Floats, labels: float) -> float:
    """Return the log e-value after so many labels if each stake grew at its mean rate."""
    return float(np.logaddexp.reduce(growth * labels)) - log(len(STAKES))


def _ratio(terms: Terms, chances: Floats) -> float:
    u, v = terms.expected(chances)
    return float(u.sum() / v.sum())
