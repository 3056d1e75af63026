"""Preview: what a monitor policy would have said about the past, before it is set."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from custody.core.digest import Json
from custody.core.errors import NotFound
from custody.core.evidence import Outcome
from custody.core.page import MOST
from custody.core.refs import DeploymentKey
from custody.core.tenancy import Role
from custody.deployment.revision import Revision
from custody.lifecycle.captured import rows_between, with_labels
from custody.lifecycle.drift import EVERY
from custody.lifecycle.monitor import monitor_policy_of
from custody.lifecycle.references import Compared, read_summary, references, tolerance_of
from custody.lifecycle.stores import Caller, Ports
from custody.lifecycle.watch import judge_window
from custody.lifecycle.windows import answers_of, measured, moment, registered, window_labels
from custody.monitoring.alert import AlertKind
from custody.monitoring.detector import look, started
from custody.monitoring.evaluation import Evaluation
from custody.monitoring.feed import stuck
from custody.monitoring.policy import MonitorPolicy
from custody.monitoring.ports import Look, Monitors
from custody.monitoring.report import DriftReport, report, sentence_of


@dataclass(frozen=True, slots=True)
class Would:
    """An alert that would have been opened: when, of which kind, with which sentence."""

    at: datetime
    kind: AlertKind
    sentence: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What a policy would have done in the last `days`: alerts, and on how many looks and closed windows that rests."""

    days: int
    looks: int
    windows: int
    alerts: tuple[Would, ...]

    @property
    def sentence(self) -> str:
        """Say it in one sentence."""
        times = f"{len(self.alerts)} time{'' if len(self.alerts) == 1 else 's'}"
        on = f"{self.looks:,} looks, {self.windows:,} windows of labels"
        return f"This policy would have alarmed {times} in the last {self.days} days ({on})."


def preview(ports: Ports, caller: Caller, key: DeploymentKey, values: Mapping[str, Json], *, days: int = 90) -> Preview:
    """Replay a policy on the looks and labelled answers of the last days; nothing is changed.

    Looks are those that were made: a policy with smaller ones cannot split them. Every version that was live is judged as it
    would have been, each with its own detectors and windows.
    """
    caller.within(key.tenant).may(Role.CONTRIBUTOR)
    policy, start = monitor_policy_of(values), caller.now - timedelta(days=days)
    shelf = ports.stores.of(key.tenant)
    history = shelf.deployments.history(key, limit=MOST).items
    if not history:
        raise NotFound.of("deployment", str(key), ls="custody deployment ls")
    looks = [one for one in shelf.monitors.looks(key, limit=EVERY) if one.at >= start and one.batch]
    judged = [one for revision in _lives(history) for one in _windows(ports, revision, policy, start, caller.now)]
    alerts = [*_drift(ports, key, looks, policy), *(would for _, would in judged if would)]
    found = tuple(sorted(alerts, key=lambda one: one.at))
    return Preview(days, len({one.batch for one in looks}), len(judged), found)


def _drift(ports: Ports, key: DeploymentKey, looks: Sequence[Look], policy: MonitorPolicy) -> Iterator[Would]:
    """Give the first alarm of each detector: it stays until its version is replaced."""
    for detector in dict.fromkeys(one.detector.rpartition(":")[0] for one in looks):
        mine = [one for one in looks if one.detector.rpartition(":")[0] == detector]
        kind, _, version = detector.partition(":")
        on = references(
            ports.stores.objects.of(key.tenant), _compared(ports.stores.of(key.tenant).monitors, key, kind, version, policy)
        )
        state, found = started(on(mine[0].day)), list[Would]()
        for one in mine:
            reference, batch = on(one.day), read_summary(ports.stores.objects.of(key.tenant), one.batch)
            state = look(reference, state, batch)
            found += _would(report(reference, state, batch), kind, one.at)
            check = stuck(reference, batch, looks=state.looks)
            if kind == "training" and check.outcome is Outcome.FAIL:
                found.append(Would(one.at, AlertKind.DATA_QUALITY, check.sentence))
        yield from {would.kind: would for would in reversed(found)}.values()


def _compared(monitors: Monitors, key: DeploymentKey, kind: str, version: str, policy: MonitorPolicy) -> Compared:
    """Return what a detector of this policy would have compared with."""
    place = {"training": f"reference:{version}", "development": ""}.get(kind, f"{kind}:{version}")
    summary = str(monitors.state(key, place)) if place else ""
    needs_days = kind == "development" or (kind == "training" and policy.clustered)
    days = str(monitors.state(key, f"development:{version}:days")) if needs_days else ""
    return Compared(tolerance_of(policy), summary, days, policy.clustered)


def _would(found: DriftReport, kind: str, at: datetime) -> list[Would]:
    if not found.alarm:
        return []
    quality = bool(found.drifting) and found.drifting[0].quality
    return [Would(at, AlertKind.DATA_QUALITY if quality else AlertKind.DRIFT, sentence_of(found, kind))]


def _lives(history: Sequence[Revision]) -> list[Revision]:
    """Return one revision for each version and threshold that was ever live."""
    return list({(one.service.live.model, one.service.live.threshold): one for one in history}.values())


def _windows(
    ports: Ports, revision: Revision, policy: MonitorPolicy, start: datetime, now: datetime
) -> Iterator[tuple[Evaluation, Would | None]]:
    """Cut the labelled answers of one version into the policy's windows, and judge each."""
    target = revision.service.live
    rows = rows_between(ports, revision.key, since=start)
    if rows is None or not (mine := answers_of(rows, target)).num_rows:
        return
    labels = window_labels(ports.stores.of(revision.key.tenant), revision.key)
    promised, first, failing, looks = registered(ports, revision, target, policy.metric), None, False, 0
    for begin, end in _cuts(with_labels(mine, labels, "")[0], policy):
        inside = pc.and_(
            pc.greater_equal(mine.column("event"), moment(mine, begin)), pc.less_equal(mine.column("event"), moment(mine, end))
        )
        one = measured(ports, revision, target, mine.filter(inside), labels, (begin, end), "preview", now)
        live = one.metric(policy.metric)
        if live is None or live.n < policy.min_labels or one.coverage < policy.min_coverage:
            continue
        looks += 1
        failed = [c for c in judge_window(policy, promised, first, live, looks) if c.outcome is Outcome.FAIL]
        yield one, Would(end, AlertKind.PERFORMANCE, failed[0].sentence) if failed and not failing else None
        failing, first = bool(failed), first or one


def _cuts(labelled: pa.Table, policy: MonitorPolicy) -> Iterator[tuple[datetime, datetime]]:
    """Return where the policy's windows begin and end, oldest first; the last, open one is left out."""
    begin, count = None, 0
    for event in sorted(labelled.column("event").to_pylist()):
        begin, count = begin or event, count + 1
        if policy.closed(count, begin, event):
            yield begin, event
            begin, count = None, 0
