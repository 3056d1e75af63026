"""The drift detector: evidence against "no share leaves its band by more than the tolerance", valid at any number of looks.

For an event whose share is at most theta0, the likelihood ratio of theta1 > theta0 against theta0 has mean <= 1 at every
look, given the past. So the mixture of its products over starting looks, bets theta1, sides and events is an e-process under
any dependence between rows' columns: the chance that it ever reaches 1/a is at most a. The weight of the starts after look t
is r(0) = 1, r(t) = 0.75 / (1 + ln(1 + t / 10)), so look t + 1 gets r(t) - r(t + 1): these add up to 1, whatever the number
of looks; the first gets 0.3, since data may differ from the reference from the beginning, or be looked at once only.
A power of the ratio, between 0 and 1, also has mean <= 1 (Jensen): so rows may count for less, never for more.
Source: Ville 1939; Shin, Ramdas and Rinaldo 2022 (e-detectors); Wang and Ramdas 2022 (e-BH over columns).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from custody.core.digest import Digest, Json
from custody.core.errors import InvalidInput
from custody.core.measures.packing import pack, unpack
from custody.core.measures.summary import Summary
from custody.monitoring.days import design_effect
from custody.monitoring.reference import BETS, REFERENCE_SHARE, Counts, Floats, Reference, count_events

STATE_VERSION = 2
LATER, EARLY = 0.75, 10.0  # weight of the starts after the first look; looks after which a start begins to be unlikely
_STEPS, _NEVER = 10_000, np.iinfo(np.int64).min  # a stored log is a number of steps; before the first look it is -inf
_LOSS = np.log1p(-BETS)  # what a row that is no hit adds, whatever the limit


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What a detector remembers; its size does not grow.

    looks, rows: seen so far. logs: log of R = L (R + w) per bet, shape (2 levels, e, 2 sides, 5 bets). first: the look at
    which a column was first found to drift, 0 = never, shape (2, k). alarmed: the look at which the columns together first
    did, shape (2,). reference: the digest of what it compares with.
    """

    reference: Digest
    looks: int
    rows: int
    logs: Floats
    first: Counts
    alarmed: Counts = field(default_factory=lambda: np.zeros(2, dtype=np.int64))

    def to_json(self) -> dict[str, Json]:
        """Write the state as compact JSON; logs are rounded down to 1e-4, so that evidence never grows by being stored."""
        head: dict[str, Json] = {"version": STATE_VERSION, "reference": self.reference, "looks": self.looks, "rows": self.rows}
        found: list[Json] = [*map(int, self.first.ravel())]
        alarmed: list[Json] = [*map(int, self.alarmed)]
        return {**head, "logs": pack(_steps(self.logs).ravel()), "first": found, "alarmed": alarmed}

    @classmethod
    def from_json(cls, body: Json, reference: Reference) -> Self:
        """Read a state back; one of another reference, another version or a broken text is InvalidInput."""
        if not isinstance(body, dict) or body.get("version") != STATE_VERSION or body.get("reference") != reference.digest:
            raise InvalidInput(
                "This detector state belongs to another reference or version.",
                why="Evidence is only valid against the reference that it was collected with.",
                fix="Start a new detector; its alpha is new, and the ledger records it.",
            )
        fresh = started(reference)
        try:
            return cls(reference.digest, *_numbers_of(body, fresh))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput("The detector state is not readable.", why="The text was cut or edited.") from error


def _steps(logs: Floats) -> Counts:
    """Return logs as whole steps of 1e-4, rounded down."""
    never = np.isneginf(logs)
    steps = np.floor(np.where(never, 0.0, logs) * _STEPS + 1e-6).astype(np.int64)
    return np.where(never, _NEVER, steps)


def _logs(steps: Counts) -> Floats:
    return np.where(steps == _NEVER, -np.inf, steps / _STEPS)


def _numbers_of(body: Mapping[str, Json], like: State) -> tuple[int, int, Floats, Counts, Counts]:
    steps = unpack(str(body["logs"]), like.logs.size).reshape(like.logs.shape)
    first, alarmed = (
        _whole(body[name]).reshape(shape) for name, shape in (("first", like.first.shape), ("alarmed", like.alarmed.shape))
    )
    return int(str(body["looks"])), int(str(body["rows"])), _logs(steps), first, alarmed


def _whole(body: Json) -> Counts:
    if not isinstance(body, list):
        raise TypeError(type(body))
    return np.array([int(str(x)) for x in body], dtype=np.int64)


