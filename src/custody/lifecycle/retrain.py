"""Retrain: an alarm or a person asks; labelled traffic becomes data, the recipe runs again, the result is gated and staged."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

import msgspec
import numpy as np
import pyarrow as pa

from custody.core.digest import Json
from custody.core.errors import Conflict, CustodyError, NotFound, Unavailable
from custody.core.manifest import Mode
from custody.core.page import MOST
from custody.core.refs import DatasetRef, DeploymentKey, ModelRef
from custody.core.tenancy import Actor, Role, TenantId
from custody.data.dataset import DatasetVersion
from custody.deployment.revision import Revision
from custody.lifecycle.captured import INPUT, answered, rows_between, with_labels
from custody.lifecycle.consent import objections
from custody.lifecycle.convert import convert
from custody.lifecycle.ingest import Roles, ingest
from custody.lifecycle.promote import promote
from custody.lifecycle.publish import tenants_of
from custody.lifecycle.reasons import kept_reason
from custody.lifecycle.release import Plan, release
from custody.lifecycle.rows import spoken, table_of
from custody.lifecycle.scan import cleared
from custody.lifecycle.stores import Caller, Ports
from custody.lifecycle.subjects import standing
from custody.lifecycle.train import train
from custody.monitoring.policy import MonitorPolicy
from custody.privacy.pseudonym import is_token, tokens
from custody.registry.model import ModelVersion
from custody.registry.run import Recipe, Run, RunStatus

WORKER = Actor("worker", Role.ADMIN)
STATE = "retrain"
CAPTURES = "captures of "
CAUSE = "retrain "  # before the deployment and the reason, in the cause of a run


@dataclass(frozen=True, slots=True)
class Request:
    """An open wish to retrain what a deployment serves; step says how far it came, with the ids made so far.

    Kept as the deployment's `retrain` state: a worker killed midway goes on at the step it had not finished.
    """

    cause: str
    asked_at: datetime
    step: str = "asked"
    dataset: str = ""
    run: str = ""
    model: str = ""
    outcome: str = ""
    version: int = 1


class Steps(Protocol):
    """Runs a recipe somewhere: in a child process here, in a job of the team's own scheduler elsewhere."""

    def run(self, tenant: TenantId, name: str, recipe: Recipe, dataset: DatasetRef, cause: str) -> Run:
        """Repeat a training command on a dataset version and return the ended run."""
        ...


def request_retrain(ports: Ports, caller: Caller, key: DeploymentKey, cause: str) -> int:
    """Ask for a retraining, which needs an approver since it runs code; Conflict if one is going on."""
    caller.within(key.tenant).may(Role.APPROVER)
    kept = kept_reason(cause)
    with ports.stores.change(key.tenant, caller.actor, caller.now) as change:
        if change.deployments.head(key) is None:
            raise NotFound.of("deployment", str(key), ls="custody deployment ls")
        old = read_request(change.monitors.state(key, STATE))
        if old is not None and not old.outcome:
            raise Conflict(
                f"A retraining of {key} is going on (step: {old.step}).", fix=f"Look at it: custody deployment show {key}"
            )
        change.monitors.set_state(key, STATE, _text(Request(kept, caller.now)))
        entry = change.record("retrain.decided", str(key), {"cause": kept})
    return entry.seq


def read_request(text: str | None) -> Request | None:
    """Read a stored request."""
    return msgspec.json.decode(text, type=Request) if text else None


def _text(request: Request) -> str:
    return msgspec.json.encode(request).decode()


def retrain_next(ports: Ports, steps: Steps, clock: Callable[[], datetime]) -> int:
    """Carry every open request through all its steps and return how many ended; each step is kept before the next.

    Raises: ExceptionGroup of what broke, after all others had their turn: one request holds no other tenant's up.
    """
    ended, broken = 0, []
    for tenant in tenants_of(ports.stores):
        for head in ports.stores.of(tenant).deployments.heads():
            request = read_request(ports.stores.of(tenant).monitors.state(head.key, STATE))
            if request is not None and not request.outcome:
                try:
                    retrain(ports, steps, head, request, clock)
                    ended += 1
                except Exception as error:  # noqa: BLE001 - raised below, with all others
                    broken.append(error)
    if broken:
        raise ExceptionGroup("some retrainings broke", broken)
    return ended


def reap(ports: Ports, now: datetime) -> int:
    """Record retraining runs that a killed worker left running as killed, and return how many; called before the first round."""
    found = 0
    for tenant in tenants_of(ports.stores):
        shelf = ports.stores.of(tenant)
        for summary in shelf.runs.page(status=RunStatus.RUNNING, limit=MOST).items:
            if shelf.runs.get(summary.id).cause.startswith(CAUSE):
                train(ports, Caller(tenant, WORKER, now), summary.id, RunStatus.KILLED)
                found += 1
    return found


