"""The pack: every row in order, under one version and one digest."""

from dataclasses import dataclass
from functools import cached_property

import stdnum

from custody.core.digest import Digest, digest_of_json
from custody.privacy.patterns.national import NATIONAL
from custody.privacy.patterns.network import NETWORK
from custody.privacy.patterns.numbers import NUMBERS
from custody.privacy.patterns.pattern import Pattern, Tier
from custody.privacy.patterns.phones import PHONES
from custody.privacy.patterns.places import PLACES
from custody.privacy.patterns.secrets import SECRETS

VERSION = 9


@dataclass(frozen=True)
class Pack:
    """Rows and their version; whatever changes what is found must change the digest, and then all it cleared is scanned again."""

    version: int
    patterns: tuple[Pattern, ...]

    @cached_property
    def digest(self) -> Digest:
        """Return the digest of the version, of every row, and of the version of the library behind the checks."""
        rows = [
            [
                row.type,
                row.name,
                row.regex,
                row.check.name if row.check else None,
                row.tier.value,
                list(row.context),
                row.asks,
                row.digits,
            ]
            for row in self.patterns
        ]
        return digest_of_json({"version": self.version, "stdnum": stdnum.__version__, "rows": rows})  # type: ignore[dict-item]  # nested JSON

    def of(self, tier: Tier) -> tuple[Pattern, ...]:
        """Return the rows that a tier runs; strict runs all and asks for context only where the shape says little."""
        return tuple(row for row in self.patterns if tier is Tier.STRICT or row.tier is Tier.DEFAULT)

    @cached_property
    def types(self) -> tuple[str, ...]:
        """Return the types that the pack finds; of two that match the same stretch the first one is meant."""
        return tuple(dict.fromkeys(row.type for row in self.patterns))


PACK = Pack(VERSION, (*NETWORK, *SECRETS, *NUMBERS, *NATIONAL, *PHONES, *PLACES))
