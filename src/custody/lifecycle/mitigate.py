"""Mitigate: what a treatment of bias did to the gaps between groups and to accuracy, on held-out rows, kept for the cards."""

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from custody.core.digest import Json, parse_digest
from custody.core.errors import InvalidInput, NotFound
from custody.core.refs import ModelRef, near
from custody.core.tenancy import Role, TenantId
from custody.data.split import Split, holdout_mask, part_of
from custody.gates.mitigation import LEAST, Mitigation, compare, decided, equal_recall
from custody.ledger.entry import Entry
from custody.lifecycle.consent import admit
from custody.lifecycle.convert import thresholds_of
from custody.lifecycle.rows import Scored, score, table_of
from custody.lifecycle.stores import Caller, Ports, Shelf
from custody.registry.model import ModelVersion

KIND = "mitigation.measured"


def measure_mitigation(
    ports: Ports,
    caller: Caller,
    ref: ModelRef,
    column: str,
    *,
    before: ModelRef | None = None,
    threshold: float | None = None,
    dry_run: bool = False,
) -> tuple[Mitigation, int | None]:
    """Measure what a treatment of bias did on the rows that were kept from `ref`, and record it for its card.

    before: the version without the treatment; both decide the same rows. Without it, a threshold for each group is chosen on one
    half of the rows for equal recall, and measured on the other: what it would do; custody serves one threshold for all.
    Raises: NotFound for an unknown version, InvalidInput for an unknown column or rows with fewer than two groups.
    """
    caller.may(Role.CONTRIBUTOR)
    shelf = ports.stores.of(caller.tenant)
    version = shelf.models.get(ref)
    at = threshold if threshold is not None else thresholds_of(shelf.gates.policy(ref.name))[0]
    mine, half = _held_out(ports, shelf, caller, version, version, column)
    groups = mine.groups[column]
    if before is None:
        tuned, judged = _part(mine, half, column), _part(mine, ~half, column)
        each = equal_recall(tuned.scores, tuned.actual, tuned.groups[column], at)
        each = {group: each.get(group, at) for group in set(judged.groups[column]) | set(each)}
        after = decided(judged.scores, judged.groups[column], each)
        counts = Counter(groups)
        each = {group: at_ for group, at_ in each.items() if counts[group] >= LEAST}
        found = compare("threshold", column, judged.groups[column], judged.actual, judged.scores >= at, after, thresholds=each)
    else:
        old, _ = _held_out(ports, shelf, caller, version, shelf.models.get(before), column)
        found = compare(_method(version, column), column, groups, mine.actual, old.scores >= at, mine.scores >= at)
    if dry_run:
        return found, None
    body = msgspec.json.encode(found)
    digest = ports.stores.objects.of(caller.tenant).put(body)
    facts: dict[str, Json] = {
        "method": found.method,
        "column": column,
        "before": str(before) if before else None,
        "threshold": at,
        "datasets": [str(use.ref) for use in version.datasets],
        "evidence": digest,
        "sentence": found.sentence,
    }
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        entry = change.record("mitigation.measured", str(ref), facts)
    return found, entry.seq


def _method(version: ModelVersion, column: str) -> str:
    return "reweigh" if any(use.reweigh == column for use in version.datasets) else "other"


def _held_out(
    ports: Ports, shelf: Shelf, caller: Caller, of: ModelVersion, judged: ModelVersion, column: str
) -> tuple[Scored, NDArray[np.bool_]]:
    """Score the rows kept from one version with another, and tell which are in the half on which thresholds are chosen."""
    policy = shelf.gates.policy(of.ref.name)
    ruled = {part for rule in (policy.bias if policy else ()) for part in rule.column.split("*")}
    model, scored, halves = ports.load(ports.stores.objects.get(judged.artifact), judged.signature), list[Scored](), []
    for use in of.datasets:
        data = shelf.datasets.get(use.ref)
        if any(part not in data.schema.names for part in column.split("*")):
            close = near(column, data.schema.names)
            raise InvalidInput(
                f"{use.ref} has no column '{column}'.",
                why=f"Did you mean '{close[0]}'?" if close else f"It has {', '.join(data.schema.names)}.",
            )
        if other := set(column.split("*")) - {*data.schema.groups, *ruled}:  # its values would be told, whosever they are
            raise InvalidInput(
                f"'{', '.join(sorted(other))}' does not hold groups of people.",
                why="Only columns that the dataset names as groups, or a bias rule of the policy judges, are told by value.",
                fix=f"Name it: custody dataset add ... --group {min(other)}; or write a bias rule for it: custody gate set",
            )
        table = part_of(table_of(data, ports.stores.objects, ports.tables), Split.HOLDOUT, data.holdout)
        if use.admission is not None:
            _, table = admit(ports, shelf, data, table, use.admission.purpose, caller.now)
        halves.append(holdout_mask(table, data.holdout / 2))
        scored.append(score(data, table, model, judged.signature, [column]))
    together = Scored(
        np.concatenate([one.scores for one in scored]),
        np.concatenate([one.actual for one in scored]),
        {column: [value for one in scored for value in one.groups[column]]},
    )
    return together, np.concatenate(halves)


def _part(scored: Scored, mask: NDArray[np.bool_], column: str) -> Scored:
    kept = [group for group, one in zip(scored.groups[column], mask, strict=True) if one]
    return Scored(scored.scores[mask], scored.actual[mask], {column: kept})


def mitigations_of(ports: Ports, tenant: TenantId, ref: ModelRef) -> list[Mitigation]:
    """Return what was measured of a model version's treatments, newest first."""
    entries = ports.stores.ledger.page(tenant, subject=str(ref), kind=KIND, after=None, limit=50).items
    objects, found = ports.stores.objects, list[Mitigation]()
    for entry in entries:
        try:
            found.append(msgspec.json.decode(objects.get(parse_digest(str(entry.body["evidence"]))), type=Mitigation))
        except NotFound:  # a tenant whose keys were destroyed
            continue
    return found


def told_of(entries: Sequence[Entry], dataset: str) -> list[str]:
    """Return a sentence for each treatment of a model that learned from a dataset version."""
    mine = [one for one in entries if isinstance(one.body["datasets"], list) and dataset in one.body["datasets"]]
    return [f"{one.subject}, {one.at:%Y-%m-%d}: {one.body['sentence']}" for one in mine]
