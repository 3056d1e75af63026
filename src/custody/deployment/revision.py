"""A deployment as a chain of revisions, and the only ways from one to the next."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from custody.core.errors import Conflict, InvalidInput
from custody.core.manifest import Candidate, Handling, Mode, Service, Target
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.tenancy import HOUSE, TenantId

MOST_BATCH, LONGEST_WAIT_US = 4096, 100_000


@dataclass(frozen=True, slots=True)
class Revision:
    """What one deployment served from `at` on: the service, the action that led here, who did it and why.

    owner: the tenant whose registry holds the models. action: deploy, shadow, canary, promote, reject or rollback.
    """

    service: Service
    action: str
    actor: str
    at: datetime
    reason: str = ""
    owner: TenantId = HOUSE

    @property
    def key(self) -> DeploymentKey:
        """Return what this is a revision of."""
        return self.service.key

    @property
    def number(self) -> int:
        """Return the revision's number, from 1."""
        return self.service.revision


def check_threshold(threshold: float) -> float:
    """Accept a threshold from 0 to 1; a score of at least the threshold decides for the positive class."""
    if not 0 <= threshold <= 1:
        raise InvalidInput(f"The threshold {threshold} is not a score.", why="Scores go from 0 to 1.", fix="Try: --threshold 0.5")
    return threshold


def handled(
    head: Revision | None, *, capture_share: float | None = None, max_batch: int | None = None, max_wait_us: int | None = None
) -> Handling:
    """Return how a deployment is handled from now on: as before, but for what is given.

    Raises: InvalidInput unless capture_share is in (0, 1], max_batch 1 to 4096 and max_wait_us 0 to 100,000.
    """
    given = {"capture_share": capture_share, "max_batch": max_batch, "max_wait_us": max_wait_us}
    old = head.service.handling if head is not None else Handling()
    new = replace(old, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    if not 0 < new.capture_share <= 1:
        raise InvalidInput(
            f"The capture share {new.capture_share:g} is not possible.",
            why="It is the part of the predictions that are kept as rows: more than 0, and at most 1.",
            fix="Try: --capture-share 0.1",
        )
    if not 1 <= new.max_batch <= MOST_BATCH or not 0 <= new.max_wait_us <= LONGEST_WAIT_US:
        raise InvalidInput(
            f"A batch of {new.max_batch} rows after {new.max_wait_us} microseconds is not possible.",
            why=f"A batch has 1 to {MOST_BATCH} rows, and waits 0 to {LONGEST_WAIT_US} microseconds.",
        )
    return new


def deploy(key: DeploymentKey, head: Revision | None, target: Target, handling: Handling = Handling()) -> Service:  # noqa: B008 - frozen
    """Make a target live at once, without a candidate beside it."""
    check_threshold(target.threshold)
    same = head is not None and (head.service.live, head.service.candidate, head.service.handling) == (target, None, handling)
    if same:
        raise Conflict(
            f"{key} already serves {target.model} at threshold {target.threshold}.",
            fix=f"Nothing to do. Look at it: custody deployment show {key}",
        )
    return Service(key, (head.number if head else 0) + 1, target, handling=handling)


def stage(
    head: Revision | None, key: DeploymentKey, target: Target, mode: Mode, share: float, *, handling: Handling | None = None
) -> Service:
    """Put a candidate beside the live version, as shadow or as canary with a share of the requests in (0, 1)."""
    check_threshold(target.threshold)
    if head is None:
        raise Conflict(
            f"{key} serves nothing yet, so {target.model} cannot be a {mode} beside it.",
            fix=f"Deploy a first version without --shadow or --canary: custody deployment deploy {target.model} ...",
        )
    if mode is Mode.CANARY and not 0 < share < 1:
        raise InvalidInput(f"A canary of {share:.0%} is not possible.", why="Its share lies between 0 and 100 percent.")
    if target.artifact == head.service.live.artifact and target.threshold == head.service.live.threshold:
        raise Conflict(
            f"{target.model} is already live in {key}: nothing would be compared.", fix="Register a new version first."
        )
    candidate = Candidate(target, mode, share if mode is Mode.CANARY else 0.0)
    return replace(head.service, revision=head.number + 1, candidate=candidate, handling=handling or head.service.handling)


def promote(head: Revision) -> Service:
    """Make the candidate live."""
    if head.service.candidate is None:
        raise Conflict(f"{head.key} has no candidate to promote.", fix=f"Look at it: custody deployment show {head.key}")
    return replace(head.service, revision=head.number + 1, live=head.service.candidate.target, candidate=None)


def reject(head: Revision) -> Service:
    """Take the candidate away and keep the live version."""
    if head.service.candidate is None:
        raise Conflict(f"{head.key} has no candidate to take away.", fix=f"Look at it: custody deployment show {head.key}")
    return replace(head.service, revision=head.number + 1, candidate=None)


def rollback(history: Sequence[Revision]) -> Service:
    """Return to the last revision whose live target differs from the present one; history is newest first."""
    service = _back(history, lambda _: True)
    if service is None:
        raise Conflict(f"{history[0].key} has never served another version.", why="There is nothing to go back to.")
    return service


def withdraw(history: Sequence[Revision], may: Callable[[ModelRef], bool]) -> tuple[Service, str] | None:
    """Return the service without versions that may not serve, with the action; history is newest first.

    A live version gives way to the last one of the same registry that may serve. Where there is none it stays, since nobody
    would answer, and only a candidate is taken away. None: nothing is to be done, or nothing can be.
    """
    head = history[0]
    if not may(head.service.live.model) and (service := _back(history, may)) is not None:
        return service, "rollback"
    if head.service.candidate is not None and not may(head.service.candidate.target.model):
        return reject(head), "reject"
    return None


def _back(history: Sequence[Revision], may: Callable[[ModelRef], bool]) -> Service | None:
    head = history[0]
    for past in history[1:]:
        if past.service.live != head.service.live and past.owner == head.owner and may(past.service.live.model):
            return replace(head.service, revision=head.number + 1, live=past.service.live, candidate=None)
    return None


def live_since(history: Sequence[Revision]) -> datetime:
    """Return when the present live target became live; history is newest first, and staging beside it does not count."""
    since = history[0].at
    for past in history:
        if past.service.live != history[0].service.live:
            break
        since = past.at
    return since
