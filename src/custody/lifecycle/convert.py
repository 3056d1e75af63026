"""Convert: a run's converted model becomes a version, after custody has measured its parity and its metrics itself."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import numpy as np

from custody.core.digest import Json
from custody.core.errors import Conflict, Denied, InvalidInput, NotFound
from custody.core.evidence import Measured, Parity
from custody.core.manifest import ParityFixture
from custody.core.measures.parity import parity
from custody.core.refs import ModelRef, near
from custody.core.tenancy import Role
from custody.data.split import Split, part_of
from custody.gates.policy import Policy
from custody.lifecycle.consent import admit
from custody.lifecycle.rows import Scored, inputs_of, measure, score, table_of
from custody.lifecycle.stores import Caller, Ports, Shelf
from custody.registry.model import ModelVersion
from custody.registry.ports import Scorer
from custody.registry.run import DatasetUse, LoggedModel, Run, once

DEFAULT_THRESHOLDS = (0.5,)


def convert(
    ports: Ports, caller: Caller, run_id: str, name: str | None = None, *, dry_run: bool = False
) -> tuple[ModelVersion, int | None]:
    """Register the converted model of a run as the next version of its name; the same artifact again returns its version.

    Loads the file (InvalidInput if it does not load or differs from its signature), re-runs the parity fixture, and
    measures the holdout rows of every dataset the run read, at each threshold of the gate's policy.
    """
    caller.may(Role.CONTRIBUTOR)
    shelf = ports.stores.of(caller.tenant)
    run = shelf.runs.get(run_id)
    logged = _logged(run, name)
    for version in shelf.models.of_run(run_id):
        if version.artifact == logged.artifact and version.ref.name == logged.name:
            return version, None
    body = ports.stores.objects.of(caller.tenant).get(logged.artifact)
    model = ports.load(body, logged.signature)
    thresholds = thresholds_of(shelf.gates.policy(logged.name))
    report = parity_of(ports, model, logged, thresholds)
    datasets = once(run.datasets)
    registered = measure_holdout(ports, shelf, datasets, model, logged, groups_of(shelf, logged.name, datasets), at=caller.now)
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        for use in run.datasets:
            change.datasets.get(use.ref).standing()
        latest = change.models.latest(logged.name)
        version = ModelVersion(
            ref=ModelRef(logged.name, latest.ref.version + 1 if latest else 1),
            artifact=logged.artifact,
            size_bytes=len(body),
            signature=logged.signature,
            framework=logged.framework,
            fixture=logged.fixture,
            parity=report,
            registered=registered,
            run_id=run_id,
            datasets=datasets,
            created_at=caller.now,
            notes=logged.notes,
        )
        if dry_run:
            return version, None
        change.models.add(version)
        entry = change.record("model.converted", str(version.ref), _facts(version))
    return version, entry.seq


def _logged(run: Run, name: str | None) -> LoggedModel:
    names = [model.name for model in run.models]
    if not names:
        raise Conflict(
            f"Run '{run.id}' logged no model.",
            why=f"It is {run.status}." if run.status != "finished" else "Its script never called run.log_model(...).",
            fix="Log one: run.log_model('churn', model, sample=X)",
        )
    if name is None and len(names) > 1:
        raise InvalidInput(f"Run '{run.id}' logged several models: {', '.join(names)}.", fix=f"Name one: --model {names[0]}")
    found = next((model for model in run.models if name in (None, model.name)), None)
    if found is None:
        raise NotFound.of("model in this run", str(name), near=near(str(name), names) or names[:2])
    return found


def thresholds_of(policy: Policy | None) -> tuple[float, ...]:
    """Return where decisions are judged: the policy's thresholds, or 0.5 without a policy."""
    return policy.thresholds if policy else DEFAULT_THRESHOLDS


def groups_of(shelf: Shelf, name: str, datasets: Sequence[DatasetUse]) -> tuple[str, ...]:
    """Return the group columns to measure: the datasets' own, and the policy's intersections."""
    policy = shelf.gates.policy(name)
    declared = [group for use in datasets for group in shelf.datasets.get(use.ref).schema.groups]
    judged = [rule.column for rule in policy.bias] if policy is not None else []
    return tuple(dict.fromkeys([*declared, *judged]))


def parity_of(
    ports: Ports, model: Scorer, version: LoggedModel | ModelVersion, thresholds: Sequence[float]
) -> tuple[Parity, ...]:
    """Re-run the parity fixture and compare with the original's scores, at each threshold."""
    fixture = msgspec.json.decode(ports.stores.objects.get(version.fixture), type=ParityFixture)
    converted = model.scores(inputs_of(version.signature, fixture.inputs))
    original = np.array(fixture.scores)
    if original.shape != converted.shape or not len(original):
        raise InvalidInput(
            f"The parity fixture has {len(original)} original scores for {len(converted)} rows.", fix="Export the model again."
        )
    return tuple(parity(original, converted, threshold) for threshold in thresholds)


def holdout_of(
    ports: Ports,
    shelf: Shelf,
    use: DatasetUse,
    model: Scorer,
    of: LoggedModel | ModelVersion,
    groups: Sequence[str],
    at: datetime,
) -> Scored:
    """Score the holdout rows of one dataset version that the run's purpose allows as of a time."""
    version = shelf.datasets.get(use.ref)
    table = part_of(table_of(version, ports.stores.objects, ports.tables), Split.HOLDOUT, version.holdout)
    if use.admission is not None:
        _, table = admit(ports, shelf, version, table, use.admission.purpose, at)
    return score(version, table, model, of.signature, groups)


def measure_holdout(
    ports: Ports,
    shelf: Shelf,
    datasets: Sequence[DatasetUse],
    model: Scorer,
    of: LoggedModel | ModelVersion,
    groups: Sequence[str],
    *,
    at: datetime,
) -> tuple[Measured, ...]:
    """Measure a model on the holdout rows of all datasets its run read; Denied if the run read holdout rows itself.

    at: the time as of which consent counts: rows of people who withdrew are not measured on either.
    """
    name = of.name if isinstance(of, LoggedModel) else of.ref.name
    if spoiled := [str(use.ref) for use in datasets if use.split != Split.TRAIN]:
        raise Denied(
            f"The run trained on rows of {', '.join(spoiled)} that are kept for measuring.",
            why="A metric on rows the model has seen proves nothing.",
            fix="Read the training part only: run.dataset('tickets@1')  # split='train' is the default",
        )
    scored = [holdout_of(ports, shelf, use, model, of, groups, at) for use in once(datasets)]
    if not scored:
        raise Conflict(
            "The run read no dataset through custody, so its model cannot be measured or traced.", fix="run.dataset('tickets@1')"
        )
    together = Scored(
        np.concatenate([one.scores for one in scored]),
        np.concatenate([one.actual for one in scored]),
        {g: [value for one in scored for value in one.groups[g]] for g in groups if all(g in one.groups for one in scored)},
    )
    return measure(together, thresholds_of(shelf.gates.policy(name)))


def _facts(version: ModelVersion) -> dict[str, Json]:
    return {
        "artifact": version.artifact,
        "fixture": version.fixture,
        "run": version.run_id,
        "datasets": [[str(use.ref), use.digest] for use in version.datasets],
        "parity": [[p.threshold, p.largest_difference, p.flips] for p in version.parity],
        "registered": [[m.threshold, e.metric, e.value, e.low, e.high, e.n] for m in version.registered for e in m.metrics],
    }
