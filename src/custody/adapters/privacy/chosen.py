"""The detectors of a project: the patterns of each tier, and a model of names if one is set; made when first used."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from custody.adapters.privacy.names import Names
from custody.privacy.detect import PatternDetector
from custody.privacy.finding import Finding
from custody.privacy.patterns.pattern import Tier
from custody.privacy.scans.inspection import Detectors


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
    return Detectors({tier: PatternDetector(tier) for tier in Tier}, tuple(NamesWhenAsked(model) for model in models))
