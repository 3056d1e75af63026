"""The steps of an erasure: each rewrites one kind of thing without the person's rows, and doing it again changes nothing."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from math import prod

import msgspec
import numpy as np
import pyarrow as pa

from custody.core.digest import Digest, Json
from custody.core.errors import InvalidInput
from custody.core.manifest import ParityFixture
from custody.core.objects import Objects
from custody.core.refs import DatasetRef
from custody.data.dataset import DatasetVersion, Part, content_digest
from custody.feedback.draw import Draw
from custody.gates.golden import GoldenSet
from custody.lifecycle.cards import digest_of_card
from custody.lifecycle.personal import stored
from custody.lifecycle.profile import profile_of
from custody.lifecycle.reach import Person, captured, fixture_of, fixtures_of, labelled, predictions_of, row_of_fixture, rows_in
from custody.lifecycle.rows import inputs_of
from custody.lifecycle.scan import Examined, examine, removed_before, save
from custody.lifecycle.scan import kept as made_scan
from custody.lifecycle.stores import Change
from custody.lifecycle.subjects import Mask, index_parts, like, mask
from custody.privacy.erasure.ports import ErasureState
from custody.privacy.scans.scan import Answer
from custody.privacy.scans.spans import marked
from custody.registry.run import LoggedModel
from custody.serving.capture import Capture
from custody.serving.sampling import without

_ALL = 10**9
Begin = Callable[[], AbstractContextManager[Change]]


def erase_golden(person: Person, people: Sequence[pa.Table], begin: Begin) -> None:
    """Drop golden cases that equal one of the person's rows, from every version of every set."""
    for golden in person.shelf.gates.golden_sets():
        kept = tuple(case for case in golden.cases if not like({k: [v] for k, v in case.inputs.items()}, people).any())
        if len(kept) != len(golden.cases):
            with begin() as change:
                change.gates.replace_golden(GoldenSet(golden.model, golden.version, kept, golden.created_at))


def erase_fixtures(person: Person, people: Sequence[pa.Table], runs: Sequence[str], begin: Begin) -> None:
    """Take the person's rows out of the parity fixtures of models that runs logged; one that is left empty gets a blank row."""
    objects = person.ports.stores.objects.of(person.tenant)
    for old, users in fixtures_of(person, runs).items():
        fixture, theirs = fixture_of(person, old, people)
        if not theirs.any():
            continue
        model = next(one for one in person.shelf.runs.get(users[0]).models if one.fixture == old)
        kept = _kept(fixture, theirs) if not theirs.all() else _blank(person, model)
        new = objects.put(msgspec.json.encode(kept))
        with begin() as change:
            for run in users:
                change.runs.replace_fixture(run, old, new)
                for version in change.models.of_run(run):
                    if version.fixture == old:
                        change.models.replace_fixture(version.ref, new)
            change.subjects.redirect(old, new)


def _kept(fixture: ParityFixture, theirs: np.ndarray) -> ParityFixture:
    keep = np.flatnonzero(~theirs).tolist()
    inputs = {name: [one for i in keep for one in row_of_fixture(fixture, values, i)] for name, values in fixture.inputs.items()}
    return replace(fixture, inputs=inputs, scores=[fixture.scores[i] for i in keep])


def _blank(person: Person, model: LoggedModel) -> ParityFixture:
    """Return one row of zeros and empty texts with the converted model's own score: an empty fixture proves nothing at load."""
    inputs: dict[str, list[float | int | str | bool | None]] = {
        tensor.name: ["" if tensor.datatype == "BYTES" else 0] * prod(tensor.shape[1:]) for tensor in model.signature.inputs
    }
    scorer = person.ports.load(person.ports.stores.objects.of(person.tenant).get(model.artifact), model.signature)
    return ParityFixture(inputs, scorer.scores(inputs_of(model.signature, inputs)).tolist(), 0.0)


def erase_quarantined(person: Person, begin: Begin) -> None:
    """Take the person's predictions out of batches that were set aside; one that cannot be read is deleted whole."""
    objects, token = person.ports.stores.objects.of(person.tenant), person.tokens
    for name in list(objects.names(f"quarantine/{person.tenant}/")):
        while not _erase_batch(objects, name, lambda one: _names(one, person.token, token), begin):
            pass  # another process wrote it meanwhile, after a rotation of keys


def _erase_batch(objects: Objects, name: str, gone: Callable[[Capture], bool], begin: Begin) -> bool:
    """Rewrite a batch unless it was replaced while it was read; return whether nothing is left to do."""
    stamp, body = objects.stamp(name), objects.read(name)
    if body is None:
        return True
    try:
        kept = without(body, gone)
    except InvalidInput:
        kept = b""
    if kept is None:
        return True
    with begin():
        if objects.stamp(name) != stamp:
            return False
        if kept:
            objects.publish(name, kept)
        else:
            objects.remove(name)
    return True


def _names(capture: Capture, wanted: str, token: Callable[[object], str]) -> bool:
    texts = [value for column in capture.inputs.values() for value in column if isinstance(value, str)]
    return any(token(value) == wanted for value in [*(capture.keys or ()), *texts])


def erase_labels(person: Person, begin: Begin) -> None:
    """Delete the labels of the person's predictions, and those under the person's own name; draws forget the name too."""
    for key, names in labelled(person, predictions_of(list(captured(person)))).items():
        with begin() as change:
            change.labels.forget(key, names)
    for head in person.shelf.deployments.heads():
        for draw in person.shelf.labels.draws(head.key, limit=_ALL):
            _erase_frame(person, draw, begin)


