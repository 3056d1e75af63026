"""What a detector can find, and when: the plan before any drift is there."""

from dataclasses import dataclass
from math import inf, log

import numpy as np

from custody.core.errors import InvalidInput
from custody.monitoring.detector import later, needed
from custody.monitoring.reference import ALARM, BETS, Floats, Reference

MIDDLE = 0.5  # the share at which a shift is hardest to see


@dataclass(frozen=True, slots=True)
class Delay:
    """How long a shift takes to be found: days (inf = never), evidence needed in nats, its growth per row, in words."""

    days: float
    needed: float
    growth: float
    sentence: str


def _growth(reference: Reference, shift: float, level: int) -> Floats:
    """Return how much evidence a row adds to each event's best bet on a shift, in its worse direction, nats, shape (e,)."""
    gain, loss = reference.gain[level], np.where(reference.gain[level] > 0, np.log1p(-BETS), 0.0)
    moved = np.stack([reference.shares + shift, 1 - reference.shares + shift], axis=-1)  # the share of hits on each side
    best = (moved[..., None] * gain + (1 - moved[..., None]) * loss).max(axis=-1)
    slow: Floats = np.where(moved > 1, inf, best).min(axis=-1)
    return slow / np.maximum(reference.effect, 1)


def _central(reference: Reference) -> list[int]:
    """Return each column's event whose share is nearest to one half, values only."""
    far = np.where([not event.ordinary for event in reference.events], inf, np.abs(reference.shares - MIDDLE))
    ends = np.append(reference.starts, len(far))[1:]
    picked = [int(a + far[a:b].argmin()) for a, b in zip(reference.starts, ends, strict=True)]
    return [event for event in picked if far[event] < inf]


def expected_delay(
    reference: Reference, shift: float, rows_per_day: float, *, looks_before: int = 30, level: int = ALARM, look_days: float = 1.0
) -> Delay:
    """Say in about how many days a shift of one share would be found, in the column where it takes longest.

    shift: points of share, 0..1: a normal mean that moves by 0.1 standard deviations moves the middle share by 0.04.
    looks_before: looks that the detector had before the shift. level: NOTICE or ALARM. look_days: days between looks.
    Evidence needed: ln(K / a) for K columns, ln of the bets of the column, and ln of one over the weight of the starting
    look. Its growth per row is that of the best bet. Their ratio is a cautious guide: cuts beside the middle help, too.
    Raises: InvalidInput if the shift is outside (0, 1), or rows or days are not positive.
    """
    if not 0 < shift < 1 or not rows_per_day > 0 or not look_days > 0 or looks_before < 0:
        raise InvalidInput("A plan needs a shift between 0 and 1, and more than 0 rows a day and days between looks.")
    central, growth = _central(reference), _growth(reference, shift, level)
    bets = -np.where(np.isfinite(reference.prior), reference.prior, 0.0).min(axis=(2, 3))[level]
    start = -log(later(looks_before) - later(looks_before + 1))
    worst = min(central, key=lambda event: float(growth[event]), default=0)
    nats = needed(reference) + log(len(reference.columns)) + float(bets[worst]) + start
    grown, rows = float(growth[worst]), min(rows_per_day, reference.cap / look_days)
    days = max(nats / grown / rows, look_days) if central and 0 < grown < inf else inf
    return Delay(days, nats, grown, _sentence(reference, worst, shift, days=days, rows_per_day=rows_per_day, level=level))


def _sentence(reference: Reference, event: int, shift: float, *, days: float, rows_per_day: float, level: int) -> str:
    moved = f"A shift of {100 * shift:.3g} points of share"
    if days < inf:
        unit = "day" if round(days, 1) == 1 else "days"
        return f"{moved} would be found in about {days:.2g} {unit} at {rows_per_day:,.0f} rows a day."
    tolerated, unknown = 100 * reference.tolerated[level, event], 100 * reference.eps_ref[event]
    open_ = f"the reference of {reference.summary.rows:,} rows leaves {unknown:.2g} more open"
    return f"{moved} would never be found: {tolerated:.2g} points are tolerated, and {open_}."
