"""What erasure needs from storage: where people's rows are, which models learned from them, what is owed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from custody.core.digest import Digest
from custody.core.refs import DatasetRef, ModelRef
from custody.privacy.erasure.obligation import Obligation, ObligationState


class ErasureState(StrEnum):
    """Pending: the rows are out of reach, their bytes are being deleted. Done: they are gone."""

    PENDING = "pending"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Erasure:
    """One person's erasure.

    token: keyed, told nowhere but in the database and the list of erasures (see `listed`). receipt: digest of the signed receipt. left: in how many places the last
    search still found texts of the person.
    """

    id: str
    token: str
    state: ErasureState
    asked_at: datetime
    by: str
    done_at: datetime | None = None
    receipt: Digest | None = None
    left: int = 0


@dataclass(frozen=True, slots=True)
class Reached:
    """What learned from dataset versions: runs, the model versions made from them, and the versions with all derived ones."""

    runs: tuple[str, ...]
    models: tuple[ModelRef, ...]
    datasets: tuple[DatasetRef, ...]


class Subjects(Protocol):
    """One tenant's index of people, their erasures, and what models owe."""

    def index(self, ref: DatasetRef, parts: Sequence[Iterable[str]]) -> None:
        """Store the tokens of each part of a dataset version; once is enough."""
        ...

    def is_indexed(self, ref: DatasetRef) -> bool:
        """Tell whether a version's people are in the index."""
        ...

    def datasets(self, token: str) -> Sequence[DatasetRef]:
        """Return the dataset versions that hold rows of a person."""
        ...

    def drop(self, token: str) -> None:
        """Forget where a person's rows were."""
        ...

    def reached(self, refs: Sequence[DatasetRef]) -> Reached:
        """Return the runs that read any of these versions, and the model versions that came of them."""
        ...

    def erased(self, tokens: Iterable[str]) -> set[str]:
        """Return those tokens whose person was erased, or is being erased."""
        ...

    def any_erased(self) -> bool:
        """Tell whether anybody was erased here."""
        ...

    def erasure(self, token: str) -> Erasure | None:
        """Return a person's erasure."""
        ...

    def erasures(self, state: ErasureState | None = None) -> Sequence[Erasure]:
        """Return erasures, oldest first."""
        ...

    def save_erasure(self, erasure: Erasure) -> None:
        """Store an erasure, replacing the one with its id."""
        ...

    def obligations(self, *, model: ModelRef | None = None, state: ObligationState | None = None) -> Sequence[Obligation]:
        """Return obligations, those due first at the front."""
        ...

    def obligation(self, id: str) -> Obligation:  # noqa: A002 - the field's word
        """Return one obligation; NotFound for any other id."""
        ...

    def save_obligation(self, obligation: Obligation) -> None:
        """Store an obligation, replacing the one with its id."""
        ...

    def redirect(self, old: Digest, new: Digest) -> None:
        """Remember that an object without the person's rows stands in for another one."""
        ...

    def redirects(self) -> dict[Digest, Digest]:
        """Return which objects stand in for which."""
        ...
