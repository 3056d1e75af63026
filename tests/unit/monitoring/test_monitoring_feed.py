"""Feeds that stop, columns that stop changing, labels that shift, and how long drift takes to be found."""

from datetime import UTC, datetime, timedelta
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custody.core.errors import InvalidInput
from custody.core.evidence import Outcome
from custody.core.measures.spec import Kind, Values, specs_of
from custody.core.measures.summary import Summary, empty, summarise
from custody.monitoring.delay import expected_delay
from custody.monitoring.detector import look, started
from custody.monitoring.feed import gaps_of, stale, stuck
from custody.monitoring.prior import label_spec, label_summary
from custody.monitoring.reference import ALARM, NOTICE, Tolerance, reference_of
from custody.monitoring.report import Level, report

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURLY = [3600.0] * 120
RNG = np.random.default_rng(3)
ROWS: dict[str, Values] = {
    "x": RNG.normal(size=5000),
    "plan": RNG.choice(["a", "b", "c"], 5000),
    "country": ["no"] * 5000,
}
SPECS = specs_of(ROWS)
REFERENCE = reference_of(summarise(ROWS, SPECS))
LABELS = {"no": 900, "yes": 100}


def batch(n: int = 60, **changed: Values) -> Summary:
    usual: dict[str, Values] = {
        "x": np.random.default_rng(n).normal(size=n),
        "plan": ["a", "b", "c"] * (n // 3),
        "country": ["no"] * n,
    }
    return summarise({**usual, **changed}, SPECS)


def test_gaps_are_the_seconds_between_deliveries_in_any_order() -> None:
    assert gaps_of([START + 3 * HOUR, START, START + HOUR, START]) == (3600, 7200)
    assert gaps_of([START]) == ()


def test_a_feed_is_stale_once_nothing_came_for_longer_than_usual() -> None:
    fresh, late = stale(START, START + 1.4 * HOUR, HOURLY), stale(START, START + 1.6 * HOUR, HOURLY, feed="captures")
    assert (fresh.outcome, late.outcome) == (Outcome.PASS, Outcome.FAIL)
    assert late.name == "stale:captures"
    assert late.sentence == "no captures for 96 minutes; 120 of 120 gaps before were at most 60 minutes"
    assert late.facts["chance"] == pytest.approx(1 / 121)


def test_too_few_gaps_are_inconclusive_and_deliveries_at_one_time_are_one() -> None:
    found = stale(START, START + 100 * HOUR, [3600.0] * 4 + [0.0] * 50)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "only 4 gaps" in found.sentence
    assert stale(START, START - HOUR, HOURLY).outcome is Outcome.PASS


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"alpha": 1.0}, {"slack": 0.9}, {"slack": float("nan")}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match="stale feed"):
        stale(START, START, HOURLY, **wrong)  # type: ignore[arg-type]  # one of two floats


def test_gaps_that_go_on_as_before_are_called_stale_as_seldom_as_said() -> None:
    rng, false, runs = np.random.default_rng(6), 0, 1500
    for _ in range(runs):
        gaps = rng.lognormal(7, 1, 101)
        checked = stale(START, START + timedelta(seconds=float(gaps[-1])), gaps[:-1].tolist(), alpha=0.05, slack=1.0)
        assert checked.facts["chance"] == pytest.approx(5 / 101)
        false += checked.outcome is Outcome.FAIL
    error = np.sqrt(0.05 * 0.95 / runs)
    assert false / runs <= 0.05 + 3 * error  # three Monte-Carlo errors
    assert false / runs >= 0.05 - 4 * error, "and it is not empty"


def test_a_column_that_stopped_changing_is_named_and_one_that_never_changed_is_not() -> None:
    found = stuck(REFERENCE, batch(x=np.full(60, 0.3)), looks=1)
    assert found.outcome is Outcome.FAIL
    assert found.sentence == "x had one value in all of 60 rows; the reference varies"
    assert stuck(REFERENCE, batch(), looks=1).outcome is Outcome.PASS
    assert stuck(REFERENCE, batch(plan=["b"] * 60), looks=3).facts["columns"] == ["plan"]


def test_few_rows_rows_of_few_entities_and_unseen_levels_are_no_proof_of_a_constant() -> None:
    three = summarise({"x": np.full(3, 0.3), "plan": ["a"] * 3, "country": ["no"] * 3}, SPECS)
    assert stuck(REFERENCE, three, looks=1).outcome is Outcome.PASS
    one_user = stuck(REFERENCE, batch(x=np.full(60, 0.3)), looks=1, entities=[30, 30])
    assert one_user.outcome is Outcome.PASS
    assert stuck(REFERENCE, batch(plan=[f"new{i}" for i in range(60)]), looks=1).outcome is Outcome.PASS
    assert stuck(REFERENCE, empty(SPECS), looks=1).outcome is Outcome.INCONCLUSIVE
    with pytest.raises(InvalidInput, match="constant column"):
        stuck(REFERENCE, batch(), looks=0)


