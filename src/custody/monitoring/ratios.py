"""Metrics as ratios E[u] / E[v] of row values: what u and v of each row are if its label turns out no, and if it turns out yes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from custody.core.errors import InvalidInput

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

METRICS = ("accuracy", "precision", "recall", "specificity", "f1", "prevalence")


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """One metric's row values at both possible labels, shape (n,) each: u0 and v0 at no, u1 and v1 at yes."""

    u0: Floats
    v0: Floats
    u1: Floats
    v1: Floats

    def expected(self, scores: Floats) -> tuple[Floats, Floats]:
        """Return fu and fv, what u and v are expected to be if the scores are the chances of yes."""
        return scores * self.u1 + (1 - scores) * self.u0, scores * self.v1 + (1 - scores) * self.v0

    def seen(self, actual: Bools) -> tuple[Floats, Floats]:
        """Return u and v at the labels."""
        return np.where(actual, self.u1, self.u0), np.where(actual, self.v1, self.v0)

    def swing(self, ratio: float) -> Floats:
        """Return how much u - ratio v grows when the label turns from no to yes."""
        gap: Floats = (self.u1 - ratio * self.v1) - (self.u0 - ratio * self.v0)
        return gap

    @property
    def matter(self) -> Bools:
        """Tell which rows' labels can change the metric: precision has no use for a row that was decided "no"."""
        known: Bools = (self.u0 == self.u1) & (self.v0 == self.v1)
        return ~known

    def at(self, rows: "NDArray[np.int64]") -> "Terms":
        """Return the terms of some rows, in the order given."""
        return Terms(self.u0[rows], self.v0[rows], self.u1[rows], self.v1[rows])

    def within(self, group: Bools) -> "Terms":
        """Return the terms of the same metric of one group of rows: all others count for nothing."""
        return Terms(self.u0 * group, self.v0 * group, self.u1 * group, self.v1 * group)


def terms_of(metric: str, decided: ArrayLike) -> Terms:
    """Return a metric's terms for decisions of shape (n,); a metric that is none of METRICS is InvalidInput.

    accuracy (1[h = y], 1), precision (h y, h), recall (h y, y), specificity ((1 - h)(1 - y), 1 - y), f1 (2 h y, h + y),
    prevalence (y, 1): h is the decision, y the label.
    """
    h = np.asarray(decided, dtype=np.bool_).astype(np.float64)
    none, all_ = np.zeros(len(h)), np.ones(len(h))
    terms = {
        "accuracy": (1 - h, all_, h, all_),
        "precision": (none, h, h, h),
        "recall": (none, none, h, all_),
        "specificity": (1 - h, all_, none, none),
        "f1": (none, h, 2 * h, 1 + h),
        "prevalence": (none, all_, all_, all_),
    }
    if metric not in terms:
        raise InvalidInput(f"'{metric}' is not a ratio of row values.", why=f"Possible are {', '.join(METRICS)}.")
    return Terms(*terms[metric])


def scored(scores: ArrayLike, decided: ArrayLike) -> tuple[Floats, Bools]:
    """Read a window's scores and decisions, shape (N,) each.

    Raises: InvalidInput if there is no row, the shapes differ, or a score is no number in 0..1.
    """
    q, h = np.asarray(scores, dtype=np.float64), np.asarray(decided, dtype=np.bool_)
    if q.ndim != 1 or q.shape != h.shape or not q.size:
        raise InvalidInput("Scores and decisions must be two columns of equal length, at least one row long.")
    if not ((q >= 0) & (q <= 1)).all():
        raise InvalidInput("A score is not a number from 0 to 1.", why="A score is the model's chance of yes.")
    return q, h


def plug_in(terms: Terms, scores: Floats) -> float | None:
    """Return the metric's value if the scores were right; None if its denominator would be 0. A guess, never a measurement."""
    fu, fv = terms.expected(scores)
    whole = float(fv.sum())
    return float(fu.sum()) / whole if whole > 0 else None
