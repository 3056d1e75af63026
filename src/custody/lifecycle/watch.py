"""Evaluate: captured decisions meet their labels, window by window; a proven loss raises an alert and what follows from it."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from custody.core.digest import Json
from custody.core.errors import CustodyError, NotFound
from custody.core.evidence import Check, Estimate, Outcome
from custody.core.manifest import Target
from custody.core.refs import DeploymentKey
from custody.core.tenancy import Actor, Role
from custody.deployment.revision import Revision
from custody.lifecycle.ask import answered_draws
from custody.lifecycle.beside import keep_comparison
from custody.lifecycle.bets import bet_state, judge_bet
from custody.lifecycle.canary import judge_canary
from custody.lifecycle.captured import even, labelled_values, rows_between
from custody.lifecycle.drift import Arrived, look_at_labels
from custody.lifecycle.explain import explain
from custody.lifecycle.groups import group_checks, raise_groups
from custody.lifecycle.publish import tenants_of
from custody.lifecycle.references import encoded, label_reference
from custody.lifecycle.retrain import STATE, WORKER, Request, read_request
from custody.lifecycle.stores import Caller, Change, Ports
from custody.lifecycle.windows import (
    answers_of,
    judged,
    looks_name,
    looks_of,
    measured,
    moment,
    open_window,
    registered,
    window_labels,
)
from custody.monitoring.alert import Alert, AlertKind, AlertState, moved
from custody.monitoring.evaluation import Evaluation, degraded
from custody.monitoring.policy import MonitorPolicy, OnDegradation
from custody.monitoring.prior import label_summary

log = logging.getLogger("custody.worker")
REVISED = 12  # windows, newest first, that late labels are counted into


@dataclass(frozen=True, slots=True)
class Found:
    """What an evaluation found: the windows judged now and still open, and the checks that were made."""

    evaluations: tuple[Evaluation, ...]
    checks: tuple[Check, ...]


class Seen(dict[DeploymentKey, tuple[int, int, int]]):
    """What the last round saw of each deployment: revision, labels, captures."""


def watch(ports: Ports, now: datetime, seen: Seen) -> int:
    """Judge every window that is due, in every deployment, and return how many were.

    Where nothing is new since the last round, nothing is read.
    """
    due = 0
    for tenant in tenants_of(ports.stores):
        shelf = ports.stores.of(tenant)
        for head in shelf.deployments.heads():
            mark = (head.number, shelf.labels.count(head.key), shelf.captures.count(head.key))
            if seen.get(head.key) == mark:
                continue
            try:
                due += _watch_deployment(ports, head, now) if mark[1] else 0
            except (CustodyError, pa.ArrowException) as error:  # one deployment holds no other up
                log.warning("%s cannot be evaluated: %s", head.key, error)
            _compare(ports, head, WORKER, now)
            seen[head.key] = mark
    return due


def _watch_deployment(ports: Ports, head: Revision, now: datetime) -> int:
    _revise(ports, head, now)
    found = _watch_one(ports, head, now)
    _measure_draws(ports, head, ports.stores.of(head.key.tenant).monitors.policy(head.key) or MonitorPolicy(), now)
    judge_canary(ports, head, now)
    if any(check.outcome is Outcome.FAIL and not check.name.startswith("live bias:") for check in found.checks):
        _explain(ports, head.key, now)
    return len(found.checks) > 0


def _explain(ports: Ports, key: DeploymentKey, now: datetime) -> None:
    """Say why a loss may be; an explanation that cannot be made holds nothing up."""
    try:
        explain(ports, Caller(key.tenant, WORKER, now), key)
    except (CustodyError, pa.ArrowException, ArithmeticError, ValueError) as error:
        log.warning("the loss of %s cannot be explained: %s", key, type(error).__name__)


def _compare(ports: Ports, head: Revision, actor: Actor, now: datetime) -> None:
    """Say what a candidate decides beside the live version; a comparison that cannot be made holds nothing up."""
    try:
        keep_comparison(ports, head, actor, now)
    except (CustodyError, pa.ArrowException, ArithmeticError, ValueError) as error:
        log.warning("the candidate of %s cannot be compared: %s", head.key, type(error).__name__)


def evaluate_now(ports: Ports, caller: Caller, key: DeploymentKey) -> tuple[Found, int | None]:
    """Judge what is due, measure the window that is still open, and compare the candidate; only closed windows can raise an alert."""
    caller.within(key.tenant).may(Role.CONTRIBUTOR)
    head = ports.stores.of(key.tenant).deployments.head(key)
    if head is None:
        raise NotFound.of("deployment", str(key), ls="custody deployment ls")
    _revise(ports, head, caller.now)
    found = _watch_one(ports, head, caller.now)
    _compare(ports, head, caller.actor, caller.now)
    opened = open_window(ports, head, head.service.live, caller.now)
    still = (opened.evaluation,) if opened and opened.evaluation.labelled and not found.evaluations else ()
    return Found(found.evaluations + still, found.checks), None


def _revise(ports: Ports, head: Revision, now: datetime) -> int:
    """Measure judged windows again whose labels came later, and return how many changed.

    A late label counts for the time of its prediction. A window is judged when it closes, and again only when its labels
    have doubled since: good news often comes first. Each such judgement is one more look, so that the alpha still adds up.
    """
    shelf, target = ports.stores.of(head.key.tenant), head.service.live
    policy = shelf.monitors.policy(head.key) or MonitorPolicy()
    recent = judged(shelf.monitors, head, target)[-REVISED:]
    rows = rows_between(ports, head.key, start=recent[0].start) if recent else None
    if rows is None:
        return 0
    mine, labels, better = answers_of(rows, target), window_labels(shelf, head.key), []
    for old in recent:
        within = pc.and_(
            pc.greater_equal(mine.column("event"), moment(mine, old.start)),
            pc.less_equal(mine.column("event"), moment(mine, old.end)),
        )
        new = measured(ports, head, target, mine.filter(within), labels, (old.start, old.end), old.id, now)
        if (new.labelled, new.metrics) != (old.labelled, old.metrics):
            better.append(new)
    if better:
        promised = registered(ports, head, target, policy.metric)
        with ports.stores.change(head.key.tenant, WORKER, now) as change:
            for new in better:
                change.monitors.add_evaluation(head.key, new)
                looks, live = looks_of(change.monitors, head, target), new.metric(policy.metric)
                checks: list[Check] = []
                if live is not None and new.labelled >= 2 * looks.labelled.get(new.id, new.labelled):
                    first = recent[0] if recent[0].id != new.id else None
                    looks = looks.after(new)
                    checks = judge_window(
                        policy, promised, first, live, looks.count, drawn=bool(shelf.labels.draws(head.key, limit=1))
                    )
                    change.monitors.set_state(head.key, looks_name(target), msgspec.json.encode(looks).decode())
                change.record("evaluation.revised", str(head.key), _facts(new, checks))
                _raise(ports, change, head, policy, checks, now)
    return len(better)


def _watch_one(ports: Ports, head: Revision, now: datetime) -> Found:
    shelf, target = ports.stores.of(head.key.tenant), head.service.live
    policy = shelf.monitors.policy(head.key) or MonitorPolicy()
    window = open_window(ports, head, target, now)
    if window is None or not policy.closed(window.evaluation.labelled, window.start, window.newest):
        return Found((), ())
    live = window.evaluation.metric(policy.metric)
    if live is None or live.n < policy.min_labels or window.evaluation.coverage < policy.min_coverage:
        return Found((), ())
    past = judged(shelf.monitors, head, target)
    looks = looks_of(shelf.monitors, head, target).after(window.evaluation)
    first = past[0] if past else None
    checks = judge_window(
        policy,
        registered(ports, head, target, policy.metric),
        first,
        live,
        looks.count,
        drawn=bool(shelf.labels.draws(head.key, limit=1)),
    )
    labels = _arrived(ports, head, target, window.evaluation)
    gaps = group_checks(ports, head, target, window.evaluation)
    with ports.stores.change(head.key.tenant, WORKER, now) as change:
        if len(judged(change.monitors, head, target)) != len(past):  # another worker judged it meanwhile
            return Found((), ())
        change.monitors.add_evaluation(head.key, window.evaluation)
        change.monitors.set_state(head.key, looks_name(target), msgspec.json.encode(looks).decode())
        change.record("evaluation.done", str(head.key), _facts(window.evaluation, [*checks, *gaps]))
        look_at_labels(change, ports.stores.objects.of(head.key.tenant), head.key, target.model, labels, now)
        _raise(ports, change, head, policy, checks, now)
        raise_groups(ports, change, head, gaps, now)
    return Found((window.evaluation,), (*checks, *gaps))


def _arrived(ports: Ports, head: Revision, target: Target, evaluation: Evaluation) -> Arrived:
    """Summarise the labels of a closed window like those that the version learned from."""
    reference, learned = label_reference(ports, head.key, ports.stores.of(head.owner), target.model)
    rows = rows_between(ports, head.key, start=evaluation.start)
    counts: Counter[str] = Counter()
    if rows is not None:
        mine = answers_of(rows, target)
        inside = mine.filter(pc.less_equal(mine.column("event"), moment(mine, evaluation.end)))
        counts.update(labelled_values(even(inside), window_labels(ports.stores.of(head.key.tenant), head.key)))
    summary = label_summary(counts, learned.specs[0])
    return Arrived(reference, ports.stores.objects.of(head.key.tenant).put(encoded(summary)), summary)


def _measure_draws(ports: Ports, head: Revision, policy: MonitorPolicy, now: datetime) -> None:
    """Measure what people were asked about, as far as they have answered, and place their labels on the bet.

    Each draw is one window, measured anew with its labels; the bet may raise an alarm after any label.
    """
    target, shelf = head.service.live, ports.stores.of(head.key.tenant)
    known = {one.id: one for one in shelf.monitors.evaluations(head.key, limit=1000) if one.asked}
    found = answered_draws(ports, head, target, now)
    fresh = [
        one
        for one in found
        if one.id not in known or (known[one.id].labelled, known[one.id].metrics) != (one.labelled, one.metrics)
    ]
    if not fresh:
        return
    judged_now = judge_bet(ports, head, target)
    checks = [judged_now[0]] if judged_now else []
    with ports.stores.change(head.key.tenant, WORKER, now) as change:
        for one in fresh:
            change.monitors.add_evaluation(head.key, one)
            change.record("evaluation.revised" if one.id in known else "evaluation.done", str(head.key), _facts(one, checks))
        if judged_now:
            change.monitors.set_state(head.key, bet_state(target), msgspec.json.encode(judged_now[1]).decode())
        _raise(ports, change, head, policy, checks, now)


def judge_window(
    policy: MonitorPolicy, promised: Estimate | None, first: Evaluation | None, live: Estimate, look: int, *, drawn: bool = False
) -> list[Check]:
    """Compare a window with what the gate registered, and with the version's first window in production, if there is another.

    look: how many judgements of this version this makes. Each of the two references has half of the policy's alpha over
    the life of the version; the first window is never compared with itself, so the second has had one look less. drawn: people
    are asked for labels, so that the bet on these compares with what was registered.
    """
    common = {"tolerance": policy.tolerance, "alpha": policy.alpha / 2, "min_labels": policy.min_labels}
    checks = []
    if not drawn:
        checks.append(degraded(policy.metric, promised, live, look=look, reference="registered", **common))  # type: ignore[arg-type]  # one value per name
    if first is not None:
        phase = first.metric(policy.metric)
        checks.append(degraded(policy.metric, phase, live, look=max(look - 1, 1), reference="development phase", **common))  # type: ignore[arg-type]
    return checks


def _raise(ports: Ports, change: Change, head: Revision, policy: MonitorPolicy, checks: Sequence[Check], now: datetime) -> None:
    failed = [check for check in checks if check.outcome is Outcome.FAIL]
    opened = [alert for alert in change.monitors.open_alerts(head.key) if alert.kind is AlertKind.PERFORMANCE]
    if failed and not opened:
        proof = failed[0].facts.get("evidence") or ports.stores.objects.of(head.key.tenant).put(
            msgspec.json.encode(failed[0].facts)
        )
        check = replace(failed[0], facts={**failed[0].facts, "evidence": proof})
        alert = Alert(ports.new_id(now), head.key, AlertKind.PERFORMANCE, check, now)
        change.monitors.save_alert(alert)
        facts: dict[str, Json] = {"alert": alert.id, "kind": alert.kind.value, "check": check.sentence, "evidence": proof}
        change.record("alert.raised", str(head.key), facts)
        if policy.on_degradation is OnDegradation.RETRAIN:
            _ask(change, head.key, failed[0].sentence, now)
    if checks and not failed:
        for alert in opened:
            if alert.check.name in {
                check.name for check in checks if check.name.startswith("performance:")
            }:  # a bet once won is won
                change.monitors.save_alert(moved(alert, AlertState.RESOLVED, now))
                change.record("alert.resolved", str(head.key), {"alert": alert.id, "because": checks[0].sentence})


def _ask(change: Change, key: DeploymentKey, cause: str, now: datetime) -> None:
    old = read_request(change.monitors.state(key, STATE))
    if old is None or old.outcome:
        change.monitors.set_state(key, STATE, msgspec.json.encode(Request(cause, now)).decode())
        change.record("retrain.decided", str(key), {"cause": cause})


def _facts(evaluation: Evaluation, checks: Sequence[Check]) -> dict[str, Json]:
    return {
        "evaluation": evaluation.id,
        "model": str(evaluation.model),
        "window": [evaluation.start.isoformat(), evaluation.end.isoformat()],
        "labelled": evaluation.labelled,
        "predictions": evaluation.predictions,
        "metrics": [[one.metric, one.value, one.low, one.high, one.n] for one in evaluation.metrics],
        "checks": [[check.name, check.outcome.value] for check in checks],
    }
