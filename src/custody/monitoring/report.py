"""What a drift detector found, in words and numbers that people read and stores keep."""

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from math import log

import numpy as np
from numpy.typing import NDArray

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.core.evidence import Check, Outcome
from custody.core.measures.drift import Distance, distances
from custody.core.measures.summary import Summary
from custody.monitoring.detector import State, drifting, global_log_e, log_e, needed
from custody.monitoring.reference import ALARM, NOTICE, Counts, Reference, count_events


class Level(StrEnum):
    """How far a column drifted, beyond which tolerance."""

    NONE = "none"
    NOTICE = "notice"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One column: evidence as log10 of the e-value (at the alarm's tolerance if it is an alarm, else at the notice's).

    sentence: the event that speaks most. before, now: its share in the reference and in the current summary, 0..1.
    quality: it is about missing, unreadable or unseen values. first_look: when drift was first found, 0 =
    never. eps_ref: how far that event's true share may lie from the reference's; delta: how far beyond that it may move; a
    share must have left `before` by more than both, 0..1, to be drift.
    """

    column: str
    log10_e: float
    level: Level
    sentence: str
    before: float
    now: float
    quality: bool
    first_look: int
    distances: tuple[Distance, ...]
    eps_ref: float = 0.0
    delta: float = 0.0


@dataclass(frozen=True, slots=True)
class DriftReport:
    """All columns, most evidence first; `global_log10_e` is their mean's at the alarm's tolerance, and alarms at `needed_log10_e`.

    alarm also holds if no single column drifts surely, but all together do. rows: of all looks. warning: of a small reference.
    frozen: the columns that the first alarm named, for which at most a share alpha is expected to be false (a list that
    changes with every look has no such promise); first_alarm: its look, 0 = none yet; alarmed: the look at which all columns
    together were first an alarm.
    """

    columns: tuple[ColumnDrift, ...]
    global_log10_e: float
    needed_log10_e: float
    alarm: bool
    notice: bool
    looks: int
    rows: int
    warning: str = ""
    frozen: tuple[str, ...] = ()
    first_alarm: int = 0
    alarmed: int = 0

    @property
    def level(self) -> Level:
        """Return the highest level reached."""
        return Level.ALARM if self.alarm else Level.NOTICE if self.notice else Level.NONE

    @property
    def drifting(self) -> tuple[ColumnDrift, ...]:
        """Return the columns that drift."""
        return tuple(column for column in self.columns if column.level is not Level.NONE)


def percent(share: float, other: float) -> str:
    """Write a share with as many decimals as it takes to tell it from another, two at least below 1 %.

    >>> percent(0.25, 0.31), percent(0.2512, 0.2531), percent(0.0, 0.004)
    ('25 %', '25.1 %', '0.0 %')
    """
    points = 100 * abs(share - other)
    decimals = 0 if points >= 2 else 1 if points >= 0.15 else 2
    return f"{100 * share:.{decimals}f} %"


def _sentence(reference: Reference, column: int, level: Level, event: int, before: float, now: float) -> str:
    name = reference.columns[column]
    if level is Level.NONE:
        return f"no share of {name} is shown to leave its reference by more than the tolerance"
    far = " (out of the reference's range)" if reference.events[event].outside else ""
    return f"the share of {reference.events[event].words}{far} went from {percent(before, now)} to {percent(now, before)}"


def _loudest(reference: Reference, state: State, level: int) -> Counts:
    """Return each column's event with the most evidence, shape (k,)."""
    by_event = (state.logs[level] + reference.prior[level]).max(axis=(1, 2))
    ends = np.append(reference.starts, len(reference.events))
    return np.array([a + int(by_event[a:b].argmax()) for a, b in pairwise(ends)])


def frozen(reference: Reference, state: State, level: int = ALARM) -> tuple[int, tuple[str, ...]]:
    """Return the look at which columns were first found to drift, 0 = never, and these columns: what may be claimed for good."""
    looks = state.first[level][state.first[level] > 0]
    first = int(looks.min()) if looks.size else 0
    named = zip(reference.columns, state.first[level], strict=True)
    return first, tuple(name for name, look in named if first and look == first)


