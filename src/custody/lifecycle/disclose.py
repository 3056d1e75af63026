"""Disclose: everything that is stored about one person, from all places, as one archive with a list of what is in it."""

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from custody.core.digest import Json, digest_of
from custody.core.page import MOST
from custody.core.tenancy import Role
from custody.data.dataset import DatasetVersion
from custody.lifecycle.forget import SYSTEM
from custody.lifecycle.reach import (
    Found,
    Person,
    captured,
    derived_of,
    elsewhere,
    find,
    fixture_of,
    fixtures_of,
    labelled,
    own_rows,
    predictions_of,
    row_of_fixture,
    rows_in,
    versions_of,
)
from custody.lifecycle.seal import seal
from custody.lifecycle.stores import Caller, Ports
from custody.lifecycle.subjects import index_old, like, token_of
from custody.privacy.consent import ConsentRecord
from custody.privacy.pseudonym import tokens

VERSION = 1


def disclose(ports: Ports, caller: Caller, subject: str) -> tuple[bytes, int]:
    """Return a zip with everything that is stored about a person, and the models that learned from it.

    Rows, also in derived versions that do not say whose they are; predictions, those that just arrived included, and labels; golden
    cases and rows of parity fixtures that equal the person's; and what the person agreed to.
    `manifest.json` names every file with its digest. The ledger keeps that it was asked and how much there was, never who.
    Denied below approver, and to who may see no rows.
    """
    caller.may(Role.APPROVER).may_see_rows()
    person = Person(ports, caller.tenant, token_of(ports, caller.tenant, subject))
    index_old(ports, lambda: ports.stores.change(caller.tenant, SYSTEM, caller.now), caller.tenant)
    seal(ports, caller.now)
    found, versions = find(person), versions_of(person)
    people = own_rows(person, versions)
    files = {**_rows(person, versions, people), **_copies(person, found, people), **_traffic(person)}
    for other in elsewhere(person, subject):
        theirs = _rows(other, versions_of(other), ())
        files |= {f"elsewhere/{other.tenant}/{name}": body for name, body in theirs.items()}
    files["consent.json"] = msgspec.json.encode(_agreed(person, subject))
    files["learned.json"] = msgspec.json.encode({"runs": found.runs, "models": found.models, "deployments": found.deployments})
    listed: dict[str, Any] = {name: {"sha256": digest_of(body), "bytes": len(body)} for name, body in files.items()}
    manifest = {"version": VERSION, "made_at": caller.now.isoformat(), "tenant": caller.tenant, "files": listed}
    archive = _zip({"manifest.json": msgspec.json.encode(manifest), **files})
    facts: dict[str, Json] = {"rows": found.rows, "captures": found.captures, "labels": found.labels, "files": len(files)}
    facts["purpose"] = "access request"
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        entry = change.record("subject.exported", person.token, facts)
    return archive, entry.seq


def _agreed(person: Person, subject: str) -> list[ConsentRecord]:
    """Return what the person agreed to or withdrew, newest first."""
    token, found, after = tokens(person.ports.pseudonyms.of(person.tenant))(subject, ""), list[ConsentRecord](), None
    while True:
        page = person.shelf.consents.page(subject=token, after=after, limit=MOST)
        found += page.items
        if (after := page.next) is None:
            return found


def _copies(person: Person, found: Found, people: Sequence[pa.Table]) -> dict[str, bytes]:
    """Return golden cases and rows of fixtures that equal the person's; nothing of kinds that hold none."""
    if not people:
        return {}
    cases = [
        {"set": f"{golden.model} {golden.version}", "id": case.id, "inputs": case.inputs, "expect": case.expect}
        for golden in person.shelf.gates.golden_sets()
        for case in golden.cases
        if like({name: [value] for name, value in case.inputs.items()}, people).any()
    ]
    rows = []
    for digest in fixtures_of(person, found.runs):
        fixture, theirs = fixture_of(person, digest, people)
        for row in np.flatnonzero(theirs).tolist():
            inputs = {name: row_of_fixture(fixture, values, row) for name, values in fixture.inputs.items()}
            rows.append({"fixture": digest, "inputs": inputs, "score": fixture.scores[row]})
    kinds = {"golden.json": cases, "fixtures.json": rows}
    return {name: msgspec.json.encode(kept) for name, kept in kinds.items() if kept}


def _rows(person: Person, versions: Sequence[DatasetVersion], people: Sequence[pa.Table]) -> dict[str, bytes]:
    files = {}
    refs = person.shelf.subjects.reached([one.ref for one in versions]).datasets
    loose = [person.shelf.datasets.get(ref) for ref in derived_of(person, refs, versions)]
    for version in (*versions, *loose):
        mine = [part.filter(pa.array(theirs)) for part, theirs in rows_in(person, version, people)]
        if rows := [row for part in mine for row in part.to_pylist()]:
            files[f"datasets/{version.ref}.json"] = msgspec.json.encode({"title": version.card.title, "rows": rows})
    return files


def _traffic(person: Person) -> dict[str, bytes]:
    batches, files = list(captured(person)), dict[str, bytes]()
    predictions: dict[str, list[Any]] = {}
    for batch, table, theirs in batches:
        predictions.setdefault(str(batch.deployment), []).extend(table.filter(pa.array(theirs)).to_pylist())
    for key, rows in predictions.items():
        files[f"predictions/{key.replace('/', '.')}.json"] = msgspec.json.encode(rows)
    for place, names in labelled(person, predictions_of(batches)).items():
        values = person.shelf.labels.of(place, sources=("outcome", "annotator", "report"))
        body = msgspec.json.encode({name: values.get(name) for name in names})
        files[f"labels/{str(place).replace('/', '.')}.json"] = body
    return files


def _zip(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return made.getvalue()
