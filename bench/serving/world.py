"""An object store in a folder with a signed manifest: what custody's inference server needs to start, without a control plane."""

import base64
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from bucket import KEYS
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from models import Model

from custody.adapters.blobs.open import open_objects
from custody.core.digest import digest_of
from custody.core.manifest import Handling, KeyGrant, Manifest, Service, SignedManifest, Target
from custody.core.measures.spec import specs_of
from custody.core.measures.summary import Summary, summarise
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.tenancy import TenantId

TENANT, KEY = TenantId("acme"), "bench-key"
PEERS = Path(__file__).parent / "peers"


@dataclass(frozen=True, slots=True)
class World:
    """A published manifest and the key that it is signed with; objects: the URL of the store that holds it."""

    objects: str
    folder: Path
    public_key: bytes

    def command(self, port: int, *, in_turns: bool = False) -> list[str]:
        """Return what starts the server; in turns, the same server with its recorder on and off: see its script."""
        start = [str(PEERS / "custody_in_turns.py")] if in_turns else ["-m", "custody.bootstrap.inference"]
        given = ["--objects", self.objects, "--public-key", self.public_key.hex()]
        return [sys.executable, *start, *given, "--port", str(port), "--state-dir", str(self.folder / "state")]


def path_of(deployment: str) -> str:
    """Return where a deployment answers infer calls."""
    return f"/tenants/{TENANT}/v2/models/{deployment}/infer"


def names(deployments: int) -> list[str]:
    """Return the names of so many deployments."""
    return [f"model-{number}" for number in range(deployments)]


def publish(model: Model, folder: Path, deployments: int = 1, share: float = 1.0, store: str = "") -> World:
    """Publish a manifest in which so many deployments serve the same model, and keep a share of their rows.

    store: the URL of the object store, a folder of its own by default.
    """
    store = store or f"file:{folder / 'objects'}"
    objects = open_objects(store, environ=KEYS)
    parity = objects.put(msgspec.json.encode(model.fixture))
    target = Target(ModelRef(model.name, 1), objects.put(model.path.read_bytes()), model.signature, 0.5, parity)
    if share < 1:
        target = replace(target, reference=objects.put(msgspec.json.encode(_reference(model).to_json())))
    keys = (DeploymentKey(TENANT, "prod", name) for name in names(deployments))
    services = tuple(Service(key, 1, target, handling=Handling(capture_share=share)) for key in keys)
    manifest = Manifest(1, datetime.now(UTC), services, (KeyGrant(digest_of(KEY.encode()), TENANT),))
    text = msgspec.json.encode(manifest).decode()
    key = Ed25519PrivateKey.generate()
    signature = base64.b64encode(key.sign(text.encode())).decode()
    objects.publish("manifest/current", msgspec.json.encode(SignedManifest(text, signature, "bench")))
    return World(store, folder, key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))


def _reference(model: Model) -> Summary:
    """Return a summary of the model's rows, scores and decisions, as the control plane makes it of training data."""
    given = [*zip(*model.rows, strict=True)]
    tensors = [tensor.name for tensor in model.signature.inputs]
    names = tensors if len(tensors) > 1 else [f"{tensors[0]}.{place}" for place in range(len(given))]
    decisions = [score >= 0.5 for score in model.scores]
    columns = {**dict(zip(names, given, strict=True)), "score": model.scores, "decision": decisions}
    return summarise(columns, specs_of(columns))
