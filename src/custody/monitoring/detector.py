"""The drift detector: evidence against "no share leaves its band by more than the tolerance", valid at any number of looks.

For an event whose share is at most theta0, the likelihood ratio of theta1 > theta0 against theta0 has mean <= 1 at every
look, given the past. So the mixture of its products over starting looks s (weight 1/(s(s+1))), bets theta1, sides and
events is an e-process under any dependence between rows' columns: the chance that it ever reaches 1/a is at most a.
Source: Ville 1939; Shin, Ramdas and Rinaldo 2022 (e-detectors); Wang and Ramdas 2022 (e-BH over columns).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Self

import numpy as np

from custody.core.digest import Digest, Json
from custody.core.errors import InvalidInput
from custody.core.measures.packing import pack, unpack
from custody.core.measures.summary import Summary
from custody.monitoring.reference import BETS, REFERENCE_SHARE, Counts, Floats, Reference, count_events

STATE_VERSION = 1
_STEPS, _NEVER = 10_000, np.iinfo(np.int64).min  # a stored log is a number of steps; before the first look it is -inf
_LOSS = np.log1p(-BETS)  # what a row that is no hit adds, whatever the limit


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What a detector remembers; its size does not grow.

    looks, rows: seen so far. logs: log of R = L (R + w) per bet, shape (2 levels, e, 2 sides, 5 bets). first: the look at
    which a column was first found to drift, 0 = never, shape (2, k). reference: the digest of what it compares with.
    """

    reference: Digest
    looks: int
    rows: int
    logs: Floats
    first: Counts

    def to_json(self) -> dict[str, Json]:
        """Write the state as compact JSON; logs are rounded down to 1e-4, so that evidence never grows by being stored."""
        steps = np.where(np.isneginf(self.logs), 0.0, np.floor(self.logs * _STEPS + 1e-6)).astype(np.int64)
        logs = pack(np.where(np.isneginf(self.logs), _NEVER, steps).ravel())
        first: list[Json] = [*map(int, self.first.ravel())]
        head: dict[str, Json] = {"version": STATE_VERSION, "reference": self.reference, "looks": self.looks, "rows": self.rows}
        return {**head, "logs": logs, "first": first}

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


def _numbers_of(body: Mapping[str, Json], like: State) -> tuple[int, int, Floats, Counts]:
    logs, first = body["logs"], body["first"]
    if not isinstance(first, list):
        raise TypeError(type(first))
    steps = unpack(str(logs), like.logs.size).reshape(like.logs.shape)
    read = np.where(steps == _NEVER, -np.inf, steps / _STEPS)
    found = np.array([int(str(x)) for x in first], dtype=np.int64).reshape(like.first.shape)
    return int(str(body["looks"])), int(str(body["rows"])), read, found


def started(reference: Reference) -> State:
    """Return the state before the first look."""
    shape = (2, len(reference.columns))
    return State(reference.digest, 0, 0, np.full(reference.gain.shape, -np.inf), np.zeros(shape, dtype=np.int64))


def look(reference: Reference, state: State, batch: Summary) -> State:
    """Add one batch's evidence and return the new state; a batch without rows is no look.

    The caller gives each batch once: the same rows twice would count as twice the evidence.
    Raises: InvalidInput if the state belongs to another reference, or the batch was summarised by other specs.
    """
    if state.reference != reference.digest or batch.specs != reference.summary.specs:
        raise InvalidInput("The batch, the state and the reference do not belong together.", why="They were made by other specs.")
    if not batch.rows:
        return state
    looks = state.looks + 1
    up = count_events(reference.events, batch)
    hits = np.stack([up, batch.rows - up], axis=-1)[None, :, :, None]
    ratio = hits * reference.gain + (batch.rows - hits) * np.where(reference.gain > 0, _LOSS, 0.0)
    logs = ratio + np.logaddexp(state.logs, -log(looks * (looks + 1)))
    after = State(state.reference, looks, state.rows + batch.rows, logs, state.first)
    found = np.stack([drifting(reference, after, level) for level in (0, 1)])
    return State(state.reference, looks, after.rows, logs, np.where((state.first == 0) & found, looks, state.first))


def log_e(reference: Reference, state: State) -> Floats:
    """Return the evidence for drift of each column at both levels, as natural log of the e-value, shape (2, k)."""
    bets = np.logaddexp.reduce(state.logs.reshape(*state.logs.shape[:2], -1), axis=-1)
    columns = np.logaddexp.reduceat(bets, reference.starts, axis=1)
    sizes = np.diff(np.append(reference.starts, len(reference.events))) * 2 * len(BETS)
    mixed: Floats = np.logaddexp(columns - np.log(sizes), -log(state.looks + 1))
    return mixed


def global_log_e(reference: Reference, state: State) -> Floats:
    """Return the evidence that anything drifts at both levels: the mean of the columns' e-values, as log, shape (2,)."""
    found: Floats = np.logaddexp.reduce(log_e(reference, state), axis=1) - log(len(reference.columns))
    return found


def needed(reference: Reference) -> float:
    """Return the log e-value at which the mean of the columns is an alarm: ln(1/a), a = alpha less the bands' share."""
    return -log((1 - REFERENCE_SHARE) * reference.tolerance.alpha)


def drifting(reference: Reference, state: State, level: int) -> "np.typing.NDArray[np.bool_]":
    """Tell which columns drift beyond a level's tolerance, shape (k,): the e-BH procedure over columns.

    If it names any column then the mean e-value is at least 1/a; so any false alarm in the whole life has chance <= alpha.
    Source: Wang and Ramdas 2022.
    """
    evidence = log_e(reference, state)[level]
    k = len(evidence)
    ranked = np.sort(evidence)[::-1]
    passing = np.flatnonzero(ranked >= needed(reference) + np.log(k / np.arange(1, k + 1)))
    chosen: np.typing.NDArray[np.bool_] = evidence >= (ranked[passing[-1]] if passing.size else np.inf)
    return chosen
