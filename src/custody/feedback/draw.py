"""A draw: predictions chosen by chance, with known probabilities, for people to label."""

from dataclasses import dataclass
from datetime import datetime

from custody.core.digest import Digest
from custody.core.refs import DeploymentKey, ModelRef


@dataclass(frozen=True, slots=True)
class Draw:
    """One closed window of a version's answers, and which of them people are asked about.

    start, end: of the window's events, both inside. population: answers in it. asked: how many labels were drawn, the same
    answer twice counted twice. tasks: how many different answers that are. frame: digest of the Parquet object with one row for
    each answer of the window: prediction, key, score, decision, aim. sample: digest of the JSON object that says which rows were
    drawn and with which chance, fixed before any label. finds: what so many labels a draw can find, in words.
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
    sample: Digest
    drawn_at: datetime
    finds: str = ""
