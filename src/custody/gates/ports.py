"""What the gates need from storage."""

from collections.abc import Sequence
from typing import Protocol

from custody.core.evidence import Verdict
from custody.core.page import Page
from custody.core.refs import ModelRef
from custody.gates.golden import GoldenSet
from custody.gates.policy import Policy


class Gates(Protocol):
    """One tenant's policies, golden sets and verdicts."""

    def policy(self, model: str) -> Policy | None:
        """Return the newest policy of a model name."""
        ...

    def add_policy(self, policy: Policy) -> None:
        """Store a new policy version."""
        ...

    def golden(self, model: str) -> GoldenSet | None:
        """Return the newest golden set of a model name."""
        ...

    def add_golden(self, golden: GoldenSet) -> None:
        """Store a new golden set version."""
        ...

    def golden_sets(self) -> Sequence[GoldenSet]:
        """Return every version of every golden set, by model name."""
        ...

    def replace_golden(self, golden: GoldenSet) -> None:
        """Store a version of a golden set again, without an erased person's cases."""
        ...

    def verdict(self, model: ModelRef) -> Verdict | None:
        """Return the newest verdict on a version."""
        ...

    def verdicts(self, model: str) -> Sequence[Verdict]:
        """Return the newest verdict of each version of a model name that has one, oldest version first."""
        ...

    def page(self, model: str | None = None, *, after: str | None = None, limit: int = 50) -> Page[Verdict]:
        """List verdicts, newest first."""
        ...

    def add(self, verdict: Verdict) -> None:
        """Store a verdict."""
        ...
