"""Where a dataset's scan stands; whatever is not proven keeps it in quarantine."""

from dataclasses import dataclass
from enum import StrEnum

from custody.core.digest import Digest
from custody.core.errors import Conflict
from custody.privacy.policy import ScrubPolicy
from custody.privacy.scans.report import ScanReport


class ScanState(StrEnum):
    """Only cleared data may be read by training, an export or a clean room."""

    QUARANTINED = "quarantined"
    SCANNED = "scanned"
    CLEARED = "cleared"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Finished:
    """A scan came to its end, or was stopped; its report tells which."""

    report: ScanReport


@dataclass(frozen=True, slots=True)
class Decided:
    """Someone asks for a decision on a report under the policy that made it."""

    report: ScanReport
    policy: ScrubPolicy


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    """The policy or the pack in force has these digests now."""

    policy: Digest
    pack: Digest
    report: ScanReport


@dataclass(frozen=True, slots=True)
class Doubted:
    """A later scan failed, or missed a canary; reason is one sentence without any value."""

    reason: str


ScanEvent = Finished | Decided | PolicyChanged | Doubted


@dataclass(frozen=True, slots=True)
class Step:
    """The next state and the sentences that say why."""

    state: ScanState
    reasons: tuple[str, ...]


def advance(state: ScanState, event: ScanEvent) -> Step:
    """Return the state after an event; the only way from one state to another.

    quarantined -> scanned when a complete report comes in; scanned -> cleared or rejected by the policy's bounds;
    any -> quarantined when the policy or pack is another one, or a scan is doubted. An incomplete report changes nothing.
    Raises: Conflict if the event does not belong to the state, such as deciding about data that was not scanned.
    """
    match event:
        case PolicyChanged():
            return _policy(state, event)
        case Doubted(reason):
            return Step(ScanState.QUARANTINED, (reason,))
        case Finished(report) if state is ScanState.QUARANTINED:
            return Step(state, report.gaps) if report.gaps else Step(ScanState.SCANNED, ("The scan is complete.",))
        case Decided(report, policy) if state is ScanState.SCANNED:
            return decide(report, policy)
        case _:
            raise Conflict(
                f"Data that is {state.value} cannot take this step.",
                why="A scan goes from quarantined to scanned to cleared or rejected, and back to quarantined.",
                fix="Scan the data first.",
                facts={"state": state.value, "event": type(event).__name__.lower()},
            )


def decide(report: ScanReport, policy: ScrubPolicy) -> Step:
    """Clear or reject a complete report; one that is incomplete or of another policy goes back to quarantine."""
    if report.gaps or report.policy_digest != policy.digest:
        other = () if report.policy_digest == policy.digest else ("The report belongs to another policy.",)
        return Step(ScanState.QUARANTINED, (*report.gaps, *other))
    refused = report.refusals(policy)
    return Step(ScanState.REJECTED, refused) if refused else Step(ScanState.CLEARED, (report.claim,))


def _policy(state: ScanState, event: PolicyChanged) -> Step:
    """Send data back if its scan was made with another policy or pack."""
    if (event.report.policy_digest, event.report.pack_digest) == (event.policy, event.pack):
        return Step(state, ("The scan was made with this policy and pack.",))
    return Step(ScanState.QUARANTINED, ("The policy or the pattern pack changed after the scan.",))
