"""What privacy needs from outside: detectors of personal data, kept consent."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from custody.core.page import Page
from custody.privacy.consent import ConsentRecord
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


class Consents(Protocol):
    """One tenant's consent records; they are added to and read, never changed."""

    def add(self, records: Sequence[ConsentRecord]) -> int:
        """Store records and return how many were not there yet."""
        ...

    def of(self, purposes: Sequence[str], at: datetime) -> Sequence[ConsentRecord]:
        """Return all records about these purposes that were recorded by a time."""
        ...

    def page(self, *, subject: str | None = None, after: str | None = None, limit: int = 50) -> Page[ConsentRecord]:
        """List records, newest first; subject: one person's token."""
        ...