def retrain(ports: Ports, steps: Steps, head: Revision, request: Request, clock: Callable[[], datetime]) -> Request:
    """Assemble data, run the recipe, register, gate and stage a canary; a refusal or failure ends it with its reason."""
    try:
        while not request.outcome:
            request = _step(ports, steps, Caller(head.owner, WORKER, clock()), head, request)
            _keep(ports, head, request, clock())
    except Unavailable:  # not its end: the same step is tried again in the next round
        return request
    except (CustodyError, pa.ArrowException, ValueError, LookupError) as error:
        request = replace(request, outcome=f"failed at {request.step}: {error}")
        _keep(ports, head, request, clock())
    return request


def _step(ports: Ports, steps: Steps, owner: Caller, head: Revision, request: Request) -> Request:
    match request.step:
        case "asked":
            base = standing(ports.stores.of(head.owner), _live(ports, head).datasets[0].ref)
            version = assemble(ports, owner, head, base)
            cleared(ports.stores.of(head.owner), version.ref)  # Denied ends it with what was found, and how to remove it
            return replace(request, step="data", dataset=str(version.ref))
        case "data":
            return _trained(ports, steps, head, request)
        case "trained":
            model, _ = convert(ports, owner, request.run, head.service.live.model.name)
            return replace(request, step="registered", model=str(model.ref))
        case "registered":
            verdict, _ = promote(ports, owner, ModelRef.parse(request.model))
            failed = ", ".join(check.name for check in verdict.checks if check.outcome != "pass")
            return replace(request, step="judged", outcome=f"{request.model} was refused by the gate: {failed}" if failed else "")
        case _:
            return _staged(ports, owner, head, request)


def _live(ports: Ports, head: Revision) -> ModelVersion:
    return ports.stores.of(head.owner).models.get(head.service.live.model)


def _trained(ports: Ports, steps: Steps, head: Revision, request: Request) -> Request:
    old = ports.stores.of(head.owner).runs.get(_live(ports, head).run_id)
    if old.recipe is None:
        return replace(request, outcome=f"run {old.id} kept no recipe; train {old.name} by hand on {request.dataset}")
    cause = f"{CAUSE}{head.key}: {request.cause}"
    run = steps.run(head.owner, old.name, old.recipe, DatasetRef.parse(request.dataset), cause)
    if run.status is RunStatus.KILLED:
        raise Unavailable(f"Run {run.id} was interrupted.", why="The worker was stopped.", fix="It starts again with the worker.")
    if run.status is not RunStatus.FINISHED:
        return replace(request, run=run.id, outcome=f"run {run.id} ended as {run.status}")
    return replace(request, step="trained", run=run.id)


def _staged(ports: Ports, owner: Caller, head: Revision, request: Request) -> Request:
    shelf = ports.stores.of(head.key.tenant)
    policy, there = shelf.monitors.policy(head.key) or MonitorPolicy(), shelf.deployments.head(head.key)
    staged = there.service.candidate if there else None
    if staged is not None and str(staged.target.model) != request.model:
        return replace(
            request, outcome=f"{request.model} is ready, but {staged.target.model} is a candidate in {head.key} already"
        )
    if staged is None:  # else a killed worker had come this far
        plan = Plan(
            head.key,
            ModelRef.parse(request.model),
            head.service.live.threshold,
            Mode.CANARY,
            policy.canary_share,
            reason=f"retrained: {request.cause}",
            owner=head.owner,
        )
        release(ports, owner, plan)
    return replace(request, step="staged", outcome=f"{request.model} is a canary in {head.key}")


def _keep(ports: Ports, head: Revision, request: Request, now: datetime) -> None:
    with ports.stores.change(head.key.tenant, WORKER, now) as change:
        change.monitors.set_state(head.key, STATE, _text(request))
        facts: dict[str, Json] = {
            "step": request.step,
            "dataset": request.dataset,
            "run": request.run,
            "model": request.model,
            "outcome": request.outcome,
        }
        change.record("retrain.step", str(head.key), facts)


def assemble(ports: Ports, owner: Caller, head: Revision, base: DatasetVersion) -> DatasetVersion:
    """Join the base version with the labelled traffic of this deployment into the next version of the dataset.

    The card says so and inherits the base card's terms; the same rows again give the same version. A base that holds
    captured traffic itself is replaced by the version before, so that no prediction is learned twice.
    """
    while any(source.startswith(CAPTURES) for source in base.derived_from):
        base = ports.stores.of(head.owner).datasets.get(DatasetRef.parse(base.derived_from[0]))
    base = standing(ports.stores.of(head.owner), base.ref)
    shelf = ports.stores.of(head.key.tenant)
    target = base.schema.target
    captured = rows_between(ports, head.key)
    if captured is None or target is None:
        raise Conflict(f"{head.key} has no captured traffic to learn from.")
    old = table_of(base, ports.stores.objects, ports.tables)
    known = {spoken(value): value for value in old.column(target).unique().drop_null().to_pylist()}
    labels = {one: known[label] for one, label in shelf.labels.of(head.key).items() if label in known}
    rows, _ = with_labels(answered(captured), dict.fromkeys(labels, ""), "")
    rows = _allowed(ports, head, rows, base, owner.now)
    if not rows.num_rows:
        raise Conflict(
            f"No label matches a prediction of {head.key}.", fix=f"Add labels: custody label add {head.key} labels.csv"
        )
    table = _as_dataset(rows, labels, base, old.schema, _named(ports, head, rows, base, old.schema))
    card = replace(
        base.card,
        title=base.card.title,
        description=f"{base.card.description} Extended with {rows.num_rows} labelled predictions of {head.key}.",
        sources=tuple(dict.fromkeys([*base.card.sources, f"live traffic of {head.key}"])),
        collection_method="live_traffic",
        supersedes=str(base.ref),
    )
    joined = pa.concat_tables([old, table], promote_options="permissive").cast(_widened(old.schema, table.schema))
    schema = base.schema
    roles = Roles(schema.target, schema.positive, schema.subject, schema.time, schema.groups)
    version, _ = ingest(
        ports,
        owner,
        base.ref.name,
        joined,
        card,
        roles=roles,
        holdout=base.holdout,
        derived_from=(str(base.ref), f"{CAPTURES}{head.key}"),
    )
    return version


