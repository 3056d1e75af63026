"""Drift of one deployment: its answers and labels are summarised, and looked at in steps of enough rows."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from custody.core.digest import Digest, Json, digest_of_json
from custody.core.errors import InvalidInput
from custody.core.evidence import Check, Outcome
from custody.core.measures.summary import Summary, summarise
from custody.core.objects import Objects
from custody.core.refs import DeploymentKey, ModelRef
from custody.lifecycle.captured import INPUT, answered
from custody.lifecycle.references import (
    WEEK,
    Compared,
    Days,
    added,
    days_from,
    days_json,
    encoded,
    read_days,
    references,
    together,
    tolerance_of,
    training_reference,
)
from custody.lifecycle.stores import Change, Ports
from custody.lifecycle.texts import Embedded, embedded_texts
from custody.monitoring.alert import Alert, AlertKind
from custody.monitoring.detector import State, look, started, stored
from custody.monitoring.feed import stuck
from custody.monitoring.policy import MonitorPolicy
from custody.monitoring.ports import Look
from custody.monitoring.report import DriftReport, drift_check, report
from custody.serving.capture import CaptureMode
from custody.serving.sampling import Rest

DEVELOPMENT_ROWS = 1000  # the first answers of a version, which become its second reference
EVERY = 1_000_000  # looks


@dataclass(frozen=True, slots=True)
class Pending:
    """What the detectors of one version will look at: its training reference, and its answers summarised by the day they came.

    name: of the detectors and their states, a version at a threshold. texts: a sample of the texts in these answers, embedded.
    """

    name: str
    model: ModelRef
    reference: Digest
    days: Days
    latency_p95_us: float
    texts: Embedded | None = None


@dataclass(frozen=True, slots=True)
class DriftEvidence:
    """All that an alarm rests on: what was compared, every look in order (digest of the batch, ISO date), what they came to."""

    compared: Compared
    looks: tuple[tuple[str, str], ...]
    log10_e: float
    version: int = 1


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look found."""

    state: str
    level: str
    log10_e: float


def prepare(ports: Ports, key: DeploymentKey, table: pa.Table, rest: Sequence[Rest] = ()) -> list[Pending]:
    """Summarise all traffic per model version and threshold that answered it; shadow rows are left out.

    rest: counts of the rows that were not kept; they are added to those of the rows, exactly.
    """
    rows, others = answered(table), [one for one in rest if one.mode is not CaptureMode.SHADOW]
    found = []
    pairs = set(zip(rows.column("model").to_pylist(), rows.column("threshold").to_pylist(), strict=True))
    for model, threshold in sorted(pairs | {(one.model, one.threshold) for one in others}):
        mine = rows.filter(pc.and_(pc.equal(rows.column("model"), model), pc.equal(rows.column("threshold"), threshold)))
        ref = ModelRef.parse(model)
        digest, reference = training_reference(ports, key, ref, threshold)
        latency = float(np.percentile(mine.column("latency_us").to_numpy(), 95)) if mine.num_rows else 0.0
        day = pc.strftime(mine.column("at"), format="%Y-%m-%d")
        days = {one: _summarised(mine.filter(pc.equal(day, one)), reference) for one in sorted(set(day.to_pylist()))}
        for one in others:
            if (one.model, one.threshold) == (model, threshold):
                days = added(days, {one.day: _counted(one, digest, reference)})
        texts = embedded_texts(ports, key, ref, mine, reference)
        found.append(Pending(f"{model}@{threshold:g}", ref, digest, days, latency, texts))
    return found


def _counted(rest: Rest, digest: Digest, reference: Summary) -> Summary:
    if rest.reference != digest:
        raise InvalidInput("Rows that were not kept were counted by another reference than the one that is looked at.")
    return rest.summary(reference.specs)


