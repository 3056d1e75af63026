"""What derived data inherits: the strictest of what its sources say, never weaker by edit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from custody.core.errors import InvalidInput
from custody.data.card import ANY, CLASSES, Card
from custody.data.retention import end_of

_KEPT = ("storage_denied", "processing_denied", "restrictions")
INHERITED = ("classification", "legal_basis", "subject_key", "purposes", "storage", "processing", *_KEPT, "retention")
SHORTEST = 10  # letters of a reason


@dataclass(frozen=True, slots=True)
class Waiver:
    """An approver lets a card allow more than its source in some fields, and says why.

    Raises: InvalidInput for a field that is not inherited, no field, or no reason.
    """

    fields: tuple[str, ...]
    reason: str

    def __post_init__(self) -> None:
        if wrong := [name for name in self.fields if name not in INHERITED]:
            raise InvalidInput(
                f"'{wrong[0]}' is not inherited, so it needs no waiver.", why=f"These are: {', '.join(INHERITED)}."
            )
        if not self.fields or len(self.reason.strip()) < SHORTEST:
            raise InvalidInput(
                "A waiver names fields and says why.",
                why=f"The reason has at least {SHORTEST} letters.",
                fix="Say both: --waive retention --waiver-reason 'the customer agreed to two more years'",
            )

    def split(self, faults: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the faults that stay and those that are waived; InvalidInput if a field is waived that is not weaker."""
        waived = tuple(fault for fault in faults if fault.partition(" ")[0] in self.fields)
        if idle := sorted(set(self.fields) - {fault.partition(" ")[0] for fault in waived}):
            raise InvalidInput(f"The card is not weaker in {', '.join(idle)}, so there is nothing to waive.", fix="Leave it out.")
        return tuple(fault for fault in faults if fault not in waived), waived


def inherited(card: Card, sources: Sequence[tuple[str, Card, datetime]]) -> Card:
    """Return the card with its retention, if it was taken over from a source, as the day on which that source's ends.

    `P5Y` of a source that was stored a year ago is four years from now.
    """
    if not card.retention:
        return card
    same = [end_of(source.retention, issued) for _, source, issued in sources if source.retention == card.retention]
    ends = [end for end in same if end is not None]
    return replace(card, retention=(min(ends) - timedelta(days=1)).date().isoformat()) if ends else card


def weaker(card: Card, sources: Sequence[tuple[str, Card, datetime]], now: datetime) -> tuple[str, ...]:
    """Return where a card allows more than one of its sources: (name, card, time of storing); empty if nowhere.

    Classification may only rise; purposes, storage and processing only narrow; denials and restrictions only grow; retention
    may not end later; consent stays the basis, and the column that names the person stays named.
    """
    found = []
    for name, source, issued in sources:
        found += [f"{text} ({name})" for text in (*_words(card, source), *_sets(card, source), *_end(card, source, issued, now))]
    return tuple(found)


def _words(card: Card, source: Card) -> list[str]:
    found = []
    if _rank(card.classification) < _rank(source.classification):
        found.append(f"classification must be at least '{source.classification}'")
    if source.legal_basis == "consent" and card.legal_basis != "consent":
        found.append("legal_basis must stay 'consent'")
    if missing := [key for key in source.subject_keys if key not in card.subject_keys]:
        found.append(f"subject_key must still name {', '.join(missing)}")
    return found


def _rank(classification: str) -> int:
    return CLASSES.index(classification) if classification in CLASSES else -1


def _sets(card: Card, source: Card) -> list[str]:
    found = []
    wider = [one for one in card.purposes if not any(one == key or one.startswith(f"{key}.") for key in source.purposes)]
    if wider:
        found.append(f"purposes may not hold {', '.join(wider)}")
    for name in ("storage", "processing"):
        mine, allowed = set(getattr(card, name)), set(getattr(source, name))
        if allowed and ANY not in allowed and not mine <= allowed:
            found.append(f"{name} may only name {', '.join(sorted(allowed))}")
    kept = {name: set(getattr(source, name)) - set(getattr(card, name)) for name in _KEPT}
    return found + [f"{name} must keep {', '.join(sorted(lost))}" for name, lost in kept.items() if lost]


def _end(card: Card, source: Card, issued: datetime, now: datetime) -> list[str]:
    theirs = end_of(source.retention, issued) if source.retention else None
    mine = end_of(card.retention, now) if card.retention else None
    if theirs is None or (mine is not None and mine <= theirs):
        return []
    return [f"retention may not end after {theirs.date().isoformat()}"]
