"""What is removed, how, and when a scan may be cleared."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from custody.core.digest import Digest, Json, digest_of_json
from custody.core.errors import InvalidInput
from custody.core.refs import near
from custody.privacy.patterns.pattern import Tier
from custody.privacy.tags import TYPES


class Mode(StrEnum):
    """What stands where personal data stood: its type, its type and a keyed token, or nothing."""

    TAG = "tag"
    PSEUDONYM = "pseudonym"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class ScrubPolicy:
    """How texts are scrubbed and what a scan must show; every field has a default.

    keep: types that may stay. settle_detectors: ask given detectors again until they find nothing, so that scrubbing twice is
    scrubbing once with them too; patterns always settle. max_residual: findings that the second scan may have.
    min_k: smallest group of declared quasi-identifiers. needs_reviewer: clearing needs a named person.
    Raises: InvalidInput naming every wrong field at once.
    """

    name: str = "default"
    tier: Tier = Tier.DEFAULT
    mode: Mode = Mode.TAG
    keep: tuple[str, ...] = ()
    settle_detectors: bool = False
    max_residual: int = 0
    min_k: int = 5
    needs_reviewer: bool = True
    version: int = 1

    def __post_init__(self) -> None:
        wrong = {
            "name": "1 to 64 printable characters" if not 1 <= len(self.name) <= 64 or not self.name.isprintable() else "",
            "tier": "default or strict" if self.tier not in set(Tier) else "",
            "mode": "tag, pseudonym or drop" if self.mode not in set(Mode) else "",
            "keep": f"of {', '.join(TYPES)}" if not set(self.keep) <= set(TYPES) else "",
            "max_residual": "0 or more" if self.max_residual < 0 else "",
            "min_k": "1 or more" if self.min_k < 1 else "",
        }
        if broken := {field: rule for field, rule in wrong.items() if rule}:
            raise InvalidInput(
                f"The scrubbing policy has {len(broken)} wrong field{'s' * (len(broken) > 1)}: {', '.join(broken)}.",
                why=" ".join(f"{field} must be {rule}." for field, rule in broken.items()),
                fix="Correct these fields; all others have defaults.",
                facts={"wrong": list(broken)},
            )

    @property
    def digest(self) -> Digest:
        """Return the digest of all fields."""
        return digest_of_json({**asdict(self), "keep": list(self.keep)})


class Captures(StrEnum):
    """What happens to texts in captured traffic before they are stored."""

    SCRUB = "scrub"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class PrivacyPolicy:
    """One tenant's rules, in numbered versions: how datasets are scanned, and whether captured texts are scrubbed."""

    scan: ScrubPolicy
    captures: Captures = Captures.SCRUB
    number: int = 0
    created_at: datetime | None = None


# what holds before a tenant says otherwise. A URL is a page before it is a person, and texts are often judged by theirs.
HOUSE_POLICY = PrivacyPolicy(ScrubPolicy(name="default", keep=("URL",), needs_reviewer=False))
_SCAN = ("name", "tier", "keep", "max_residual", "min_k", "needs_reviewer")


def policy_of(values: Mapping[str, Json]) -> PrivacyPolicy:
    """Build a tenant's policy from parsed YAML or JSON; what is not said stays as in the default.

    Raises: InvalidInput naming unknown fields with the nearest known one, or wrong values.
    """
    known = (*_SCAN, "captures")
    if unknown := [key for key in values if key not in known]:
        close = near(unknown[0], known)
        hint = f"Did you mean '{close[0]}'?" if close else f"The fields are: {', '.join(known)}."
        raise InvalidInput(f"'{unknown[0]}' is not a field of a privacy policy.", why=hint)
    base: dict[str, Any] = {name: getattr(HOUSE_POLICY.scan, name) for name in _SCAN}
    given = {name: value for name, value in values.items() if name != "captures"}
    try:
        scan = msgspec.convert({**base, **given}, ScrubPolicy)
        return PrivacyPolicy(scan, msgspec.convert(values.get("captures", "scrub"), Captures))
    except msgspec.ValidationError as error:
        raise InvalidInput("That is not a privacy policy.", why=f"{error}.") from error
