"""Who is answered by a canary."""

from hypothesis import given
from hypothesis import strategies as st

from custody.core.digest import Digest
from custody.core.manifest import Candidate, Mode, Target
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.schema import Signature
from custody.core.tenancy import TenantId
from custody.serving import canary_answers, point_of

KEY = DeploymentKey(TenantId("acme"), "prod", "churn")
TARGET = Target(ModelRef("churn", 8), Digest("0" * 64), Signature((), (), "p", ("no", "yes")), 0.5, None)


def canary(share: float) -> Candidate:
    return Candidate(TARGET, Mode.CANARY, share)


@given(entity=st.text(), small=st.floats(0, 1), large=st.floats(0, 1))
def test_who_is_in_at_a_small_share_stays_in_at_a_larger_one(entity: str, small: float, large: float) -> None:
    point = point_of(KEY, entity)
    small, large = sorted((small, large))
    assert canary_answers(canary(large), point) or not canary_answers(canary(small), point)


@given(entity=st.text())
def test_no_share_is_nobody_and_the_full_share_is_everybody(entity: str) -> None:
    point = point_of(KEY, entity)
    assert not canary_answers(canary(0.0), point)
    assert canary_answers(canary(1.0), point)


def test_a_share_is_kept_over_many_entities() -> None:
    answered = sum(canary_answers(canary(0.2), point_of(KEY, f"customer-{i}")) for i in range(5000))
    assert 900 < answered < 1100  # 1000 expected, standard deviation 28


def test_the_arm_of_an_entity_is_fixed_for_ever() -> None:
    assert point_of(KEY, "customer-1") == 0.9339457229888154


def test_deployments_split_their_entities_independently() -> None:
    other = DeploymentKey(TenantId("acme"), "prod", "upsell")
    both = sum(point_of(KEY, f"c{i}") < 0.5 and point_of(other, f"c{i}") < 0.5 for i in range(2000))
    assert 400 < both < 600


def test_a_shadow_answers_nobody() -> None:
    assert not canary_answers(Candidate(TARGET, Mode.SHADOW, 1.0), 0.0)
    assert not canary_answers(None, 0.0)
