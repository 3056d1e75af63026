"""Which predictions to ask labels for: known chances, drawn before any label, so that few labels say much and say it rightly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.monitoring.ratios import Bools, Floats, plug_in, scored, terms_of

Rows = NDArray[np.int64]

DESIGNED = ("accuracy", "precision", "recall", "f1")
RESERVE, HALF = 0.2, 0.5
SAMPLE_VERSION = 1
_MIDDLES = (np.arange(16) + 0.5) / 16


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Few rows that stand for all that could be drawn, shape (k,): for an interval, what was not drawn is possible too.

    rows: places in the window. chances: pi of each. shares: how likely a draw is of a row like it, summing to 1.
    """

    rows: Rows
    chances: Floats
    shares: Floats

    def weights(self, size: int) -> Floats:
        """Return w = 1 / (N pi) of each row, in a window of `size` predictions."""
        weights: Floats = 1 / (size * self.chances)
        return weights


NO_CELLS = Cells(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0))


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """How likely each prediction of a closed window is to be drawn, shape (N,): a uniform share, and a part that aims.

    aim: chances of the part that aims, summing to 1. uniform: share of the draws that ignore it, 0 < uniform <= 1.
    """

    aim: Floats
    uniform: float
    cells: Cells = NO_CELLS

    @property
    def size(self) -> int:
        """Return the number of predictions in the window."""
        return len(self.aim)

    @property
    def chances(self) -> Floats:
        """Return pi, the chance of each prediction at each draw; it is at least uniform / N, so no weight exceeds 1 / uniform."""
        return self.uniform / self.size + (1 - self.uniform) * self.aim


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The draws from one closed window of `size` predictions, in the order drawn, shape (n,) each; store it before any label.

    rows: places in the window; one drawn twice is labelled once and counts twice. chances: pi of each row. reserve: draws that
    ignored the scores; alone they are a plain random sample, for measures that nobody designed for. cells: the design's.
    census: every prediction was taken, once.
    """

    size: int
    rows: Rows
    chances: Floats
    reserve: Bools
    cells: Cells = NO_CELLS
    census: bool = False

    @property
    def asked(self) -> Rows:
        """Return the rows to label, each once, in the order first drawn."""
        _, first = np.unique(self.rows, return_index=True)
        return self.rows[np.sort(first)]

    @property
    def weights(self) -> Floats:
        """Return w = 1 / (N pi) of each draw: its mean over draws of w x estimates the window's mean of x without bias."""
        weights: Floats = 1 / (self.size * self.chances)
        return weights

    def labels(self, known: Mapping[int, bool]) -> Floats:
        """Return the label of each draw as 0 or 1, NaN where none came back; a label of a row that was not drawn is InvalidInput.

        A row's label counts at every draw of it. What users report unasked has no chance pi and must not come in here.
        """
        strangers = sorted(set(known) - set(self.rows.tolist()))
        if strangers:
            raise InvalidInput(
                f"There are labels of {len(strangers)} predictions that were not drawn, such as row {strangers[0]}.",
                why="Only labels of drawn predictions have a known chance; others would bias the estimate.",
                fix="Keep them apart from the sample's labels.",
            )
        return np.array([float(known[row]) if row in known else np.nan for row in self.rows.tolist()])

    def to_json(self) -> dict[str, Json]:
        """Write the sample as JSON values; every chance is written exactly."""
        columns = {"rows": self.rows, "chances": self.chances, "reserve": self.reserve}
        cells = {"rows": self.cells.rows, "chances": self.cells.chances, "shares": self.cells.shares}
        lists: dict[str, Json] = {name: [*column.tolist()] for name, column in columns.items()}
        stand: dict[str, Json] = {name: [*column.tolist()] for name, column in cells.items()}
        return {"version": SAMPLE_VERSION, "size": self.size, "census": self.census, "cells": stand, **lists}

    @classmethod
    def from_json(cls, body: Json) -> Self:
        """Read a sample back; one of another version or a broken text is InvalidInput."""
        try:
            if not isinstance(body, dict) or body["version"] != SAMPLE_VERSION or not isinstance(body["cells"], dict):
                raise TypeError
            size = int(str(body["size"]))
            rows, (chances,) = _read(body, size, "chances")
            reserve = np.array(body["reserve"], dtype=np.bool_)
            if reserve.shape != rows.shape:
                raise ValueError
            places, (likely, shares) = _read(body["cells"], size, "chances", "shares")
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(
                "The stored sample is not readable.", why="It is of another version, was cut or edited."
            ) from error
        return cls(size, rows, chances, reserve, Cells(places, likely, shares), body["census"] is True)


def _read(body: Mapping[str, Json], size: int, *names: str) -> tuple[Rows, list[Floats]]:
    rows = np.array(body["rows"], dtype=np.int64)
    columns = [np.array(body[name], dtype=np.float64) for name in names]
    if rows.ndim != 1 or any(column.shape != rows.shape or not (column > 0).all() for column in columns):
        raise ValueError
    if rows.size and not 0 <= rows.min() <= rows.max() < size:
        raise ValueError
    return rows, columns


