"""Verify: the ledger's chain, its checkpoints, and every stored object."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from custody.core.digest import Digest
from custody.core.errors import Denied, IntegrityBroken, NotFound
from custody.core.page import MOST
from custody.core.tenancy import Role
from custody.data.dataset import DatasetVersion
from custody.ledger.chain import Verification, verify
from custody.ledger.checkpoint import Checkpoint, from_json, root_of, sign
from custody.lifecycle.cards import check_card
from custody.lifecycle.publish import tenants_of
from custody.lifecycle.stores import Caller, Ports, Shelf


@dataclass(frozen=True, slots=True)
class Integrity:
    """What a full verification found: the ledger's answer, how many objects were read, and each problem as a sentence."""

    ok: bool
    ledger: Verification
    objects: int
    problems: tuple[str, ...]


def verify_ledger(ports: Ports, caller: Caller, held: Sequence[str] = ()) -> Verification:
    """Check the whole chain against our checkpoints and those that the caller kept elsewhere (as JSON text)."""
    caller.actor.require(Role.VIEWER)
    elsewhere = [from_json(text) for text in held]
    ledger = ports.stores.ledger
    return verify(ledger.entries(), [*ledger.checkpoints(), *elsewhere], ports.signer.public_key)


def checkpoint(ports: Ports, caller: Caller) -> Checkpoint:
    """Sign the ledger's size and Merkle root as of now and store the checkpoint; keep a copy elsewhere."""
    caller.actor.require(Role.CONTRIBUTOR)
    hashes = [entry.hash for entry in ports.stores.ledger.entries()]
    made = sign(len(hashes), root_of(hashes), caller.now, public_key=ports.signer.public_key, signature_of=ports.signer.sign)
    ports.stores.ledger.keep(made)
    return made


def verify_all(ports: Ports, caller: Caller) -> Integrity:
    """Check the ledger, read every object that a record names, and report what is missing or damaged."""
    caller.actor.require(Role.VIEWER)
    found = verify_ledger(ports, caller)
    problems, count = ([] if found.ok else [found.sentence]), 0
    tenants = [caller.actor.tenant] if caller.actor.tenant else tenants_of(ports.stores)
    for tenant in tenants:
        problems += [f"{tenant}: {said}" for said in _cards(ports, ports.stores.of(tenant))]
        for name, digest in _named(ports.stores.of(tenant)):
            count += 1
            try:
                ports.stores.objects.of(tenant).get(digest)
            except Denied:  # the tenant's keys were destroyed: nothing that they sealed is to be read
                break
            except (NotFound, IntegrityBroken) as error:
                problems.append(f"{tenant}: {name}: {error.what}")
    return Integrity(not problems, found, count, tuple(problems))


def _cards(ports: Ports, shelf: Shelf) -> Iterator[str]:
    """Name the cards that are not those that were signed."""
    after: str | None = None
    while True:
        page = shelf.datasets.page(after=after, limit=MOST)
        for summary in page.items:
            try:
                check_card(ports, shelf.tenant, shelf.datasets.get(summary.ref))
            except IntegrityBroken as error:
                yield error.what
        if (after := page.next) is None:
            return


def _of_version(shelf: Shelf, version: DatasetVersion) -> Iterator[tuple[str, Digest]]:
    yield from ((str(version.ref), part.object) for part in version.parts)
    if version.profile:  # none is left of a version whose every row was erased
        yield str(version.ref), version.profile
    if found := shelf.scans.get(version.ref):
        yield f"scan of {version.ref}", found.report


def _named(shelf: Shelf) -> Iterator[tuple[str, Digest]]:
    gone = set(shelf.subjects.redirects())
    after: str | None = None
    while True:
        datasets = shelf.datasets.page(after=after, limit=MOST)
        for summary in datasets.items:
            yield from _of_version(shelf, shelf.datasets.get(summary.ref))
        if (after := datasets.next) is None:
            break
    while True:
        models = shelf.models.page(after=after, limit=MOST)
        for one in models.items:
            model = shelf.models.get(one.ref)
            if model.artifact not in gone:
                yield str(model.ref), model.artifact
            yield str(model.ref), model.fixture
        if (after := models.next) is None:
            break
    for head in shelf.deployments.heads():
        yield from ((f"captures of {head.key}", batch.object) for batch in shelf.captures.of(head.key))
