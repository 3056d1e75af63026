"""A deployment is a chain of revisions: each step follows from the last, and rollback goes where it has been."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.digest import digest_of
from custody.core.errors import Conflict, InvalidInput
from custody.core.manifest import Candidate, Mode, Service, Target
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.schema import Signature, Tensor
from custody.core.tenancy import TenantId
from custody.deployment.revision import Revision, check_threshold, deploy, promote, reject, rollback, stage, withdraw

KEY = DeploymentKey(TenantId("acme"), "prod", "churn")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
SIGNATURE = Signature((Tensor("age", "FP32", (-1, 1)),), (Tensor("scores", "FP32", (-1, 2)),), "scores", ("No", "Yes"))


def target(version: int, threshold: float = 0.5) -> Target:
    artifact = digest_of(str(version).encode())
    return Target(ModelRef("churn", version), artifact, SIGNATURE, threshold, digest_of(b"fixture"))


@dataclass
class Chain:
    """Applies steps to a deployment and keeps its history, newest first."""

    history: list[Revision]

    def take(self, service: Service, action: str = "deploy") -> Revision:
        self.history.insert(0, Revision(service, action, "ada", NOW))
        return self.history[0]

    @property
    def head(self) -> Revision | None:
        return self.history[0] if self.history else None


def chain_of(*versions: int) -> Chain:
    chain = Chain([])
    for version in versions:
        chain.take(deploy(KEY, chain.head, target(version)))
    return chain


def test_the_first_deployment_is_revision_one() -> None:
    assert deploy(KEY, None, target(1)) == Service(KEY, 1, target(1))


def test_deploying_replaces_what_is_live_and_drops_the_candidate() -> None:
    chain = chain_of(1)
    chain.take(stage(chain.head, KEY, target(2), Mode.SHADOW, 0.0))
    assert deploy(KEY, chain.head, target(3)) == Service(KEY, 3, target(3))


def test_deploying_what_is_live_is_a_conflict_unless_it_ends_a_candidate() -> None:
    chain = chain_of(1)
    with pytest.raises(Conflict, match=r"already serves churn@1 at threshold 0\.5"):
        deploy(KEY, chain.head, target(1))
    chain.take(stage(chain.head, KEY, target(2), Mode.CANARY, 0.1))
    assert deploy(KEY, chain.head, target(1)).candidate is None


def test_the_same_version_at_another_threshold_is_another_deployment() -> None:
    assert deploy(KEY, chain_of(1).head, target(1, 0.7)).live.threshold == 0.7


@pytest.mark.parametrize(("mode", "share", "kept"), [(Mode.CANARY, 0.25, 0.25), (Mode.SHADOW, 0.25, 0.0)])
def test_a_candidate_stands_beside_the_live_version(mode: Mode, share: float, kept: float) -> None:
    assert stage(chain_of(1).head, KEY, target(2), mode, share) == Service(KEY, 2, target(1), Candidate(target(2), mode, kept))


def test_there_is_no_candidate_without_a_live_version() -> None:
    with pytest.raises(Conflict, match="serves nothing yet"):
        stage(None, KEY, target(1), Mode.SHADOW, 0.0)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.1, float("nan")])
def test_a_canary_takes_a_share_between_nothing_and_everything(share: float) -> None:
    with pytest.raises(InvalidInput, match="between 0 and 100 percent"):
        stage(chain_of(1).head, KEY, target(2), Mode.CANARY, share)


def test_a_candidate_that_is_live_already_would_be_compared_with_itself() -> None:
    with pytest.raises(Conflict, match="nothing would be compared"):
        stage(chain_of(1).head, KEY, target(1), Mode.SHADOW, 0.0)
    assert stage(chain_of(1).head, KEY, target(1, 0.6), Mode.SHADOW, 0.0).candidate is not None


def test_a_promoted_candidate_is_live_and_a_rejected_one_is_gone() -> None:
    chain = chain_of(1)
    head = chain.take(stage(chain.head, KEY, target(2), Mode.CANARY, 0.1), "canary")
    assert promote(head) == Service(KEY, 3, target(2))
    assert reject(head) == Service(KEY, 3, target(1))


@pytest.mark.parametrize("step", [promote, reject])
def test_without_a_candidate_there_is_nothing_to_promote_or_reject(step: Callable[[Revision], Service]) -> None:
    with pytest.raises(Conflict, match="has no candidate"):
        step(chain_of(1).history[0])


def test_rollback_goes_to_the_last_other_target_and_back_again() -> None:
    chain = chain_of(1, 2)
    assert chain.take(rollback(chain.history)).service == Service(KEY, 3, target(1))
    assert rollback(chain.history).live == target(2)


def test_rollback_passes_over_revisions_that_only_changed_the_candidate() -> None:
    chain = chain_of(1, 2)
    chain.take(stage(chain.head, KEY, target(3), Mode.CANARY, 0.1))
    assert rollback(chain.history) == Service(KEY, 4, target(1))


def test_without_another_target_there_is_nothing_to_go_back_to() -> None:
    chain = chain_of(1)
    chain.take(stage(chain.head, KEY, target(2), Mode.CANARY, 0.1))
    with pytest.raises(Conflict, match="never served another version"):
        rollback(chain.history)


def test_withdrawing_returns_to_the_last_live_version_that_may_serve_and_takes_the_candidate_away() -> None:
    chain = chain_of(1, 2, 3)
    chain.take(stage(chain.head, KEY, target(4), Mode.CANARY, 0.1))
    assert withdraw(chain.history, lambda model: model.version in {1, 4}) == (Service(KEY, 5, target(1)), "rollback")


def test_withdrawing_takes_only_the_candidate_where_the_live_version_may_serve_or_has_none_to_give_way_to() -> None:
    chain = chain_of(1, 2)
    chain.take(stage(chain.head, KEY, target(3), Mode.SHADOW, 0))
    rejected = (Service(KEY, 4, target(2)), "reject")
    assert withdraw(chain.history, lambda model: model.version != 3) == rejected
    assert withdraw(chain.history, lambda _: False) == rejected


def test_there_is_nothing_to_withdraw_where_all_may_serve_or_nothing_else_can() -> None:
    chain = chain_of(1, 2)
    assert withdraw(chain.history, lambda _: True) is None
    assert withdraw(chain.history, lambda _: False) is None


def test_withdrawing_never_returns_to_the_same_version_at_another_threshold() -> None:
    chain = chain_of(1, 2)
    chain.take(deploy(KEY, chain.head, target(2, 0.6)))
    assert withdraw(chain.history, lambda model: model.version != 2) == (Service(KEY, 4, target(1)), "rollback")


@pytest.mark.parametrize("threshold", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_threshold_is_a_score(threshold: float) -> None:
    with pytest.raises(InvalidInput, match="not a score"):
        deploy(KEY, None, target(1, threshold))
    with pytest.raises(InvalidInput, match="not a score"):
        stage(chain_of(1).head, KEY, target(2, threshold), Mode.SHADOW, 0)
    assert (check_threshold(0.0), check_threshold(1.0)) == (0.0, 1.0)


steps = st.sampled_from(["deploy", "shadow", "canary", "promote", "reject", "rollback"])


@given(st.lists(st.tuples(steps, st.integers(1, 3), st.sampled_from([0.4, 0.6])), max_size=25))
def test_any_sequence_of_steps_keeps_the_chain_whole(wishes: list[tuple[str, int, float]]) -> None:
    chain = Chain([])
    for action, version, threshold in wishes:
        head, past = chain.head, [revision.service.live for revision in chain.history]
        try:
            match action, head:
                case "deploy", _:
                    service = deploy(KEY, head, target(version, threshold))
                case (("shadow" | "canary"), _):
                    service = stage(head, KEY, target(version, threshold), Mode(action), 0.5)
                case _, None:
                    continue
                case "promote", _:
                    service = promote(head)
                case "reject", _:
                    service = reject(head)
                case _:
                    service = rollback(chain.history)
                    assert service.live in past
                    assert service.live != past[0]
        except Conflict:
            assert chain.head is head
            continue
        if action in {"shadow", "canary", "reject"} and head is not None:
            assert service.live == head.service.live
        if action not in {"shadow", "canary"}:
            assert service.candidate is None
        chain.take(service, action)
    assert [revision.number for revision in chain.history] == list(range(len(chain.history), 0, -1))
