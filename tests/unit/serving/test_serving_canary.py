"""A canary's arm: the same for an entity whenever and wherever it is asked, its share as declared, and growing without moving anybody back."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from custody.core.digest import Digest
from custody.core.manifest import Candidate, Mode, Target
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.schema import Signature
from custody.core.tenancy import TenantId
from custody.serving import canary_answers, point_of

TARGET = Target(ModelRef("churn", 2), Digest("0" * 64), Signature((), (), "", ("no", "yes")), 0.5, None)
names = st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True)
keys = st.builds(DeploymentKey, names.map(TenantId), names, names)
shares = st.floats(0, 1)


@given(keys, st.text(), shares)
def test_an_entity_has_one_arm(key: DeploymentKey, entity: str, share: float) -> None:
    candidate = Candidate(TARGET, Mode.CANARY, share)
    point = point_of(key, entity)
    assert 0 <= point < 1
    assert point_of(DeploymentKey(key.tenant, key.environment, key.name), str(entity)) == point
    assert canary_answers(candidate, point) == canary_answers(replace(candidate), point)
    assert not canary_answers(replace(candidate, mode=Mode.SHADOW), point)


@given(keys, st.text(), shares, shares)
def test_who_is_in_stays_in_while_the_share_grows(key: DeploymentKey, entity: str, one: float, other: float) -> None:
    point = point_of(key, entity)
    small, large = (canary_answers(Candidate(TARGET, Mode.CANARY, share), point) for share in sorted((one, other)))
    assert large or not small


@given(keys, st.sampled_from([0.0, 0.01, 0.1, 0.5, 0.9, 1.0]), st.integers(0, 10**9))
@settings(max_examples=20, deadline=None)
def test_the_share_is_within_binomial_bounds(key: DeploymentKey, share: float, start: int) -> None:
    n = 1000
    candidate = Candidate(TARGET, Mode.CANARY, share)
    taken = sum(canary_answers(candidate, point_of(key, f"customer-{number}")) for number in range(start, start + n))
    low, high = binom.interval(1 - 1e-9, n, share) if 0 < share < 1 else (share * n, share * n)
    assert low <= taken <= high


@given(keys, keys)
@settings(max_examples=10, deadline=None)
def test_two_deployments_draw_their_canaries_independently(one: DeploymentKey, other: DeploymentKey) -> None:
    if one == other:
        return
    candidate, n = Candidate(TARGET, Mode.CANARY, 0.5), 1000
    agree = sum(
        canary_answers(candidate, point_of(one, f"c{i}")) == canary_answers(candidate, point_of(other, f"c{i}")) for i in range(n)
    )
    low, high = binom.interval(1 - 1e-9, n, 0.5)
    assert low <= agree <= high
