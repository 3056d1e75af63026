"""The detector that runs the pack: gates, shapes, checks, then the words that must stand near."""

import re
from collections.abc import Sequence
from functools import lru_cache

from custody.privacy.finding import Finding
from custody.privacy.patterns.gates import Gates
from custody.privacy.patterns.pack import PACK, Pack
from custody.privacy.patterns.pattern import Pattern, Tier
from custody.privacy.ports import Prefilter
from custody.privacy.tags import blanked

BEFORE, AFTER = 64, 32  # characters in which a context word counts
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(maxsize=256)
def _near(words: tuple[str, ...]) -> re.Pattern[str]:
    """Compile context words, in the plural too; scripts that write no blanks get no word ends."""
    spaced = [re.escape(word) for word in words if word[0] < "\u0e00"]
    others = [re.escape(word) for word in words if word[0] >= "\u0e00"]
    parts = ([rf"(?<![^\W_])(?:{'|'.join(spaced)})s?(?![^\W_])"] if spaced else []) + others
    return re.compile("|".join(parts), re.IGNORECASE)


class PatternDetector:
    """Finds what has a shape; without a prefilter it needs no library.

    prefilter: made for `pack.of(tier)`, in that order. Findings may overlap.
    """

    def __init__(self, tier: Tier = Tier.DEFAULT, *, pack: Pack = PACK, prefilter: Prefilter | None = None) -> None:
        self.patterns = pack.of(tier)
        self.name = f"patterns-{tier.value} {pack.version}.{pack.digest[:12]}"
        self._strict = tier is Tier.STRICT
        self._prefilter = prefilter or Gates(self.patterns)
        self._compiled: dict[int, re.Pattern[str]] = {}

    def find(self, texts: Sequence[str], *, hint: str = "") -> Sequence[Sequence[Finding]]:
        """Return the findings of each text; hint (a column's name) counts as context of all."""
        said = blanked(_CAMEL.sub(" ", hint).replace("_", " "))
        return [
            self._found(text, fired, said) if fired else ()
            for text, fired in zip(texts, self._prefilter.candidates(texts), strict=True)
        ]

    def _found(self, text: str, fired: Sequence[int], hint: str) -> Sequence[Finding]:
        found: list[Finding] = []
        around = ""
        for index in fired:
            pattern, regex = self.patterns[index], self._compiled.get(index)
            if regex is None:
                regex = self._compiled[index] = re.compile(pattern.regex)
            group = "v" if "v" in regex.groupindex else 0
            for match in regex.finditer(text):
                start, end = match.span(group)
                cuts = pattern.check.cuts(text[start:end]) if pattern.check else ((0, end - start),)
                for low, high in cuts:
                    if pattern.context and (pattern.asks or not self._strict):
                        around = around or blanked(text)
                        if not _said(pattern, around, start + low, start + high, hint):
                            continue
                    found.append(Finding(start + low, start + high, pattern.type))
        return found


def _said(pattern: Pattern, text: str, start: int, end: int, hint: str) -> bool:
    """Tell whether one of the pattern's words stands near, or in the hint."""
    near = _near(pattern.context)
    around = text[max(0, start - BEFORE) : start] + "\n" + text[end : end + AFTER]
    return bool(near.search(around) or (hint and near.search(hint)))
