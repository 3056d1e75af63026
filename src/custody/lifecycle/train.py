"""Train: a run reads the rows it may use, logs what it did, and ends."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from custody.core.digest import Digest, Json
from custody.core.errors import Conflict, InvalidInput
from custody.core.refs import DatasetRef, name_of
from custody.core.schema import Schema
from custody.core.tenancy import Role
from custody.data.dataset import DatasetVersion
from custody.data.reweigh import WEIGHT, weights
from custody.data.split import Split, part_of
from custody.lifecycle.access import bucket
from custody.lifecycle.cards import check_use
from custody.lifecycle.consent import decide, people_of
from custody.lifecycle.rows import group_columns, spoken, table_of
from custody.lifecycle.stores import Caller, Ports
from custody.privacy.purposes import purpose_of
from custody.registry.run import DatasetUse, LoggedModel, Recipe, Run, RunStatus, ended


def begin(
    ports: Ports,
    caller: Caller,
    name: str,
    *,
    code_version: str = "",
    environment: Mapping[str, str] | None = None,
    recipe: Recipe | None = None,
    cause: str = "",
    purpose: str = "",
) -> tuple[Run, int]:
    """Open a run; recipe says how to repeat it, cause why it was started (an alert, say), purpose what its model is for."""
    caller.may(Role.CONTRIBUTOR)
    purpose = purpose or (recipe.purpose if recipe else "")
    run = Run(
        id=ports.new_id(caller.now),
        name=name_of("run", name),
        status=RunStatus.RUNNING,
        started_at=caller.now,
        code_version=code_version,
        environment=dict(environment or {}),
        recipe=recipe,
        cause=cause,
        purpose=purpose_of(purpose) if purpose else "",
    )
    if recipe and (absent := [path for path, digest in recipe.files.items() if not _uploaded(ports, caller, digest)]):
        raise InvalidInput(f"The recipe names files that were never stored: {', '.join(absent)}.")
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        change.runs.add(run)
        entry = change.record(
            "run.started", run.id, {"name": name, "code_version": code_version, "cause": cause, "purpose": purpose}
        )
    return run, entry.seq


def read(ports: Ports, caller: Caller, run_id: str, ref: DatasetRef, split: Split, *, reweigh: str = "") -> pa.Table:
    """Hand a run the rows of a dataset version that it may use, and record the use.

    Rows of people who did not consent to the run's purpose, or objected to it, are left out and counted, as of now. Denied if
    the provenance card forbids training, or the caller may not see rows. reweigh: a column of groups; the rows then carry weights
    (`custody_weight`) under which the target no longer depends on it.
    """
    caller.may(Role.CONTRIBUTOR).may_see_rows()
    version = ports.stores.of(caller.tenant).datasets.get(ref)
    check_use(ports, caller, version, "train a model")
    _reweighable(version, reweigh)
    table = part_of(table_of(version, ports.stores.objects.of(caller.tenant), ports.tables), split, version.holdout)
    people = people_of(ports, caller.tenant, version, table)
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        change.datasets.get(ref).standing()
        run = _running(change.runs.get(run_id))
        admission, rows = decide(ports, change, version, table, people, run.purpose, caller.now)
        use = DatasetUse(ref, version.digest, split.value, admission, reweigh)
        if not any(use.same(known) for known in run.datasets):
            change.runs.save(replace(run, datasets=(*run.datasets, use)))
        change.record("dataset.read", str(ref), _read_facts(run, use, rows.num_rows))
    return weighted(rows, version.schema, reweigh) if reweigh else rows


def _reweighable(version: DatasetVersion, column: str) -> None:
    names, schema = version.schema.names, version.schema
    if column and (schema.target is None or any(part not in names for part in column.split("*")) or WEIGHT in names):
        raise InvalidInput(
            f"{version.ref} cannot be reweighed by '{column}'.",
            why="It has no target column." if schema.target is None else f"It has the columns {', '.join(names)}.",
            fix="Name a column of groups, and add the dataset with --target COLUMN.",
        )


def weighted(rows: pa.Table, schema: Schema, column: str) -> pa.Table:
    """Return rows with a column of weights under which the target no longer depends on a column of groups."""
    groups = group_columns({name: rows.column(name).to_pylist() for name in column.split("*")}, [column])[column]
    labels = [spoken(value) for value in rows.column(str(schema.target)).to_pylist()]
    return rows.append_column(WEIGHT, pa.array(weights(groups, labels)))


def _read_facts(run: Run, use: DatasetUse, rows: int) -> dict[str, Json]:
    admission = use.admission
    return {
        "run": run.id,
        "digest": use.digest,
        "split": use.split,
        "reweigh": use.reweigh,
        "rows": bucket(rows),
        "purpose": run.purpose or "train",
        "as_of": admission.at.isoformat() if admission else None,
        "basis": admission.basis if admission else None,
        "snapshot": admission.snapshot if admission else None,
        "admitted": admission.admitted if admission else rows,
        "refused": dict(admission.refused) if admission else {},
    }


def log(
    ports: Ports,
    caller: Caller,
    run_id: str,
    *,
    params: Mapping[str, str] | None = None,
    metrics: Mapping[str, float] | None = None,
    models: Sequence[LoggedModel] = (),
    purpose: str = "",
) -> Run:
    """Add parameters and the purpose (written once), metrics (the last value stays) and converted models to a running run."""
    caller.may(Role.CONTRIBUTOR)
    absent = [model.name for model in models for d in (model.artifact, model.fixture) if not _uploaded(ports, caller, d)]
    if absent:
        raise InvalidInput(f"The files of model '{absent[0]}' were never stored.", fix="Upload them first, then log the model.")
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        run = _running(change.runs.get(run_id))
        if clash := [key for key, value in (params or {}).items() if run.params.get(key, value) != value]:
            raise Conflict(
                f"The parameter '{clash[0]}' of run '{run_id}' already has another value.", why="Parameters are written once."
            )
        if purpose and run.purpose not in ("", purpose):
            raise Conflict(
                f"Run '{run_id}' has the purpose '{run.purpose}' and cannot have '{purpose}' too.",
                why="A purpose is declared once, before rows are read.",
                fix="Say the same purpose in the script and on the command line.",
            )
        kept = tuple(old for old in run.models if old.name not in {model.name for model in models})
        run = replace(
            run,
            purpose=run.purpose or (purpose_of(purpose) if purpose else ""),
            params={**run.params, **(params or {})},
            metrics={**run.metrics, **(metrics or {})},
            models=(*kept, *(replace(model, name=name_of("model", model.name)) for model in models)),
        )
        change.runs.save(run)
    return run


def train(ports: Ports, caller: Caller, run_id: str, status: RunStatus) -> tuple[Run, int | None]:
    """End a run and record what it read and made; ending it again the same way changes nothing."""
    caller.may(Role.CONTRIBUTOR)
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        before = change.runs.get(run_id)
        run = ended(before, status, caller.now)
        if run is before:
            return run, None
        change.runs.save(run)
        entry = change.record("run.finished", run.id, _facts(run))
    return run, entry.seq


def keep(ports: Ports, caller: Caller, body: bytes) -> Digest:
    """Store a file that a run or recipe will name by its digest."""
    caller.may(Role.CONTRIBUTOR)
    digest = ports.stores.objects.of(caller.tenant).put(body)
    ports.stores.objects.create(_upload(caller, digest), b"")
    return digest


def _upload(caller: Caller, digest: Digest) -> str:
    """Return the name under which a tenant's upload is noted: to know a digest is no right to its bytes."""
    return f"uploads/{caller.tenant}/{digest}"


def _uploaded(ports: Ports, caller: Caller, digest: Digest) -> bool:
    return ports.stores.objects.read(_upload(caller, digest)) is not None


def _running(run: Run) -> Run:
    if run.status is not RunStatus.RUNNING:
        raise Conflict(f"Run '{run.id}' has ended as {run.status}.", why="An ended run is a record and takes nothing more.")
    return run


def _facts(run: Run) -> dict[str, Json]:
    return {
        "status": run.status.value,
        "code_version": run.code_version,
        "datasets": [[str(use.ref), use.digest, use.split] for use in run.datasets],
        "models": [[model.name, model.artifact] for model in run.models],
        "cause": run.cause,
        "purpose": run.purpose,
    }
