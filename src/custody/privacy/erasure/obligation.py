"""An obligation: what is owed because a model version was trained on rows that had to go, and how it ends."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from custody.core.errors import Conflict, Denied, InvalidInput
from custody.core.refs import ModelRef

DUE = timedelta(days=30)


class Answer(StrEnum):
    """How an obligation ends: another version trained without the rows, out of use for good, or kept on a stated ground."""

    RETRAIN = "retrain"
    EXCLUDE = "exclude"
    ACCEPT = "accept"


class ObligationState(StrEnum):
    """Whether it was answered; overdue is no state but a question of the time."""

    OPEN = "open"
    MET = "met"


@dataclass(frozen=True, slots=True)
class Obligation:
    """One model version reached by one erasure.

    stores_rows: why the version holds rows in itself, empty if nothing says so; such a version cannot be accepted.
    evidence: the run that trained without the rows (retrain), or the ground (accept). approver: who accepted.
    """

    id: str
    erasure: str
    model: ModelRef
    owner: str
    opened_at: datetime
    due_at: datetime
    stores_rows: str = ""
    state: ObligationState = ObligationState.OPEN
    answer: Answer | None = None
    evidence: str = ""
    approver: str = ""
    closed_at: datetime | None = None

    def overdue(self, now: datetime) -> bool:
        """Tell whether it is open past its due date."""
        return self.state is ObligationState.OPEN and now >= self.due_at


def due_of(now: datetime, days: int) -> datetime:
    """Return the due date; InvalidInput beyond a year or below a day."""
    if not 1 <= days <= 365:
        raise InvalidInput(f"{days} days is not a time to act in.", why="An obligation is due in 1 to 365 days.")
    return now + timedelta(days=days)


def answered(
    obligation: Obligation, answer: Answer, now: datetime, *, evidence: str = "", approver: str = "", serves: Sequence[str] = ()
) -> Obligation:
    """Return the obligation as met; the same answer again changes nothing.

    serves: deployments that the version still answers in. Raises: Conflict if it was met another way, or if the version
    still serves though it shall go; Denied if what stores rows should be accepted; InvalidInput without ground or approver.
    """
    if obligation.state is ObligationState.MET:
        if obligation.answer is answer:
            return obligation
        raise Conflict(f"The obligation was met already: {obligation.answer}.", facts={"obligation": obligation.id})
    if answer is Answer.ACCEPT:
        _check_accept(obligation, evidence, approver)
    elif serves:
        raise Conflict(
            f"{obligation.model} still serves {', '.join(serves)}.",
            why="A version that shall go may not answer any more.",
            fix="Deploy another version there first: custody deployment deploy MODEL@N",
            facts={"model": str(obligation.model), "serves": list(serves)},
        )
    return replace(obligation, state=ObligationState.MET, answer=answer, evidence=evidence, approver=approver, closed_at=now)


def _check_accept(obligation: Obligation, ground: str, approver: str) -> None:
    if obligation.stores_rows:
        raise Denied(
            f"{obligation.model} cannot be accepted: {obligation.stores_rows}.",
            why="A model that holds rows in itself still holds the erased person's.",
            fix="Retrain it, or take it out of use: custody obligation answer ID --retrain RUN | --exclude",
            facts={"model": str(obligation.model)},
        )
    if len(ground.strip()) < 10 or not approver.strip():
        raise InvalidInput(
            "Accepting needs a legal ground in words, and a named approver.", fix="--accept GROUND --approver NAME"
        )


def barred(obligations: Iterable[Obligation], now: datetime) -> str:
    """Return why a version may not be deployed or promoted; empty if it may."""
    for one in obligations:
        if one.overdue(now):
            return f"a person's data it was trained on was erased, and the obligation was due on {one.due_at:%Y-%m-%d}."
        if one.state is ObligationState.MET and one.answer is not Answer.ACCEPT:
            return "it was taken out of use when a person's data was erased."
    return ""
