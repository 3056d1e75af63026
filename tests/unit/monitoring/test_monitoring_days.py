"""What single days tell: noise, design effects, weekdays; and references by weekday."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.errors import InvalidInput
from custody.core.measures.spec import Values, specs_of
from custody.core.measures.summary import Summary, summarise
from custody.monitoring.days import TOGETHER, WEEKDAYS, WEEKEND, Days, design_effect
from custody.monitoring.detector import look, started
from custody.monitoring.prior import label_spec, label_summary
from custody.monitoring.reference import Tolerance, count_events, reference_of
from custody.monitoring.report import report
from custody.monitoring.weekdays import Calendar, calendar_of

MONDAY = date(2026, 1, 5)
SPEC = label_spec({"no": 700, "yes": 300})
ROWS: dict[str, Values] = {"x": np.random.default_rng(1).normal(size=4000)}
SPECS = specs_of(ROWS)


def answers(yes: int, rows: int) -> Summary:
    return label_summary({"no": rows - yes, "yes": yes}, SPEC)


def weeks(rng: np.random.Generator, days: int, by_weekday: tuple[float, ...], rows: int = 2000) -> dict[date, Summary]:
    dates = [MONDAY + timedelta(days=i) for i in range(days)]
    return {day: answers(int(rng.binomial(rows, 0.3 + by_weekday[day.weekday()])), rows) for day in dates}


FLAT, LATE, EACH = (0.0,) * 7, (0.0,) * 5 + (0.15, 0.15), (0.0, 0.08, 0.16, 0.08, 0.0, 0.24, 0.2)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=50), st.floats(0, 1))
def test_a_design_effect_lies_between_one_and_the_largest_entity(sizes: list[int], correlation: float) -> None:
    effect = design_effect(sizes, correlation=correlation)
    assert 1 <= effect <= max(sizes) + 1e-9
    assert effect <= design_effect(sizes) + 1e-9
    assert design_effect([3] * len(sizes)) == pytest.approx(3)


@pytest.mark.parametrize("wrong", [[], [0, 1], [-1]])
def test_a_design_effect_needs_entities(wrong: list[int]) -> None:
    with pytest.raises(InvalidInput, match="design effect"):
        design_effect(wrong)
    with pytest.raises(InvalidInput, match="design effect"):
        design_effect([1], correlation=1.5)


def test_rows_in_clusters_show_their_design_effect_between_days_and_independent_rows_show_about_one() -> None:
    rng = np.random.default_rng(2)
    for size in (1, 5, 20):
        yes = [size * rng.binomial(2000 // size, 0.3) for _ in range(200)]
        days = Days.of([np.array([k, 2000 - k]) for k in yes], [2000] * 200, 2)
        assert days.effect(np.array([0])) == pytest.approx(max(size, 1), rel=0.35)
        assert (days.effect(np.array([0])) >= 1).all()


def test_days_without_rows_are_left_out_and_one_day_tells_nothing() -> None:
    one = Days.of([np.array([3]), np.array([0])], [10, 0], 1)
    assert one.rows.tolist() == [10]
    assert one.noise.tolist() == [0]
    with pytest.raises(InvalidInput, match="fewer than two days"):
        one.effect(np.array([0]))
    assert Days.of([], [], 4).noise.tolist() == [0, 0, 0, 0]


def test_clustered_days_make_rows_count_for_less_and_no_look_for_more_than_a_day() -> None:
    rng = np.random.default_rng(3)
    days = [answers(10 * int(rng.binomial(100, 0.3)), 1000) for _ in range(30)]
    whole = answers(9000, 30_000)
    clustered, noisy = reference_of(whole, days=days, clustered=True), reference_of(whole, days=days)
    assert clustered.effect.min() > 4
    assert clustered.cap == 1000
    assert (clustered.eps_ref > 2 * reference_of(whole).eps_ref)[[0, 1]].all()
    assert (noisy.effect == 1).all()
    assert noisy.tolerated.max() > clustered.tolerated.max()
    state = look(clustered, started(clustered), days[0])
    assert clustered.digest != noisy.digest
    assert not state.first.any()
    with pytest.raises(InvalidInput, match="fewer than two days"):
        reference_of(whole, clustered=True)


@pytest.mark.parametrize(
    ("pattern", "days", "groups"), [(FLAT, 56, TOGETHER), (LATE, 28, WEEKEND), (EACH, 56, WEEKDAYS), (LATE, 13, TOGETHER)]
)
def test_weekdays_are_compared_apart_only_where_a_pattern_is_shown(
    pattern: tuple[float, ...], days: int, groups: tuple[int, ...]
) -> None:
    calendar = calendar_of(weeks(np.random.default_rng(4), days, pattern))
    assert calendar.groups == groups
    assert len(calendar.references) == max(groups) + 1
    expected: dict[tuple[int, ...], str] = {
        TOGETHER: "No weekly pattern",
        WEEKEND: "Weekends differ",
        WEEKDAYS: "Weekdays differ",
    }
    assert calendar.sentence.startswith(expected[groups])


def test_days_without_a_pattern_seldom_show_one() -> None:
    found = [calendar_of(weeks(np.random.default_rng(seed), 28, FLAT, 400), Tolerance(notice=1e-9)) for seed in range(60)]
    assert sum(calendar.groups != TOGETHER for calendar in found) <= 3  # at a chance of 1 % each


def test_one_state_runs_over_all_weekdays_and_a_usual_weekend_is_no_drift() -> None:
    rng = np.random.default_rng(5)
    quiet = weeks(rng, 56, LATE)
    calendar = calendar_of(quiet, Tolerance(notice=0.01))
    merged = reference_of(
        answers(sum(int(one.columns[0].counts[-1]) for one in quiet.values()), 56 * 2000), Tolerance(notice=0.01)
    )
    matched, together = started(calendar.on(MONDAY)), started(merged)
    later = {day + timedelta(days=56): one for day, one in weeks(rng, 42, LATE).items()}
    for day, one in later.items():
        matched, together = look(calendar.on(day), matched, one), look(merged, together, one)
    assert not matched.first.any()
    assert together.first[0].any(), "a Sunday is drift if it is compared with all days"
    sunday = MONDAY + timedelta(days=6)
    moved = answers(700, 2000)
    for _ in range(3):
        matched = look(calendar.on(sunday), matched, moved)
    assert matched.first.any()
    before = report(calendar.on(sunday), matched, moved).columns[0].before
    assert min(before, 1 - before) == pytest.approx(0.45, abs=0.02), "it went from a usual Sunday's share"


def test_the_references_of_a_calendar_share_events_and_digest_and_split_alpha() -> None:
    quiet = {
        MONDAY + timedelta(days=i): summarise({"x": np.random.default_rng(i).normal(0.5 * (i % 7 >= 5), 1, 500)}, SPECS)
        for i in range(28)
    }
    calendar = calendar_of(quiet)
    assert calendar.groups == WEEKEND
    first, second = calendar.references
    assert first.events == second.events
    assert first.digest == second.digest == calendar.digest
    assert (first.summary.rows, second.summary.rows) == (20 * 500, 8 * 500)
    assert count_events(first.events, first.summary).tolist() == first.hits.tolist()
    alone = reference_of(second.summary, Tolerance(alpha=0.05 / 6))
    assert second.eps_ref.max() == pytest.approx(alone.eps_ref.max())  # 3 ways to group times 2 groups


def test_a_calendar_needs_days() -> None:
    with pytest.raises(InvalidInput, match="needs the summaries of days"):
        calendar_of({})
    only: Calendar = calendar_of({MONDAY: answers(30, 100), MONDAY + timedelta(days=1): answers(0, 0)})
    assert only.groups == TOGETHER
