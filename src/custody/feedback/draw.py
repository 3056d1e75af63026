"""A draw: predictions chosen by chance, with known probabilities, for people to label."""

from dataclasses import dataclass
from datetime import datetime

from custody.core.digest import Digest
from custody.core.refs import DeploymentKey, ModelRef


@dataclass(frozen=True, slots=True)
class Draw:
    """One closed window of a version's answers, and which of them people are asked about.

    start, end: of the window's events, both inside. population: answers in it. asked: how many labels were drawn, the same
    answer twice counted twice. tasks: how many different answers that are. frame: digest of the Parquet object that holds one
    row for each answer of the window: prediction, key, score, decision, probability (of being drawn by one draw, fixed before
    any label), times (drawn by design), uniform (times drawn by the reserved, uniform part).
    """

    id: str
    deployment: DeploymentKey
    model: ModelRef
    threshold: float
    start: datetime
    end: datetime
    population: int
    asked: int
    tasks: int
    frame: Digest
    drawn_at: datetime


@dataclass(frozen=True, slots=True)
class Task:
    """One answer that people are asked about: its prediction id, the caller's key, and the draw that chose it."""

    prediction: str
    key: str | None
    draw: str
