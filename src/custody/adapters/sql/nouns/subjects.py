"""The index of people, their erasures, and what models owe."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, delete, tuple_

from custody.adapters.sql.body import body_of, read, text_of
from custody.adapters.sql.session import OfTenant, first
from custody.adapters.sql.tables import erasures, obligations, reach, redirects, subject_rows
from custody.core.digest import Digest
from custody.core.errors import NotFound
from custody.core.refs import DatasetRef, ModelRef
from custody.privacy.erasure.obligation import Obligation, ObligationState
from custody.privacy.erasure.ports import Erasure, ErasureState, Reached

_MANY = 400  # values in one statement
_ALL = ""  # no token: stands for "this version is indexed"


class SqlSubjects(OfTenant):
    """One tenant's index of people, their erasures, and what models owe."""

    def index(self, ref: DatasetRef, parts: Sequence[Iterable[str]]) -> None:
        """Store the tokens of each part of a dataset version; once is enough."""
        place = {"tenant": self._tenant, "dataset": ref.name, "version": ref.version}
        for number, tokens in enumerate(parts):
            self._access.add_new(subject_rows, [{**place, "token": token, "part": number} for token in tokens])
        self._access.add_new(subject_rows, [{**place, "token": _ALL, "part": 0}])

    def is_indexed(self, ref: DatasetRef) -> bool:
        """Tell whether a version's people are in the index."""
        c = subject_rows.c
        query = self._select(subject_rows, c.part).where(c.token == _ALL, c.dataset == ref.name, c.version == ref.version)
        return first(self._access, query) is not None

    def datasets(self, token: str) -> Sequence[DatasetRef]:
        """Return the dataset versions that hold rows of a person."""
        c = subject_rows.c
        query = self._select(subject_rows, c.dataset, c.version).where(c.token == token).distinct()
        return [DatasetRef(row.dataset, row.version) for row in self._access.rows(query.order_by(c.dataset, c.version))]

    def drop(self, token: str) -> None:
        """Forget where a person's rows were."""
        c = subject_rows.c
        self._access.write(delete(subject_rows).where(c.tenant == self._tenant, c.token == token))

    def reached(self, refs: Sequence[DatasetRef]) -> Reached:
        """Return the runs that read any of these versions, and the model versions that came of them."""
        found: dict[str, set[tuple[str, int]]] = {"run": set(), "model": set(), "dataset": set()}
        fresh = {(ref.name, ref.version) for ref in refs}
        while fresh:
            found["dataset"] |= fresh
            before = set(found["dataset"])
            for row in self._learned(sorted(fresh)):
                found[row.kind].add((row.name, row.number))
            fresh = found["dataset"] - before
        return Reached(
            tuple(name for name, _ in sorted(found["run"])),
            tuple(ModelRef(*one) for one in sorted(found["model"])),
            tuple(DatasetRef(*one) for one in sorted(found["dataset"])),
        )

    def _learned(self, refs: Sequence[tuple[str, int]]) -> list[Row[Any]]:
        c, found = reach.c, list[Row[Any]]()
        for start in range(0, len(refs), _MANY):
            some = tuple_(c.dataset, c.version).in_(refs[start : start + _MANY])
            found += self._access.rows(self._select(reach, c.kind, c.name, c.number).where(some))
        return found

    def erased(self, tokens: Iterable[str]) -> set[str]:
        """Return those tokens whose person was erased, or is being erased."""
        wanted, found = list(tokens), set[str]()
        for start in range(0, len(wanted), _MANY):
            query = self._select(erasures, erasures.c.token).where(erasures.c.token.in_(wanted[start : start + _MANY]))
            found |= {row.token for row in self._access.rows(query)}
        return found

    def any_erased(self) -> bool:
        """Tell whether anybody was erased here."""
        return first(self._access, self._select(erasures, erasures.c.id)) is not None

    def erasure(self, token: str) -> Erasure | None:
        """Return a person's erasure."""
        row = first(self._access, self._select(erasures).where(erasures.c.token == token))
        return None if row is None else read(Erasure, row)

    def erasures(self, state: ErasureState | None = None) -> Sequence[Erasure]:
        """Return erasures, oldest first."""
        query = self._select(erasures)
        if state is not None:
            query = query.where(erasures.c.state == state.value)
        return [read(Erasure, row) for row in self._access.rows(query.order_by(erasures.c.id))]

    def save_erasure(self, erasure: Erasure) -> None:
        """Store an erasure, replacing the one with its id."""
        values = {"token": erasure.token, "state": erasure.state.value, **body_of(erasure)}
        self._replace(erasures, {"id": erasure.id}, values)

    def obligations(self, *, model: ModelRef | None = None, state: ObligationState | None = None) -> Sequence[Obligation]:
        """Return obligations, those due first at the front."""
        c = obligations.c
        query = self._select(obligations)
        if model is not None:
            query = query.where(c.model == model.name, c.version == model.version)
        if state is not None:
            query = query.where(c.state == state.value)
        return [read(Obligation, row) for row in self._access.rows(query.order_by(c.due_at, c.id))]

    def obligation(self, id: str) -> Obligation:  # noqa: A002 - the field's word
        """Return one obligation; NotFound for any other id."""
        row = first(self._access, self._select(obligations).where(obligations.c.id == id))
        if row is None:
            raise NotFound.of("obligation", id, ls="custody obligation ls")
        return read(Obligation, row)

    def save_obligation(self, obligation: Obligation) -> None:
        """Store an obligation, replacing the one with its id."""
        values = {
            "model": obligation.model.name,
            "version": obligation.model.version,
            "due_at": text_of(obligation.due_at),
            "state": obligation.state.value,
            **body_of(obligation),
        }
        self._replace(obligations, {"id": obligation.id}, values)

    def redirect(self, old: Digest, new: Digest) -> None:
        """Remember that an object without the person's rows stands in for another one."""
        self._replace(redirects, {"old": old}, {"new": new})

    def redirects(self) -> dict[Digest, Digest]:
        """Return which objects stand in for which."""
        return {Digest(row.old): Digest(row.new) for row in self._access.rows(self._select(redirects, *redirects.c))}
