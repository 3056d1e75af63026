"""Who may act where: another tenant does not exist, a missing role is Denied."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.errors import Denied, InvalidInput, NotFound
from custody.core.tenancy import HOUSE, Actor, Role, TenantId, tenant_id

ACME, GLOBEX = TenantId("acme"), TenantId("globex")
roles = st.sampled_from(Role)


@given(roles, roles)
def test_each_role_may_do_what_the_roles_before_it_may(held: Role, needed: Role) -> None:
    order = list(Role)
    actor = Actor("ada", held)
    if order.index(held) >= order.index(needed):
        actor.require(needed)
    else:
        with pytest.raises(Denied, match=f"needs the role '{needed}', and 'ada' is '{held}'"):
            actor.require(needed)


@given(roles)
def test_another_tenant_does_not_exist_whatever_the_role(role: Role) -> None:
    actor = Actor("ada", role, ACME)
    assert actor.enter(ACME) == ACME
    for other in (GLOBEX, HOUSE):
        with pytest.raises(NotFound, match=f"no tenant '{other}'"):
            actor.enter(other)


def test_the_teams_own_keys_enter_every_tenant() -> None:
    assert [Actor("ada", Role.VIEWER).enter(tenant) for tenant in (ACME, GLOBEX, HOUSE)] == [ACME, GLOBEX, HOUSE]


@pytest.mark.parametrize(
    "text", ["", "a", "-a", "a-", "Acme", "a_b", "a b", "a/b", "a:b", "..", "a\n", "\u00e9t\u00e9", "a" * 64]
)
def test_a_tenants_name_is_a_short_slug(text: str) -> None:
    with pytest.raises(InvalidInput):
        tenant_id(text)


@given(st.from_regex(r"[a-z0-9][-a-z0-9]{0,61}[a-z0-9]", fullmatch=True))
def test_a_slug_is_a_tenants_name(text: str) -> None:
    assert tenant_id(text) == text
