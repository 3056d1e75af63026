"""How far a person's data went: rows, versions, runs, models, deployments, captured traffic, labels, golden cases, fixtures."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from custody.core.digest import Digest
from custody.core.errors import Denied, NotFound
from custody.core.manifest import ParityFixture
from custody.core.prediction import CaptureBatch
from custody.core.refs import DatasetRef, DeploymentKey, ModelRef
from custody.core.tenancy import TenantId
from custody.data.dataset import DatasetVersion
from custody.deployment.revision import Revision
from custody.lifecycle.publish import tenants_of
from custody.lifecycle.stores import Ports, Shelf
from custody.lifecycle.subjects import Mask, Tokens, captured_mask, like, raw_parts, rows_of, tokens_for
from custody.privacy.pseudonym import tokens


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of one person, in counts and names of things; never the person's values.

    datasets: versions that hold rows, derived: versions made from them that do not say whose rows they hold.
    golden, fixtures: cases and rows that equal one of the person's. elsewhere: what other tenants made of this tenant's traffic
    with the person in it: their versions and models, as `TENANT: NAME@N`.
    """

    rows: int = 0
    datasets: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    deployments: tuple[str, ...] = ()
    captures: int = 0
    labels: int = 0
    golden: int = 0
    fixtures: int = 0
    elsewhere: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing is known of the person."""
        return not (self.rows or self.datasets or self.captures or self.labels or self.elsewhere)


@dataclass(frozen=True, slots=True)
class Person:
    """One person of one tenant, by token."""

    ports: Ports
    tenant: TenantId
    token: str

    @property
    def shelf(self) -> Shelf:
        """Return the tenant's stores."""
        return self.ports.stores.of(self.tenant)

    @property
    def tokens(self) -> Tokens:
        """Return what makes tokens of the tenant's values."""
        return tokens_for(self.ports, self.tenant)


def elsewhere(person: Person, subject: str) -> list[Person]:
    """Return the person as other tenants know them: by this tenant's pseudonym, in data they made of its traffic."""
    name, found = tokens(person.ports.pseudonyms.of(person.tenant))(subject, ""), list[Person]()
    for tenant in tenants_of(person.ports.stores):
        with suppress(Denied):  # a tenant whose keys are destroyed has nothing that can be read
            one = Person(person.ports, tenant, tokens_for(person.ports, tenant)(name))
            known = one.shelf.subjects.erasure(one.token)
            if tenant != person.tenant and (known is not None or one.shelf.subjects.datasets(one.token)):
                found.append(one)
    return found


def named_elsewhere(others: Sequence[Person]) -> tuple[str, ...]:
    """Return the versions and models of other tenants that hold a person's rows, or learned from them."""
    told = [(one.tenant, one.shelf.subjects.reached(one.shelf.subjects.datasets(one.token))) for one in others]
    return tuple(f"{tenant}: {ref}" for tenant, reached in told for ref in (*reached.datasets, *reached.models))


def versions_of(person: Person) -> list[DatasetVersion]:
    """Return the versions that hold rows of a person, by the index."""
    return [person.shelf.datasets.get(ref) for ref in person.shelf.subjects.datasets(person.token)]


def rows_in(person: Person, version: DatasetVersion, others: Sequence[pa.Table] = ()) -> Iterator[tuple[pa.Table, Mask]]:
    """Return each part of a version with the mask of the person's rows; others: rows to look for where no column tells."""
    token = person.tokens
    for part in raw_parts(person.ports, version, person.tenant):
        if columns := [name for name in version.subject_columns if name in part.column_names]:
            yield part, rows_of(part, columns, token, {person.token})
        else:
            yield part, like({name: part.column(name).to_pylist() for name in part.column_names}, others)


def own_rows(person: Person, versions: Sequence[DatasetVersion]) -> list[pa.Table]:
    """Return the person's rows in versions that say whose they are."""
    told = [one for one in versions if one.subject_columns]
    found = [part.filter(pa.array(theirs)) for one in told for part, theirs in rows_in(person, one)]
    return [rows for rows in found if rows.num_rows]


def deployments_of(ports: Ports, owner: TenantId, models: Sequence[ModelRef]) -> list[Revision]:
    """Return the deployments, of any tenant, in which one of an owner's versions is live or a candidate."""
    wanted = set(models)
    heads = [head for tenant in tenants_of(ports.stores) for head in ports.stores.of(tenant).deployments.heads()]
    return [head for head in heads if head.owner == owner and wanted & set(models_in(head))]


def models_in(head: Revision) -> list[ModelRef]:
    """Return the versions that a deployment answers with now."""
    candidate = head.service.candidate
    return [head.service.live.model, *([candidate.target.model] if candidate else [])]


