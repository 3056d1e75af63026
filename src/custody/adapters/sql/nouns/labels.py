"""Labels."""

from collections.abc import Sequence

from sqlalchemy import func

from custody.adapters.sql.body import body_of, read, text_of, time_of
from custody.adapters.sql.session import OfTenant, first
from custody.adapters.sql.tables import draws
from custody.adapters.sql.tables import labels as table
from custody.core.errors import InvalidInput
from custody.core.keys import MARK
from custody.core.prediction import PredictionId
from custody.core.refs import DeploymentKey
from custody.feedback.draw import Draw
from custody.feedback.label import SOURCES, Label

_MANY = 500  # names in one statement


class SqlLabels(OfTenant):
    """One tenant's labels."""

    def add(self, labels: Sequence[Label]) -> int:
        """Store labels and return how many changed something; what is already a prediction's newest value changes nothing.

        A value that was true before and is again moves to the front: its row is stored anew.
        """
        known: dict[tuple[DeploymentKey, str], dict[str, str]] = {}
        fresh = []
        for label in labels:
            place = (label.deployment, label.source)
            if place not in known:
                known[place] = self.of(label.deployment, sources=[label.source])
            if known[place].get(label.prediction) != label.value:
                known[place][label.prediction] = label.value
                fresh.append(label)
        self._forget(fresh)
        rows = [
            {
                "tenant": self._tenant,
                **self._place(label.deployment),
                "prediction": self._stored(label.prediction),
                "source": label.source,
                "value": label.value,
                "annotator": label.annotator,
                "received_at": text_of(label.received_at),
                "line": line,
            }
            for line, label in enumerate(fresh)
        ]
        return self._access.add_new(table, list({(r["prediction"], r["source"], r["value"]): r for r in rows}.values()))

    def _forget(self, labels: Sequence[Label]) -> None:
        """Remove older rows of exactly these values, so that they can be stored again as the newest."""
        wanted: dict[tuple[DeploymentKey, str, str], list[str]] = {}
        for label in labels:
            wanted.setdefault((label.deployment, label.source, label.value), []).append(label.prediction)
        for (key, source, value), names in wanted.items():
            for start in range(0, len(names), _MANY):
                self._remove(
                    table,
                    key,
                    table.c.source == source,
                    table.c.value == value,
                    table.c.prediction.in_(self._wanted(names[start : start + _MANY])),
                )

    def forget(self, key: DeploymentKey, names: Sequence[str]) -> int:
        """Delete all labels under these names, and return how many rows that were.

        Also those that a process which does not seal yet wrote plainly. They are found here, not by the database: what a statement
        names may end in a server's log.
        """
        plain = self._select_of(table, key, table.c.prediction).where(~table.c.prediction.startswith(MARK, autoescape=True))
        loose, found = {row.prediction for row in self._access.rows(plain.distinct())} & {*names}, 0
        stored = [*{*self._wanted(names), *loose}]
        for start in range(0, len(stored), _MANY):
            some = table.c.prediction.in_(stored[start : start + _MANY])
            found += int(self._access.rows(self._select_of(table, key, func.count()).where(some))[0][0])
            self._remove(table, key, some)
        return found

    def names(self, key: DeploymentKey) -> Sequence[str]:
        """Return every name that has a label of any source, sorted."""
        query = self._select_of(table, key, table.c.prediction).distinct()
        return sorted({self._named(row.prediction) for row in self._access.rows(query)})

    def _stored(self, name: str) -> str:
        """Return a name as it is stored: a prediction's id plainly, a caller's own key, which may name a person, sealed."""
        return name if is_id(name) else self._seal(table.c.prediction, name)

    def _named(self, stored: str) -> str:
        return self._open(table.c.prediction, stored)

    def _wanted(self, names: Sequence[str]) -> list[str]:
        """Return names as they may be stored."""
        return [one for name in names for one in ([name] if is_id(name) else self._spelled(table.c.prediction, name))]

    def of(self, key: DeploymentKey, *, sources: Sequence[str] = SOURCES[:2]) -> dict[str, str]:
        """Return the newest value per prediction id or caller's key; of one batch, the later line."""
        query = self._select_of(table, key, table.c.prediction, table.c.value).where(table.c.source.in_(sources))
        return {
            self._named(row.prediction): row.value for row in self._access.rows(query.order_by(table.c.received_at, table.c.line))
        }

    def count(self, key: DeploymentKey) -> int:
        """Return how many predictions have a label; a report is none."""
        query = self._select_of(table, key, func.count(table.c.prediction.distinct()))
        return int(self._access.rows(query.where(table.c.source.in_(SOURCES[:2])))[0][0])

    def value_of(self, key: DeploymentKey, names: Sequence[str]) -> Label | None:
        """Return the newest label stored under any of these names of one prediction."""
        query = self._select_of(table, key, *table.c).where(table.c.prediction.in_(self._wanted(names)))
        row = first(self._access, query.order_by(table.c.received_at.desc(), table.c.line.desc()))
        if row is None:
            return None
        return Label(key, self._named(row.prediction), row.value, row.source, time_of(row.received_at), row.annotator)

    def add_draw(self, draw: Draw) -> None:
        """Store a draw."""
        self._append(draws, draw.deployment, draw)

    def replace_draw(self, old: Draw, new: Draw) -> None:
        """Store a draw again with another frame."""
        place = {**self._place(old.deployment)}
        for row in self._access.rows(self._select_of(draws, old.deployment, draws.c.number, draws.c.format, draws.c.body)):
            if read(Draw, row).id == old.id:
                self._replace(draws, {**place, "number": row.number}, body_of(new))

    def draws(self, key: DeploymentKey, *, limit: int = 1000) -> Sequence[Draw]:
        """Return the newest draws of a deployment, oldest first."""
        return self._tail(Draw, draws, key, limit)


def is_id(name: str) -> bool:
    """Tell whether a label's name is the id of a prediction, which tells nothing about people."""
    try:
        PredictionId.parse(name)
    except InvalidInput:
        return False
    return True
