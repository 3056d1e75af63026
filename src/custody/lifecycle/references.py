"""What the drift detectors of a deployment compare with: the data a version learned from, and its own first days."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import reduce
from typing import Any

import msgspec

from custody.core.digest import Digest, parse_digest
from custody.core.measures.spec import spread
from custody.core.measures.summary import Summary, empty, merge
from custody.core.objects import Objects
from custody.core.refs import DeploymentKey, ModelRef
from custody.lifecycle.profile import summary_of
from custody.lifecycle.rows import features_of, inputs_of, spoken, table_of
from custody.lifecycle.stores import Ports, Shelf
from custody.lifecycle.subjects import standing
from custody.monitoring.days import FORTNIGHT
from custody.monitoring.policy import MonitorPolicy
from custody.monitoring.prior import label_spec, label_summary
from custody.monitoring.reference import Reference, Tolerance, reference_of
from custody.monitoring.weekdays import calendar_of

WEEK = 7  # days, without which nothing is said about how days vary
Days = Mapping[str, Summary]  # by ISO date


@dataclass(frozen=True, slots=True)
class Compared:
    """What a detector compares with, all by digest: one summary, or the summaries of days, or both.

    clustered: rows of one day hang together, so that what moves between days makes rows count for less.
    """

    tolerance: Tolerance
    summary: str = ""
    days: str = ""
    clustered: bool = False


def tolerance_of(policy: MonitorPolicy) -> Tolerance:
    """Return what each detector tolerates: training, development, labels, and texts that are embedded, share the alpha."""
    return Tolerance(policy.drift_alpha / (4 if policy.embedding else 3), policy.notice, policy.alarm, policy.quality)


def references(objects: Objects, compared: Compared) -> Callable[[str], Reference]:
    """Prepare a detector's references; call the result with a look's ISO date.

    Days tell how much shares move by themselves once there are seven of them, and a weekly pattern from fourteen.
    """
    days = read_days(objects, compared.days) if compared.days else {}
    if compared.summary or len(days) < FORTNIGHT:
        whole = read_summary(objects, compared.summary) if compared.summary else together(days)
        told = [*days.values()] if len(days) >= WEEK else []
        one = reference_of(whole, compared.tolerance, days=told, clustered=compared.clustered and bool(told))
        return lambda _: one
    calendar = calendar_of(
        {date.fromisoformat(day): each for day, each in days.items()}, compared.tolerance, clustered=compared.clustered
    )
    return lambda day: calendar.on(date.fromisoformat(day))


def together(days: Days) -> Summary:
    """Add the summaries of days; at least one is there."""
    each = [*days.values()]
    return reduce(merge, each, empty(each[0].specs))


def added(one: Days, two: Days) -> dict[str, Summary]:
    """Add two sets of days."""
    return {
        day: together({str(i): part[day] for i, part in enumerate((one, two)) if day in part}) for day in sorted({*one, *two})
    }


def encoded(value: Summary) -> bytes:
    """Write a summary as JSON."""
    return msgspec.json.encode(value.to_json())


def read_summary(objects: Objects, digest: str) -> Summary:
    """Read a stored summary."""
    return Summary.from_json(msgspec.json.decode(objects.get(parse_digest(digest))))


def days_json(days: Days) -> dict[str, Any]:
    """Write days as JSON."""
    return {day: one.to_json() for day, one in days.items()}


def days_from(body: Mapping[str, Any]) -> dict[str, Summary]:
    """Read days back."""
    return {day: Summary.from_json(one) for day, one in body.items()}


def read_days(objects: Objects, digest: str) -> dict[str, Summary]:
    """Read stored days."""
    return days_from(msgspec.json.decode(objects.get(parse_digest(digest))))


def training_reference(ports: Ports, key: DeploymentKey, model: ModelRef, threshold: float) -> tuple[Digest, Summary]:
    """Return the summary of what a version learned from: its dataset's features, with its scores and decisions on them.

    Made once per version and threshold; its digest is kept as the deployment's state `reference:<model>@<threshold>`.
    """
    name = f"reference:{model}@{threshold:g}"
    shelf = ports.stores.of(key.tenant)
    if text := shelf.monitors.state(key, name):
        digest = Digest(text)
        return digest, read_summary(ports.stores.objects, digest)
    head = shelf.deployments.head(key)
    owner = ports.stores.of(head.owner if head else key.tenant)
    version = owner.models.get(model)
    scorer = ports.load(ports.stores.objects.get(version.artifact), version.signature)
    columns: dict[str, list[Any]] = {}
    for use in version.datasets:
        dataset = standing(owner, use.ref)
        rows = features_of(dataset, table_of(dataset, ports.stores.objects, ports.tables), version.signature)
        scores = scorer.scores(inputs_of(version.signature, rows))
        parts = {name: list(values) for name, values in spread({n: rows[n] for n in version.signature.features}).items()}
        parts |= {"score": scores.tolist(), "decision": (scores >= threshold).tolist()}
        columns = {feature: columns.get(feature, []) + values for feature, values in parts.items()}
    summary = summary_of(columns)
    digest = ports.stores.objects.of(key.tenant).put(encoded(summary))
    return digest, summary


def label_reference(ports: Ports, key: DeploymentKey, owner: Shelf, model: ModelRef) -> tuple[str, Summary]:
    """Return the summary of the labels that a version learned from; made once, kept as the state `labels:<model>`."""
    name = f"labels:{model}"
    if digest := ports.stores.of(key.tenant).monitors.state(key, name):
        return digest, read_summary(ports.stores.objects, digest)
    counts: Counter[str] = Counter()
    for use in owner.models.get(model).datasets:
        version = standing(owner, use.ref)
        column = table_of(version, ports.stores.objects, ports.tables).column(str(version.schema.target))
        counts.update(spoken(value) for value in column.to_pylist() if value is not None)
    summary = label_summary(counts, label_spec(counts))
    return ports.stores.objects.of(key.tenant).put(encoded(summary)), summary