def started(reference: Reference) -> State:
    """Return the state before the first look."""
    shape = (2, len(reference.columns))
    return State(reference.digest, 0, 0, np.full(reference.gain.shape, -np.inf), np.zeros(shape, dtype=np.int64))


def stored(state: State) -> State:
    """Return the state as it reads after being stored: its logs rounded down to 1e-4."""
    return replace(state, logs=_logs(_steps(state.logs)))


def later(looks: int) -> float:
    """Return the weight of all starts after this many looks: 1 before the first; it falls slowly, and never to 0."""
    return LATER / (1 + log(1 + looks / EARLY)) if looks else 1.0


def look(reference: Reference, state: State, batch: Summary, *, entities: ArrayLike = ()) -> State:
    """Add one batch's evidence and return the new state; a batch without rows is no look.

    The caller gives each batch once: the same rows twice would count as twice the evidence. entities: see `observe`.
    Raises: InvalidInput if the state belongs to another reference, or the batch was summarised by other specs.
    """
    if batch.specs != reference.summary.specs:
        raise InvalidInput("The batch, the state and the reference do not belong together.", why="They were made by other specs.")
    return observe(reference, state, count_events(reference.events, batch), batch.rows, entities=entities)


def observe(reference: Reference, state: State, counts: Counts, rows: int, *, entities: ArrayLike = ()) -> State:
    """Add one look's evidence from counts alone and return the new state; no rows are no look.

    counts: rows in which each event happened, shape (e,), as `count_events` returns them. entities: the rows of each entity
    (user, session) in the look, adding up to `rows`; with them evidence is valid however alike the rows of an entity are,
    as long as entities are independent. Without them every row is taken as independent.
    Raises: InvalidInput if the state belongs to another reference, there is not one count for each event, between 0 and
    `rows`, or the entities' rows do not add up.
    """
    if counts.shape != reference.hits.shape or counts.min(initial=0) < 0 or counts.max(initial=0) > rows:
        raise InvalidInput(f"A look needs one count for each of {len(reference.events)} events, between 0 and its {rows:,} rows.")
    if state.reference != reference.digest:
        raise InvalidInput("The batch, the state and the reference do not belong together.", why="They were made by other specs.")
    if not rows:
        return state
    looks = state.looks + 1
    start = log(later(looks - 1) - later(looks))
    logs = _ratio(reference, counts, rows, np.asarray(entities, dtype=np.int64)) + np.logaddexp(state.logs, start)
    after = replace(state, looks=looks, rows=state.rows + rows, logs=logs)
    evidence, chance = log_e(reference, after), (1 - REFERENCE_SHARE) * reference.tolerance.alpha
    found = np.stack([ebh(level, chance) for level in evidence])
    together = np.logaddexp.reduce(evidence, axis=1) - log(evidence.shape[1]) >= needed(reference)
    first = np.where((state.first == 0) & found, looks, state.first)
    return replace(after, first=first, alarmed=np.where((state.alarmed == 0) & together, looks, state.alarmed))


def _ratio(reference: Reference, counts: Counts, rows: int, entities: Counts) -> Floats:
    """Return the log-likelihood ratio of every bet on one look, shape (2, e, 2, 5), at the weight that its rows have."""
    hits = np.stack([counts, rows - counts], axis=-1)[None, :, :, None]
    loss = np.where(reference.gain > 0, _LOSS, 0.0)
    if not entities.size or entities.max() == 1:
        alike, ratio = 1.0, hits * reference.gain + (rows - hits) * loss
    else:
        alike = design_effect(entities)
        ratio = _clustered(reference.limit[..., None], (reference.gain - loss) / alike, hits, entities)
    if entities.size and entities.sum() != rows:
        raise InvalidInput(f"The entities hold {entities.sum():,} rows, the look {rows:,}.", fix="Count each row once.")
    weight = min(1.0, reference.cap / rows) / np.maximum(1.0, reference.effect / alike)
    found: Floats = ratio * weight[:, None, None]
    return found


def _clustered(limit: Floats, stake: Floats, hits: Counts, entities: Counts) -> Floats:
    """Return stake * hits less the log of the most that exp of it can be expected to be, for any likeness within entities.

    An entity of m rows has between 0 and m hits with mean <= m * limit; by convexity exp(stake * hits) is largest in mean
    if all its rows are alike: 1 - limit + limit exp(stake * m). Source: Hoeffding 1963, lemma 1.
    """
    most = np.zeros_like(stake)
    for size, times in zip(*np.unique(entities, return_counts=True), strict=True):
        most += times * np.logaddexp(np.log1p(-limit), np.log(limit) + stake * size)
    found: Floats = stake * hits - most
    return found