def _names(rows: pa.Table, base: DatasetVersion, column: str) -> list[str]:
    """Return whom captured rows name in a subject column: as a model's input, else by the caller's key; empty for nobody."""
    given = INPUT + column if INPUT + column in rows.column_names else "key" if column == base.subject_column else ""
    return [spoken(one) for one in rows.column(given).to_pylist()] if given else [""] * rows.num_rows


def _allowed(ports: Ports, head: Revision, rows: pa.Table, base: DatasetVersion, now: datetime) -> pa.Table:
    """Leave out rows of people who told the tenant whose traffic it is that they object; the owner's people are asked at training."""
    run = ports.stores.of(head.owner).runs.get(_live(ports, head).run_id)
    against = np.zeros(rows.num_rows, dtype=bool)
    for column in base.subject_columns if head.owner != head.key.tenant else ():
        against |= np.array(objections(ports, head.key.tenant, _names(rows, base, column), run.purpose, now), dtype=bool)
    return rows.filter(pa.array(~against))


def _named(ports: Ports, head: Revision, rows: pa.Table, base: DatasetVersion, shape: pa.Schema) -> dict[str, pa.Array]:
    """Return the subject columns of captured rows: names as the owner's own data has them, other tenants' people by pseudonym.

    The pseudonym is the other tenant's: the owner learns nobody's name, and an erasure there finds the rows here.
    """
    found = {}
    for column in base.subject_columns:
        names, kind = _names(rows, base, column), shape.field(column).type
        if head.owner != head.key.tenant and any(names):
            if not pa.types.is_string(kind) and not pa.types.is_large_string(kind):
                raise _nameless(head, base, column)
            token = tokens(ports.pseudonyms.of(head.key.tenant))
            names = [one if is_token(one) else token(one, "") if one else "" for one in names]
        try:
            found[column] = pa.array([one or None for one in names], pa.string()).cast(kind)
        except pa.ArrowInvalid as error:
            raise _nameless(head, base, column) from error
    return found


def _nameless(head: Revision, base: DatasetVersion, column: str) -> Conflict:
    return Conflict(
        f"The people in the traffic of {head.key} cannot be named in '{column}' of {base.ref}.",
        why="Their rows could not be erased later: the column holds no texts, and callers' keys or pseudonyms are texts.",
        fix=f"Add {base.ref.name} again with '{column}' as text, and train on that.",
        facts={"deployment": str(head.key), "dataset": str(base.ref)},
    )


def _widened(one: pa.Schema, two: pa.Schema) -> pa.Schema:
    return pa.unify_schemas([one, two], promote_options="permissive")


def _as_dataset(
    rows: pa.Table, labels: Mapping[str, Any], base: DatasetVersion, shape: pa.Schema, named: Mapping[str, pa.Array]
) -> pa.Table:
    """Return captured rows in the shape of the base version; a column that was not captured is null.

    labels: by prediction id or the caller's key, as the base writes them. named: the columns that name people. Times and labels get the base's own types: a
    wider type would write old rows differently, and so move them between training and holdout.
    """
    ids, keys = rows.column("prediction").to_pylist(), rows.column("key").to_pylist()
    values = [labels[one] if one in labels else labels[two] for one, two in zip(ids, keys, strict=True)]
    columns: dict[str, Any] = {}
    for column in base.schema.columns:
        if column.name in named:
            columns[column.name] = named[column.name]
        elif column.name == base.schema.target:
            columns[column.name] = pa.array(values, shape.field(column.name).type)
        elif column.name == base.schema.time and column.type == "timestamp":
            columns[column.name] = rows.column("event").cast(shape.field(column.name).type)
        elif column.name == base.schema.time and column.type == "integer":
            columns[column.name] = [event.year for event in rows.column("event").to_pylist()]
        elif INPUT + column.name in rows.column_names:
            columns[column.name] = rows.column(INPUT + column.name)
        else:
            columns[column.name] = pa.nulls(rows.num_rows)
    return pa.table(columns)
