"""Where sealing objects anew stands."""

from custody.adapters.sql.body import body_of, read
from custody.adapters.sql.session import OfTenant, first
from custody.adapters.sql.tables import reseals
from custody.core.keys import Reseal


class SqlReseals(OfTenant):
    """One tenant's work of sealing anew."""

    def get(self) -> Reseal | None:
        """Return the newest one."""
        row = first(self._access, self._select(reseals))
        return None if row is None else read(Reseal, row)

    def save(self, reseal: Reseal) -> None:
        """Store it in place of the one before."""
        self._replace(reseals, {}, body_of(reseal))
