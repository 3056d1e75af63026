"""The deployment timeline as geometry: which version was in force when, what ran beside it, and every step between."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from custody.lifecycle.views import RevisionRow
from custody.web.figures.charts import HUES, Scale, Tick, time_ticks
from custody.web.figures.words import clip, moment

WIDTH, HEIGHT = 1128, 108
LEFT, RIGHT = 6, 1122
CLOSE = 26  # steps nearer than this, in pixels, share one mark
LETTER = 6.9  # the width of one character at the drawing's size, in pixels


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time with one model and threshold (or one candidate); label is empty where it would not fit."""

    x: float
    width: float
    hue: int
    label: str
    label_x: float
    title: str


@dataclass(frozen=True, slots=True)
class Mark:
    """One step, or several too close to tell apart: `4` or `4-6`."""

    x: float
    label: str
    title: str
    back: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """All of it in pixels."""

    live: tuple[Segment, ...]
    beside: tuple[Segment, ...]
    marks: tuple[Mark, ...]
    ticks: tuple[Tick, ...]


def hues(rows: Sequence[RevisionRow]) -> dict[str, int]:
    """Give each model version its colour, by order of appearance."""
    return {model: i % HUES + 1 for i, model in enumerate(dict.fromkeys(row.model for row in rows))}


def _stretches(rows: Sequence[RevisionRow], names: Sequence[str | None], now: datetime) -> list[tuple[datetime, datetime, str]]:
    found: list[tuple[datetime, datetime, str]] = []
    ends = [*(row.at for row in rows[1:]), now]
    for row, name, end in zip(rows, names, ends, strict=True):
        if name is None:
            continue
        if found and found[-1][2] == name and found[-1][1] == row.at:
            found[-1] = (found[-1][0], end, name)
        else:
            found.append((row.at, end, name))
    return found


def _segments(stretches: Sequence[tuple[datetime, datetime, str]], hue: Mapping[str, int], x: Scale) -> tuple[Segment, ...]:
    """Label each stretch inside, else beside it where there is room before the next one, else not at all."""
    found: list[Segment] = []
    taken = float(LEFT)
    for i, (start, end, name) in enumerate(stretches):
        left, right = x(start.timestamp()), x(end.timestamp())
        free_until = x(stretches[i + 1][0].timestamp()) if i + 1 < len(stretches) else RIGHT
        need = len(name) * LETTER + 18
        inside, after, before = right - left > need, free_until - right > need, left - taken > need and name not in hue
        place = left if inside else right - 4 if after else left - need + 6 if before else None
        when = f"{moment(start)} to {moment(end)}"
        found.append(
            Segment(
                left,
                round(max(right - left, 3), 1),
                hue.get(name, 0),
                "" if place is None else name,
                round((place or left) + 12, 1),
                f"{clip(name, 160)}, {when}",
            )
        )
        taken = max(right, (place or 0) + need)
    return tuple(found)


def _marks(rows: Sequence[RevisionRow], x: Scale) -> tuple[Mark, ...]:
    groups: list[list[RevisionRow]] = []
    for row in rows:
        if groups and x(row.at.timestamp()) - x(groups[-1][0].at.timestamp()) < CLOSE:
            groups[-1].append(row)
        else:
            groups.append([row])
    return tuple(
        Mark(
            x(group[0].at.timestamp()),
            str(group[0].number) if len(group) == 1 else f"{group[0].number}\N{EN DASH}{group[-1].number}",
            ", ".join(f"revision {row.number}: {clip(row.action, 40)}" for row in group[:6]),
            any(row.action == "rollback" for row in group),
        )
        for group in groups
    )


def timeline(rows: Sequence[RevisionRow], now: datetime) -> Timeline | None:
    """Lay revisions out from the first to now; None without any."""
    if not rows:
        return None
    ordered = sorted(rows, key=lambda row: row.number)
    first, last = ordered[0].at, max(now, ordered[-1].at + timedelta(seconds=1))
    x = Scale(first.timestamp(), last.timestamp(), LEFT, RIGHT)
    colour = hues(ordered)
    of_model = {f"{row.model} \N{MIDDLE DOT} \N{GREATER-THAN OR EQUAL TO} {row.threshold:g}": row.model for row in ordered}
    targets = {name: colour[model] for name, model in of_model.items()}
    live = _stretches(ordered, list_of_targets(ordered), last)
    beside = _stretches(ordered, [row.candidate for row in ordered], last)
    return Timeline(
        _segments(live, targets, x),
        _segments(beside, {}, x),
        _marks(ordered, x),
        time_ticks(first, last, x, most=9),
    )


def list_of_targets(rows: Sequence[RevisionRow]) -> list[str]:
    """Write what each revision serves: `churn@14 at 0.72` as one label."""
    return [f"{row.model} \N{MIDDLE DOT} \N{GREATER-THAN OR EQUAL TO} {row.threshold:g}" for row in rows]
