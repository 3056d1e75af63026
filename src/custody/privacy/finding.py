"""What a detector says: this stretch of a text is personal data of that type."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Characters start to end (excluded) of one text are of `type`; offsets count on exactly the text that was given."""

    start: int
    end: int
    type: str
