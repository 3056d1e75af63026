"""Reading the signed manifest: whose signature, which version, whether it moves forward."""

import base64
import binascii

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from custody.core.errors import Conflict, IntegrityBroken, InvalidInput
from custody.core.manifest import MANIFEST_VERSION, Manifest, ParityFixture, SignedManifest
from custody.core.refs import DeploymentKey


def open_manifest(body: bytes, public_key: bytes) -> Manifest:
    """Read a signed manifest's JSON; IntegrityBroken if the signature is not the key's, InvalidInput if it cannot be read.

    public_key: 32 raw bytes (Ed25519).
    """
    try:
        signed = msgspec.json.decode(body, type=SignedManifest)
        text = signed.manifest.encode()
        Ed25519PublicKey.from_public_bytes(public_key).verify(base64.b64decode(signed.signature, validate=True), text)
        manifest = msgspec.json.decode(text, type=Manifest)
        for service in manifest.services:
            DeploymentKey.parse(str(service.key))  # names become paths and folders here
    except InvalidSignature as error:
        raise IntegrityBroken(
            "The manifest is not signed by the expected key.",
            why="It was edited after signing, or this server was started with another control plane's public key.",
            fix="Start the server with the control plane's public key, or publish the manifest again.",
        ) from error
    except (msgspec.MsgspecError, binascii.Error, ValueError, RecursionError) as error:
        raise InvalidInput(
            "The manifest cannot be read.",
            why=f"{error}."
            if body[:1] in {b"{", b""}
            else "It is no JSON: the project seals its objects, or this is another store.",
            fix="" if body[:1] in {b"{", b""} else "Give the project's --keyring and --master-key.",
        ) from error
    if manifest.version != MANIFEST_VERSION:
        raise InvalidInput(
            f"The manifest has the version {manifest.version}, and this server reads {MANIFEST_VERSION}.",
            fix="Upgrade the server and the control plane together.",
        )
    return manifest


def require_newer(manifest: Manifest, served: int) -> Manifest:
    """Return the manifest unless its sequence is below the served one, which is a Conflict (a replayed old file)."""
    if manifest.sequence < served:
        raise Conflict(
            f"The manifest has the sequence {manifest.sequence}, and {served} is already served.",
            why="An older manifest was put back; going back is done by publishing a new one.",
            fix="Use: custody rollback",
        )
    return manifest


def read_fixture(body: bytes) -> ParityFixture:
    """Read a parity fixture's JSON; anything else is InvalidInput."""
    try:
        return msgspec.json.decode(body, type=ParityFixture)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidInput("The parity fixture cannot be read.", why=str(error)) from error
