"""Disclose: everything that is stored about one person, from all places, as one archive with a list of what is in it."""

import io
import zipfile
from typing import Any

import msgspec
import pyarrow as pa

from custody.core.digest import Json, digest_of
from custody.core.tenancy import Role
from custody.lifecycle.forget import SYSTEM
from custody.lifecycle.reach import Person, captured, find, labelled, predictions_of, rows_in, versions_of
from custody.lifecycle.stores import Caller, Ports
from custody.lifecycle.subjects import index_old, token_of

VERSION = 1


def disclose(ports: Ports, caller: Caller, subject: str) -> tuple[bytes, int]:
    """Return a zip with a person's rows, predictions and labels, and the models that learned from them.

    `manifest.json` names every file with its digest. The ledger keeps that it was asked and how much there was, never who.
    Denied below approver, and to who may see no rows.
    """
    caller.may(Role.APPROVER).may_see_rows()
    person = Person(ports, caller.tenant, token_of(ports, caller.tenant, subject))
    index_old(ports, lambda: ports.stores.change(caller.tenant, SYSTEM, caller.now), caller.tenant)
    files = {**_rows(person), **_traffic(person)}
    found = find(person)
    files["learned.json"] = msgspec.json.encode({"runs": found.runs, "models": found.models, "deployments": found.deployments})
    listed: dict[str, Any] = {name: {"sha256": digest_of(body), "bytes": len(body)} for name, body in files.items()}
    manifest = {"version": VERSION, "made_at": caller.now.isoformat(), "tenant": caller.tenant, "files": listed}
    archive = _zip({"manifest.json": msgspec.json.encode(manifest), **files})
    facts: dict[str, Json] = {"rows": found.rows, "captures": found.captures, "labels": found.labels, "files": len(files)}
    facts["purpose"] = "access request"
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        entry = change.record("subject.exported", person.token, facts)
    return archive, entry.seq


def _rows(person: Person) -> dict[str, bytes]:
    files = {}
    for version in versions_of(person):
        mine = [part.filter(pa.array(theirs)) for part, theirs in rows_in(person, version)]
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
