"""Days that are not independent rows: users with many rows a day, and weeks with weekends."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import reduce

import numpy as np

from alarms_world import NUMBERS, ZERO, Column, Counts, Floats, World, alarms, mapped, number, shifted
from custody.core.measures.summary import Summary, merge
from custody.monitoring.detector import observe, started
from custody.monitoring.reference import Reference, count_events, reference_of
from custody.monitoring.weekdays import Calendar, calendar_of

MONDAY = date(2026, 1, 5)
WAYS = ("rows taken as independent", "entities given at each look", "design effect between 30 quiet days")


def sizes_of(rng: np.random.Generator, n: int) -> Counts:
    """Draw users' rows of a day, adding up to n: most have a few, one in a hundred has 40 more."""
    found = rng.geometric(0.3, n) + 40 * (rng.random(n) < 0.01)
    found = found[: int(np.searchsorted(np.cumsum(found), n)) + 1]
    found[-1] -= found.sum() - n
    return found


def batch(rng: np.random.Generator, columns: Sequence[Column], sizes: Counts, masses: Sequence[Floats]) -> list[Counts]:
    """Draw a day's cells; all rows of one user are alike."""
    found = []
    for mass in masses:
        cell = rng.choice(len(mass), len(sizes), p=mass)
        found.append(np.bincount(cell, weights=sizes, minlength=len(mass)).astype(np.int64))
    assert len(found) == len(columns)
    return found


def summary_of(columns: Sequence[Column], cells: Sequence[Counts]) -> Summary:
    return Summary(tuple(column.summary(drawn) for column, drawn in zip(columns, cells, strict=True)))


def users(rng: np.random.Generator, looks: int, mean: float = 0.0) -> Mapping[str, int]:
    """Watch days of 1,000 rows of users against 10,000 independent rows; return the look of the first notice in each way."""
    columns = [number(rng, 10_000, f"x{i}", "fixed") for i in range(NUMBERS)]
    clean = [column.masses for column in columns]
    first = summary_of(columns, [column.reference for column in columns])
    quiet = [summary_of(columns, batch(rng, columns, sizes_of(rng, 1000), clean)) for _ in range(30)]
    plain, known = reference_of(first, ZERO), reference_of(first, ZERO, days=quiet, clustered=True)
    place = World(tuple(columns), plain, mapped(columns, plain))
    masses = [shifted(mass, columns[0].keys, mean) if i < 3 and mean else mass for i, mass in enumerate(clean)]
    states = {way: started(known if way == WAYS[2] else plain) for way in WAYS}
    for _ in range(looks):
        sizes = sizes_of(rng, 1000)
        counts = count_events(plain.events, summary_of(columns, batch(rng, columns, sizes, masses)))
        states[WAYS[0]] = observe(place.reference, states[WAYS[0]], counts, 1000)
        states[WAYS[1]] = observe(place.reference, states[WAYS[1]], counts, 1000, entities=sizes)
        states[WAYS[2]] = observe(known, states[WAYS[2]], counts, 1000)
    return {way: alarms(state)[0] for way, state in states.items()}


def weeks(rng: np.random.Generator, looks: int, later: float = 0.0) -> tuple[Calendar, Mapping[str, int]]:
    """Watch a service whose weekends differ by 0.3 sd, after 8 quiet weeks; return the first notice in each way.

    later: standard deviations by which three columns move on all days of the watched time.
    """
    columns = [number(rng, 1000, f"x{i}", "fixed") for i in range(NUMBERS)]
    working = [column.masses for column in columns]
    weekend = [shifted(mass, columns[0].keys, 0.3) for mass in working]

    def day_of(day: date, mean: float = 0.0) -> Summary:
        truth = weekend if day.weekday() >= 5 else working
        moved = [shifted(mass, columns[0].keys, mean) if i < 3 and mean else mass for i, mass in enumerate(truth)]
        return summary_of(columns, [rng.multinomial(1000, mass) for mass in moved])

    dates = [MONDAY + timedelta(days=i) for i in range(56 + looks)]
    quiet = {day: day_of(day) for day in dates[:56]}
    whole, calendar = reduce(merge, quiet.values()), calendar_of(quiet, ZERO)
    together, absorbed = reference_of(whole, ZERO), reference_of(whole, ZERO, days=list(quiet.values()))
    ways = {
        "all days together": lambda _: together,
        "tolerance of 3 sd between days": lambda _: absorbed,
        "weekday-matched": calendar.on,
    }
    states = {way: started(on(MONDAY)) for way, on in ways.items()}
    for day in dates[56:]:
        seen = day_of(day, later)
        counts = count_events(calendar.references[0].events, seen)
        for way, on in ways.items():
            reference: Reference = on(day)
            assert reference.events == calendar.references[0].events, "all ways ask for the same events"
            states[way] = observe(reference, states[way], counts, seen.rows)
    return calendar, {way: alarms(state)[0] for way, state in states.items()}
