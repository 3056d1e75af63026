"""All stores of a project on one SQL database and one object store."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial

from sqlalchemy import Engine

from custody.adapters.sql.engine import begin_alone, open_engines
from custody.adapters.sql.failure import translated
from custody.adapters.sql.nouns.captures import SqlCaptures
from custody.adapters.sql.nouns.consents import SqlConsents
from custody.adapters.sql.nouns.datasets import SqlDatasets
from custody.adapters.sql.nouns.deployments import SqlDeployments
from custody.adapters.sql.nouns.exports import SqlExports
from custody.adapters.sql.nouns.gates import SqlGates
from custody.adapters.sql.nouns.labels import SqlLabels
from custody.adapters.sql.nouns.ledger import SqlLedger, append
from custody.adapters.sql.nouns.models import SqlModels
from custody.adapters.sql.nouns.monitors import SqlMonitors
from custody.adapters.sql.nouns.reseals import SqlReseals
from custody.adapters.sql.nouns.runs import SqlRuns
from custody.adapters.sql.nouns.scans import SqlScans
from custody.adapters.sql.nouns.subjects import SqlSubjects
from custody.adapters.sql.nouns.tenants import SqlTenants
from custody.adapters.sql.residue import holds, scrub
from custody.adapters.sql.sealing import seal_old
from custody.adapters.sql.session import PLAIN, Access, Inside, Outside
from custody.adapters.sql.upgrade import upgrade
from custody.core.digest import Json
from custody.core.keys import Texts
from custody.core.objects import Objects
from custody.core.tenancy import Actor, TenantId
from custody.ledger.entry import Draft, Entry


class SqlShelf:
    """One tenant's stores; another tenant's things cannot be reached from here."""

    def __init__(self, access: Access, tenant: TenantId) -> None:
        self.tenant = tenant
        self.datasets = SqlDatasets(access, tenant)
        self.scans = SqlScans(access, tenant)
        self.consents = SqlConsents(access, tenant)
        self.exports = SqlExports(access, tenant)
        self.runs = SqlRuns(access, tenant)
        self.models = SqlModels(access, tenant)
        self.gates = SqlGates(access, tenant)
        self.deployments = SqlDeployments(access, tenant)
        self.captures = SqlCaptures(access, tenant)
        self.labels = SqlLabels(access, tenant)
        self.monitors = SqlMonitors(access, tenant)
        self.subjects = SqlSubjects(access, tenant)
        self.reseals = SqlReseals(access, tenant)


class SqlChange(SqlShelf):
    """A shelf inside a transaction: all writes and their ledger entries are kept together or not at all."""

    def __init__(self, access: Access, tenant: TenantId, actor: Actor, now: datetime) -> None:
        super().__init__(access, tenant)
        self.tenants = SqlTenants(access)
        self._access, self._actor, self._now = access, actor, now

    def record(self, kind: str, subject: str, body: dict[str, Json]) -> Entry:
        """Append a ledger entry in this transaction."""
        return append(self._access, Draft(self.tenant, self._actor.name, kind, subject, self._now, body))


class SqlStores:
    """Every store of a project; one change writes at a time, whatever the number of processes.

    texts: seals the few columns that hold texts of people, on the way in.
    """

    def __init__(self, url: str, objects: Objects, texts: Texts = PLAIN) -> None:
        self._engines, self._texts = open_engines(url), texts
        self.objects = objects
        outside = Outside(self._engines.read, texts)
        self.ledger = SqlLedger(outside, partial(_alone, self._engines.write, texts))
        self.tenants = SqlTenants(outside)

    def of(self, tenant: TenantId) -> SqlShelf:
        """Return one tenant's stores, for reading."""
        return SqlShelf(Outside(self._engines.read, self._texts), tenant)

    @contextmanager
    def change(self, tenant: TenantId, actor: Actor, now: datetime) -> Iterator[SqlChange]:
        """Open a transaction that writes one tenant's stores; an exception inside undoes all of it.

        Keep it short, and never open one inside another: the inner would wait for the outer until it is Unavailable.
        """
        with _alone(self._engines.write, self._texts) as access:
            yield SqlChange(access, tenant, actor, now)

    def upgrade(self) -> None:
        """Create the tables or bring them to this version of custody; Conflict if the database is newer.

        Texts of people that were stored before the project sealed are sealed then.
        """
        upgrade(self._engines)
        seal_old(self._engines, self._texts)

    def scrub(self) -> None:
        """Give back to the disk what deleted rows left in the database's own files; Unavailable while others hold it."""
        scrub(self._engines)

    def holds(self, needle: str) -> int:
        """Return in how many places of the database a text still stands: rows, opened, and for SQLite its files byte by byte."""
        return holds(self._engines, self._texts, needle)

    def close(self) -> None:
        """Close all connections."""
        self._engines.close()


@contextmanager
def _alone(engine: Engine, texts: Texts) -> Iterator[Inside]:
    with translated(), engine.begin() as connection:
        begin_alone(connection)
        yield Inside(connection, texts)
