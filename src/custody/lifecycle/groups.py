"""Groups: gaps between groups of people on live traffic, judged as labels arrive, with the rules that the gate judged."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import msgspec

from custody.core.digest import Json
from custody.core.evidence import Check, GroupCounts, Outcome
from custody.core.manifest import Target
from custody.deployment.revision import Revision
from custody.gates.bias import bias_check
from custody.gates.policy import BiasRule
from custody.lifecycle.stores import Change, Ports
from custody.lifecycle.windows import judged
from custody.monitoring.alert import Alert, AlertKind, AlertState, moved
from custody.monitoring.evaluation import Evaluation


def group_checks(ports: Ports, head: Revision, target: Target, newest: Evaluation) -> list[Check]:
    """Judge every bias rule of the model's gate on all labelled answers of a target, its newest closed window included.

    The k-th window is judged at alpha / (k * (k + 1)): these sum to alpha, so that the chance of any false alarm over the
    life of a version is at most alpha, however many windows close (a union bound). Windows do not overlap; their counts add up.
    """
    policy = ports.stores.of(head.owner).gates.policy(target.model.name)
    if policy is None or not policy.bias:
        return []
    past = [one for one in judged(ports.stores.of(head.key.tenant).monitors, head, target) if one.id != newest.id]
    counts, look = added([*past, newest]), len(past) + 1
    return [_live(rule, look, [one for one in counts if one.column == rule.column], target) for rule in policy.bias]


def _live(rule: BiasRule, look: int, counts: Sequence[GroupCounts], target: Target) -> Check:
    found = bias_check(replace(rule, alpha=rule.alpha / (look * (look + 1))), counts, target.threshold)
    return replace(found, name=f"live {found.name}", facts={**found.facts, "look": look})


def added(evaluations: Sequence[Evaluation]) -> list[GroupCounts]:
    """Add up the counts of windows, group by group."""
    total: dict[tuple[str, str], GroupCounts] = {}
    for one in (group for evaluation in evaluations for group in evaluation.groups):
        old = total.get((one.column, one.group), GroupCounts(one.column, one.group, 0, 0, 0, 0))
        total[one.column, one.group] = replace(
            old, tn=old.tn + one.tn, fp=old.fp + one.fp, fn=old.fn + one.fn, tp=old.tp + one.tp
        )
    return [total[key] for key in sorted(total)]


def raise_groups(ports: Ports, change: Change, head: Revision, checks: Sequence[Check], now: datetime) -> None:
    """Open an alert for a gap that is surely too large, unless one is open; resolve it once every gap is surely small."""
    opened = [alert for alert in change.monitors.open_alerts(head.key) if alert.kind is AlertKind.BIAS]
    failed = [check for check in checks if check.outcome is Outcome.FAIL]
    if failed and not opened:
        proof = ports.stores.objects.of(head.key.tenant).put(msgspec.json.encode(failed[0].facts))
        check = replace(failed[0], facts={**failed[0].facts, "evidence": proof})
        alert = Alert(ports.new_id(now), head.key, AlertKind.BIAS, check, now)
        change.monitors.save_alert(alert)
        facts: dict[str, Json] = {"alert": alert.id, "kind": alert.kind.value, "check": check.sentence, "evidence": proof}
        change.record("alert.raised", str(head.key), facts)
    if checks and all(check.outcome is Outcome.PASS for check in checks):
        for alert in opened:
            change.monitors.save_alert(moved(alert, AlertState.RESOLVED, now))
            change.record("alert.resolved", str(head.key), {"alert": alert.id, "because": checks[0].sentence})