def _summarised(rows: pa.Table, reference: Summary) -> Summary:
    columns: dict[str, Any] = {n.removeprefix(INPUT): rows.column(n) for n in rows.column_names if n.startswith(INPUT)}
    columns |= {"score": rows.column("score"), "decision": rows.column("decision")}
    if any(spec.source not in columns for spec in reference.specs):
        raise InvalidInput("The captured rows lack columns that their model learned from.")
    return summarise(columns, reference.specs)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Answers that were sealed but are still too few for a look: summaries by day as JSON, since when, the slowest p95."""

    days: dict[str, Any]
    since: datetime
    latency_p95_us: float


@dataclass(frozen=True, slots=True)
class _Sight:
    """What one look looks at: a batch under its digest, made on a day."""

    change: Change
    objects: Objects
    key: DeploymentKey
    model: str
    batch: Digest
    summary: Summary
    day: str
    now: datetime
    latency_p95_us: float = 0.0


def look_at(change: Change, objects: Objects, key: DeploymentKey, pending: Pending, now: datetime) -> list[Looked]:
    """Add one look to the detectors of a version, inside the transaction that records its batch; () while rows wait for more."""
    policy = change.monitors.policy(key) or MonitorPolicy()
    change.monitors.set_state(key, f"reference:{pending.name}", pending.reference)
    looked = _look_at_texts(change, objects, key, pending, now)
    due = _due(change, key, pending, policy, now)
    if due is None:
        return looked
    sight = _sight(change, objects, key, due, now)
    developed = _developed(change, objects, key, due, policy)
    days = developed if policy.clustered else ""
    if developed or not policy.clustered:  # how rows hang together is told by the first days
        training = Compared(tolerance_of(policy), due.reference, days, policy.clustered)
        looked.append(_step(sight, f"training:{due.name}", training))
    if developed:
        looked.append(_step(sight, f"development:{due.name}", Compared(tolerance_of(policy), "", developed, policy.clustered)))
    return looked


def _look_at_texts(change: Change, objects: Objects, key: DeploymentKey, pending: Pending, now: datetime) -> list[Looked]:
    policy, texts = change.monitors.policy(key) or MonitorPolicy(), pending.texts
    if texts is None or not policy.embedding:
        return []
    for name, digest in texts.states.items():
        change.monitors.set_state(key, name, digest)
    due = _due(change, key, Pending(texts.name, pending.model, texts.reference, texts.days, pending.latency_p95_us), policy, now)
    if due is None:
        return []
    compared = Compared(tolerance_of(policy), due.reference)
    return [_step(_sight(change, objects, key, due, now), f"texts:{due.name}", compared)]


def _sight(change: Change, objects: Objects, key: DeploymentKey, due: Pending, now: datetime) -> _Sight:
    batch, day = together(due.days), max(due.days, key=lambda one: due.days[one].rows)
    return _Sight(change, objects, key, str(due.model), objects.put(encoded(batch)), batch, day, now, due.latency_p95_us)


@dataclass(frozen=True, slots=True)
class Arrived:
    """Labels of a closed window: the digest of the labels that the version learned from, and these with their own digest."""

    reference: str
    batch: Digest
    summary: Summary


def look_at_labels(change: Change, objects: Objects, key: DeploymentKey, model: ModelRef, labels: Arrived, now: datetime) -> None:
    """Add one look at the labels of a closed window, against those that the version learned from."""
    policy = change.monitors.policy(key) or MonitorPolicy()
    change.monitors.set_state(key, f"labels:{model}", labels.reference)
    day = now.astimezone(UTC).date().isoformat()
    sight = _Sight(change, objects, key, str(model), labels.batch, labels.summary, day, now)
    _step(sight, f"labels:{model}", Compared(tolerance_of(policy), labels.reference))


def _due(change: Change, key: DeploymentKey, pending: Pending, policy: MonitorPolicy, now: datetime) -> Pending | None:
    """Add rows to those that wait; all of them once they make a look, None before."""
    name, since = f"waiting:{pending.name}", now
    text = change.monitors.state(key, name)
    if text:
        old = msgspec.json.decode(text, type=_Waiting)
        slowest, since = max(old.latency_p95_us, pending.latency_p95_us), old.since
        pending = replace(pending, days=added(days_from(old.days), pending.days), latency_p95_us=slowest)
    full = together(pending.days).rows >= policy.look_rows or now - since >= timedelta(hours=policy.look_hours)
    waiting = "" if full else msgspec.json.encode(_Waiting(days_json(pending.days), since, pending.latency_p95_us)).decode()
    if text or waiting:
        change.monitors.set_state(key, name, waiting)
    return pending if full else None


def _developed(change: Change, objects: Objects, key: DeploymentKey, due: Pending, policy: MonitorPolicy) -> str:
    """Return the digest of the development phase's days; empty, and these answers added to it, while it still goes on."""
    name = f"development:{due.name}:days"
    kept = change.monitors.state(key, name)
    days = read_days(objects, kept) if kept else {}
    least = max(policy.development_days, WEEK if policy.clustered else 1)
    if days and len(days) >= least and together(days).rows >= DEVELOPMENT_ROWS:
        return str(kept)
    change.monitors.set_state(key, name, objects.put(msgspec.json.encode(days_json(added(days, due.days)))))
    return ""


