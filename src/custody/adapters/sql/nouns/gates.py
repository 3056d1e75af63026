"""Gate policies, golden sets and verdicts."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Table, func, select

from custody.adapters.sql.body import body_of, parsed, read, text_of
from custody.adapters.sql.session import OfTenant, first, paged
from custody.adapters.sql.tables import gate_policies, golden_sets
from custody.adapters.sql.tables import verdicts as table
from custody.core.errors import Conflict
from custody.core.evidence import Verdict
from custody.core.page import Page
from custody.core.refs import ModelRef
from custody.gates.golden import GoldenSet
from custody.gates.policy import Policy


class SqlGates(OfTenant):
    """One tenant's policies, golden sets and verdicts."""

    def policy(self, model: str) -> Policy | None:
        """Return the newest policy of a model name."""
        row = self._newest(gate_policies, model)
        return None if row is None else read(Policy, row)

    def add_policy(self, policy: Policy) -> None:
        """Store a new policy version; Conflict if the number is taken."""
        self._add_version(gate_policies, "gate policy", policy)

    def golden(self, model: str) -> GoldenSet | None:
        """Return the newest golden set of a model name."""
        row = self._newest(golden_sets, model)
        return None if row is None else self._golden(row)

    def add_golden(self, golden: GoldenSet) -> None:
        """Store a new golden set version; Conflict if the number is taken."""
        self._add_version(golden_sets, "golden set", golden)

    def golden_sets(self) -> Sequence[GoldenSet]:
        """Return every version of every golden set, by model name."""
        query = self._select(golden_sets).order_by(golden_sets.c.model, golden_sets.c.version)
        return [self._golden(row) for row in self._access.rows(query)]

    def replace_golden(self, golden: GoldenSet) -> None:
        """Store a version of a golden set again, without an erased person's cases."""
        self._replace(golden_sets, {"model": golden.model, "version": golden.version}, self._body(golden_sets, golden))

    def _golden(self, row: Row[Any]) -> GoldenSet:
        return parsed(GoldenSet, row.format, self._open(golden_sets.c.body, row.body))

    def _body(self, versions: Table, item: Policy | GoldenSet) -> dict[str, Any]:
        """Write an item; cases of a golden set may be rows of people, so that they are sealed."""
        made = body_of(item)
        return made if versions is not golden_sets else {**made, "body": self._seal(golden_sets.c.body, made["body"])}

    def verdict(self, model: ModelRef) -> Verdict | None:
        """Return the newest verdict on a version."""
        mine = self._select(table).where(table.c.model == model.name, table.c.version == model.version)
        row = first(self._access, mine.order_by(table.c.at.desc(), table.c.id.desc()))
        return None if row is None else read(Verdict, row)

    def verdicts(self, model: str) -> Sequence[Verdict]:
        """Return the newest verdict of each version of a model name that has one, oldest version first."""
        c = table.c
        rank = func.row_number().over(partition_by=c.version, order_by=(c.at.desc(), c.id.desc())).label("rank")
        ranked = self._select(table, c.format, c.body, c.version, rank).where(c.model == model).subquery()
        newest = select(ranked.c.format, ranked.c.body).where(ranked.c.rank == 1).order_by(ranked.c.version)
        return [read(Verdict, row) for row in self._access.rows(newest)]

    def page(self, model: str | None = None, *, after: str | None = None, limit: int = 50) -> Page[Verdict]:
        """List verdicts, newest first."""
        c = table.c
        query = self._select(table, c.at, c.id, c.format, c.body)
        if model is not None:
            query = query.where(c.model == model)
        return paged(self._access, query, [c.at, c.id], after=after, limit=limit, noun=lambda row: read(Verdict, row))

    def add(self, verdict: Verdict) -> None:
        """Store a verdict."""
        self._add(
            table,
            id=verdict.id,
            model=verdict.model.name,
            version=verdict.model.version,
            passed=verdict.passed,
            at=text_of(verdict.at),
            **body_of(verdict),
        )

    def _newest(self, versions: Table, model: str) -> Row[Any] | None:
        query = self._select(versions).where(versions.c.model == model)
        return first(self._access, query.order_by(versions.c.version.desc()))

    def _add_version(self, versions: Table, noun: str, item: Policy | GoldenSet) -> None:
        taken = self._select(versions, versions.c.version).where(
            versions.c.model == item.model, versions.c.version == item.version
        )
        if first(self._access, taken) is not None:
            raise Conflict(
                f"Version {item.version} of the {noun} of '{item.model}' exists already.",
                why="Somebody else stored it in the meantime.",
                fix="Look at what is stored now, then try again.",
            )
        self._add(
            versions, model=item.model, version=item.version, created_at=text_of(item.created_at), **self._body(versions, item)
        )
