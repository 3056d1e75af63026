"""Explain: whether training data still covers live traffic, and whether a loss comes from moved inputs or a changed relation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from custody.core.digest import Json
from custody.core.errors import Conflict, NotFound
from custody.core.manifest import Target
from custody.core.measures.spec import spread
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.tenancy import Role
from custody.data.split import Split, part_of
from custody.deployment.revision import Revision
from custody.lifecycle.captured import INPUT, even, rows_between, with_labels
from custody.lifecycle.rows import features_of, inputs_of, labels_of, table_of
from custody.lifecycle.stores import Caller, Ports, Shelf
from custody.lifecycle.windows import answers_of, window_labels
from custody.monitoring.betting import RATIOS
from custody.monitoring.decompose import Decomposition, decompose, labelled
from custody.monitoring.policy import MonitorPolicy
from custody.monitoring.ports import Monitors
from custody.monitoring.relevance import Relevance, relevance
from custody.monitoring.shift.pool import Side

NEWEST = 50_000  # live rows that are looked at

Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Explained:
    """How relevant a version's training data is to its live traffic, and why its metric moved; None without labels of both."""

    model: ModelRef
    at: datetime
    relevance: Relevance
    decomposition: Decomposition | None
    version: int = 1


def explain(ports: Ports, caller: Caller, key: DeploymentKey) -> tuple[Explained, int]:
    """Compare what the live version learned from with what it is asked now, keep the answer, and return its ledger number.

    Takes seconds. Raises: NotFound without a deployment, Conflict if it has answered nothing yet.
    """
    caller.within(key.tenant).may(Role.CONTRIBUTOR)
    head = ports.stores.of(key.tenant).deployments.head(key)
    if head is None:
        raise NotFound.of("deployment", str(key), ls="custody deployment ls")
    found = measure_relevance(ports, head, caller.now)
    with ports.stores.change(key.tenant, caller.actor, caller.now) as change:
        change.monitors.set_state(key, _place(found.model), msgspec.json.encode(found).decode())
        entry = change.record("relevance.measured", str(key), _facts(found))
    return found, entry.seq


def _facts(found: Explained) -> dict[str, Json]:
    """Return the numbers only: words may name values of live rows."""
    covers, why = found.relevance, found.decomposition
    return {
        "model": str(found.model),
        "effective_rows": round(covers.effective_rows),
        "training_rows": covers.training_rows,
        "live_rows": covers.live_rows,
        "thin": covers.thin.value if covers.thin else None,
        "slices": len(covers.slices),
        "cause": why.cause.value if why else None,
    }


def last_explained(monitors: Monitors, key: DeploymentKey, model: ModelRef) -> Explained | None:
    """Return what was measured last for a version of a deployment."""
    text = monitors.state(key, _place(model))
    return msgspec.json.decode(text, type=Explained) if text else None


def _place(model: ModelRef) -> str:
    return f"relevance:{model}"


def measure_relevance(ports: Ports, head: Revision, now: datetime) -> Explained:
    """Measure relevance on the newest answers of the live version, and decompose its metric if both sides have labels."""
    target, shelf, owner = head.service.live, ports.stores.of(head.key.tenant), ports.stores.of(head.owner)
    rows = rows_between(ports, head.key)
    mine = answers_of(rows, target) if rows is not None else None
    if mine is None or not mine.num_rows:
        raise Conflict(f"{target.model} has answered nothing in {head.key} yet.", fix=f"custody deployment show {head.key}")
    mine = even(mine.slice(max(mine.num_rows - NEWEST, 0)))
    learned = _side(ports, owner, target, Split.TRAIN)
    found = relevance(Side(learned.columns), Side(_inputs(mine, target)))
    return Explained(target.model, now, found, _decomposed(ports, shelf, owner, head, mine))


@dataclass(frozen=True, slots=True)
class _Rows:
    columns: Columns
    decided: np.ndarray
    actual: np.ndarray


def _inputs(rows: pa.Table, target: Target) -> Columns:
    names = [name.removeprefix(INPUT) for name in rows.column_names if name.startswith(INPUT)]
    wide = tuple(f"{tensor.name}." for tensor in target.signature.inputs if tensor.shape[1:] not in {(), (1,)})
    mine = [name for name in names if name in target.signature.features or (wide and name.startswith(wide))]
    return {name: rows.column(INPUT + name).to_pylist() for name in mine}


def _side(ports: Ports, owner: Shelf, target: Target, split: Split) -> _Rows:
    """Read the rows that a version learned from, or those that were kept from it, with its decisions and the truth."""
    version = owner.models.get(target.model)
    model = ports.load(ports.stores.objects.get(version.artifact), version.signature)
    columns: dict[str, list[Any]] = {name: [] for name in target.signature.features}
    decided, actual = [], []
    for use in version.datasets:
        dataset = owner.datasets.get(use.ref)
        table = part_of(table_of(dataset, ports.stores.objects, ports.tables), split, dataset.holdout)
        read = features_of(dataset, table, version.signature)
        for name, values in columns.items():
            values.extend(read[name])
        decided.append(model.scores(inputs_of(version.signature, read)) >= target.threshold)
        actual.append(labels_of(dataset, table, version.signature))
    return _Rows(spread(columns), np.concatenate(decided), np.concatenate(actual))


def _decomposed(ports: Ports, shelf: Shelf, owner: Shelf, head: Revision, mine: pa.Table) -> Decomposition | None:
    target, policy = head.service.live, shelf.monitors.policy(head.key) or MonitorPolicy()
    metric = policy.metric if policy.metric in RATIOS else "accuracy"
    known, truth = with_labels(mine, window_labels(shelf, head.key), target.signature.classes[1])
    if not known.num_rows:
        return None
    kept = _side(ports, owner, target, Split.HOLDOUT)
    decided = known.column("decision").to_numpy(zero_copy_only=False).astype(bool)
    return decompose(
        labelled(kept.columns, metric, kept.decided, kept.actual),
        labelled(_inputs(known, target), metric, decided, truth),
        metric=metric,
        higher_is_better=True,
    )
