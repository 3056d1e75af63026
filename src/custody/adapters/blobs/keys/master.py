"""The master key, which wraps every data key: from a file, from the environment, or kept by a key service that never shows it."""

import base64
import binascii
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from custody.adapters.blobs.keys.aws import EXAMPLE, AwsMaster
from custody.adapters.blobs.keys.once import write_once
from custody.adapters.blobs.keys.transit import TransitMaster
from custody.core.errors import InvalidInput, Unavailable

TRANSIT = ("TOKEN", "NAMESPACE", "CACERT")  # variables of the key service, each behind BAO_ or VAULT_


class Master(Protocol):
    """Wraps and unwraps data keys. name: told in lists and entries; it never gives the key away."""

    @property
    def name(self) -> str:
        """Return what lists and entries call it."""
        ...

    def wrap(self, secret: bytes, context: bytes) -> str:
        """Encrypt a data key for one context, as text."""
        ...

    def unwrap(self, wrapped: str, context: bytes) -> bytes:
        """Decrypt a data key; Unavailable if this master key did not wrap it for that context."""
        ...


class LocalMaster:
    """Wraps with AES-256-GCM under 32 bytes that this process holds."""

    def __init__(self, secret: bytes, source: str) -> None:
        self._cipher = AESGCM(secret)
        self.name = f"{source}:{hashlib.sha256(b'custody master' + secret).hexdigest()[:8]}"

    def wrap(self, secret: bytes, context: bytes) -> str:
        """Encrypt a data key for one context, as base64."""
        nonce = os.urandom(12)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, secret, context)).decode()

    def unwrap(self, wrapped: str, context: bytes) -> bytes:
        """Decrypt a data key; Unavailable if this master key did not wrap it for that context."""
        try:
            body = base64.b64decode(wrapped, validate=True)
            return self._cipher.decrypt(body[:12], body[12:], context)
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise wrong_master(self.name) from error


def wrong_master(name: str) -> Unavailable:
    """Say that a master key does not open a data key."""
    return Unavailable(
        "The master key does not open this project's data keys.",
        why=f"They were wrapped by another one than '{name}', or their files were changed.",
        fix="Set the master key that wrapped them (master_key in custody.toml), or restore the ring from a backup.",
    )


def open_master(url: str, *, environ: Mapping[str, str], folder: Path) -> Master:
    """Open a master key: `file:PATH`, `env:NAME` (64 hex digits each), or the URL of a key in a transit engine or in AWS KMS.

    A URL such as https://vault.example:8200/v1/transit/keys/custody speaks the transit API of OpenBao and Vault.
    Its variables are BAO_TOKEN, BAO_NAMESPACE and BAO_CACERT, or the same with VAULT_. See `AwsMaster` for aws-kms:.
    folder: where a relative path starts. Raises: InvalidInput for another address, Unavailable if the key is not there.
    """
    kind, _, rest = url.partition(":")
    if kind == "file" and rest:
        path = folder / rest
        try:
            return LocalMaster(_secret(path.read_text(encoding="ascii")), "file")
        except (OSError, ValueError) as error:
            raise _no_key(f"the file {path.name}") from error
    if kind == "env" and rest:
        try:
            return LocalMaster(_secret(environ[rest]), "env")
        except (KeyError, ValueError) as error:
            raise _no_key(f"the environment variable {rest}") from error
    if kind in {"https", "http"}:
        token, namespace, ca_file = (environ.get(f"BAO_{one}") or environ.get(f"VAULT_{one}") or "" for one in TRANSIT)
        return TransitMaster(url, token, namespace=namespace, ca_file=ca_file)
    if kind == "aws-kms":
        return AwsMaster(url)
    raise InvalidInput(
        "That is not the address of a master key.",
        why="It starts with neither file:, env:, https: nor aws-kms:.",
        fix=f"Write file:keys/master.key, env:NAME, https://HOST/v1/transit/keys/NAME or {EXAMPLE}.",
    )


def make_master(path: Path) -> None:
    """Make a key file of 64 random hex digits that only its owner may read, unless there is one."""
    write_once(path, os.urandom(32))


def _secret(text: str) -> bytes:
    secret = bytes.fromhex(text.strip())
    if len(secret) != 32:
        raise ValueError(len(secret))
    return secret


def _no_key(where: str) -> Unavailable:
    return Unavailable(
        "The master key cannot be read.",
        why=f"It is expected in {where}, as 64 hexadecimal digits.",
        fix="Restore it from where you keep it: without it nothing that was sealed can be read.",
    )