def captured(person: Person) -> Iterator[tuple[CaptureBatch, pa.Table, Mask]]:
    """Return the sealed batches in which the person occurs, with the mask of those rows."""
    objects, token = person.ports.stores.objects.of(person.tenant), person.tokens
    for head in person.shelf.deployments.heads():
        for batch in person.shelf.captures.of(head.key):
            if batch.rows:
                table = person.ports.tables.from_parquet(objects.get(batch.object))
                theirs = captured_mask(table, token, lambda people: {person.token} & set(people))
                if theirs.any():
                    yield batch, table, theirs


def labelled(person: Person, predictions: dict[DeploymentKey, set[str]]) -> dict[DeploymentKey, list[str]]:
    """Return the names under which labels of a person stand: their predictions, and their own name as the caller's key."""
    found: dict[DeploymentKey, list[str]] = {}
    token = person.tokens
    for head in person.shelf.deployments.heads():
        mine = predictions.get(head.key, set())
        names = [name for name in person.shelf.labels.names(head.key) if name in mine or token(name) == person.token]
        if names:
            found[head.key] = names
    return found


def predictions_of(batches: Sequence[tuple[CaptureBatch, pa.Table, Mask]]) -> dict[DeploymentKey, set[str]]:
    """Return the ids of a person's predictions, and the caller's keys beside them, by deployment."""
    found: dict[DeploymentKey, set[str]] = {}
    for batch, table, theirs in batches:
        rows = table.filter(pa.array(theirs))
        found.setdefault(batch.deployment, set()).update(rows.column("prediction").to_pylist())
    return found


def fixture_of(person: Person, digest: Digest, people: Sequence[pa.Table]) -> tuple[ParityFixture, Mask]:
    """Read a parity fixture, with the mask of rows that equal one of the person's; empty if its object is gone."""
    try:
        body = person.ports.stores.objects.of(person.tenant).get(digest)
    except NotFound:
        return ParityFixture({}, [], 0.0), np.zeros(0, dtype=bool)
    fixture = msgspec.json.decode(body, type=ParityFixture)
    if any(len(values) != len(fixture.scores) for values in fixture.inputs.values()):
        return fixture, _like_arrays(fixture, people)
    return fixture, like(fixture.inputs, people)


def row_of_fixture(fixture: ParityFixture, values: Sequence[Any], row: int) -> Sequence[Any]:
    """Return what an input holds for one row: one value, or as many as its rows are wide."""
    width = len(values) // len(fixture.scores)
    return values[row * width : (row + 1) * width]


def _like_arrays(fixture: ParityFixture, people: Sequence[pa.Table]) -> Mask:
    """Return the mask of rows without column names whose numbers all occur in one row of the person's, as FP32 holds them."""
    theirs = [
        {float(np.float32(value)) for value in row.values() if isinstance(value, int | float)}
        for table in people
        for row in table.to_pylist()
    ]
    rows = [
        {
            float(one)
            for values in fixture.inputs.values()
            for one in row_of_fixture(fixture, values, i)
            if isinstance(one, int | float)
        }
        for i in range(len(fixture.scores))
    ]
    return np.array([any(row <= known for known in theirs) for row in rows], dtype=bool)


def fixtures_of(person: Person, runs: Sequence[str]) -> dict[Digest, list[str]]:
    """Return the parity fixtures of models that runs logged, with those runs."""
    found: dict[Digest, list[str]] = {}
    for run in runs:
        for model in person.shelf.runs.get(run).models:
            found.setdefault(model.fixture, []).append(run)
    return found


def find(person: Person) -> Found:
    """Look everywhere for one person."""
    versions = versions_of(person)
    people = own_rows(person, versions)
    reached = person.shelf.subjects.reached([one.ref for one in versions])
    batches = list(captured(person))
    labels = labelled(person, predictions_of(batches))
    cases = [case for one in person.shelf.gates.golden_sets() for case in one.cases]
    return Found(
        rows=sum(table.num_rows for table in people),
        datasets=tuple(str(one.ref) for one in versions),
        derived=tuple(str(ref) for ref in derived_of(person, reached.datasets, versions)),
        runs=reached.runs,
        models=tuple(map(str, reached.models)),
        deployments=tuple(str(head.key) for head in deployments_of(person.ports, person.tenant, reached.models)),
        captures=sum(int(theirs.sum()) for _, _, theirs in batches),
        labels=sum(map(len, labels.values())),
        golden=sum(bool(like({k: [v] for k, v in case.inputs.items()}, people).any()) for case in cases) if people else 0,
        fixtures=sum(int(fixture_of(person, one, people)[1].sum()) for one in fixtures_of(person, reached.runs)) if people else 0,
    )


def derived_of(person: Person, refs: Sequence[DatasetRef], versions: Sequence[DatasetVersion]) -> list[DatasetRef]:
    """Return the versions derived from a person's that do not say whose rows they hold."""
    told = {one.ref for one in versions}
    return [ref for ref in refs if ref not in told and not person.shelf.datasets.get(ref).subject_columns]
