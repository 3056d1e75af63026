"""What privacy needs from outside: detectors of personal data, and a quick test which patterns may be in a text."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from custody.privacy.finding import Finding


class Detector(Protocol):
    """Finds personal data; a library of names and places joins through this port.

    name: what it is with its version, as reports quote it.
    """

    @property
    def name(self) -> str:
        """Return what it is, with its version."""
        ...

    def find(self, texts: Sequence[str], *, hint: str = "") -> Sequence[Sequence[Finding]]:
        """Return the findings of each text, in order; hint is what is said around all of them, a column's name say."""
        ...


class Prefilter(Protocol):
    """Tells which patterns may be in a text; it may name too many, never too few."""

    def candidates(self, texts: Sequence[str]) -> Iterator[Sequence[int]]:
        """Yield, for each text, the ascending indices of the patterns to run."""
        ...
