"""The project's signing key: Ed25519, made once, read by its owner only."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from custody.adapters.blobs.keys.once import write_once
from custody.core.errors import Unavailable
from custody.ledger.checkpoint import key_id_of


class KeyFile:
    """Signs with the key in a file of 64 hex digits, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        try:
            self._key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text(encoding="ascii").strip()))
        except (OSError, ValueError) as error:
            raise Unavailable(
                "The project's signing key cannot be read.",
                why=f"{path.name} is missing, not readable, or not a key.",
                fix="Restore it from a backup: checkpoints and manifests are checked against it.",
            ) from error

    @property
    def public_key(self) -> bytes:
        """Return the public half, 32 bytes."""
        return self._key.public_key().public_bytes(form.Encoding.Raw, form.PublicFormat.Raw)

    @property
    def key_id(self) -> str:
        """Return the key's name."""
        return key_id_of(self.public_key)

    def sign(self, body: bytes) -> bytes:
        """Return the signature, 64 bytes."""
        return self._key.sign(body)


def make_key(path: Path) -> None:
    """Make a signing key unless there is one."""
    raw = Ed25519PrivateKey.generate().private_bytes(form.Encoding.Raw, form.PrivateFormat.Raw, form.NoEncryption())
    write_once(path, raw)
