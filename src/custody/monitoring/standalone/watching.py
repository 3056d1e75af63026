"""Batches watched one after the other: evidence that stays valid at any number of looks, kept in a small file."""

import json
from os import PathLike
from pathlib import Path
from typing import Any

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.monitoring.detector import State, look, started
from custody.monitoring.reference import Reference, Tolerance, reference_of
from custody.monitoring.report import report
from custody.monitoring.standalone import files
from custody.monitoring.standalone.comparison import Comparison
from custody.monitoring.standalone.profile import summarise

WATCH_VERSION = 1


class Detector:
    """Watch batch after batch against one reference; over all looks together any false alarm has chance `alpha`, 0.05.

    reference: a profile, its path, or rows as `compare` takes them. state: a file that keeps the evidence between
    processes, one writer at a time; without it the evidence ends with this object.
    Raises: InvalidInput if the file belongs to another reference or tolerance, since evidence cannot be carried over.
    """

    def __init__(self, reference: Any, state: str | PathLike[str] | None = None, *, tolerance: Tolerance | None = None) -> None:
        self._profile = summarise(reference)
        self._reference = reference_of(self._profile.summary, tolerance)
        self._path = None if state is None else Path(state)
        kept = self._path is not None and self._path.exists()
        self._state, self._batches = _read(self._path, self._reference) if kept and self._path else (started(self._reference), [])

    @property
    def looks(self) -> int:
        """Return how many batches were looked at."""
        return self._state.looks

    def look(self, batch: Any, name: str = "") -> Comparison:
        """Add one batch's evidence, save it, and say what drifts so far; shares and distances are those of this batch.

        name: of the batch, its date say; a named batch that was seen before is not counted again, since the same rows twice
        would count as twice the evidence.
        Raises: as `compare`.
        """
        current = summarise(batch, like=self._profile)
        state = self._state
        if not name or name not in self._batches:
            state = look(self._reference, state, current.summary)
            self._keep(state, [*self._batches, name] if name else self._batches)
        return Comparison(report(self._reference, state, current.summary), self._profile, current, self._reference.tolerance)

    def _keep(self, state: State, batches: list[str]) -> None:
        if self._path is not None:
            body = {"version": WATCH_VERSION, "state": state.to_json(), "batches": batches}
            files.store_text(self._path, json.dumps(body, separators=(",", ":")))
        self._state, self._batches = state, batches


def _read(path: Path, reference: Reference) -> tuple[State, list[str]]:
    try:
        body: Json = json.loads(files.load_text(path))
    except ValueError:
        body = None
    batches = body.get("batches") if isinstance(body, dict) and body.get("version") == WATCH_VERSION else None
    if not isinstance(body, dict) or not isinstance(batches, list):
        raise InvalidInput(f"{path.name} is no state of a detector.", why="It is damaged, or something else.")
    return State.from_json(body.get("state"), reference), [str(name) for name in batches]
