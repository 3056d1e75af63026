"""The detector that runs the pack: a quick look, shapes, checks, then the words that must stand near."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache

from custody.privacy.context import near, said, spoken
from custody.privacy.finding import Finding
from custody.privacy.patterns.pack import PACK, Pack
from custody.privacy.patterns.pattern import Pattern, Tier
from custody.privacy.patterns.prefilter import Prefilter
from custody.privacy.tags import blanked

_Compiled = tuple[Callable[[str], Iterator[re.Match[str]]], str | int, bool]


class PatternDetector:
    """Finds what has a shape; findings may overlap."""

    def __init__(self, tier: Tier = Tier.DEFAULT, *, pack: Pack = PACK) -> None:
        self.patterns = pack.of(tier)
        self.name = f"patterns-{tier.value} {pack.version}.{pack.digest[:12]}"
        self._tier = tier
        self._prefilter = _prefilter(pack, tier)
        self._compiled: dict[int, _Compiled] = {}

    def find(self, texts: Sequence[str], *, hint: str = "") -> Sequence[Sequence[Finding]]:
        """Return the findings of each text; hint (a column's name) counts as context of all."""
        words = blanked(spoken(hint))
        return [
            self._found(text, fired, words) if fired else ()
            for text, fired in zip(texts, self._prefilter.candidates(texts, hint=words), strict=True)
        ]

    def _found(self, text: str, fired: Sequence[int], hint: str) -> Sequence[Finding]:
        found: list[Finding] = []
        around = ""
        for index in fired:
            pattern, (finditer, group, asked) = self.patterns[index], self._compiled.get(index) or self._compile(index)
            for match in finditer(text):
                start, end = match.span(group)
                cuts = pattern.check.cuts(text[start:end]) if pattern.check else ((0, end - start),)
                for low, high in cuts:
                    if asked:
                        around = around or blanked(text)
                        if not _asked(pattern, around, start + low, start + high, hint):
                            continue
                    found.append(Finding(start + low, start + high, pattern.type))
        return found

    def _compile(self, index: int) -> _Compiled:
        """Return how a row searches, the group that it means, and whether it needs a word near."""
        row = self.patterns[index]
        regex = re.compile(row.regex)
        made = self._compiled[index] = regex.finditer, "v" if "v" in regex.groupindex else 0, row.asked(self._tier)
        return made


@cache
def _prefilter(pack: Pack, tier: Tier) -> Prefilter:
    """Return the quick look of a tier; all detectors share it, since RE2 takes a tenth of a second to make it, and learns from texts."""
    return Prefilter(pack.of(tier), tier)


def _asked(pattern: Pattern, text: str, start: int, end: int, hint: str) -> bool:
    """Tell whether one of the pattern's words stands near, or in the hint."""
    return said(pattern.context, text, start, end) or bool(hint and near(pattern.context).search(hint))
