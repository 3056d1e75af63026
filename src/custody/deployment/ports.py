"""What deployments need from storage."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from custody.core.page import Page
from custody.core.refs import DeploymentKey
from custody.deployment.revision import Revision


class Deployments(Protocol):
    """One tenant's deployments; a revision is never changed."""

    def head(self, key: DeploymentKey) -> Revision | None:
        """Return the newest revision."""
        ...

    def revision(self, key: DeploymentKey, number: int) -> Revision:
        """Return one revision; NotFound if there is none."""
        ...

    def at(self, key: DeploymentKey, time: datetime) -> Revision | None:
        """Return the revision that was in force at a time."""
        ...

    def history(self, key: DeploymentKey, *, after: str | None = None, limit: int = 50) -> Page[Revision]:
        """List revisions, newest first."""
        ...

    def heads(self) -> Sequence[Revision]:
        """Return the newest revision of each deployment, in the order of their keys."""
        ...

    def add(self, revision: Revision) -> None:
        """Store the revision behind number - 1; Conflict that names who was faster if the number is taken."""
        ...
