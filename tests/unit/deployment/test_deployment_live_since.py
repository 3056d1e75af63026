"""When a version became live: staging and rejecting beside it do not make it younger; other registries are not gone back to."""

from dataclasses import replace
from datetime import timedelta

import pytest
from test_deployment_revision import KEY, NOW, target

from custody.core.errors import Conflict
from custody.core.manifest import Mode, Service
from custody.core.tenancy import TenantId
from custody.deployment.revision import Revision, deploy, live_since, reject, rollback, stage


def revision(service: Service, day: int) -> Revision:
    return Revision(service, "step", "ada", NOW + timedelta(day))


def test_a_shadow_and_its_rejection_leave_the_live_date_alone() -> None:
    first = revision(deploy(KEY, None, target(1)), 1)
    live = revision(deploy(KEY, first, target(2)), 2)
    shadow = revision(stage(live, KEY, target(3), Mode.SHADOW, 0.0), 3)
    back = revision(reject(shadow), 4)
    assert live_since([back, shadow, live, first]) == live.at
    assert live_since([live, first]) == live.at
    assert live_since([first]) == first.at


def test_a_rollback_never_leads_to_another_registrys_model() -> None:
    first = replace(revision(deploy(KEY, None, target(1)), 1), owner=TenantId("acme"))
    second = revision(deploy(KEY, first, target(2)), 2)
    with pytest.raises(Conflict):
        rollback([second, first])
