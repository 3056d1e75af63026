"""How answers and errors travel: JSON of frozen nouns, and problem+json."""

from typing import Any

import msgspec
from fastapi import Request, Response

from custody.core.errors import Conflict, CustodyError, Denied, IntegrityBroken, InvalidInput, NotFound, Unavailable
from custody.core.page import Page


class NoKey(Denied):
    """The request carried no valid key: 401, where a key whose role is too low is 403."""

    @classmethod
    def missing(cls) -> "NoKey":
        """Say what to send."""
        return cls(
            "This needs a valid key.",
            why="The request carried none, or one that is unknown, revoked or expired.",
            fix="Send 'Authorization: Bearer <key>'. Make a key: custody key add NAME --role viewer",
        )


STATUS: dict[type[CustodyError], int] = {
    NoKey: 401,
    InvalidInput: 422,
    NotFound: 404,
    Conflict: 409,
    Denied: 403,
    Unavailable: 503,
    IntegrityBroken: 500,
}


def answer(value: Any, *, ledger: int | None = None, next: str = "", status: int = 200) -> Response:  # noqa: A002 - the field's word
    """Send a noun, the ledger entry that recorded the change (if there was one), and the command that usually follows."""
    body = {"result": value, "ledger": ledger, "next": next or None}
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")


def page(found: Page[Any]) -> Response:
    """Send one page of a list."""
    body = {"result": found.items, "next_page": found.next}
    return Response(msgspec.json.encode(body), media_type="application/json")


def status_of(error: CustodyError) -> int:
    """Return the HTTP status of an error: the one table at this door."""
    return next(status for kind, status in STATUS.items() if isinstance(error, kind))


def problem(_: Request, error: Exception) -> Response:
    """Send a failure as problem+json (RFC 9457) with what, why, fix and facts."""
    if not isinstance(error, CustodyError):
        raise error
    body = {
        "type": "about:blank",
        "title": next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == CustodyError.__module__),
        "status": status_of(error),
        "detail": error.what,
        "why": error.why,
        "fix": error.fix,
        "facts": error.facts,
    }
    headers = (
        {"Retry-After": "2"}
        if isinstance(error, Unavailable)
        else {"WWW-Authenticate": "Bearer"}
        if isinstance(error, NoKey)
        else None
    )
    return Response(
        msgspec.json.encode(body), status_code=status_of(error), media_type="application/problem+json", headers=headers
    )