def replay(
    reference: Reference | Sequence[Reference], batches: Sequence[Summary], *, entities: Sequence[ArrayLike] = ()
) -> State:
    """Return the state that these batches lead to, one look each, stored after every look: the proof of a stored state.

    reference: one for all looks, or one for each (weekday-matched: `calendar.on(day)`), which share a digest. entities: of
    each look, or of none. The same arithmetic on the same numpy gives the same steps; another may differ by single steps.
    Raises: InvalidInput if the lengths differ or anything does not belong together.
    """
    each = [reference] * len(batches) if isinstance(reference, Reference) else list(reference)
    alike = list(entities) if len(entities) else [()] * len(batches)
    if not each or len(each) != len(batches) or len(alike) != len(batches):
        raise InvalidInput("A replay needs one reference, and all or no entities, for each of at least one batch.")
    state = started(each[0])
    for one, batch, sizes in zip(each, batches, alike, strict=True):
        state = stored(look(one, state, batch, entities=sizes))
    return state


def log_e(reference: Reference, state: State) -> Floats:
    """Return the evidence for drift of each column at both levels, as natural log of the e-value, shape (2, k)."""
    wealth = (state.logs + reference.prior).reshape(2, -1)
    starts = reference.starts * (wealth.shape[1] // len(reference.events))
    top = np.maximum.reduceat(wealth, starts, axis=1)
    top = np.where(np.isfinite(top), top, 0.0)
    shares = np.exp(wealth - np.repeat(top, np.diff(np.append(starts, wealth.shape[1])), axis=1))
    with np.errstate(divide="ignore"):  # a column on which no bet can be placed, or no look yet: -inf
        columns = top + np.log(np.add.reduceat(shares, starts, axis=1))
    mixed: Floats = np.logaddexp(columns, log(later(state.looks)))
    return mixed


def global_log_e(reference: Reference, state: State) -> Floats:
    """Return the evidence that anything drifts at both levels: the mean of the columns' e-values, as log, shape (2,)."""
    found: Floats = np.logaddexp.reduce(log_e(reference, state), axis=1) - log(len(reference.columns))
    return found


def needed(reference: Reference) -> float:
    """Return the log e-value at which the mean of the columns is an alarm: ln(1/a), a = alpha less the bands' share."""
    return -log((1 - REFERENCE_SHARE) * reference.tolerance.alpha)


def ebh(log_e: ArrayLike, alpha: float) -> NDArray[np.bool_]:
    """Tell which of k hypotheses are rejected with a false discovery rate <= alpha, however their e-values depend, shape (k,).

    log_e: natural logs of e-values, shape (k,): columns of one deployment, or `global_log_e` of many deployments. It rejects
    something only if the mean e-value is at least 1/alpha. Of deployments: add the chance that a band misses, 0.4 of each's alpha.
    Raises: InvalidInput if there is no e-value, one is NaN, or alpha is outside (0, 1).
    Source: Wang and Ramdas 2022: the k* largest, k* = max k with e_(k) >= K / (k alpha).

    >>> ebh([6.0, 3.9, 0.0], 0.05).tolist()
    [True, True, False]
    """
    evidence = np.asarray(log_e, dtype=np.float64)
    if evidence.ndim != 1 or not evidence.size or np.isnan(evidence).any() or not 0 < alpha < 1:
        raise InvalidInput("The e-BH procedure needs a list of log e-values and an alpha between 0 and 1.")
    k = len(evidence)
    ranked = np.sort(evidence)[::-1]
    passing = np.flatnonzero(ranked >= np.log(k / np.arange(1, k + 1)) - log(alpha))
    return evidence >= (ranked[passing[-1]] if passing.size else np.inf)


def drifting(reference: Reference, state: State, level: int) -> NDArray[np.bool_]:
    """Tell which columns drift beyond a level's tolerance, shape (k,): the e-BH procedure over columns.

    If it names any column then the mean e-value is at least 1/a; so any false alarm in the whole life has chance <= alpha.
    """
    return ebh(log_e(reference, state)[level], (1 - REFERENCE_SHARE) * reference.tolerance.alpha)