def _step(sight: _Sight, which: str, compared: Compared) -> Looked:
    """Look once; another tolerance or reference is another detector, with an alpha of its own."""
    monitors, kind = sight.change.monitors, which.partition(":")[0]
    reference = references(sight.objects, compared)(sight.day)
    name = f"{which}:{digest_of_json(asdict(compared))[:8]}"
    text = monitors.state(sight.key, name)
    state = State.from_json(msgspec.json.decode(text), reference) if text else started(reference)
    state = stored(look(reference, state, sight.summary))
    monitors.set_state(sight.key, name, msgspec.json.encode(state.to_json()).decode())
    found = report(reference, state, sight.summary)
    seen = replace(_look_of(kind, found, sight), detector=name, batch=sight.batch, day=sight.day)
    monitors.add_look(sight.key, seen)
    if found.alarm:
        quality = bool(found.drifting) and found.drifting[0].quality
        _alert(sight, seen, compared, found, AlertKind.DATA_QUALITY if quality else AlertKind.DRIFT, drift_check(found, kind))
    if kind == "training" and (check := stuck(reference, sight.summary, looks=state.looks)).outcome is Outcome.FAIL:
        _alert(sight, seen, compared, found, AlertKind.DATA_QUALITY, check)
    return Looked(name, found.level.value, found.global_log10_e)


def _alert(sight: _Sight, seen: Look, compared: Compared, found: DriftReport, kind: AlertKind, check: Check) -> None:
    """Open an alert, unless one of its kind is open; its evidence is kept as an object that the entry names."""
    change, key = sight.change, sight.key
    if any(alert.kind is kind for alert in change.monitors.open_alerts(key)):
        return
    looks = tuple((one.batch, one.day) for one in change.monitors.looks(key, limit=EVERY) if one.detector == seen.detector)
    digest = sight.objects.put(msgspec.json.encode(DriftEvidence(compared, looks, found.global_log10_e)))
    check = replace(check, facts={**check.facts, "evidence": digest})
    id = f"{kind.value}-{digest_of_json([str(key), seen.reference, sight.now.isoformat()])[:20]}"  # noqa: A001 - the field's word
    change.monitors.save_alert(Alert(id, key, kind, check, sight.now))
    facts: dict[str, Json] = {"alert": id, "kind": kind.value, "check": check.sentence, "evidence": digest}
    change.record("alert.raised", str(key), facts)


def _look_of(which: str, found: DriftReport, sight: _Sight) -> Look:
    shown = next((column for column in found.columns if column.column == "score"), found.columns[0])
    psi = next((d for d in shown.distances if d.name == "psi"), None)
    worst = found.columns[0]
    return Look(
        reference=which,
        model=sight.model,
        at=sight.now,
        rows=sight.summary.rows,
        log10_e=max(found.global_log10_e, worst.log10_e),
        level=found.level.value,
        sentence="; ".join(column.sentence for column in found.drifting[:3]) or "no drift is shown",
        psi=psi.value if psi else 0.0,
        psi_expected=psi.expected if psi else 0.0,
        latency_p95_us=sight.latency_p95_us,
    )
