"""Labels checked one by one as they arrive: a bet against "the metric is still high enough", valid after every label."""

from dataclasses import dataclass, replace
from math import exp, log
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from custody.core.errors import InvalidInput
from custody.core.evidence import Estimate
from custody.core.measures.performance import bounds
from custody.monitoring.ratios import terms_of
from custody.monitoring.rounds import Round

STAKES = np.array([0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9])
RATIOS = ("accuracy", "precision", "recall", "specificity", "f1")
REGISTERED_SHARE = 0.2  # of alpha, for the registered value's own uncertainty
NOTHING = 1e-12  # below it a largest Z is rounding of 0


@dataclass(frozen=True, slots=True)
class Betting:
    """An e-process against H0 "metric >= limit", for a metric that is a ratio E[u] / E[v] of row values.

    logs: log wealth of each stake. labels: seen so far. peak: largest log e-value ever reached. alpha: chance that it ever
    raises a false alarm, however often it is read, if labels are of a random sample of predictions, or of all of them
    (`update`), or of draws by known chances (`update_drawn`).
    Each factor 1 - g Z / Zmax with Z = u - limit v has mean <= 1 under H0 and is positive, since Z <= Zmax: (1 - limit) for
    all of RATIOS but f1, twice that for f1; a window's largest Z for draws by known chances. Linear in u and v, hence exact for ratios.
    Source: Ville 1939; Waudby-Smith and Ramdas 2024 (betting); the mean over fixed stakes g is again an e-process.
    """

    metric: str
    limit: float
    alpha: float
    logs: tuple[float, ...] = (0.0,) * len(STAKES)
    labels: int = 0
    peak: float = 0.0

    @classmethod
    def against(cls, registered: Estimate, *, tolerance: float, alpha: float) -> Self:
        """Start betting that a metric fell by more than `tolerance` below its registered value.

        The limit is the registered value's one-sided lower bound at 0.2 alpha, less the tolerance; 0.8 alpha is left to bet.
        Raises: InvalidInput if the metric is none of RATIOS.
        """
        if registered.metric not in RATIOS:
            raise InvalidInput(f"'{registered.metric}' is not a ratio of row values.", why=f"Possible are {', '.join(RATIOS)}.")
        _, low, _ = bounds(registered, 1 - 2 * REGISTERED_SHARE * alpha)
        limit = min(max(low - tolerance, 0.0), 1 - 1e-6)
        return cls(registered.metric, limit, (1 - REGISTERED_SHARE) * alpha)

    @property
    def log_e(self) -> float:
        """Return the log of the e-value now: the mean wealth over stakes."""
        return float(np.logaddexp.reduce(np.array(self.logs))) - log(len(STAKES))

    @property
    def e(self) -> float:
        """Return the e-value now: 1 at the start, how many times the bet multiplied; capped at e^700."""
        return exp(min(self.log_e, 700.0))

    @property
    def alarm(self) -> bool:
        """Tell whether the evidence ever reached 1 / alpha."""
        return self.peak >= -log(self.alpha)

    def update(self, decided: ArrayLike, actual: ArrayLike) -> "Betting":
        """Add labelled rows in the order they arrived, shape (n,) of true/false each; the alarm is checked after every one."""
        u, v = ratio_terms(self.metric, decided, actual)
        largest = (2 if self.metric == "f1" else 1) * (1 - self.limit)
        return self._placed((u - self.limit * v) / largest)

    def update_drawn(self, drawn: Round, actual: ArrayLike) -> "Betting":
        """Add the labels of one window's draws, shape (n,) of 0 or 1 in the order drawn; the alarm is checked after every one.

        Windows follow each other by calling this again: the product runs on. A label that did not come (NaN) counts as the
        one that speaks most for the metric, so that the promise holds whatever is missing; with the late label, start again
        from the stored rounds: the promise covers every replay too.
        H0 is that in no window the metric of its N predictions is below the limit. pi, limit and scores were fixed before.
        Raises: InvalidInput if the round is of another metric, or the labels do not fit.
        """
        if drawn.metric != self.metric:
            raise InvalidInput(f"A bet on {self.metric} cannot use a round of {drawn.metric}.")
        z, largest = drawn.values(self.limit, actual, high=True), float(drawn.largest(self.limit))
        if largest <= NOTHING:  # no label could speak for the metric, nor be bet on: a window without predicted positives
            return self._placed(np.zeros(len(z)))
        return self._placed(z / largest)

    def _placed(self, z: NDArray[np.float64]) -> "Betting":
        """Place the stakes on each z <= 1 in turn."""
        if not len(z):
            return self
        path = np.array(self.logs) + np.cumsum(np.log1p(-STAKES * z[:, None]), axis=0)
        peak = float(np.logaddexp.reduce(path, axis=1).max()) - log(len(STAKES))
        return replace(self, logs=tuple(path[-1].tolist()), labels=self.labels + len(path), peak=max(self.peak, peak))


def ratio_terms(metric: str, decided: ArrayLike, actual: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the row values u and v whose means' ratio is the metric, shape (n,) each.

    >>> [part.tolist() for part in ratio_terms("precision", [True, True, False], [True, False, True])]
    [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]
    """
    h, y = np.asarray(decided, dtype=np.bool_), np.asarray(actual, dtype=np.bool_)
    if h.shape != y.shape or h.ndim != 1:
        raise InvalidInput("Decisions and labels must be two columns of equal length.")
    return terms_of(metric, h).seen(y)
