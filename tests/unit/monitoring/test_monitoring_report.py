"""What a drift report says in words."""

import msgspec
import numpy as np
import pytest

from custody.core.errors import InvalidInput
from custody.core.evidence import Outcome
from custody.core.measures.spec import Values, specs_of
from custody.core.measures.summary import Summary, empty, summarise
from custody.monitoring.detector import look, started
from custody.monitoring.reference import reference_of
from custody.monitoring.report import DriftReport, Level, drift_check, percent, report

N = 10_000
AGES = np.repeat(np.arange(20, 60), N // 40)
ROWS: dict[str, Values] = {"age": AGES, "plan": ["basic", "gold"] * (N // 2), "decision": [True, False, False, False] * (N // 4)}
SPECS = specs_of(ROWS)
REFERENCE = reference_of(summarise(ROWS, SPECS))


PICKED = np.random.default_rng(0).permutation(N)[:1000].tolist()
ORDINARY: dict[str, Values] = {
    "age": AGES[PICKED],
    "plan": ["basic", "gold"] * 500,
    "decision": [True, False, False, False] * 250,
}


def batch(**changed: Values) -> Summary:
    return summarise({**ORDINARY, **changed}, SPECS)


def reported(*batches: Summary) -> DriftReport:
    state = started(REFERENCE)
    for one in batches:
        state = look(REFERENCE, state, one)
    return report(REFERENCE, state, batches[-1] if batches else empty(SPECS))


def test_a_quiet_report_says_so_for_every_column() -> None:
    found = reported(batch(), batch())
    assert (found.level, found.alarm, found.notice, found.looks, found.rows) == (Level.NONE, False, False, 2, 2000)
    assert found.drifting == ()
    assert {column.column for column in found.columns} == {"age", "plan", "decision"}
    assert drift_check(found, "training").outcome is Outcome.PASS
    assert drift_check(found, "training").sentence == "No drift from training in 3 columns after 2 looks at 2,000 rows."


def test_a_category_that_moved_is_named_with_both_shares() -> None:
    found = reported(batch(plan=["basic"] * 700 + ["gold"] * 300))
    worst = found.columns[0]
    assert (worst.column, worst.level, worst.quality, worst.first_look) == ("plan", Level.ALARM, False, 1)
    assert worst.sentence in {
        "the share of plan = basic went from 50 % to 70 %",
        "the share of plan = gold went from 50 % to 30 %",
    }
    assert worst.log10_e > found.needed_log10_e
    check = drift_check(found, "training")
    assert (check.name, check.outcome) == ("drift:training", Outcome.FAIL)
    assert check.sentence.startswith("The share of plan = ")
    assert check.sentence.endswith("against training, after 1 look at 1,000 rows.")


def test_a_number_that_moved_is_told_by_a_cut_that_people_can_read() -> None:
    found = reported(batch(age=np.random.default_rng(1).integers(20, 40, 1000)))
    worst = found.columns[0]
    assert worst.column == "age"
    cut = int(worst.sentence.split(" <= ")[1].split(" ")[0])
    assert 30 <= cut <= 45
    assert worst.before == pytest.approx((cut >= AGES).mean())
    assert {one.name for one in worst.distances} == {"ks", "wasserstein", "psi", "js"}


def test_missing_values_are_told_as_a_matter_of_quality() -> None:
    ages = [None] * 60 + list(AGES[: 940 * 10 : 10])
    found = reported(batch(age=ages))
    worst = found.columns[0]
    assert (worst.column, worst.quality, worst.level) == ("age", True, Level.ALARM)
    assert worst.sentence == "the share of missing values in age went from 0 % to 6 %"


def test_a_value_never_seen_before_is_told() -> None:
    found = reported(batch(plan=["basic", "gold"] * 450 + ["platinum"] * 100))
    assert found.columns[0].sentence == "the share of values of plan never seen before went from 0 % to 10 %"


def test_decisions_are_watched_like_any_column() -> None:
    found = reported(batch(decision=[True] * 600 + [False] * 400))
    assert found.columns[0].column == "decision"


def test_a_smaller_move_is_a_notice_and_passes() -> None:
    found = reported(*[batch(plan=["basic"] * 560 + ["gold"] * 440)] * 40)
    assert (found.level, found.columns[0].level) == (Level.NOTICE, Level.NOTICE)
    assert drift_check(found, "training").outcome is Outcome.PASS
    assert "went from 50 % to" in drift_check(found, "training").sentence


def test_before_any_look_the_check_is_inconclusive() -> None:
    found = reported()
    assert drift_check(found, "development").outcome is Outcome.INCONCLUSIVE
    assert all(column.distances == () for column in found.columns)


def test_a_report_survives_being_written_as_json() -> None:
    found = reported(batch(plan=["basic"] * 700 + ["gold"] * 300))
    assert msgspec.json.decode(msgspec.json.encode(found), type=DriftReport) == found


def test_a_summary_by_other_specs_is_refused() -> None:
    with pytest.raises(InvalidInput, match="other specs"):
        report(REFERENCE, started(REFERENCE), empty(SPECS[:1]))


@pytest.mark.parametrize(
    ("share", "other", "text"), [(0.25, 0.31, "25 %"), (0.2512, 0.2531, "25.1 %"), (0.0012, 0.0, "0.12 %"), (1.0, 0.93, "100 %")]
)
def test_shares_are_written_with_the_decimals_they_need(share: float, other: float, text: str) -> None:
    assert percent(share, other) == text
