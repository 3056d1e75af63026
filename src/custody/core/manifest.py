"""What the data plane loads: one immutable document that deployment publishes and serving reads."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from custody.core.digest import Digest
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.schema import Signature
from custody.core.tenancy import TenantId

MANIFEST_VERSION = 1


class Mode(StrEnum):
    """How a candidate runs beside the live version."""

    SHADOW = "shadow"  # sees every request, answers none
    CANARY = "canary"  # answers a share of the requests


@dataclass(frozen=True, slots=True)
class Target:
    """A model version at a threshold, with all that is needed to load and check it.

    artifact: digest of the ONNX file. parity: digest of the fixture (see `ParityFixture`), re-checked at load.
    reference: digest of the summary of what it learned from, once there is one and rows are sampled; set by publishing alone.
    """

    model: ModelRef
    artifact: Digest
    signature: Signature
    threshold: float
    parity: Digest | None
    reference: Digest | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A second target beside the live one; share is the part of requests it answers (canary), 0..1."""

    target: Target
    mode: Mode
    share: float


@dataclass(frozen=True, slots=True)
class CaptureRule:
    """How personal data in captured texts is removed before they are stored; the tenant's privacy policy says it.

    scrub: False keeps texts as they came. tier: default or strict. keep: types that may stay.
    """

    scrub: bool = True
    tier: str = "default"
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Handling:
    """How the data plane handles a deployment.

    capture_share: part of the predictions that are kept as rows, in (0, 1]; the others are summarised.
    max_batch: rows of waiting requests that are run together at most; 1 runs each request alone.
    max_wait_us: microseconds that a request may wait for others, at most.
    """

    capture_share: float = 1.0
    max_batch: int = 1
    max_wait_us: int = 0

    @property
    def unusual(self) -> str:
        """Say what is not as usual; nothing if all is."""
        kept = f"keeps {self.capture_share:.3g} of the rows" if self.capture_share < 1 else ""
        rows = f"up to {self.max_batch} rows together within {self.max_wait_us} us" if self.max_batch > 1 else ""
        return "; ".join(filter(None, (kept, rows)))


@dataclass(frozen=True, slots=True)
class Service:
    """One deployment as served now; a manifest that says nothing of captures has their texts scrubbed."""

    key: DeploymentKey
    revision: int
    live: Target
    candidate: Candidate | None = None
    captures: CaptureRule = CaptureRule()
    handling: Handling = Handling()


@dataclass(frozen=True, slots=True)
class KeyGrant:
    """An API key's sha-256 and the tenant it may call; None means every tenant."""

    sha256: Digest
    tenant: TenantId | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """All services and keys at one moment; `sequence` only grows."""

    sequence: int
    issued_at: datetime
    services: tuple[Service, ...]
    keys: tuple[KeyGrant, ...]
    version: int = MANIFEST_VERSION


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """The manifest's exact JSON text and an Ed25519 signature over its UTF-8 bytes, both as text (base64 signature)."""

    manifest: str
    signature: str
    key_id: str


@dataclass(frozen=True, slots=True)
class ParityFixture:
    """Rows and the original model's scores on them; stored as JSON, re-run wherever the converted model is loaded.

    inputs: one list per input name: n values, or the n rows of a wider input behind each other. scores: n scores of the positive class from the original model.
    tolerance: the largest difference that the conversion's report allowed.
    """

    inputs: dict[str, list[float | int | str | bool | None]]
    scores: list[float]
    tolerance: float
    version: int = 1
