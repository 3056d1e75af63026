"""Forget: one person's rows are out of reach at once, then gone from everything that held them; models are held to account."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime

from custody.core.digest import Digest, Json
from custody.core.errors import Conflict, CustodyError, NotFound, Unavailable
from custody.core.refs import DatasetRef, ModelRef
from custody.core.tenancy import Actor, Role, TenantId
from custody.data.dataset import DatasetVersion
from custody.lifecycle.erase import erase_captures, erase_datasets, erase_fixtures, erase_golden, erase_labels, erase_quarantined
from custody.lifecycle.listing import enlist
from custody.lifecycle.publish import publish, tenants_of
from custody.lifecycle.reach import Found, Person, derived_of, elsewhere, find, named_elsewhere, own_rows
from custody.lifecycle.receipts import write_receipt
from custody.lifecycle.residue import Residue, search
from custody.lifecycle.seal import seal
from custody.lifecycle.stores import Caller, Change, Ports
from custody.lifecycle.subjects import index_old, token_of
from custody.privacy.erasure.listed import Listed, listed_of
from custody.privacy.erasure.obligation import Obligation, due_of
from custody.privacy.erasure.ports import Erasure, ErasureState, Reached
from custody.privacy.erasure.stored import stores_rows

SYSTEM = Actor("custody", Role.ADMIN)
log = logging.getLogger("custody.worker")
_LEAST = 6  # characters a name must have for the proof to search it as it is: shorter ones stand everywhere by chance


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What an erasure found, what it owes, and what the search for leftovers says; receipt: digest of the signed receipt."""

    id: str
    state: ErasureState
    found: Found
    obligations: tuple[str, ...] = ()
    left: tuple[Residue, ...] = ()
    receipt: Digest | None = None


def forget(
    ports: Ports,
    caller: Caller,
    subject: str,
    *,
    days: int = 30,
    owner: str = "",
    canaries: Sequence[str] = (),
    dry_run: bool = False,
) -> tuple[Forgotten, int | None]:
    """Erase one person everywhere in the tenant, and open an obligation for each model version that learned from the rows.

    days: until obligations are due. owner: who answers for them, by default who asked. canaries: further texts of the person
    that must be found nowhere afterwards. Killed midway, it goes on when called again; once done, calling it changes nothing.
    """
    caller.may(Role.APPROVER)
    due_of(caller.now, days)
    person = Person(ports, caller.tenant, token_of(ports, caller.tenant, subject))
    index_old(ports, lambda: ports.stores.change(caller.tenant, SYSTEM, caller.now), caller.tenant)
    known, others = person.shelf.subjects.erasure(person.token), elsewhere(person, subject)
    if known is not None and known.state is ErasureState.DONE:
        _forget_elsewhere(others if not dry_run else (), caller, days, owner)
        return Forgotten(known.id, known.state, Found(), receipt=known.receipt), None
    found = replace(find(person), elsewhere=named_elsewhere(others))
    if dry_run or (known is None and found.is_empty):
        return Forgotten(known.id if known else "", ErasureState.PENDING, found), None
    if known is None:
        resume_in(ports, caller.tenant, caller.now)  # what a killed process left may hold the same rows
        known = _begin(person, caller, found, days, owner)
    needles = [one for one in (subject.strip(), *canaries) if len(one) >= _LEAST]
    done, left = _carry_out(person, known, caller.now, needles)
    _forget_elsewhere(elsewhere(person, subject), caller, days, owner)  # now that nothing more can be made of the traffic
    owed = tuple(one.id for one in person.shelf.subjects.obligations() if one.erasure == known.id)
    return Forgotten(known.id, done.state, found, owed, left, done.receipt), _last_entry(ports, person, known.id)


def _forget_elsewhere(others: Sequence[Person], caller: Caller, days: int, owner: str) -> None:
    """Erase what other tenants made of this tenant's traffic with the person in it; their models owe an answer there."""
    for person in others:
        known = person.shelf.subjects.erasure(person.token)
        if known is None:
            resume_in(person.ports, person.tenant, caller.now)
            known = _begin(person, Caller(person.tenant, SYSTEM, caller.now), find(person), days, owner or caller.actor.name)
        if known.state is not ErasureState.DONE:
            _carry_out(person, known, caller.now, [])


def resume(ports: Ports, now: datetime) -> int:
    """Go on with erasures that a killed process left behind, and return how many there were."""
    return sum(resume_in(ports, tenant, now) for tenant in tenants_of(ports.stores))