def _erase_frame(person: Person, draw: Draw, begin: Begin) -> None:
    objects = person.ports.stores.objects.of(person.tenant)
    frame = person.ports.tables.from_parquet(objects.get(draw.frame))
    theirs = mask(frame.column("key"), person.tokens, {person.token})
    if theirs.any():
        keys = [None if gone else key for key, gone in zip(frame.column("key").to_pylist(), theirs, strict=True)]
        place = frame.column_names.index("key")
        changed = frame.set_column(place, "key", pa.array(keys, frame.schema.field("key").type))
        new = objects.put(person.ports.tables.to_parquet(changed))
        with begin() as change:
            change.labels.replace_draw(draw, replace(draw, frame=new))
            change.subjects.redirect(draw.frame, new)


def erase_captures(person: Person, begin: Begin) -> None:
    """Write sealed batches again without the person's rows."""
    objects = person.ports.stores.objects.of(person.tenant)
    for batch, table, theirs in captured(person):
        kept = table.filter(pa.array(~theirs))
        new = objects.put(person.ports.tables.to_parquet(kept))
        with begin() as change:
            change.captures.replace(replace(batch, object=new, rows=kept.num_rows))
            if new != batch.object:
                change.subjects.redirect(batch.object, new)


def erase_datasets(
    person: Person, closed: Sequence[DatasetVersion], people: Sequence[pa.Table], begin: Begin, now: datetime
) -> None:
    """Write what is left of each closed version as the next version of its name; the old one keeps its digest, not its rows."""
    for version in closed:
        if not version.parts:
            continue
        looked = list(rows_in(person, version, people))
        kept = [part.filter(pa.array(~theirs)) for part, theirs in looked]
        rest = _rest(person, version, [part for part in kept if part.num_rows], now)
        examined, answers = _examined(person, version, rest, kept, np.concatenate([theirs for _, theirs in looked]))
        with begin() as change:
            if not change.datasets.get(version.ref).parts:
                continue  # another process that carries out the same erasure was quicker
            if rest is not None and examined is not None:
                latest = change.datasets.latest(version.ref.name)
                number = latest.ref.version + 1 if latest else 1
                tokens = index_parts(kept, version.subject_columns, person.tokens)
                rest = _closed_for_next(change, version, replace(rest, ref=DatasetRef(version.ref.name, number)), tokens, now)
                change.datasets.add(rest)
                change.subjects.index(rest.ref, tokens)
                save(change, made_scan(person.ports, person.tenant, examined, rest.ref, now, answers), None)
                change.record("dataset.left", str(rest.ref), {"of": str(version.ref), "card_digest": digest_of_card(rest.card)})
            gone = replace(
                version, parts=(), profile=rest.profile if rest else Digest(""), replaced_by=rest.ref if rest else None
            )
            change.datasets.close(gone)
            left = {*(part.object for part in rest.parts), rest.profile} if rest else set()  # parts without the person stay
            for old in {*(part.object for part in version.parts), version.profile} - left:
                change.subjects.redirect(old, Digest(""))
            facts: dict[str, Json] = {"erasure": version.erasure, "rest": str(rest.ref) if rest else ""}
            change.record("dataset.rewritten", str(version.ref), facts)


def _closed_for_next(
    change: Change, version: DatasetVersion, rest: DatasetVersion, tokens: Sequence[set[str]], now: datetime
) -> DatasetVersion:
    """Return what is left, closed at once if somebody else is in it whose erasure has begun as well, as after a restore."""
    people, subjects = set[str]().union(*tokens), change.subjects
    for other in subjects.erasures(ErasureState.PENDING):
        if other.id == version.erasure or other.left:  # what is left of that one are copies, not rows
            continue
        unsaid = not version.subject_columns and version.ref in subjects.reached(subjects.datasets(other.token)).datasets
        if other.token in people or unsaid:
            return replace(rest, closed_at=now, erasure=other.id)
    return rest


def _examined(
    person: Person, version: DatasetVersion, rest: DatasetVersion | None, kept: Sequence[pa.Table], gone: Mask
) -> tuple[Examined | None, Sequence[Answer]]:
    """Look again at the rows that are left, with what people answered about the version before."""
    if rest is None:
        return None, ()
    shelf = person.ports.stores.of(person.tenant)
    old, whole = shelf.scans.get(version.ref), pa.concat_tables(kept, promote_options="permissive")
    answers, removed = _moved(old.answers if old else (), gone), removed_before(person.ports, old)
    found = examine(person.ports, shelf, whole, rest.card, rest.schema, data=rest.digest, removed=removed, answers=answers)
    return found, answers


def _moved(answers: Sequence[Answer], gone: Mask) -> tuple[Answer, ...]:
    """Return answers as they stand among the rows that are left; gone: shape (n,), the rows that are not."""
    before, moved = np.cumsum(gone), list[Answer]()
    for one in answers:
        span = marked(one.item, personal=True)
        if span is None:
            moved.append(one)
        elif span.row < len(gone) and not gone[span.row]:
            moved.append(replace(one, item=replace(span, row=span.row - int(before[span.row])).item))
    return tuple(moved)


def _rest(person: Person, version: DatasetVersion, kept: Sequence[pa.Table], now: datetime) -> DatasetVersion | None:
    if not kept:
        return None
    objects = person.ports.stores.objects.of(person.tenant)
    column, own = version.subject_column, version.own_keys
    bodies = [(stored(person.ports, person.tenant, part, column, own_keys=own), part.num_rows) for part in kept]
    parts = tuple(Part(objects.put(body), rows, len(body)) for body, rows in bodies)
    whole = pa.concat_tables(kept, promote_options="permissive")
    return replace(
        version,
        digest=content_digest(parts, version.schema),
        rows=whole.num_rows,
        parts=parts,
        profile=objects.put(profile_of(whole)),
        created_at=now,
        derived_from=(str(version.ref), *version.derived_from),
        closed_at=None,
        erasure="",
    )
