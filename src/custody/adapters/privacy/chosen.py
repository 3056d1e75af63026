"""The detectors of a project: patterns that become quicker on much text, and a model of names if one is set; made when first used."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from custody.adapters.privacy.names import Names
from custody.adapters.privacy.prefilter import Hyperscan
from custody.core.errors import InvalidInput
from custody.privacy.detect import PatternDetector
from custody.privacy.finding import Finding
from custody.privacy.patterns.pattern import Tier
from custody.privacy.scans.inspection import Detectors

MUCH = 2_000_000  # characters after which two seconds for compiling a prefilter are won back


class Patterns:
    """The pattern pack; after much text it looks through Hyperscan, if that is installed, and finds the same."""

    def __init__(self, tier: Tier, much: int = MUCH) -> None:
        self._tier, self._left = tier, much
        self._detector = PatternDetector(tier)
        self.name = self._detector.name

    def find(self, texts: Sequence[str], *, hint: str = "") -> Sequence[Sequence[Finding]]:
        """Return the findings of each text."""
        if self._left > 0:
            self._left -= sum(map(len, texts))
            if self._left <= 0:
                self._quicken()
        return self._detector.find(texts, hint=hint)

    def _quicken(self) -> None:
        try:
            self._detector = PatternDetector(self._tier, prefilter=Hyperscan(self._tier))
        except InvalidInput:  # it is an extra; without it the scan takes longer and finds the same
            return


class NamesWhenAsked:
    """A model of names that is loaded when something is scanned, not when a command starts."""

    def __init__(self, model: str | Path) -> None:
        self._model = model

    @cached_property
    def _names(self) -> Names:
        return Names(self._model)

    @property
    def name(self) -> str:
        """Return the model's name and version."""
        return self._names.name

    def find(self, texts: Sequence[str], *, hint: str = "") -> Sequence[Sequence[Finding]]:
        """Return the people, places and organizations of each text."""
        return self._names.find(texts, hint=hint)


def detectors(names_model: str = "") -> Detectors:
    """Return a project's detectors; names_model: folders or names of spaCy models with commas between, empty for none."""
    models = [model.strip() for model in names_model.split(",") if model.strip()]
    return Detectors({tier: Patterns(tier) for tier in Tier}, tuple(NamesWhenAsked(model) for model in models))