def resume_in(ports: Ports, tenant: TenantId, now: datetime) -> int:
    """Go on with the erasures of one tenant that were begun and not finished, and return how many there were."""
    found = 0
    for erasure in ports.stores.of(tenant).subjects.erasures(ErasureState.PENDING):
        if not erasure.left:  # where a search found something, whoever asked must look, and ask again
            try:
                _carry_out(Person(ports, tenant, erasure.token), erasure, now, [])
                found += 1
            except Unavailable:
                raise
            except CustodyError as error:  # its keys were destroyed, say: nobody else waits for it
                log.warning("an erasure of %s cannot go on: %s", tenant, error)
    return found


def _begin(person: Person, caller: Caller, found: Found, days: int, owner: str) -> Erasure:
    """Close every version that holds the rows, and record what follows, in one transaction; the list is told in the same step.

    The list is written last: where the transaction fails after that, the next opening begins the erasure that was asked for.
    """
    ports = person.ports
    erasure = Erasure(ports.new_id(caller.now), person.token, ErasureState.PENDING, caller.now, caller.actor.name)
    entry = listed_of(caller.tenant, erasure, owner=owner, days=days)
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        if change.subjects.erasure(person.token) is not None:
            raise Conflict("This person is being erased already.", fix="Erase again in a moment: it goes on where it stopped.")
        change.subjects.save_erasure(erasure)
        refs = change.subjects.datasets(person.token)
        reached = _close(change, person, erasure, refs, caller.now)
        facts: dict[str, Json] = {
            "rows": found.rows,
            "versions": [*map(str, refs)],
            "captures": found.captures,
            "labels": found.labels,
            "golden": found.golden,
            "fixtures": found.fixtures,
        }
        change.record("subject.erased", erasure.id, {**facts, "models": [*map(str, reached.models)]})
        for model in reached.models:
            _oblige(change, person, entry, model, caller.now)
        enlist(ports, entry)
    return erasure


def begin_again(ports: Ports, entry: Listed, now: datetime) -> bool:
    """Begin an erasure that the list knows and the database does not; False if another process was quicker.

    A version on which another erasure is at work is closed already, and what that one leaves of it stays closed for this one.
    """
    person = Person(ports, entry.tenant, entry.token)
    with ports.stores.change(entry.tenant, SYSTEM, now) as change:
        if change.subjects.erasure(entry.token) is not None:
            return False
        change.subjects.save_erasure(entry.erasure)
        refs = change.subjects.datasets(entry.token)
        reached = _close(change, person, entry.erasure, refs, now, wait=False)
        facts: dict[str, Json] = {
            "asked_at": entry.asked_at.isoformat(),
            "by": entry.by,
            "versions": [*map(str, refs)],
            "models": [*map(str, reached.models)],
        }
        change.record("erasure.replayed", entry.id, facts)
        for model in reached.models:
            _oblige(change, person, entry, model, now)
    return True


def _close(
    change: Change, person: Person, erasure: Erasure, refs: Sequence[DatasetRef], now: datetime, *, wait: bool = True
) -> Reached:
    """Close every version that holds the rows, and return what learned from them; wait: Conflict where others are at work."""
    reached = change.subjects.reached(refs)
    loose = derived_of(person, reached.datasets, [change.datasets.get(ref) for ref in refs])
    for ref in {*refs, *loose}:
        version = change.datasets.get(ref)
        if wait and version.closed_at is not None and version.parts:
            raise Conflict(
                f"Another person's erasure is at work on {ref}.",
                why="Both are about the same rows: what it leaves of them is looked at next.",
                fix="Erase again in a moment.",
                facts={"dataset": str(ref), "erasure": version.erasure},
            )
        if version.closed_at is None:
            change.datasets.close(replace(version, closed_at=now, erasure=erasure.id))
    return reached


def _oblige(change: Change, person: Person, entry: Listed, model: ModelRef, now: datetime) -> None:
    made = Obligation(
        id=person.ports.new_id(now),
        erasure=entry.id,
        model=model,
        owner=entry.owner or entry.by,
        opened_at=now,
        due_at=due_of(now, entry.days),
        stores_rows=_stored_in(person, change.models.get(model).artifact),
    )
    change.subjects.save_obligation(made)
    change.record(
        "obligation.opened", str(model), {"obligation": made.id, "erasure": entry.id, "due_at": made.due_at.isoformat()}
    )


def _stored_in(person: Person, artifact: Digest) -> str:
    try:
        return stores_rows(person.ports.stores.objects.of(person.tenant).get(artifact))
    except NotFound:  # deleted when the version was taken out of use
        return ""


