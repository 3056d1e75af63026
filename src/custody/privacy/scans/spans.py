"""What people decided about single spans: this place is personal data, or it is not, whatever the patterns say."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from custody.core.errors import InvalidInput
from custody.privacy.policy import Mode, ScrubPolicy
from custody.privacy.scrub import Span
from custody.privacy.tags import tag

Token = Callable[[str, str], str]
_ITEM = re.compile(r"(?P<column>.+)/(?P<type>[A-Z0-9_]+)@(?P<row>\d{1,12}):(?P<start>\d{1,9})-(?P<end>\d{1,9})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Marked:
    """A person's answer about characters start to end (excluded) of a column's value in a row; personal False: harmless."""

    column: str
    type: str
    row: int
    start: int
    end: int
    personal: bool = True

    @property
    def item(self) -> str:
        """Return how the review queue names it: `note/PHONE@12:4-16`."""
        return f"{self.column}/{self.type}@{self.row}:{self.start}-{self.end}"

    def meets(self, start: int, end: int) -> bool:
        """Tell whether it shares a character with others."""
        return self.start < end and start < self.end


def marked(item: str, *, personal: bool) -> Marked | None:
    """Read an item of the review queue; None if it names a whole finding and no span. InvalidInput for a span without letters."""
    found = _ITEM.fullmatch(item)
    if found is None:
        return None
    row, start, end = (int(found[name]) for name in ("row", "start", "end"))
    made = Marked(found["column"], found["type"], row, start, end, personal)
    if made.start >= made.end:
        raise InvalidInput(
            f"'{item[:120]}' names no character.", why="A span is written COLUMN/TYPE@ROW:START-END, START below END."
        )
    return made


def decided(spans: Sequence[Span], answers: Sequence[Marked]) -> tuple[Span, ...]:
    """Return the spans of one value without those that a person found harmless: of that type, and wholly inside what was looked at."""
    harmless = [one for one in answers if not one.personal]
    return tuple(
        span
        for span in spans
        if not any(one.type == span.type and one.start <= span.start and span.end <= one.end for one in harmless)
    )


def forced(answers: Sequence[Marked]) -> tuple[Span, ...]:
    """Return the spans of one value that a person found personal."""
    return tuple(Span(one.type, one.start, one.end) for one in answers if one.personal)


def rewritten(
    text: str, spans: Sequence[Span], answers: Sequence[Marked], policy: ScrubPolicy, token: Token | None
) -> tuple[str, list[tuple[Marked, Marked]], Mapping[str, int]]:
    """Return a value without the found spans (but the harmless ones) and the personal ones, and where the harmless ones stood and stand then.

    Overlapping spans become one, of the first one's type. The counts are of what was removed, by type.
    """
    todo: list[Span] = []
    for span in sorted((*decided(spans, answers), *forced(answers)), key=lambda one: (one.start, -one.end)):
        if todo and span.start < todo[-1].end:
            todo[-1] = replace(todo[-1], end=max(todo[-1].end, span.end))
        else:
            todo.append(span)
    parts, at, shift, moves = list[str](), 0, 0, list[tuple[int, int]]()
    for span in todo:
        made = "" if policy.mode is Mode.DROP else tag(span.type, _token(text[span.start : span.end], span.type, policy, token))
        parts += [text[at : span.start], made]
        shift += len(made) - (span.end - span.start)
        moves.append((span.end, shift))
        at = span.end
    kept = [
        (one, replace(one, start=one.start + by, end=one.end + by))
        for one in answers
        if not one.personal
        for by in [next((by for end, by in reversed(moves) if end <= one.start), 0)]
        if not any(one.meets(span.start, span.end) for span in todo)
    ]
    counts: dict[str, int] = {}
    for span in todo:
        counts[span.type] = counts.get(span.type, 0) + 1
    return "".join((*parts, text[at:])), kept, counts


def _token(value: str, kind: str, policy: ScrubPolicy, token: Token | None) -> str | None:
    return token(value, kind) if token and policy.mode is Mode.PSEUDONYM else None
