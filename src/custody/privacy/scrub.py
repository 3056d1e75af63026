"""Scrubbing: text in, text without the personal data that was found out, and where it was; never a raw match."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from custody.core.errors import InvalidInput
from custody.privacy.detect import PatternDetector
from custody.privacy.finding import Finding
from custody.privacy.policy import Mode, ScrubPolicy
from custody.privacy.ports import Detector
from custody.privacy.pseudonym import PseudonymKey, tokens
from custody.privacy.tags import TAG, TYPES, known, tag

Token = Callable[[str, str], str]
_ORDER = {kind: number for number, kind in enumerate(TYPES)}
_OF_PAGES = frozenset({"PHONE", "UUID"})  # digits in an address of a page that may stay are a page's number
_default = cache(PatternDetector)


@dataclass(frozen=True, slots=True)
class Span:
    """Characters start to end (excluded) of the text that was given were of `type`; token is keyed, None without a key."""

    type: str
    start: int
    end: int
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A text after scrubbing, and what was removed, in order and without overlaps."""

    text: str
    spans: tuple[Span, ...] = ()

    @property
    def counts(self) -> Mapping[str, int]:
        """Return how many spans there were of each type."""
        return Counter(span.type for span in self.spans)


def scrub(
    text: str,
    policy: ScrubPolicy,
    *,
    detectors: Sequence[Detector] = (),
    patterns: Detector | None = None,
    key: PseudonymKey | None = None,
    hint: str = "",
) -> Scrubbed:
    """Scrub one text; see `scrub_all`.

    >>> scrub("Write to ana@example.org", ScrubPolicy()).text
    'Write to [EMAIL]'
    """
    return scrub_all([text], policy, detectors=detectors, patterns=patterns, key=key, hint=hint)[0]


def scrub_all(
    texts: Sequence[str],
    policy: ScrubPolicy,
    *,
    detectors: Sequence[Detector] = (),
    patterns: Detector | None = None,
    key: PseudonymKey | None = None,
    hint: str = "",
) -> list[Scrubbed]:
    """Remove what the patterns and the detectors find; scrubbing the result again changes nothing.

    detectors: more of them, for names say; they see each text once unless the policy settles them. patterns: the policy's tier
    by default. hint: what is said around all texts, a column's name say.
    Overlapping findings become one span of the longest one's type. Text that looks like a tag of ours is left as it is.
    Raises: InvalidInput if the policy writes pseudonyms and there is no key.
    """
    found = _where_found(texts, policy, (patterns or _default(policy.tier), *detectors), key, hint)
    return [found.get(place) or Scrubbed(text) for place, text in enumerate(texts)]


def scrub_where_found(texts: Sequence[str], policy: ScrubPolicy, *, hint: str = "") -> dict[int, Scrubbed]:
    """Scrub texts as `scrub_all` does by patterns; return those in which something was found, by their places: most have nothing."""
    return _where_found(texts, policy, (_default(policy.tier),), None, hint)


def _where_found(
    texts: Sequence[str], policy: ScrubPolicy, asked: Sequence[Detector], key: PseudonymKey | None, hint: str
) -> dict[int, Scrubbed]:
    """asked: the patterns first, then the other detectors."""
    if policy.mode is Mode.PSEUDONYM and key is None:
        raise InvalidInput("This policy writes pseudonyms and no key was given.", fix="Pass key=PseudonymKey(...).")
    token = tokens(key) if key else None
    again = asked if policy.settle_detectors else asked[:1]
    works: dict[int, _Work] = {}
    todo: Sequence[int] = range(len(texts))
    while todo:
        current = [works[index].text if index in works else texts[index] for index in todo]
        answers = [detector.find(current, hint=hint) for detector in asked]
        if not any(map(any, answers)):
            break
        changed = []
        for place, index in enumerate(todo):
            found = [one for answer in answers for one in answer[place]]
            if found and works.setdefault(index, _Work(texts[index])).cover(found, policy, token):
                changed.append(index)
        todo, asked = changed, again
    return {place: work.scrubbed() for place, work in works.items() if work.spans}


class _Work:
    """One text on its way: what is covered so far, and the text as it reads with that."""

    __slots__ = ("_ends", "_starts", "original", "spans", "text")

    def __init__(self, original: str) -> None:
        self.original, self.text = original, original
        self.spans: list[Span] = []
        self._starts: list[int] = []  # of each span's replacement in `text`
        self._ends: list[int] = []

    def scrubbed(self) -> Scrubbed:
        """Return the text as it reads, and what is covered."""
        return Scrubbed(self.text, tuple(self.spans))

    def cover(self, found: Sequence[Finding], policy: ScrubPolicy, token: Token | None) -> bool:
        """Cover new findings, given on the current text; tell whether there were any."""
        new = self._new(found, policy)
        if not new:
            return False
        merged = _merged([*((span.start, span.end, span.type) for span in self.spans), *new])
        self.spans = [
            Span(kind, start, end, token(self.original[start:end], kind) if token else None) for start, end, kind in merged
        ]
        self._write(policy.mode)
        return True

    def _new(self, found: Sequence[Finding], policy: ScrubPolicy) -> list[tuple[int, int, str]]:
        """Return findings that are not inside a tag, on the original text."""
        tags = [match.span() for match in TAG.finditer(self.text)] if "[" in self.text else []
        new = []
        pages = [(one.start, one.end) for one in found if one.type == "URL"] if "URL" in policy.keep else []
        for one in found:
            if one.type in _OF_PAGES and any(low <= one.start and one.end <= high for low, high in pages):
                continue
            start, end, kind = max(0, one.start), min(len(self.text), one.end), known(one.type)
            if start < end and kind not in policy.keep and not _inside(start, end, tags):
                new.append((self._origin(start, last=False), self._origin(end, last=True), kind))
        return new

    def _origin(self, at: int, *, last: bool) -> int:
        """Return where a position of the current text was; within a replacement, the start or end of what it replaced."""
        index = bisect_right(self._starts, at - last) - 1
        if index < 0:
            return at
        if at - last < self._ends[index]:
            return self.spans[index].end if last else self.spans[index].start
        return at - self._ends[index] + self.spans[index].end

    def _write(self, mode: Mode) -> None:
        parts: list[str] = []
        at = length = 0
        self._starts, self._ends = [], []
        for span in self.spans:
            kept = self.original[at : span.start]
            said = "" if mode is Mode.DROP else tag(span.type, span.token if mode is Mode.PSEUDONYM else None)
            self._starts.append(length + len(kept))
            length += len(kept) + len(said)
            self._ends.append(length)
            parts += (kept, said)
            at = span.end
        parts.append(self.original[at:])
        self.text = "".join(parts)


def _inside(start: int, end: int, tags: Sequence[tuple[int, int]]) -> bool:
    index = bisect_right(tags, (start, 1 << 62)) - 1
    return index >= 0 and end <= tags[index][1]


def _merged(found: Sequence[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Merge overlapping findings; the longest one gives the type, and among equals the first in `TYPES`."""
    merged: list[tuple[int, int, str]] = []
    best = (0, 0, "")
    for start, end, kind in sorted(found):
        rank = (start - end, _ORDER[kind], kind)
        if merged and start < merged[-1][1]:
            low, high, _ = merged[-1]
            best = min(best, rank)
            merged[-1] = (low, max(high, end), best[2])
        else:
            best = rank
            merged.append((start, end, kind))
    return merged