def design_of(spread: ArrayLike, *, uniform: float = RESERVE) -> Design:
    """Aim draws at the rows whose values are least certain: in proportion to `spread`, shape (N,), each row's standard deviation.

    uniform: share of draws that ignore it, 0 < uniform <= 1. Spread 0 everywhere draws uniformly. For a regression take the
    expected size of the loss. Source: Neyman 1934; with control variates Zrnic and Candes 2024 (active inference).
    Raises: InvalidInput for an empty window, a spread that is negative or no number, or a uniform share outside (0, 1].
    """
    r = np.asarray(spread, dtype=np.float64)
    if r.ndim != 1 or not r.size:
        raise InvalidInput("There is no prediction to draw from.", fix="Close the window when it holds predictions.")
    if not (np.isfinite(r) & (r >= 0)).all():
        raise InvalidInput("A spread is negative or not a finite number.")
    if not 0 < uniform <= 1:
        raise InvalidInput(
            f"The uniform share {uniform} is not above 0 and at most 1.", why="It bounds the weights by its inverse."
        )
    largest = float(r.max())
    if not largest:
        return Design(np.full(len(r), 1 / len(r)), 1.0)
    aim = r / largest
    return Design(aim / aim.sum(), uniform)


def uniform_design(scores: ArrayLike, decided: ArrayLike) -> Design:
    """Draw every prediction of a window alike; scores P(y = 1) and decisions, shape (N,) each, only steady its estimates."""
    q, h = scored(scores, decided)
    return _celled(design_of(np.zeros(len(q)), uniform=1.0), q, h)


def shared_design(
    scores: ArrayLike, decided: ArrayLike, *, metrics: Sequence[str] = DESIGNED, uniform: float = RESERVE
) -> Design:
    """Aim one sample at several metrics at once, from scores P(y = 1) and decisions, shape (N,) each.

    Each metric M asks for draws in proportion to the standard deviation of u - M v given the score; T adds up the squares of
    what all ask for, each scaled to mean 1, and pi is 0.8 sqrt(T) plus 0.2 uniform. Scores that are wrong cost width, never
    coverage. A metric without denominator (no predicted positive) or without doubt (q exactly 0 or 1) asks for nothing.
    """
    q, h = scored(scores, decided)
    total = np.zeros(len(q))
    for metric in metrics:
        asked = _spread(metric, q, h, None)
        if mean := float(asked.mean()):
            total += (asked / mean) ** 2
    return _celled(design_of(np.sqrt(total), uniform=uniform), q, h)


def betting_design(scores: ArrayLike, decided: ArrayLike, metric: str, limit: float, *, uniform: float = HALF) -> Design:
    """Aim draws at one metric's test against `limit`; the uniform half keeps weights <= 2, hence the largest loss of a bet small.

    Source: the proportional aim of `shared_design`, at the limit in place of the metric's likely value.
    """
    q, h = scored(scores, decided)
    return _celled(design_of(_spread(metric, q, h, limit), uniform=uniform), q, h)


def _spread(metric: str, q: Floats, h: Bools, ratio: float | None) -> Floats:
    """Return sqrt(q (1 - q)) times the swing of each row, 0 for a metric without denominator."""
    terms = terms_of(metric, h)
    at = plug_in(terms, q) if ratio is None else ratio
    spread: Floats = np.zeros(len(q)) if at is None else np.sqrt(q * (1 - q)) * np.abs(terms.swing(at))
    return spread


def _celled(design: Design, q: Floats, h: Bools) -> Design:
    """Add the stand-ins: of either decision, rows in the middle of 16 groups by score that are drawn equally often."""
    rows, shares = [], []
    for places in (np.flatnonzero(~h), np.flatnonzero(h)):
        if places.size:
            ordered = places[np.argsort(q[places], kind="stable")]
            mass = np.cumsum(design.chances[ordered])
            rows.append(ordered[np.searchsorted(mass, mass[-1] * _MIDDLES)])
            shares.append(np.full(len(_MIDDLES), mass[-1] / len(_MIDDLES)))
    chosen = np.concatenate(rows)
    return replace(design, cells=Cells(chosen, design.chances[chosen], np.concatenate(shares)))


def draw(design: Design, labels: int, rng: np.random.Generator) -> Sample:
    """Draw predictions to label, with replacement, by the design's chances; all of them, once, if labels >= N.

    labels: draws n, at least 1; distinct rows are fewer. rng: the caller's, so that a stored seed draws the same rows again.
    """
    if labels < 1:
        raise InvalidInput(f"{labels} labels cannot be drawn.", fix="Ask for at least one.")
    size = design.size
    if labels >= size:
        every = np.arange(size, dtype=np.int64)
        return Sample(size, every, np.full(size, 1 / size), np.ones(size, dtype=np.bool_), design.cells, census=True)
    reserve = rng.random(labels) < design.uniform
    steps = np.cumsum(design.aim)
    aimed = np.searchsorted(steps, rng.random(labels) * steps[-1], side="right")
    rows = np.where(reserve, rng.integers(size, size=labels), aimed).astype(np.int64)
    return Sample(size, rows, design.chances[rows], reserve, design.cells)