def test_values_out_of_range_are_told_as_such_at_the_tolerance_of_quality() -> None:
    state, current = (
        started(REFERENCE),
        batch(600, x=np.concatenate([np.random.default_rng(8).normal(size=570), np.full(30, 99.0)])),
    )
    for _ in range(3):
        state = look(REFERENCE, state, current)
    worst = report(REFERENCE, state, current).columns[0]
    assert (worst.column, worst.level) == ("x", Level.ALARM)
    assert "x > " in worst.sentence
    assert worst.sentence.endswith("(out of the reference's range) went from 0 % to 5 %")
    assert worst.delta == 0.005
    assert 0 < worst.eps_ref < 0.003, "far narrower than the band of an ordinary cut"


def test_values_below_the_smallest_are_out_of_range_too_and_missing_ones_are_not() -> None:
    for value, words in ((-99.0, "x < "), (None, "missing values in x")):
        values: Values = [*np.random.default_rng(9).normal(size=570).tolist(), *[value] * 30]
        current = batch(600, x=values)
        found = report(REFERENCE, look(REFERENCE, look(REFERENCE, started(REFERENCE), current), current), current)
        assert words in found.columns[0].sentence
        assert found.columns[0].delta == 0.005


def test_labels_are_one_category_with_the_most_frequent_first() -> None:
    spec = label_spec({"1": 3, "0": 7, "2": 1})
    assert (spec.kind, spec.levels, spec.once, spec.column) == (Kind.CATEGORY, ("0", "1", "2"), 1, "label")
    seen = label_summary({"1": 2, "9": 1, "0": 0}, spec)
    assert seen.rows == 3
    assert seen.columns[0].keys.tolist() == [1, 4]
    with pytest.raises(InvalidInput, match="rows per label"):
        label_spec({})
    with pytest.raises(InvalidInput, match="rows per label"):
        label_spec({"a": -1})


@given(st.dictionaries(st.text(max_size=5), st.integers(0, 50), min_size=1, max_size=8))
@settings(max_examples=30)
def test_labels_are_summarised_as_their_rows_would_be(counts: dict[str, int]) -> None:
    spec = label_spec(LABELS)
    rows = [level for level, count in counts.items() for _ in range(count)]
    assert label_summary(counts, spec) == summarise({"label": rows}, (spec,))


def test_a_shift_of_the_labels_is_found_like_any_drift() -> None:
    spec = label_spec(LABELS)
    reference = reference_of(label_summary(LABELS, spec))
    current = label_summary({"no": 140, "yes": 60}, spec)
    state = started(reference)
    for _ in range(4):
        state = look(reference, state, current)
    found = report(reference, state, current)
    assert found.alarm
    assert found.columns[0].sentence in {
        "the share of label = yes went from 10 % to 30 %",
        "the share of label = no went from 90 % to 70 %",
    }


def test_more_rows_a_larger_shift_and_an_earlier_day_are_found_sooner() -> None:
    base = expected_delay(REFERENCE, 0.2, 100)
    assert base.days > expected_delay(REFERENCE, 0.3, 100).days
    assert base.days == pytest.approx(10 * expected_delay(REFERENCE, 0.2, 1000, look_days=1e-6).days)
    assert base.needed > expected_delay(REFERENCE, 0.2, 100, looks_before=0).needed
    assert base.days > expected_delay(REFERENCE, 0.2, 100, level=NOTICE).days
    assert base.sentence == f"A shift of 20 points of share would be found in about {base.days:.2g} days at 100 rows a day."
    assert expected_delay(REFERENCE, 0.4, 10_000).sentence.endswith("about 1 day at 10,000 rows a day.")


def test_a_shift_below_what_can_be_seen_is_never_found_and_the_plan_says_why() -> None:
    plan = expected_delay(REFERENCE, 0.03, 1000, level=ALARM)
    assert plan.days == inf
    assert "never be found: 5 points are tolerated, and the reference of 5,000 rows leaves" in plan.sentence
    constant = specs_of({"x": np.full(50, 1.0)})
    assert expected_delay(reference_of(summarise({"x": np.full(50, 1.0)}, constant)), 0.2, 10).days == inf


def test_the_plan_is_a_cautious_guide_to_what_happens() -> None:
    reference = reference_of(summarise(ROWS, SPECS), Tolerance(notice=0.01))
    plan = expected_delay(reference, 0.19, 100, looks_before=0, level=NOTICE)  # a mean of 0.5 standard deviations
    delays = []
    for run in range(10):
        rng, state, day = np.random.default_rng([9, run]), started(reference), 0
        while not state.first[NOTICE].any():
            day += 1
            moved: dict[str, Values] = {
                "x": rng.normal(0.5, 1, 100),
                "plan": rng.choice(["a", "b", "c"], 100),
                "country": ["no"] * 100,
            }
            state = look(reference, state, summarise(moved, SPECS))
        delays.append(day)
    assert plan.days / 4 <= np.median(delays) <= plan.days


@pytest.mark.parametrize(("shift", "rows"), [(0.0, 10.0), (1.0, 10.0), (0.1, 0.0)])
def test_a_plan_without_shift_or_rows_is_refused(shift: float, rows: float) -> None:
    with pytest.raises(InvalidInput, match="plan"):
        expected_delay(REFERENCE, shift, rows)
