"""The one tree of failures; a refusal (a gate that says no) is a value, never one of these.

CustodyError            what . why . fix . facts
|- InvalidInput         shape, schema, argument        exit 2   HTTP 422
|- NotFound             incl. other tenants' things    exit 3   HTTP 404
|- Conflict             state or version moved on      exit 4   HTTP 409
|- Denied               role, missing verdict          exit 5   HTTP 403
|- Unavailable          try again (says when)          exit 6   HTTP 503
`- IntegrityBroken      digest or chain mismatch       exit 7   HTTP 500, never retried
"""

from collections.abc import Mapping, Sequence

Fact = str | int | float | bool | None | Sequence[str]


class CustodyError(Exception):
    """Say what happened, the likely why, and the command or call that mends it.

    facts hold the same information as values, so that problem+json, CLI and log render one error.
    """

    def __init__(self, what: str, *, why: str = "", fix: str = "", facts: Mapping[str, Fact] | None = None) -> None:
        self.what, self.why, self.fix, self.facts = what, why, fix, dict(facts or {})
        super().__init__(" ".join(part for part in (what, why, fix) if part))


class InvalidInput(CustodyError):
    """Input that can never work as it is: a shape, a schema, an argument."""


class NotFound(CustodyError):
    """Nothing of that name within the caller's tenant; another tenant's things answer the same."""

    @classmethod
    def of(cls, noun: str, name: str, *, ls: str = "", near: Sequence[str] = ()) -> "NotFound":
        """Tell which thing is missing, names close to it, and the command that lists what exists."""
        hint = f"Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
        fix = f"List them: {ls}" if ls else ""
        why = hint or "It was never stored, or belongs to another tenant."
        return cls(f"There is no {noun} '{name}'.", why=why, fix=fix, facts={"noun": noun, "name": name, "near": list(near)})


class Conflict(CustodyError):
    """The state or version moved on since the caller looked."""


class Denied(CustodyError):
    """The caller's role, or a missing verdict, forbids it."""


class Unavailable(CustodyError):
    """Something outside is not answering; trying again later can help."""


class IntegrityBroken(CustodyError):
    """Stored bytes do not match their digest, or the ledger does not match its chain."""
