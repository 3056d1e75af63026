"""A label: what turned out to be true about one prediction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from custody.core.errors import InvalidInput
from custody.core.refs import DeploymentKey
from custody.feedback.draw import Draw


@dataclass(frozen=True, slots=True)
class Label:
    """Ground truth for one prediction, named by its id or by the caller's own key.

    value: the class that turned out to be true. source: `outcome` (the world), `annotator` or `report` (a user's complaint,
    never mixed into metrics).
    """

    deployment: DeploymentKey
    prediction: str
    value: str
    source: str
    received_at: datetime
    annotator: str = ""


SOURCES = ("outcome", "annotator", "report")


def check_values(labels: Iterable[Label], classes: Sequence[str]) -> None:
    """Refuse labels whose value is none of the model's classes; lines are counted from 1."""
    wrong = [line for line, label in enumerate(labels, 1) if label.value not in classes]
    if wrong:
        raise InvalidInput(
            f"{len(wrong)} labels have a value that is none of the model's classes ({', '.join(classes)}).",
            why=f"The first such lines: {', '.join(map(str, wrong[:20]))}.",
            fix="Write the class exactly as in the training data.",
            facts={"lines": [str(line) for line in wrong[:20]]},
        )


class Labels(Protocol):
    """One tenant's labels."""

    def add(self, labels: Sequence[Label]) -> int:
        """Store labels and return how many changed something; what is already a prediction's newest value changes nothing."""
        ...

    def of(self, key: DeploymentKey, *, sources: Sequence[str] = SOURCES[:2]) -> dict[str, str]:
        """Return the newest value per prediction id or caller's key."""
        ...

    def forget(self, key: DeploymentKey, names: Sequence[str]) -> int:
        """Delete all labels under these names, and return how many rows that were."""
        ...

    def names(self, key: DeploymentKey) -> Sequence[str]:
        """Return every name that has a label of any source."""
        ...

    def replace_draw(self, old: Draw, new: Draw) -> None:
        """Store a draw again with another frame."""
        ...

    def count(self, key: DeploymentKey) -> int:
        """Return how many predictions have a label."""
        ...

    def add_draw(self, draw: Draw) -> None:
        """Store a draw."""
        ...

    def draws(self, key: DeploymentKey, *, limit: int = 1000) -> Sequence[Draw]:
        """Return the newest draws of a deployment, oldest first."""
        ...

    def value_of(self, key: DeploymentKey, names: Sequence[str]) -> Label | None:
        """Return the newest label stored under any of these names of one prediction."""
        ...
