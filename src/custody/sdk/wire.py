"""Requests and answers: one place that turns problem+json back into the errors of core."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import httpx

from custody.core.errors import Conflict, CustodyError, Denied, IntegrityBroken, InvalidInput, NotFound, Unavailable

_ERRORS: dict[str, type[CustodyError]] = {
    kind.__name__: kind for kind in (InvalidInput, NotFound, Conflict, Denied, Unavailable, IntegrityBroken)
}


@dataclass(frozen=True, slots=True)
class Result:
    """An answer: the noun as plain data, the ledger entry that recorded a change, the command that usually follows."""

    data: Any
    ledger: int | None = None
    next: str | None = None


class Wire:
    """Speaks JSON with a control plane."""

    def __init__(self, target: str, *, key: str | None, tenant: str | None) -> None:
        headers = {name: value for name, value in (("X-Custody-Key", key), ("X-Custody-Tenant", tenant)) if value}
        self.target, self.remote = target, target.startswith(("http://", "https://"))
        self._client = (
            httpx.Client(base_url=target, headers=headers, timeout=httpx.Timeout(120, connect=5))
            if self.remote
            else httpx.Client(base_url="http://folder", headers=headers, timeout=None, transport=_folder(Path(target)))  # noqa: S113 - no network
        )

    def call(self, method: str, path: str, *, params: Mapping[str, Any] | None = None, **content: Any) -> Result:
        """Send a request and return its answer; a failure raises the same error as in the server."""
        body = self.send(method, path, params=params, **content).json()
        return Result(body["result"], body.get("ledger"), body.get("next"))

    def pages(self, path: str, *, params: Mapping[str, Any] | None = None) -> Iterator[Any]:
        """Stream the items of a list, page by page."""
        after: str | None = None
        while True:
            body = self.send("GET", path, params={**(params or {}), "after": after}).json()
            yield from body["result"]
            if (after := body.get("next_page")) is None:
                return

    def send(self, method: str, path: str, *, params: Mapping[str, Any] | None = None, **content: Any) -> httpx.Response:
        """Send a request and return the raw response."""
        wanted = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            response = self._client.request(method, f"/api/v1{path}", params=wanted, **content)
        except ValueError as error:  # NaN and infinity have no JSON
            raise InvalidInput("A value cannot be sent.", why=str(error), fix="Give a finite number.") from error
        except httpx.TransportError as error:
            raise Unavailable(
                f"{self.target} does not answer.",
                why=f"{type(error).__name__}: nothing listens there, or the network is cut.",
                fix="Start it with 'custody up', or correct CUSTODY_URL.",
            ) from error
        if response.is_success:
            return response
        raise _error(response)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _error(response: httpx.Response) -> CustodyError:
    try:
        body = response.json()
        kind = _ERRORS[body["title"]]
        return kind(body["detail"], why=body["why"], fix=body["fix"], facts=body["facts"])
    except (ValueError, KeyError, TypeError):
        return Unavailable(
            f"The server answered {response.status_code} without a reason that custody understands.",
            why="It may be another server, or it failed; its log says more.",
        )


def _folder(folder: Path) -> httpx.BaseTransport:
    found = list(entry_points(group="custody.transports", name="folder"))
    if not found:
        raise Unavailable("This installation has only the client.", fix="pip install custody-ml, or set CUSTODY_URL to a server")
    transport: httpx.BaseTransport = found[0].load()(folder)
    return transport
