"""Seal: batches that the data plane shipped become recorded captures, once each, and one look of the drift detectors."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec
import pyarrow as pa

from custody.core.digest import Json
from custody.core.errors import CustodyError, Denied, IntegrityBroken, InvalidInput, Unavailable
from custody.core.objects import Objects
from custody.core.prediction import CaptureBatch
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.tenancy import Actor, Role, TenantId
from custody.lifecycle.captured import batch_of, capture_table, joined
from custody.lifecycle.drift import Looked, look_at, prepare
from custody.lifecycle.publish import tenants_of
from custody.lifecycle.stores import Ports
from custody.lifecycle.subjects import captured_without_erased
from custody.serving.capture import Capture
from custody.serving.sampling import Rest, open_batch

SEALER = Actor("sealer", Role.ADMIN)
FOLDER, ASIDE = "captures", "quarantine"
log = logging.getLogger("custody.worker")
_MOST, _MOST_BYTES = 1000, 16 * 1024 * 1024  # batches, and their bytes as they are stored, in one transaction
_SOON = timedelta(seconds=5)  # labels wait no longer for the predictions that they are about


@dataclass(frozen=True, slots=True)
class _Shipped:
    name: str
    id: str
    captures: Sequence[Capture]
    size_bytes: int
    rest: Sequence[Rest]

    @property
    def deployments(self) -> set[DeploymentKey]:
        """Return the deployments that it names: one, unless it is wrong."""
        return {capture.id.deployment for capture in self.captures} | {one.key for one in self.rest}

    @property
    def models(self) -> set[ModelRef]:
        """Return the model versions that answered."""
        return {capture.id.model for capture in self.captures} | {ModelRef.parse(one.model) for one in self.rest}


def seal(ports: Ports, now: datetime, *, every: timedelta = timedelta(0)) -> int:
    """Record every shipped batch and return how many predictions were new.

    every: batches wait until a tenant's last sealing was so long ago, so that steady traffic does not fill the ledger; five
    seconds at most when labels came since, and not at all when there are too many for one entry. Nothing sealed yet, no wait.
    A batch that cannot be read, or holds another tenant's predictions, is set aside and recorded so; nothing is dropped.
    """
    total = 0
    for tenant in tenants_of(ports.stores):
        names = [*ports.stores.objects.names(f"{FOLDER}/{tenant}/")]
        if names and (len(names) >= _MOST or _is_due(ports, tenant, now, every)):
            total += _seal_tenant(ports, tenant, names, now)
    return total


def _is_due(ports: Ports, tenant: TenantId, now: datetime, every: timedelta) -> bool:
    sealed = _newest(ports, tenant, "captures.sealed")
    if sealed is None or not timedelta(0) <= now - sealed < every:  # a clock that was put back makes nothing wait
        return True
    labelled = _newest(ports, tenant, "labels.received")
    return labelled is not None and labelled >= sealed and now - sealed >= _SOON


def _newest(ports: Ports, tenant: TenantId, kind: str) -> datetime | None:
    found = ports.stores.ledger.page(tenant, subject=None, kind=kind, after=None, limit=1).items
    return found[0].at if found else None


def _seal_tenant(ports: Ports, tenant: TenantId, names: Sequence[str], now: datetime) -> int:
    waiting: dict[DeploymentKey, list[_Shipped]] = {}
    total, number, size = 0, 0, 0
    for name in names:
        batch = _read(ports, tenant, name, now)
        if batch is not None:
            waiting.setdefault(next(iter(batch.deployments)), []).append(batch)
            number, size = number + 1, size + batch.size_bytes
        if number >= _MOST or size >= _MOST_BYTES:
            total += _seal_all(ports, waiting, now)
            waiting, number, size = {}, 0, 0
    return total + _seal_all(ports, waiting, now)


def _seal_all(ports: Ports, waiting: Mapping[DeploymentKey, Sequence[_Shipped]], now: datetime) -> int:
    return sum(_guarded(ports, key, batches, now) for key, batches in waiting.items())


def _guarded(ports: Ports, key: DeploymentKey, batches: Sequence[_Shipped], now: datetime) -> int:
    try:
        return _seal_deployment(ports, key, batches, now)
    except Exception as error:  # noqa: BLE001 - whatever a caller sent: its batches stay and are tried again, and nobody else waits
        if len(batches) > 1 and not isinstance(error, Unavailable):
            return sum(_guarded(ports, key, [one], now) for one in batches)
        said = str(error) if isinstance(error, CustodyError) else type(error).__name__  # no values
        log.warning("the captures of %s cannot be sealed: %s", key, said)
        return 0


def _read(ports: Ports, tenant: TenantId, name: str, now: datetime) -> _Shipped | None:
    id = name.rsplit("/", 1)[-1].partition(".")[0]  # noqa: A001 - the field's word
    if ports.stores.of(tenant).captures.has(id):  # recorded, but its process died before it removed the file
        ports.stores.objects.remove(name)
        return None
    try:
        body = ports.stores.objects.read(name)
    except Denied:  # its tenant's keys were destroyed: nobody can read it any more, and no other tenant waits for it
        return None
    except IntegrityBroken as error:  # it stays, and no other batch waits for it
        log.warning("%s cannot be read: %s", name, error)
        return None
    if body is None:
        return None
    try:
        captures, rest = open_batch(body)
        shipped = _Shipped(name, id, captures, len(body), rest)
        keys = shipped.deployments
        if len(keys) != 1 or next(iter(keys)).tenant != tenant:
            raise InvalidInput("The batch mixes deployments or tenants.")
        if (head := ports.stores.of(tenant).deployments.head(next(iter(keys)))) is None:
            raise InvalidInput("The batch names a deployment that does not exist.")
        for model in shipped.models:
            ports.stores.of(head.owner).models.get(model)  # NotFound: nothing could be compared with these rows
    except Unavailable:  # the database, not the batch: it is tried again in the next round
        raise
    except CustodyError as error:
        with suppress(Denied):  # as above: a plain batch of such a tenant cannot even be set aside
            _set_aside(ports, tenant, name, body, error.what, now)
        return None
    return shipped


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
        replace(batch_of(all_, one.id, key, objects.put(ports.tables.to_parquet(kept)), now, rest=one.rest), rows=kept.num_rows)
        for one, all_, kept in zip(shipped, whole, tables, strict=True)
    ]
    looks, trouble = [], ""
    try:
        rest = [rest for one in shipped for rest in one.rest]
        looks = prepare(ports, key, joined(tables), rest) if rest or any(table.num_rows for table in tables) else []
    except (CustodyError, pa.ArrowException) as error:  # a reference that cannot be made must not hold captures up
        trouble = str(error)
    with ports.stores.change(key.tenant, SEALER, now) as change:
        new = [batch for batch in batches if not change.captures.has(batch.id)]
        if len(new) != len(batches):  # another worker was faster; the next round looks again
            return 0
        for batch in batches:
            change.captures.add(batch)
        seen: list[Looked] = [looked for one in looks for looked in look_at(change, objects, key, one, now)]
        change.record("captures.sealed", str(key), _facts(batches, seen, trouble) | _summarised(objects, shipped))
    for one in shipped:
        objects.remove(one.name)
    return sum(batch.rows for batch in batches)


def _summarised(objects: Objects, shipped: Sequence[_Shipped]) -> dict[str, Json]:
    """Keep the counts of rows that were not kept, and name them; nothing where all were."""
    rest = [one for batch in shipped for one in batch.rest]
    if not rest:
        return {}
    return {"summarised_rows": sum(one.rows for one in rest), "summaries": objects.put(msgspec.json.encode(rest))}


def _facts(batches: Sequence[CaptureBatch], looks: Sequence[Looked], trouble: str) -> dict[str, Json]:
    root = hashlib.sha256("".join(sorted(batch.object for batch in batches)).encode()).hexdigest()
    return {
        "batches": [[batch.id, batch.object, batch.rows] for batch in batches],
        "root": root,
        "looks": [[look.state, look.level, round(look.log10_e, 3)] for look in looks],
        "drift_not_computed": trouble,
    }
