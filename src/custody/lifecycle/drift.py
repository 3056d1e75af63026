"""Drift of one deployment: what its detectors compare with, and one look per sealed round."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from custody.core.digest import Digest, digest_of_json
from custody.core.errors import InvalidInput
from custody.core.measures.summary import Summary, merge, summarise
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
        return digest, Summary.from_json(msgspec.json.decode(ports.stores.objects.get(digest)))
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


def look_at(change: Change, key: DeploymentKey, pending: Pending, now: datetime) -> Looked:
    """Add one look to both detectors of a version, inside the transaction that records its batch."""
    policy = change.monitors.policy(key) or MonitorPolicy()
    tolerance = Tolerance(policy.drift_alpha / 2, policy.notice, policy.alarm, policy.quality)  # half for each reference
    suffix = f"{pending.model}@{pending.threshold:g}"
    change.monitors.set_state(key, f"reference:{suffix}", pending.reference)
    looked = _step(change, key, "training", pending.summary, pending, tolerance, now)
    name = f"development:{suffix}"
    kept = change.monitors.state(key, name + ":reference")
    collected = Summary.from_json(msgspec.json.decode(kept)) if kept else None
    if collected is None or collected.rows < DEVELOPMENT_ROWS:
        collected = merge(collected, pending.batch) if collected is not None else pending.batch
        change.monitors.set_state(key, name + ":reference", msgspec.json.encode(collected.to_json()).decode())
        return looked
    second = _step(change, key, "development", collected, pending, tolerance, now)
    return second if second.log10_e > looked.log10_e else looked


def _step(
    change: Change, key: DeploymentKey, which: str, summary: Summary, pending: Pending, tolerance: Tolerance, now: datetime
) -> Looked:
    """Look once; another tolerance is another detector, with an alpha of its own."""
    reference = reference_of(summary, tolerance)
    name = f"{which}:{pending.model}@{pending.threshold:g}:{digest_of_json(asdict(tolerance))[:8]}"
    text = change.monitors.state(key, name)
    state = State.from_json(msgspec.json.decode(text), reference) if text else started(reference)
    state = look(reference, state, pending.batch)
    change.monitors.set_state(key, name, msgspec.json.encode(state.to_json()).decode())
    found = report(reference, state, pending.batch)
    change.monitors.add_look(key, _look_of(which, found, pending, now))
    _alert(change, key, which, found, now)
    return Looked(name, found.level.value, found.global_log10_e)


def _alert(change: Change, key: DeploymentKey, which: str, found: DriftReport, now: datetime) -> None:
    """Open an alert on an alarm, unless one of its kind is open."""
    if not found.alarm:
        return
    kind = AlertKind.DATA_QUALITY if found.drifting and found.drifting[0].quality else AlertKind.DRIFT
    if any(alert.kind is kind for alert in change.monitors.open_alerts(key)):
        return
    check = drift_check(found, which)
    alert = Alert(f"{kind.value}-{digest_of_json([str(key), which, now.isoformat()])[:20]}", key, kind, check, now)
    change.monitors.save_alert(alert)
    change.record("alert.raised", str(key), {"alert": alert.id, "kind": kind.value, "check": check.sentence})


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
