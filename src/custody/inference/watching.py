"""What is told about answered requests to those who watch them: an access log, traces; never what was asked or answered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from custody.core.refs import DeploymentKey
from custody.inference.models.library import Arm

TRACE = (b"traceparent", b"tracestate")
NOTHING: Mapping[bytes, bytes] = {}


@dataclass(frozen=True, slots=True)
class Noted:
    """One answered request.

    method: of HTTP, or the call's name. path: empty if nothing is served there, since callers may write anything into it.
    key: of the deployment that was asked about; its name is empty if none was, and it is None if no tenant is known. arm: what
    answered, or failed to, if the request came to one. status: as in HTTP, 499 if the caller left. ended_ns: ns since 1970.
    headers: those of TRACE, where a caller's trace is named.
    """

    door: str
    method: str
    path: str
    key: DeploymentKey | None
    arm: Arm | None
    status: int
    seconds: float
    ended_ns: int
    headers: Mapping[bytes, bytes] = field(default_factory=lambda: NOTHING)


def traced_by(headers: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    """Return those of a caller's headers that name its trace."""
    return {name: headers[name] for name in TRACE if name in headers}


Watcher = Callable[[Noted], None]  # called on the event loop's thread after the answer: hands on, does no work
