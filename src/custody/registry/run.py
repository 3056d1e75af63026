"""A run: one execution of training code, with all that is needed to do it again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from custody.core.digest import Digest
from custody.core.errors import Conflict, InvalidInput
from custody.core.refs import DatasetRef
from custody.core.schema import Signature
from custody.privacy.consent import Admission


class RunStatus(StrEnum):
    """A run is running until it ends in one of three ways."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class DatasetUse:
    """A dataset version that a run read, which split, and the digest that proves it.

    admission: which of its rows the run got, and why not the others; None for data about nobody, read for no stated purpose.
    reweigh: the column of groups for which the run got weights; empty for none.
    """

    ref: DatasetRef
    digest: Digest
    split: str
    admission: Admission | None = None
    reweigh: str = ""

    def same(self, other: "DatasetUse") -> bool:
        """Tell whether two uses differ in nothing but their time."""
        if self.admission is None or other.admission is None:
            return self == other
        return replace(self, admission=None) == replace(other, admission=None) and self.admission.same(other.admission)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to run it again: the command, the files it needs as stored objects (path -> digest), and what it is for."""

    command: tuple[str, ...]
    files: Mapping[str, Digest]
    purpose: str = ""

    def __post_init__(self) -> None:
        if outside := [path for path in self.files if path[:1] in {"/", "\\"} or ".." in path or ":" in path or "\0" in path]:
            raise InvalidInput(
                f"The recipe names a file outside its folder: '{outside[0][:80]}'.",
                fix="Keep the files it needs beside the script.",
            )


@dataclass(frozen=True, slots=True)
class LoggedModel:
    """A converted model that a run produced: the ONNX file and the fixture that proves its parity, as digests."""

    name: str
    artifact: Digest
    fixture: Digest
    signature: Signature
    framework: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One execution; params are text, metrics numbers as the script logged them (claimed, not verified).

    purpose: what its model is for, a data use of fideslang; data about people is read for a purpose only.
    """

    id: str
    name: str
    status: RunStatus
    started_at: datetime
    ended_at: datetime | None = None
    code_version: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    datasets: tuple[DatasetUse, ...] = ()
    recipe: Recipe | None = None
    models: tuple[LoggedModel, ...] = ()
    cause: str = ""
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a list of runs shows."""

    id: str
    name: str
    status: RunStatus
    started_at: datetime
    ended_at: datetime | None


def ended(run: Run, status: RunStatus, now: datetime) -> Run:
    """End a running run; ending it again the same way changes nothing, another way is Conflict."""
    if run.status is status:
        return run
    if run.status is not RunStatus.RUNNING or status is RunStatus.RUNNING:
        raise Conflict(
            f"Run '{run.id}' has already ended as {run.status}.",
            why="A run ends once.",
            fix=f"Look at it: custody run show {run.id}",
            facts={"run": run.id, "status": run.status},
        )
    return replace(run, status=status, ended_at=now)


def once(uses: Sequence[DatasetUse]) -> tuple[DatasetUse, ...]:
    """Return the last use of each part of each dataset: what a run read twice, it learned from once."""
    return tuple({(use.ref, use.split): use for use in uses}.values())
