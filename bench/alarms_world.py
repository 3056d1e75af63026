"""Worlds to try drift detectors in: what is true, a finite reference of it, and days of counts drawn from it.

No row is generated: a number's true masses between the quantiles of a reference of n rows are Dirichlet distributed whatever
its law, so cells are drawn as multinomials. The detector that is driven is custody's own: `observe` on counts of its events.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import erf, sqrt

import numpy as np
from numpy.typing import NDArray

from custody.core.measures.spec import Kind, Spec, crc
from custody.core.measures.summary import ColumnSummary, Summary
from custody.monitoring.detector import State, observe, started
from custody.monitoring.prior import label_spec
from custody.monitoring.reference import ALARM, NOTICE, Reference, Tolerance, count_events, reference_of

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

NUMBERS, LEVELS, BINS = 20, (2, 5, 8, 8, 8), 32
KEYS = 66_000 + 40 * np.arange(BINS + 2)  # any buckets in rising order
DRIFTING = 3  # numeric columns that a shift moves
ZERO = Tolerance(notice=1e-12, alarm=0.02, quality=1e-12)  # notice: no tolerance at all; alarm: the usual one
NULL, NAN = -1, -2  # cells of a row without a value, and of one that is not a number
_PHI = np.vectorize(lambda z: (1 + erf(z / sqrt(2))) / 2)


@dataclass(frozen=True)
class Column:
    """One column's truth: the mass of each cell, the key that a cell counts for, and what the reference counted in it."""

    spec: Spec
    keys: Counts
    masses: Floats
    reference: Counts

    def summary(self, counts: Counts) -> ColumnSummary:
        """Return these counts of cells as the summary of a batch."""
        keys = np.unique(self.keys[(self.keys >= 0) & (counts > 0)])
        table = np.array([counts[self.keys == key].sum() for key in keys], dtype=np.int64)
        return ColumnSummary(self.spec, keys, table, int(counts[self.keys == NULL].sum()), int(counts[self.keys == NAN].sum()))


def number(rng: np.random.Generator, n: int, name: str, kind: str) -> Column:
    """Make a numeric column: `continuous`, `discrete` (12 values), `mixture` (40 % zeros, 2 % missing, 0.1 % NaN) or `fixed` (32 cells)."""
    spec = Spec(name, Kind.NUMBER, name)
    if kind == "fixed":
        return Column(spec, KEYS[1:-1], np.full(BINS, 1 / BINS), rng.multinomial(n, np.full(BINS, 1 / BINS)))
    if kind == "discrete":
        masses = rng.dirichlet(np.full(12, 2.0))
        return Column(spec, KEYS[:12], masses, rng.multinomial(n, masses))
    zeros, null, nan, rest = rng.multinomial(n, [0.4, 0.02, 0.001, 0.579]) if kind == "mixture" else (0, 0, 0, n)
    inner = np.diff(np.linspace(0, rest, BINS + 1).round()).astype(np.int64)
    outer = np.zeros(1, dtype=np.int64)
    spaces = [outer + 1, inner - (np.arange(BINS) == 0), outer + 1]  # n points leave n + 1 spaces, each with the same law
    masses, counts = rng.dirichlet(np.concatenate(spaces)), np.concatenate([outer, inner, outer])
    if kind == "continuous":
        return Column(spec, KEYS, masses, counts)
    keys = np.concatenate([[NULL, NAN, KEYS[0] - 1], KEYS])
    return Column(spec, keys, np.concatenate([[0.02, 0.001, 0.4], 0.579 * masses]), np.concatenate([[null, nan, zeros], counts]))


def category(rng: np.random.Generator, n: int, name: str, levels: int, power: float = 0.8) -> Column:
    """Make a category of levels with shares ~ k^-power; the reference may not hold all of them."""
    weights = np.arange(1, levels + 1, dtype=np.float64) ** -power
    masses: Floats = np.asarray(weights / weights.sum(), dtype=np.float64)
    counts, names = rng.multinomial(n, masses), [f"l{i}" for i in range(levels)]
    spec = label_spec({level: int(count) for level, count in zip(names, counts, strict=True) if count}, column=name)
    places, known = {level: place for place, level in enumerate(spec.levels)}, frozenset(spec.known)
    keys = np.array([places.get(level, len(places) + (crc(level) not in known)) for level in names])
    return Column(spec, keys, masses, counts)


@dataclass(frozen=True)
class World:
    """The columns, the reference as the detector knows it, and the map from cells to its events."""

    columns: tuple[Column, ...]
    reference: Reference
    told: tuple[Floats, ...]