def report(reference: Reference, state: State, current: Summary) -> DriftReport:
    """Say what drifts now: read the state's evidence, and shares and distances of the current summary (a look, or more).

    Reading does not change anything, and may be done at any time. InvalidInput if current was summarised by other specs.
    """
    if current.specs != reference.summary.specs:
        raise InvalidInput("The current summary was made by other specs than the reference.")
    found = np.stack([drifting(reference, state, level) for level in (NOTICE, ALARM)])
    columns = _columns(reference, state, current, found)
    together, (first_alarm, named) = global_log_e(reference, state), frozen(reference, state)
    alarm, notice = (bool(together[level] >= needed(reference) or found[level].any()) for level in (ALARM, NOTICE))
    return DriftReport(
        columns=tuple(sorted(columns, key=lambda one: (-_rank(one.level), -one.log10_e))),
        global_log10_e=float(together[ALARM]) / log(10),
        needed_log10_e=needed(reference) / log(10),
        alarm=alarm,
        notice=notice or alarm,
        looks=state.looks,
        rows=state.rows,
        warning=reference.warning,
        frozen=named,
        first_alarm=first_alarm,
        alarmed=int(state.alarmed[ALARM]),
    )


def _columns(reference: Reference, state: State, current: Summary, found: NDArray[np.bool_]) -> list[ColumnDrift]:
    evidence, loudest = log_e(reference, state), [_loudest(reference, state, level) for level in (NOTICE, ALARM)]
    shares = count_events(reference.events, current) / max(current.rows, 1)
    columns = []
    for place, name in enumerate(reference.columns):
        level = Level.ALARM if found[ALARM][place] else Level.NOTICE if found[NOTICE][place] else Level.NONE
        row = ALARM if level is Level.ALARM else NOTICE
        event = int(loudest[row][place])
        before, now = float(reference.shares[event]), float(shares[event])
        columns.append(
            ColumnDrift(
                column=name,
                log10_e=float(evidence[row, place]) / log(10),
                level=level,
                sentence=_sentence(reference, place, level, event, before, now),
                before=before,
                now=now,
                quality=reference.events[event].quality,
                first_look=int(state.first[row, place]),
                distances=distances(reference.summary.columns[place], current.columns[place]),
                eps_ref=float(reference.eps_ref[event]),
                delta=float(reference.tolerated[row, event]),
            )
        )
    return columns


def _rank(level: Level) -> int:
    return list(Level).index(level)


def drift_check(found: DriftReport, reference: str) -> Check:
    """Answer "did it drift?" like any other check: fail on an alarm; pass on a notice or none; inconclusive before a look."""
    facts: dict[str, Json] = {
        "log10_e": found.global_log10_e,
        "needed": found.needed_log10_e,
        "looks": found.looks,
        "rows": found.rows,
    }
    facts["columns"] = [column.column for column in found.drifting]
    facts |= {"frozen": [*found.frozen], "first_alarm": found.first_alarm}
    if found.columns:
        facts |= {"eps_ref": found.columns[0].eps_ref, "delta": found.columns[0].delta}
    name = f"drift:{reference}"
    if not found.looks:
        return Check(name, Outcome.INCONCLUSIVE, f"No batch was compared with the {reference} reference yet.", facts)
    outcome = Outcome.FAIL if found.alarm else Outcome.PASS
    return Check(name, outcome, sentence_of(found, reference), facts)


def sentence_of(found: DriftReport, reference: str) -> str:
    """Say in one sentence what drifts against a reference (`training`, `development`)."""
    since = f"after {found.looks:,} {'look' if found.looks == 1 else 'looks'} at {found.rows:,} rows"
    if found.drifting:
        more = f"; {len(found.drifting) - 1} more columns drift" if len(found.drifting) > 1 else ""
        said = found.drifting[0].sentence
        return f"{said[0].upper()}{said[1:]} against {reference}{more}, {since}."
    if found.alarm or found.notice:
        return f"The columns together drift from {reference}, though none alone surely, {since}."
    return f"No drift from {reference} in {len(found.columns)} columns {since}."
