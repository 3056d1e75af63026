"""Seeded simulations: how often the detector cries wolf, and how soon it sees what is there."""

import numpy as np

from custody.core.measures.spec import Values, specs_of
from custody.core.measures.summary import summarise
from custody.monitoring.detector import look, started
from custody.monitoring.reference import Tolerance, reference_of
from custody.monitoring.report import report

COLUMNS, LEVELS = 20, (2, 5, 8, 8, 8)


def rows(rng: np.random.Generator, n: int, shift: float = 0) -> dict[str, Values]:
    numbers = rng.normal(size=(COLUMNS, n))
    numbers[:3] += shift
    found: dict[str, Values] = {f"x{i}": column for i, column in enumerate(numbers)}
    for place, count in enumerate(LEVELS):
        chances = np.arange(1, count + 1) ** -0.8
        found[f"c{place}"] = rng.choice([f"l{i}" for i in range(count)], n, p=chances / chances.sum())
    return found


def test_without_drift_no_run_of_100_looks_raises_an_alarm_or_a_notice() -> None:
    found = []
    for run in range(6):
        rng = np.random.default_rng(run)
        first = rows(rng, 2000)
        specs = specs_of(first)
        reference = reference_of(summarise(first, specs), Tolerance(notice=0.001, alarm=0.02))
        state = started(reference)
        for _ in range(100):
            state = look(reference, state, summarise(rows(rng, 100), specs))
        found.append(bool(state.first.any()))
    assert sum(found) == 0  # at alpha 0.05 each; the bands make it conservative; bench/alarms.py has hundreds of runs


def test_a_shift_of_half_a_standard_deviation_is_an_alarm_within_a_few_looks() -> None:
    delays = []
    for run in range(5):
        rng = np.random.default_rng(100 + run)
        first = rows(rng, 10_000)
        specs = specs_of(first)
        reference = reference_of(summarise(first, specs))
        state = started(reference)
        for _ in range(30):
            state = look(reference, state, summarise(rows(rng, 500), specs))
        assert not state.first.any()
        for day in range(1, 6):
            batch = summarise(rows(rng, 500, shift=0.5), specs)
            state = look(reference, state, batch)
            found = report(reference, state, batch)
            if found.alarm:
                delays.append(day)
                assert {column.column for column in found.drifting} <= {"x0", "x1", "x2"}
                break
    assert len(delays) == 5
    assert max(delays) <= 3


def test_a_shift_within_the_tolerance_is_never_reported_however_many_rows() -> None:
    rng = np.random.default_rng(5)
    first: dict[str, Values] = {"x": rng.normal(size=100_000)}
    specs = specs_of(first)
    reference = reference_of(summarise(first, specs))
    state = started(reference)
    for _ in range(60):
        state = look(reference, state, summarise({"x": rng.normal(0.02, 1, 50_000)}, specs))  # 0.008 points of share at most
    assert not state.first.any()
