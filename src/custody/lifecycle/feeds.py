"""Feeds: predictions that stopped coming, for longer than the gaps before let expect."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from custody.core.digest import Json
from custody.core.evidence import Check, Outcome
from custody.core.refs import DeploymentKey
from custody.lifecycle.publish import tenants_of
from custody.lifecycle.retrain import WORKER
from custody.lifecycle.stores import Ports
from custody.monitoring.alert import Alert, AlertKind, AlertState, moved
from custody.monitoring.feed import gaps_of, stale

FEED = "predictions"
EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class StaleEvidence:
    """What a stale feed was told from: the newest prediction, when that was asked, the gaps between hours with any, seconds."""

    last: datetime
    now: datetime
    gaps: tuple[float, ...]
    version: int = 1

    @property
    def check(self) -> Check:
        """Ask again."""
        return stale(self.last, self.now, self.gaps, feed=FEED)


def watch_feeds(ports: Ports, now: datetime, asked: dict[DeploymentKey, datetime]) -> int:
    """Ask every deployment, once a minute, whether predictions still come; open an alert, or end it; return how many were asked."""
    found = 0
    for tenant in tenants_of(ports.stores):
        for head in ports.stores.of(tenant).deployments.heads():
            if head.key in asked and now - asked[head.key] < EVERY:
                continue
            asked[head.key], found = now, found + 1
            _ask(ports, head.key, now)
    return found


def _ask(ports: Ports, key: DeploymentKey, now: datetime) -> None:
    shelf = ports.stores.of(key.tenant)
    last = shelf.captures.last(key)
    if last is None:
        return
    proof = StaleEvidence(last.last_at, now, gaps_of(shelf.captures.hours(key)))
    check, opened = proof.check, _open(shelf.monitors.open_alerts(key))
    if check.outcome is Outcome.FAIL and not opened:
        digest = ports.stores.objects.of(key.tenant).put(msgspec.json.encode(proof))
        check = replace(check, facts={**check.facts, "evidence": digest})
        with ports.stores.change(key.tenant, WORKER, now) as change:
            alert = Alert(ports.new_id(now), key, AlertKind.DATA_QUALITY, check, now)
            change.monitors.save_alert(alert)
            facts: dict[str, Json] = {"alert": alert.id, "kind": alert.kind.value, "check": check.sentence, "evidence": digest}
            change.record("alert.raised", str(key), facts)
    if check.outcome is Outcome.PASS and opened:
        with ports.stores.change(key.tenant, WORKER, now) as change:
            for alert in opened:
                change.monitors.save_alert(moved(alert, AlertState.RESOLVED, now))
                change.record("alert.resolved", str(key), {"alert": alert.id, "because": check.sentence})


def _open(alerts: Sequence[Alert]) -> list[Alert]:
    return [alert for alert in alerts if alert.check.name == f"stale:{FEED}"]
