"""Policies, alerts and the one word that says how a deployment is."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.digest import digest_of_json
from custody.core.errors import Conflict, InvalidInput
from custody.core.evidence import Check, Estimate, Outcome
from custody.core.refs import DeploymentKey, ModelRef
from custody.monitoring.alert import Alert, AlertKind, AlertState, moved
from custody.monitoring.evaluation import Evaluation
from custody.monitoring.health import Health, HealthState, health
from custody.monitoring.policy import MonitorPolicy, OnDegradation, PastDue
from custody.monitoring.ports import Look

NOW = datetime(2026, 11, 23, 4, 14, tzinfo=UTC)
KEY = DeploymentKey.parse("acme/prod/churn")
POLICY = MonitorPolicy()
HOUR = timedelta(hours=1)
SENTENCE = "accuracy 0.709 on 1,211 labels is below 0.752"


def alert(kind: AlertKind = AlertKind.PERFORMANCE, state: AlertState = AlertState.OPEN) -> Alert:
    return Alert("a1", KEY, kind, Check("accuracy", Outcome.FAIL, SENTENCE), NOW - HOUR, state)


def evaluation(n: int = 400, end: datetime = NOW - HOUR, predictions: int = 1000) -> Evaluation:
    metrics = (Estimate("accuracy", 0.75, 0.7, 0.8, n),) if n else ()
    return Evaluation("e", NOW, end - 24 * HOUR, end, ModelRef("churn", 7), 0.5, predictions, n, metrics)


def seen(level: str = "none", reference: str = "training", sentence: str = "No drift.") -> Look:
    return Look(reference, NOW - HOUR, 1000, 0.1, level, sentence, 0.01, 0.02)


def judged(
    alerts: tuple[Alert, ...] = (),
    measured: Evaluation | None = None,
    looks: tuple[Look, ...] = (),
    last: datetime | None = NOW - HOUR,
    policy: MonitorPolicy = POLICY,
) -> Health:
    return health(alerts, measured, looks, last, NOW, policy)


def test_fresh_good_evidence_is_healthy_and_says_the_number() -> None:
    found = judged(measured=evaluation(), looks=(seen(),))
    assert found == Health(HealthState.HEALTHY, "accuracy 0.750 [0.700, 0.800] on 400; no drift")


@pytest.mark.parametrize("kind", [AlertKind.PERFORMANCE, AlertKind.CANARY])
@pytest.mark.parametrize("state", [AlertState.OPEN, AlertState.ACKNOWLEDGED])
def test_an_unresolved_performance_alert_is_failing_until_it_is_resolved(kind: AlertKind, state: AlertState) -> None:
    assert judged((alert(kind, state),), evaluation(), (seen(),)) == Health(HealthState.FAILING, SENTENCE)
    assert judged((alert(kind, AlertState.RESOLVED),), evaluation(), (seen(),)).state is HealthState.HEALTHY


@pytest.mark.parametrize("kind", [AlertKind.DRIFT, AlertKind.DATA_QUALITY])
def test_another_open_alert_is_degraded(kind: AlertKind) -> None:
    assert judged((alert(kind),), evaluation(), (seen(),)) == Health(HealthState.DEGRADED, SENTENCE)


def test_what_is_not_known_is_never_healthy() -> None:
    assert judged(last=None) == Health(HealthState.UNKNOWN, "no prediction was captured yet")
    assert judged() == Health(HealthState.UNKNOWN, "nothing was measured yet: no labels and no drift look")


@pytest.mark.parametrize("level", ["notice", "alarm"])
def test_drift_in_the_newest_look_is_degraded(level: str) -> None:
    found = judged(measured=evaluation(), looks=(seen(), seen(level, sentence="age moved")))
    assert found == Health(HealthState.DEGRADED, "age moved")


def test_drift_that_went_away_is_healthy_again() -> None:
    assert judged(measured=evaluation(), looks=(seen("alarm"), seen())).state is HealthState.HEALTHY


def test_an_alarm_is_told_before_a_notice() -> None:
    looks = (seen("notice", "training", "a notice"), seen("alarm", "development", "an alarm"))
    assert judged(measured=evaluation(), looks=looks).reason == "an alarm"


@pytest.mark.parametrize(
    ("measured", "looks", "last", "reason"),
    [
        (evaluation(), (seen(),), NOW - 25 * HOUR, "no prediction since 2026-11-22 03:14"),
        (None, (seen(),), NOW, "no window of labels was judged yet, so nothing is known about quality"),
        (evaluation(0), (seen(),), NOW, "no window of labels was judged yet, so nothing is known about quality"),
        (evaluation(12), (seen(),), NOW, "not enough labels: accuracy rests on 12, about 18 more are needed"),
        (evaluation(40, predictions=1000), (seen(),), NOW, "4.0% of predictions have a label; 5.0% are expected"),
        (
            evaluation(end=NOW - timedelta(days=9)),
            (seen(),),
            NOW,
            "labels are late: the newest evaluation ends 9 days before the newest prediction",
        ),
        (evaluation(), (), NOW, "no drift look yet"),
    ],
)
def test_missing_thin_or_old_evidence_is_degraded(
    measured: Evaluation | None, looks: tuple[Look, ...], last: datetime, reason: str
) -> None:
    assert judged((), measured, looks, last, MonitorPolicy(min_coverage=0.05)) == Health(HealthState.DEGRADED, reason)


def test_labels_that_say_nothing_about_the_watched_metric_are_not_enough() -> None:
    found = judged(measured=evaluation(), looks=(seen(),), policy=MonitorPolicy(metric="recall"))
    assert found == Health(HealthState.DEGRADED, "not enough labels: recall rests on 0, about 30 more are needed")


def test_an_alert_is_acknowledged_and_resolved_once() -> None:
    taken = moved(alert(), AlertState.ACKNOWLEDGED, NOW)
    assert (taken.state, taken.resolved_at, taken.revision) == (AlertState.ACKNOWLEDGED, None, 2)
    done = moved(taken, AlertState.RESOLVED, NOW)
    assert (done.state, done.resolved_at, done.revision) == (AlertState.RESOLVED, NOW, 3)


@given(st.sampled_from(list(AlertState)), st.sampled_from(list(AlertState)))
def test_an_alert_never_goes_back(before: AlertState, asked: AlertState) -> None:
    order = list(AlertState)
    if order.index(asked) > order.index(before):
        assert moved(alert(state=before), asked, NOW).state is asked
    else:
        with pytest.raises(Conflict, match=f"is {before} and cannot become {asked}"):
            moved(alert(state=before), asked, NOW)


def test_a_policy_names_every_wrong_field_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        MonitorPolicy(
            metric="luck", alpha=0, min_labels=0, window="soon", notice=0.1, alarm=0.05, canary_share=2, quiet_hours=float("nan")
        )
    assert caught.value.facts["wrong"] == ["min_labels", "alpha", "canary_share", "quiet_hours", "alarm", "metric", "window"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_labels": 2.5},
        {"alpha": "0.05"},
        {"on_degradation": "panic"},
        {"past_due": "stop"},
        {"version": 2},
        {"window": "0 days"},
    ],
)
def test_each_wrong_value_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        MonitorPolicy(**wrong)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("window", "labels", "age", "due"),
    [
        ("500 labels", 499, 1000 * HOUR, False),
        ("500 labels", 500, HOUR, True),
        ("7 days", 10_000, 167 * HOUR, False),
        ("7 days", 0, 168 * HOUR, True),
        ("1 hour", 0, HOUR, True),
    ],
)
def test_a_window_closes_by_labels_or_by_time(window: str, labels: int, age: timedelta, due: bool) -> None:
    assert MonitorPolicy(window=window).closed(labels, NOW - age, NOW) is due


def test_a_policys_digest_changes_with_any_field() -> None:
    assert MonitorPolicy().digest == MonitorPolicy().digest
    assert MonitorPolicy().digest != MonitorPolicy(on_degradation=OnDegradation.RETRAIN).digest
    assert MonitorPolicy().digest != MonitorPolicy(past_due=PastDue.ROLL_BACK).digest


def test_a_policy_stored_before_past_due_existed_is_read_as_before_and_keeps_its_digest() -> None:
    body = msgspec.to_builtins(MonitorPolicy(metric="auc"))
    del body["past_due"]
    old = msgspec.convert(body, MonitorPolicy)
    assert (old.past_due, old.digest) == (PastDue.ALERT, digest_of_json(body))


@pytest.mark.parametrize("noun", [MonitorPolicy(window="7 days"), evaluation(), Health(HealthState.HEALTHY, "x"), seen()])
def test_nouns_survive_being_written_as_json(noun: object) -> None:
    assert msgspec.json.decode(msgspec.json.encode(noun), type=type(noun)) == noun
