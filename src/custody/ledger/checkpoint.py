"""Signed heads of the ledger: whoever holds one can tell later whether anything before it was rewritten."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from custody.core.digest import Digest, canonical, parse_digest
from custody.core.errors import InvalidInput
from custody.ledger.entry import time_text

FORMAT = "custody-checkpoint-v1"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The first `size` entries hash to `root`, says the holder of key `key_id`; signature is base64 of 64 bytes."""

    size: int
    root: Digest
    at: datetime
    key_id: str
    signature: str


class Tree:
    """A Merkle tree that grows by one leaf at a time and keeps only log2(n) hashes.

    Source: RFC 6962, section 2.1; a leaf's data is an entry's hash as 32 bytes.
    """

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []  # roots of full subtrees, largest first: one per set bit of size

    def append(self, leaf: Digest) -> None:
        """Add an entry's hash."""
        node, self.size = sha256(b"\x00" + bytes.fromhex(leaf)).digest(), self.size + 1
        for _ in range((self.size & -self.size).bit_length() - 1):
            node = sha256(b"\x01" + self._peaks.pop() + node).digest()
        self._peaks.append(node)

    @property
    def root(self) -> Digest:
        """Return the root over all leaves so far; over none it is the hash of nothing."""
        if not self._peaks:
            return Digest(sha256(b"").hexdigest())
        node = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            node = sha256(b"\x01" + peak + node).digest()
        return Digest(node.hex())


def root_of(hashes: Iterable[Digest]) -> Digest:
    """Return the Merkle root over entry hashes, in the order of seq."""
    tree = Tree()
    for leaf in hashes:
        tree.append(leaf)
    return tree.root


def key_id_of(public_key: bytes) -> str:
    """Name a public key (32 bytes, Ed25519) by the first 16 hex digits of its sha-256."""
    return sha256(public_key).hexdigest()[:16]


def sign(size: int, root: Digest, at: datetime, *, public_key: bytes, signature_of: Callable[[bytes], bytes]) -> Checkpoint:
    """Sign the head of a ledger; signature_of gives the Ed25519 signature (64 bytes) of a message by the public key's owner."""
    unsigned = Checkpoint(size, root, at, key_id_of(public_key), "")
    return replace(unsigned, signature=base64.b64encode(signature_of(_message(unsigned))).decode())


def check(checkpoint: Checkpoint, public_key: bytes) -> bool:
    """Tell whether this key (32 bytes, Ed25519) signed the checkpoint."""
    try:
        signature = base64.b64decode(checkpoint.signature, validate=True)
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, _message(checkpoint))
    except (InvalidSignature, binascii.Error):
        return False
    return checkpoint.key_id == key_id_of(public_key)


def to_json(checkpoint: Checkpoint) -> str:
    """Write a checkpoint as one line of JSON, to be kept where the ledger's owner cannot write."""
    fields = {"format": FORMAT, "size": checkpoint.size, "root": checkpoint.root, "at": time_text(checkpoint.at)}
    return json.dumps({**fields, "key_id": checkpoint.key_id, "signature": checkpoint.signature})


def from_json(text: str) -> Checkpoint:
    """Read a checkpoint back; InvalidInput if the text is none."""
    try:
        match json.loads(text):
            case {"format": str(f), "size": int(size), "root": str(root), "at": str(at), "key_id": str(k), "signature": str(s)}:
                if f == FORMAT and size >= 0:
                    return Checkpoint(size, parse_digest(root), datetime.fromisoformat(at), k, s)
    except (ValueError, InvalidInput) as error:
        raise _garbled() from error
    raise _garbled()


def _garbled() -> InvalidInput:
    return InvalidInput(
        "This is not a checkpoint.",
        why=f"A checkpoint is one JSON object of format {FORMAT}.",
        fix="Use the file as it was given.",
    )


def _message(checkpoint: Checkpoint) -> bytes:
    return canonical(
        {
            "format": FORMAT,
            "size": checkpoint.size,
            "root": checkpoint.root,
            "at": time_text(checkpoint.at),
            "key_id": checkpoint.key_id,
        }
    )
