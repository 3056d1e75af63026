"""A tenant's own rules: how its datasets are scanned, and whether texts in its captured traffic are scrubbed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.core.refs import near
from custody.privacy.policy import ScrubPolicy


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
