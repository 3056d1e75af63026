"""Seal: batches that the data plane shipped become recorded captures, once each, and one look of the drift detectors."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa

from custody.core.digest import Json
from custody.core.errors import CustodyError, InvalidInput
from custody.core.prediction import CaptureBatch
from custody.core.refs import DeploymentKey
from custody.core.tenancy import Actor, Role, TenantId
from custody.lifecycle.captured import batch_of, capture_table, joined
from custody.lifecycle.drift import Looked, look_at, prepare
from custody.lifecycle.publish import tenants_of
from custody.lifecycle.stores import Ports
from custody.lifecycle.subjects import captured_without_erased
from custody.serving.capture import Capture, read_batch

SEALER = Actor("sealer", Role.ADMIN)
FOLDER, ASIDE = "captures", "quarantine"
log = logging.getLogger("custody.worker")
_MOST = 200  # batches in one transaction


@dataclass(frozen=True, slots=True)
class _Shipped:
    name: str
    id: str
    captures: Sequence[Capture]


def seal(ports: Ports, now: datetime) -> int:
    """Record every shipped batch and return how many predictions were new.

    A batch that cannot be read, or holds another tenant's predictions, is set aside and recorded so; nothing is dropped.
    """
    return sum(_seal_tenant(ports, tenant, now) for tenant in tenants_of(ports.stores))


def _seal_tenant(ports: Ports, tenant: TenantId, now: datetime) -> int:
    waiting: dict[DeploymentKey, list[_Shipped]] = {}
    for number, name in enumerate(ports.stores.objects.names(f"{FOLDER}/{tenant}/")):
        if number >= _MOST:
            break
        batch = _read(ports, tenant, name, now)
        if batch is not None:
            waiting.setdefault(batch.captures[0].id.deployment, []).append(batch)
    return sum(_guarded(ports, key, batches, now) for key, batches in waiting.items())


def _guarded(ports: Ports, key: DeploymentKey, batches: Sequence[_Shipped], now: datetime) -> int:
    try:
        return _seal_deployment(ports, key, batches, now)
    except (CustodyError, pa.ArrowException) as error:  # its batches stay and are tried again; no other deployment waits
        log.warning("the captures of %s cannot be sealed: %s", key, error)
        return 0


def _read(ports: Ports, tenant: TenantId, name: str, now: datetime) -> _Shipped | None:
    id = name.rsplit("/", 1)[-1].removesuffix(".ndjson.gz")  # noqa: A001 - the field's word
    if ports.stores.of(tenant).captures.has(id):  # recorded, but its process died before it removed the file
        ports.stores.objects.remove(name)
        return None
    body = ports.stores.objects.read(name)
    if body is None:
        return None
    try:
        captures = read_batch(body)
        keys = {capture.id.deployment for capture in captures}
        if len(keys) != 1 or next(iter(keys)).tenant != tenant:
            raise InvalidInput("The batch mixes deployments or tenants.")
        if (head := ports.stores.of(tenant).deployments.head(next(iter(keys)))) is None:
            raise InvalidInput("The batch names a deployment that does not exist.")
        for model in {capture.id.model for capture in captures}:
            ports.stores.of(head.owner).models.get(model)  # NotFound: nothing could be compared with these rows
    except CustodyError as error:
        _set_aside(ports, tenant, name, body, error.what, now)
        return None
    return _Shipped(name, id, captures)


def _set_aside(ports: Ports, tenant: TenantId, name: str, body: bytes, why: str, now: datetime) -> None:
    ports.stores.objects.create(f"{ASIDE}/{name.removeprefix(FOLDER + '/')}", body)
    with ports.stores.change(tenant, SEALER, now) as change:
        change.record("captures.quarantined", name.rsplit("/", 1)[-1], {"why": why, "sha256": hashlib.sha256(body).hexdigest()})
    ports.stores.objects.remove(name)


def _seal_deployment(ports: Ports, key: DeploymentKey, shipped: Sequence[_Shipped], now: datetime) -> int:
    whole = [capture_table(one.captures) for one in shipped]
    tables = [captured_without_erased(ports, key.tenant, table) for table in whole]
    objects = ports.stores.objects.of(key.tenant)
    batches = [
        replace(batch_of(all_, one.id, key, objects.put(ports.tables.to_parquet(kept)), now), rows=kept.num_rows)
        for one, all_, kept in zip(shipped, whole, tables, strict=True)
    ]
    looks, trouble = [], ""
    try:
        looks = prepare(ports, key, joined(tables)) if any(table.num_rows for table in tables) else []
    except (CustodyError, pa.ArrowException) as error:  # a reference that cannot be made must not hold captures up
        trouble = str(error)
    with ports.stores.change(key.tenant, SEALER, now) as change:
        new = [batch for batch in batches if not change.captures.has(batch.id)]
        if len(new) != len(batches):  # another worker was faster; the next round looks again
            return 0
        for batch in batches:
            change.captures.add(batch)
        seen: list[Looked] = [looked for one in looks for looked in look_at(change, objects, key, one, now)]
        change.record("captures.sealed", str(key), _facts(batches, seen, trouble))
    for one in shipped:
        objects.remove(one.name)
    return sum(batch.rows for batch in batches)


def _facts(batches: Sequence[CaptureBatch], looks: Sequence[Looked], trouble: str) -> dict[str, Json]:
    root = hashlib.sha256("".join(sorted(batch.object for batch in batches)).encode()).hexdigest()
    return {
        "batches": [[batch.id, batch.object, batch.rows] for batch in batches],
        "root": root,
        "looks": [[look.state, look.level, round(look.log10_e, 3)] for look in looks],
        "drift_not_computed": trouble,
    }
