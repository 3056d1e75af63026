"""What the registry needs from storage."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from custody.core.digest import Digest
from custody.core.page import Page
from custody.core.refs import ModelRef
from custody.core.schema import Signature
from custody.registry.model import ModelSummary, ModelVersion
from custody.registry.run import Run, RunStatus, RunSummary


class Runs(Protocol):
    """One tenant's runs."""

    def get(self, id: str) -> Run:  # noqa: A002 - the field's word
        """Return a run; NotFound if there is none."""
        ...

    def last(self, name: str | None = None) -> Run | None:
        """Return the run started last."""
        ...

    def page(
        self, name: str | None = None, *, status: RunStatus | None = None, after: str | None = None, limit: int = 50
    ) -> Page[RunSummary]:
        """List runs, newest first."""
        ...

    def add(self, run: Run) -> None:
        """Store a new run."""
        ...

    def save(self, run: Run) -> None:
        """Replace a stored run; Conflict if it is no longer running."""
        ...

    def replace_fixture(self, id: str, old: Digest, new: Digest) -> None:  # noqa: A002 - the field's word
        """Point a run's logged models to a parity fixture from which an erased person's rows were taken."""
        ...


class Models(Protocol):
    """One tenant's model versions and aliases."""

    def get(self, ref: ModelRef) -> ModelVersion:
        """Return a version; NotFound names close ones."""
        ...

    def latest(self, name: str) -> ModelVersion | None:
        """Return the newest version."""
        ...

    def of_run(self, run_id: str) -> Sequence[ModelVersion]:
        """Return the versions registered from a run."""
        ...

    def page(self, name: str | None = None, *, after: str | None = None, limit: int = 50) -> Page[ModelSummary]:
        """List versions, newest first."""
        ...

    def add(self, version: ModelVersion) -> None:
        """Store a new version; Conflict if the number is taken."""
        ...

    def alias(self, name: str, alias: str) -> ModelRef | None:
        """Return what an alias names."""
        ...

    def set_alias(self, alias: str, ref: ModelRef) -> None:
        """Point an alias at a version."""
        ...

    def of_artifact(self, artifact: Digest) -> Sequence[ModelRef]:
        """Return the versions that have an artifact."""
        ...

    def replace_fixture(self, ref: ModelRef, fixture: Digest) -> None:
        """Point a version to a parity fixture from which an erased person's rows were taken."""
        ...


class Scorer(Protocol):
    """A loaded model."""

    def scores(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the positive class's score of each row: shape (n,), 0..1."""
        ...


class Loader(Protocol):
    """Loads an ONNX file; InvalidInput if it does not load or does not have this signature."""

    def __call__(self, body: bytes, signature: Signature) -> Scorer:
        """Load a model."""
        ...
