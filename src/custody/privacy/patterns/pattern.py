"""One row of the pack: a shape, a check, the tier that looks for it, and the words that must stand near."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

Cut = tuple[int, int]
REFUSED = (
    ValueError,
    LookupError,
    ArithmeticError,
    TypeError,
)  # python-stdnum's refusals are ValueErrors; on odd digits it raises others


class Tier(StrEnum):
    """How far a scan goes: default keeps training data useful, strict removes all that could be personal."""

    DEFAULT = "default"
    STRICT = "strict"


@dataclass(frozen=True, slots=True)
class Check:
    """A named test of what a shape matched; cuts returns the parts that are personal data, none if it is not.

    The name goes into the pack's digest; a check whose code changes must raise the pack's version.
    """

    name: str
    cuts: Callable[[str], Sequence[Cut]]


def whole(name: str, passes: Callable[[str], bool]) -> Check:
    """Make a check that takes or leaves the match as it is."""
    return Check(name, lambda text: ((0, len(text)),) if passes(text) else ())


@dataclass(frozen=True, slots=True)
class Pattern:
    r"""One row of the pack.

    type: what is found. name: unique. regex: searched by `re`; if it has a group `v`, only that group is the match.
    tier: default = both, strict = strict only. context: in the default tier one of these words must stand near.
    asks: the shape says so little that the strict tier asks too. digits: the check refuses what has fewer, though the shape does not.
    """

    type: str
    name: str
    regex: str
    check: Check | None = None
    tier: Tier = Tier.DEFAULT
    context: tuple[str, ...] = ()
    asks: bool = False
    digits: int = 0

    def asked(self, tier: Tier) -> bool:
        """Tell whether a tier believes the row only beside one of its words."""
        return bool(self.context) and (self.asks or tier is Tier.DEFAULT)
