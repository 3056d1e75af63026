"""Drift of one deployment: what its detectors compare with, and one look per sealed round."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from custody.core.digest import Digest, Json, digest_of_json
from custody.core.errors import InvalidInput
from custody.core.measures.summary import Summary, merge, summarise
from custody.core.objects import Objects
from custody.core.refs import DeploymentKey, ModelRef
from custody.lifecycle.captured import INPUT, answered
from custody.lifecycle.profile import summary_of
from custody.lifecycle.rows import columns_of, inputs_of, table_of
from custody.lifecycle.stores import Change, Ports
from custody.monitoring.alert import Alert, AlertKind
from custody.monitoring.detector import State, look, started
from custody.monitoring.policy import MonitorPolicy
from custody.monitoring.ports import Look
from custody.monitoring.reference import Tolerance, reference_of
from custody.monitoring.report import DriftReport, drift_check, report

DEVELOPMENT_ROWS = 1000  # the first answers of a version, which become its second reference
EVERY = 1_000_000  # looks


@dataclass(frozen=True, slots=True)
class Pending:
    """What one detector will look at: the reference it needs (training), and the batch summarised by its specs."""

    model: ModelRef
    threshold: float
    reference: Digest
    summary: Summary
    batch: Summary
    latency_p95_us: float


@dataclass(frozen=True, slots=True)
class DriftEvidence:
    """All that an alarm rests on: the digests of the reference summary and of every batch in order, and what they came to."""

    reference: str
    tolerance: Tolerance
    batches: tuple[str, ...]
    log10_e: float
    version: int = 1


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look found."""

    state: str
    level: str
    log10_e: float


def prepare(ports: Ports, key: DeploymentKey, table: pa.Table) -> list[Pending]:
    """Summarise captured rows per model version and threshold that answered them; shadow rows are left out."""
    rows = answered(table)
    found = []
    for model, threshold in sorted(set(zip(rows.column("model").to_pylist(), rows.column("threshold").to_pylist(), strict=True))):
        mine = rows.filter(pc.and_(pc.equal(rows.column("model"), model), pc.equal(rows.column("threshold"), threshold)))
        ref = ModelRef.parse(model)
        digest, reference = training_reference(ports, key, ref, threshold)
        columns: dict[str, Any] = {
            n.removeprefix(INPUT): mine.column(n).to_pylist() for n in mine.column_names if n.startswith(INPUT)
        }
        columns |= {"score": mine.column("score").to_pylist(), "decision": mine.column("decision").to_pylist()}
        wanted = tuple(spec for spec in reference.specs if spec.source in columns)
        if wanted != reference.specs:
            raise InvalidInput(f"The captured rows of {model} lack columns that it learned from.")
        latency = float(np.percentile(mine.column("latency_us").to_numpy(), 95))
        found.append(Pending(ref, threshold, digest, reference, summarise(columns, wanted), latency))
    return found


def training_reference(ports: Ports, key: DeploymentKey, model: ModelRef, threshold: float) -> tuple[Digest, Summary]:
    """Return the summary of what a version learned from: its dataset's features, with its scores and decisions on them.

    Made once per version and threshold; its digest is kept as the deployment's state `reference:<model>@<threshold>`.
    """
    name = f"reference:{model}@{threshold:g}"
    shelf = ports.stores.of(key.tenant)
    if text := shelf.monitors.state(key, name):
        digest = Digest(text)
        return digest, _summary(ports.stores.objects, digest)
    head = shelf.deployments.head(key)
    owner = ports.stores.of(head.owner if head else key.tenant)
    version = owner.models.get(model)
    scorer = ports.load(ports.stores.objects.get(version.artifact), version.signature)
    columns: dict[str, list[Any]] = {}
    for use in version.datasets:
        rows: Mapping[str, Sequence[Any]] = columns_of(table_of(owner.datasets.get(use.ref), ports.stores.objects, ports.tables))
        scores = scorer.scores(inputs_of(version.signature, rows))
        parts = {feature: list(rows[feature]) for feature in version.signature.features}
        parts |= {"score": scores.tolist(), "decision": (scores >= threshold).tolist()}
        columns = {feature: columns.get(feature, []) + values for feature, values in parts.items()}
    summary = summary_of(columns)
    digest = ports.stores.objects.put(msgspec.json.encode(summary.to_json()))
    return digest, summary


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Answers that were sealed but are still too few for a look; summary as JSON, since when, the slowest p95."""

    summary: Any
    since: datetime
    latency_p95_us: float


def tolerance_of(policy: MonitorPolicy) -> Tolerance:
    """Return what each of the two detectors tolerates: half of the policy's alpha is for each reference."""
    return Tolerance(policy.drift_alpha / 2, policy.notice, policy.alarm, policy.quality)