def world(rng: np.random.Generator, n: int, kind: str, tolerance: Tolerance = ZERO) -> World:
    """Make a world with 20 numeric columns of one kind and 5 categories, and a reference of n rows of it."""
    columns = [number(rng, n, f"x{i}", kind) for i in range(NUMBERS)]
    columns += [category(rng, n, f"c{i}", levels) for i, levels in enumerate(LEVELS)]
    if kind == "mixture":
        columns[-1] = category(rng, n, f"c{len(LEVELS) - 1}", 2000, 1.1)
    return furnished(columns, tolerance)


def furnished(columns: Sequence[Column], tolerance: Tolerance) -> World:
    """Prepare the detector's reference for columns, and the map from cells to its events."""
    reference = reference_of(Summary(tuple(column.summary(column.reference) for column in columns)), tolerance)
    return World(tuple(columns), reference, mapped(columns, reference))


def mapped(columns: Sequence[Column], reference: Reference) -> tuple[Floats, ...]:
    """Tell for each column which of its cells count for which of the reference's events: 1 where they do."""
    told = []
    for place, column in enumerate(columns):
        mine = [event for event in reference.events if event.column == place]
        of = np.zeros((len(column.keys), len(mine)))
        for j, event in enumerate(mine):
            value = column.keys >= 0
            of[:, j] = (
                column.keys == {"null": NULL, "nan": NAN, "infinite": -3}[event.special]
                if event.special
                else value & (column.keys <= event.cut)
                if event.cut is not None
                else value & (column.keys > event.above)
                if event.above is not None
                else column.keys == event.level
            )
        told.append(of)
    return tuple(told)


def shifted(masses: Floats, keys: Counts, mean: float) -> Floats:
    """Return a number's masses after its normal score moved by `mean` standard deviations: F becomes Phi(Phi^-1(F) - mean)."""
    values = keys >= 0
    total = masses[values].sum()
    grid = np.linspace(-9, 9, 18_001)
    below = np.clip(np.cumsum(masses[values]) / total, 0, 1)
    after = _PHI(np.interp(below, _PHI_GRID, grid) - mean)
    after[-1] = 1.0
    found = masses.copy()
    found[values] = np.maximum(np.diff(after, prepend=0.0), 0) * total
    normed: Floats = found / found.sum()
    return normed


_PHI_GRID = _PHI(np.linspace(-9, 9, 18_001))


def drifted(place: World, mean: float = 0.0, points: float = 0.0) -> list[Floats]:
    """Return all masses with the mean of 3 numbers moved, or with `points` of share less for the top of two categories."""
    found = [column.masses for column in place.columns]
    for i in range(DRIFTING if mean else 0):
        found[i] = shifted(found[i], place.columns[i].keys, mean)
    for i in (NUMBERS + 1, NUMBERS + 2) if points else ():
        rest = np.full(len(found[i]) - 1, points / (len(found[i]) - 1))
        found[i] = found[i] + np.concatenate([[-points], rest])
    return found


def days(rng: np.random.Generator, place: World, masses: Sequence[Floats], n: int, looks: int) -> Counts:
    """Draw days of n rows each and count the detector's events in them, shape (looks, e)."""
    cells = [rng.multinomial(n, mass / mass.sum(), size=looks) for mass in masses]
    counts = np.concatenate([drawn @ told for drawn, told in zip(cells, place.told, strict=True)], axis=1).astype(np.int64)
    first = Summary(tuple(column.summary(drawn[0]) for column, drawn in zip(place.columns, cells, strict=True)))
    assert np.array_equal(counts[0], count_events(place.reference.events, first)), (
        "cells count for other events than summaries do"
    )
    return counts


def alarms(state: State) -> tuple[int, int]:
    """Return the looks of the first notice and the first alarm, of a column or of all together, 0 = none."""
    looks = np.concatenate([state.first, state.alarmed[:, None]], axis=1)
    first = [int(row[row > 0].min()) if (row > 0).any() else 0 for row in looks]
    return first[NOTICE], first[ALARM]


def watched(place: World, blocks: Iterator[Counts], n: int, level: int | None = None) -> State:
    """Look at day after day; stop at the first alarm of a level, or never."""
    state = started(place.reference)
    for block in blocks:
        for counts in block:
            state = observe(place.reference, state, counts, n)
            if level is not None and alarms(state)[level]:
                return state
    return state