def _carry_out(person: Person, erasure: Erasure, now: datetime, needles: Sequence[str]) -> tuple[Erasure, tuple[Residue, ...]]:
    """Do every step that is not done yet; two processes may do so at once, and the slower one is told if it was too slow."""
    try:
        return _steps(person, erasure, now, needles)
    except NotFound as error:
        if any(one.parts for one in _closed(person, erasure.id)):
            raise
        raise Conflict(
            "Another process carries out the same erasure.",
            why=error.what,
            fix="Erase again in a moment: it goes on where it stopped.",
        ) from error


def _steps(person: Person, erasure: Erasure, now: datetime, needles: Sequence[str]) -> tuple[Erasure, tuple[Residue, ...]]:
    """Do one step after the other; copies first, since the rows tell which copies are the person's."""
    ports = person.ports
    closed = _closed(person, erasure.id)
    people = own_rows(person, closed)
    runs = person.shelf.subjects.reached([one.ref for one in closed]).runs

    def with_now() -> AbstractContextManager[Change]:  # each step opens its own transaction
        return ports.stores.change(person.tenant, SYSTEM, now)

    erase_golden(person, people, with_now)
    erase_fixtures(person, people, runs, with_now)
    seal(ports, now)
    erase_quarantined(person, with_now)
    erase_labels(person, with_now)
    erase_captures(person, with_now)
    erase_datasets(person, closed, people, with_now, now)
    if ports.people is not None:
        with with_now():  # one process at a time
            ports.people.destroy(person.tenant, person.token)
    publish(ports, now)
    delete_bytes(ports, person.tenant)
    ports.stores.scrub()
    left = search(ports, person.tenant, needles) if needles else ()
    if left:
        marked = replace(erasure, left=len(left))
        with with_now() as change:
            change.subjects.save_erasure(marked)
        return marked, left
    return _finish(person, erasure, now, len(needles)), ()


def _closed(person: Person, erasure: str) -> list[DatasetVersion]:
    refs = person.shelf.subjects.reached(person.shelf.subjects.datasets(person.token)).datasets
    return [one for ref in refs if (one := person.shelf.datasets.get(ref)).erasure == erasure]


def delete_bytes(ports: Ports, tenant: TenantId) -> None:
    """Delete the objects that others stand in for, unless a dataset names the same object: rows may be added again."""
    objects = ports.stores.objects.of(tenant)
    shelves = [ports.stores.of(one) for one in tenants_of(ports.stores)]
    for old in ports.stores.of(tenant).subjects.redirects():
        if not any(shelf.datasets.holds(old) for shelf in shelves):
            objects.discard(old)
    for folder in ("captures", "quarantine", "sealed"):
        objects.purge(f"{folder}/{tenant}")


def _finish(person: Person, erasure: Erasure, now: datetime, searched: int) -> Erasure:
    """Sign the receipt and record it in one transaction, so that the receipt can name the entry that names it."""
    ports, closed = person.ports, _closed(person, erasure.id)
    with ports.stores.change(person.tenant, SYSTEM, now) as change:
        current = change.subjects.erasure(person.token)
        if current is not None and current.state is ErasureState.DONE:
            return current  # another process carried it out as well, and was quicker
        if standing := [str(ref) for ref in change.subjects.datasets(person.token) if change.datasets.get(ref).parts]:
            raise Conflict(
                f"Rows of the person still stand in {', '.join(standing)}.",
                fix="Erase again in a moment: it goes on where it stopped.",
            )
        last = _next_entry(ports)
        receipt = write_receipt(person, erasure, closed, now, searched=searched, last=last)
        done = replace(erasure, state=ErasureState.DONE, done_at=now, receipt=receipt, left=0)
        owed = sum(one.erasure == erasure.id for one in change.subjects.obligations())
        change.subjects.save_erasure(done)
        change.subjects.drop(person.token)
        entry = change.record("erasure.done", erasure.id, {"receipt": receipt, "texts_searched": searched, "obligations": owed})
        if entry.seq != last:  # cannot be while one change writes at a time; a receipt must not name another entry
            raise Conflict("Somebody else wrote to the ledger meanwhile.", fix="Erase again: it goes on where it stopped.")
    return done


def _next_entry(ports: Ports) -> int:
    """Return the number that the open change's first entry will have."""
    return 1 + sum(one.seq for one in ports.stores.ledger.page(None, subject=None, kind=None, after=None, limit=1).items)


def _last_entry(ports: Ports, person: Person, id: str) -> int | None:  # noqa: A002 - the field's word
    entries = ports.stores.ledger.page(person.tenant, subject=id, kind=None, after=None, limit=1).items
    return entries[0].seq if entries else None
