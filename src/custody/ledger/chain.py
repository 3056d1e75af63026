"""Walks the chain and says where it first breaks, and what it looks like."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from custody.core.digest import Digest
from custody.core.errors import InvalidInput
from custody.ledger.checkpoint import Checkpoint, Tree, check
from custody.ledger.entry import GENESIS, Draft, Entry, entry_hash


@dataclass(frozen=True, slots=True)
class Verification:
    """What a walk along the ledger found.

    entries, head: how many entries held, and the hash of the last of them. broken: seq of the first that does not;
    after a rewrite that only a checkpoint reveals, the first that may be the one. None: nothing is broken, or only a
    checkpoint itself is not genuine.
    """

    ok: bool
    entries: int
    head: Digest
    broken: int | None
    sentence: str


@dataclass(slots=True)
class _Walk:
    """What is known good so far: `before` is the hash in front of `head`."""

    tree: Tree
    head: Digest = GENESIS
    before: Digest | None = None
    agreed: int = 0

    def take(self, entry: Entry) -> None:
        self.before, self.head = self.head, entry.hash
        self.tree.append(entry.hash)

    def answer(self, broken: int | None, sentence: str, *, ok: bool = False) -> Verification:
        return Verification(ok, self.tree.size, self.head, broken, sentence)


def verify(entries: Iterable[Entry], checkpoints: Sequence[Checkpoint] = (), public_key: bytes | None = None) -> Verification:
    """Find the first entry that was edited, deleted, inserted or moved.

    entries: all of them, in the order of seq. checkpoints: those the verifier holds, from wherever; they alone reveal a
    missing end or a rewrite of everything. public_key: of the checkpoints (32 bytes, Ed25519); without it their roots are
    compared but their signatures are not checked.
    """
    walk, stream = _Walk(Tree()), iter(entries)
    for checkpoint in checkpoints:
        if public_key is not None and not check(checkpoint, public_key):
            return walk.answer(None, f"The checkpoint of {checkpoint.size} entries is not signed by the given key.")
    waiting = sorted(checkpoints, key=lambda c: c.size, reverse=True)
    while True:
        if found := _disagreement(walk, waiting):
            return found
        entry = next(stream, None)
        if entry is None:
            break
        if (found := _break(walk, entry, stream)) is not None:
            return found
        walk.take(entry)
    if waiting:
        return _cut(walk, waiting[-1])
    count = f"{walk.tree.size} entries are linked without a gap" if walk.tree.size else "The ledger is empty"
    signed = "signed " if public_key is not None else ""
    held = f"{len(checkpoints)} {signed}checkpoints agree" if checkpoints else "no checkpoint was compared"
    return walk.answer(None, f"{count}; {held}.", ok=True)


def _own(entry: Entry) -> bool:
    """Tell whether an entry's content has the hash that it carries."""
    draft = Draft(entry.tenant, entry.actor, entry.kind, entry.subject, entry.at, entry.body)
    try:
        return entry_hash(draft, entry.seq, entry.prev) == entry.hash
    except (InvalidInput, AttributeError, TypeError, ValueError):  # a field holds what no entry can hold
        return False


def _break(walk: _Walk, entry: Entry, rest: Iterator[Entry]) -> Verification | None:
    """Say what is wrong with the next entry, if anything; `rest` may be used up then."""
    expected = walk.tree.size + 1
    if not _own(entry):
        follower = next(rest, None)
        if follower is not None and follower.seq == expected and follower.prev == walk.head:
            return walk.answer(expected, f"Entry {expected} was inserted: the genuine entry {expected} stands behind it.")
        return walk.answer(expected, f"Entry {expected} was edited: its content does not have its hash.")
    if entry.seq > expected:
        return _gap(walk, expected, entry, rest)
    if entry.seq < expected:
        return walk.answer(entry.seq, f"Entry {entry.seq} was inserted: there are two of that number.")
    return None if entry.prev == walk.head else _wrong_link(walk, expected, entry)


def _wrong_link(walk: _Walk, expected: int, entry: Entry) -> Verification:
    if expected == 1:
        return walk.answer(1, "Entry 1 was edited: it follows an entry, although it is the first.")
    if entry.prev == walk.before:
        return walk.answer(expected - 1, f"Entry {expected - 1} was inserted: entry {expected} follows the one before it.")
    return walk.answer(expected - 1, f"Entry {expected - 1} was edited: entry {expected} follows another content of it.")


def _gap(walk: _Walk, expected: int, entry: Entry, rest: Iterator[Entry]) -> Verification:
    if any(later.seq == expected for later in rest):
        return walk.answer(expected, f"Entry {expected} was moved: entry {entry.seq} stands in its place.")
    last = entry.seq - 1
    which = f"Entry {expected} was" if last == expected else f"Entries {expected} to {last} were"
    return walk.answer(expected, f"{which} deleted: entry {entry.seq} comes next.")


def _disagreement(walk: _Walk, waiting: list[Checkpoint]) -> Verification | None:
    """Compare the checkpoints of the present size."""
    while waiting and waiting[-1].size <= walk.tree.size:
        checkpoint = waiting.pop()
        if checkpoint.size != walk.tree.size or checkpoint.root != walk.tree.root:
            first = walk.agreed + 1
            return walk.answer(
                first,
                f"The ledger was rewritten at or behind entry {first}: the checkpoint of {checkpoint.size} entries has another root.",
            )
        walk.agreed = checkpoint.size
    return None


def _cut(walk: _Walk, checkpoint: Checkpoint) -> Verification:
    first = walk.tree.size + 1
    return walk.answer(
        first, f"Entries from {first} on were deleted: a checkpoint counted {checkpoint.size}, the ledger has {walk.tree.size}."
    )