def look_at(change: Change, objects: Objects, key: DeploymentKey, pending: Pending, now: datetime) -> list[Looked]:
    """Add one look to both detectors of a version, inside the transaction that records its batch; () while rows wait for more."""
    policy = change.monitors.policy(key) or MonitorPolicy()
    suffix = f"{pending.model}@{pending.threshold:g}"
    change.monitors.set_state(key, f"reference:{suffix}", pending.reference)
    due = _due(change, key, f"waiting:{suffix}", pending, policy, now)
    if due is None:
        return []
    sight = _Sight(change, objects, key, due, objects.put(_encoded(due.batch)), tolerance_of(policy), now)
    looked = [_step(sight, "training", due.reference, due.summary)]
    name = f"development:{suffix}:reference"
    kept = change.monitors.state(key, name)
    collected = _summary(objects, Digest(kept)) if kept else None
    if collected is None or collected.rows < DEVELOPMENT_ROWS:
        collected = merge(collected, due.batch) if collected is not None else due.batch
        change.monitors.set_state(key, name, objects.put(_encoded(collected)))
        return looked
    return [*looked, _step(sight, "development", Digest(str(kept)), collected)]


def _due(change: Change, key: DeploymentKey, name: str, pending: Pending, policy: MonitorPolicy, now: datetime) -> Pending | None:
    """Add rows to those that wait; all of them once they make a look, None before."""
    text = change.monitors.state(key, name)
    if text:
        old = msgspec.json.decode(text, type=_Waiting)
        batch, since = merge(Summary.from_json(old.summary), pending.batch), old.since
        pending = replace(pending, batch=batch, latency_p95_us=max(old.latency_p95_us, pending.latency_p95_us))
    else:
        since = now
    full = pending.batch.rows >= policy.look_rows or now - since >= timedelta(hours=policy.look_hours)
    waiting = "" if full else _encoded(_Waiting(pending.batch.to_json(), since, pending.latency_p95_us)).decode()
    if text or waiting:
        change.monitors.set_state(key, name, waiting)
    return pending if full else None


def _encoded(value: Summary | _Waiting) -> bytes:
    return msgspec.json.encode(value.to_json() if isinstance(value, Summary) else value)


def _summary(objects: Objects, digest: Digest) -> Summary:
    return Summary.from_json(msgspec.json.decode(objects.get(digest)))


@dataclass(frozen=True, slots=True)
class _Sight:
    """What one look looks at: a batch under its digest, and how much change is tolerated."""

    change: Change
    objects: Objects
    key: DeploymentKey
    pending: Pending
    batch: Digest
    tolerance: Tolerance
    now: datetime


def _step(sight: _Sight, which: str, compared: Digest, summary: Summary) -> Looked:
    """Look once; another tolerance is another detector, with an alpha of its own."""
    monitors, pending = sight.change.monitors, sight.pending
    reference = reference_of(summary, sight.tolerance)
    name = f"{which}:{pending.model}@{pending.threshold:g}:{digest_of_json(asdict(sight.tolerance))[:8]}"
    text = monitors.state(sight.key, name)
    state = State.from_json(msgspec.json.decode(text), reference) if text else started(reference)
    state = look(reference, state, pending.batch)
    monitors.set_state(sight.key, name, msgspec.json.encode(state.to_json()).decode())
    found = report(reference, state, pending.batch)
    seen = replace(_look_of(which, found, pending, sight.now), detector=name, compared=compared, batch=sight.batch)
    monitors.add_look(sight.key, seen)
    _alert(sight, seen, found)
    return Looked(name, found.level.value, found.global_log10_e)


def _alert(sight: _Sight, look: Look, found: DriftReport) -> None:
    """Open an alert on an alarm, unless one of its kind is open; its evidence is kept as an object that the entry names."""
    if not found.alarm:
        return
    change, key = sight.change, sight.key
    kind = AlertKind.DATA_QUALITY if found.drifting and found.drifting[0].quality else AlertKind.DRIFT
    if any(alert.kind is kind for alert in change.monitors.open_alerts(key)):
        return
    batches = [one.batch for one in change.monitors.looks(key, limit=EVERY) if one.detector == look.detector]
    proof = DriftEvidence(look.compared, sight.tolerance, tuple(batches), found.global_log10_e)
    digest = sight.objects.put(msgspec.json.encode(proof))
    check = drift_check(found, look.reference)
    check = replace(check, facts={**check.facts, "evidence": digest})
    alert = Alert(
        f"{kind.value}-{digest_of_json([str(key), look.reference, sight.now.isoformat()])[:20]}", key, kind, check, sight.now
    )
    change.monitors.save_alert(alert)
    facts: dict[str, Json] = {"alert": alert.id, "kind": kind.value, "check": check.sentence, "evidence": digest}
    change.record("alert.raised", str(key), facts)


def _look_of(which: str, found: DriftReport, pending: Pending, now: datetime) -> Look:
    score = next((column for column in found.columns if column.column == "score"), None)
    psi = next((d for d in score.distances if d.name == "psi"), None) if score else None
    worst = found.columns[0]
    return Look(
        reference=which,
        model=str(pending.model),
        at=now,
        rows=pending.batch.rows,
        log10_e=max(found.global_log10_e, worst.log10_e),
        level=found.level.value,
        sentence="; ".join(column.sentence for column in found.drifting[:3]) or "no drift is shown",
        psi=psi.value if psi else 0.0,
        psi_expected=psi.expected if psi else 0.0,
        latency_p95_us=pending.latency_p95_us,
    )
