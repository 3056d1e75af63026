"""Which of a deployment's two targets answers a request."""

import hashlib

from custody.core.manifest import Candidate, Mode
from custody.core.refs import DeploymentKey


def point_of(key: DeploymentKey, entity: str) -> float:
    """Return a stable number in [0, 1) for an entity within a deployment; the same on every server and in every year.

    Source: the first 8 bytes of BLAKE2b over `tenant/environment/name`, NUL, entity (UTF-8), as a fraction of 2^64.
    """
    digest = hashlib.blake2b(f"{key}\0{entity}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def canary_answers(candidate: Candidate | None, point: float) -> bool:
    """Tell whether the candidate answers; who is in at a small share stays in while the share grows."""
    return candidate is not None and candidate.mode is Mode.CANARY and point < candidate.share
