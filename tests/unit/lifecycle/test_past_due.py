"""Past due: a version that should have gone is rolled back where the policy says so, and never at the price of the service."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from lifecycle_world import ACME, ADA, CHURN, POLICY, World, exported, rows

from custody.core.digest import digest_of
from custody.core.errors import Denied
from custody.core.evidence import Verdict
from custody.core.manifest import Mode
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.tenancy import HOUSE, Actor, TenantId
from custody.deployment.revision import Revision
from custody.lifecycle.monitor import set_monitor
from custody.lifecycle.owed import answer_obligation, remind
from custody.lifecycle.promote import set_policy
from custody.lifecycle.release import Plan, advance, release
from custody.lifecycle.stores import Change
from custody.lifecycle.train import begin, keep, train
from custody.monitoring.alert import Alert, AlertState
from custody.privacy.erasure.obligation import Answer, Obligation
from custody.registry.model import ModelVersion
from custody.registry.run import RunStatus

SIGNATURE = exported(rows(50)).signature
FIXTURE = b'{"inputs":{"age":[1.5]},"scores":[0.5],"tolerance":0,"version":1}'
GROUND = "public health, Art. 17(3)(c)"
ONE, TWO, THREE = (ModelRef("churn", number) for number in (1, 2, 3))


def judged(world: World, ref: ModelRef) -> None:
    """Register a version with a verdict that lets it be deployed."""
    ports, caller = world.ports, world.caller()
    policy = set_policy(ports, caller, "churn", POLICY)[0]
    run, _ = begin(ports, caller, "churn")
    train(ports, caller, run.id, RunStatus.FINISHED)
    artifact, fixture = keep(ports, caller, str(ref).encode()), keep(ports, caller, FIXTURE)
    far = caller.now + timedelta(days=9999)
    name, proof = f"v{ref.version}", digest_of(b"e")
    verdict = Verdict(name, ref, artifact, policy.digest, None, proof, (0.4, 0.5), True, (), caller.now, far)
    with ports.stores.change(HOUSE, ADA, caller.now) as change:
        change.models.add(ModelVersion(ref, artifact, 1, SIGNATURE, "scikit-learn", fixture, (), (), run.id, (), caller.now))
        change.gates.add(verdict)


def owes(world: World, ref: ModelRef, days: int = 30) -> str:
    """Open an obligation of a version, as an erasure does."""
    made = Obligation(world.ports.new_id(world.now), "erasure", ref, "ada", world.now, world.now + timedelta(days=days))
    with world.ports.stores.change(HOUSE, ADA, world.now) as change:
        change.subjects.save_obligation(made)
    return made.id


@pytest.fixture
def serving(world: World) -> World:
    """Deploy version 1, then version 2, for another tenant than the registry's; version 3 is judged."""
    for ref in (ONE, TWO, THREE):
        judged(world, ref)
    for ref in (ONE, TWO):
        release(world.ports, world.caller(), Plan(CHURN, ref))
    return world


def rolls_back(world: World, key: DeploymentKey = CHURN) -> None:
    set_monitor(world.ports, world.caller(tenant=key.tenant), key, {"past_due": "roll_back"})


def late(world: World) -> None:
    world.now += timedelta(days=31)


def round_of(world: World) -> int:
    return remind(world.ports, world.caller().now)


def head(world: World, key: DeploymentKey = CHURN) -> Revision:
    found = world.ports.stores.of(key.tenant).deployments.head(key)
    assert found is not None
    return found


def alerts(world: World, key: DeploymentKey = CHURN) -> list[Alert]:
    return list(world.ports.stores.of(key.tenant).monitors.open_alerts(key))


def live(world: World, key: DeploymentKey = CHURN) -> ModelRef:
    return head(world, key).service.live.model


def test_by_default_a_version_past_due_alarms_and_stays(serving: World) -> None:
    owes(serving, TWO)
    late(serving)
    assert round_of(serving) == 1
    assert (live(serving), len(alerts(serving))) == (TWO, 1)
    assert round_of(serving) == 0


def test_by_policy_the_last_version_that_may_serve_returns_and_the_ledger_says_who_and_why(serving: World) -> None:
    rolls_back(serving)
    owes(serving, TWO)
    assert round_of(serving) == 0
    late(serving)
    assert round_of(serving) == 2
    now = head(serving)
    assert (now.service.live.model, now.action, now.actor, now.owner) == (ONE, "rollback", "custody", HOUSE)
    assert now.reason == "past due after an erasure: churn@2"
    assert "rolled back to churn@1" in alerts(serving)[0].check.sentence
    steps = [one for one in serving.ports.stores.ledger.entries() if one.kind == "rollout.step"]
    assert (steps[-1].actor, steps[-1].body["reason"], steps[-1].tenant) == ("custody", now.reason, ACME)
    assert serving.ports.stores.of(HOUSE).models.alias("churn", "champion") == ONE


def test_the_rounds_after_end_the_alert_and_change_nothing_more(serving: World) -> None:
    rolls_back(serving)
    owes(serving, TWO)
    late(serving)
    round_of(serving)
    assert round_of(serving) == 1
    assert alerts(serving) == []
    entry = list(serving.ports.stores.ledger.entries())[-1]
    assert (entry.kind, entry.body["because"]) == ("alert.resolved", "its version serves here no more")
    before = serving.kinds()
    assert round_of(serving) == 0
    assert serving.kinds() == before
    assert head(serving).number == 3


def test_versions_that_are_past_due_or_out_of_use_are_passed_over(serving: World) -> None:
    release(serving.ports, serving.caller(), Plan(CHURN, THREE))
    rolls_back(serving)
    gone = owes(serving, TWO)
    answer_obligation(serving.ports, serving.caller(), gone, Answer.EXCLUDE)
    owes(serving, THREE)
    late(serving)
    assert round_of(serving) == 2
    assert live(serving) == ONE


def test_a_version_that_was_accepted_is_one_to_return_to(serving: World) -> None:
    rolls_back(serving)
    kept = owes(serving, ONE)
    answer_obligation(serving.ports, serving.caller(), kept, Answer.ACCEPT, evidence=GROUND, approver="the officer")
    owes(serving, TWO)
    late(serving)
    round_of(serving)
    assert live(serving) == ONE


def test_without_a_version_to_return_to_the_service_stays_up_and_the_alert_says_so(serving: World) -> None:
    rolls_back(serving)
    first, second = owes(serving, ONE), owes(serving, TWO)
    late(serving)
    before = head(serving)
    assert round_of(serving) == 1
    assert head(serving) == before
    (alert,) = alerts(serving)
    assert alert.check.facts["obligation"] == second
    assert "not rolled back, since no earlier version" in alert.check.sentence
    assert round_of(serving) == 0
    answer_obligation(serving.ports, serving.caller(), first, Answer.ACCEPT, evidence=GROUND, approver="the officer")
    assert round_of(serving) == 2
    assert live(serving) == ONE


def test_the_alert_ends_when_the_obligation_is_met_and_when_another_version_was_deployed(serving: World) -> None:
    accepted = owes(serving, TWO)
    owes(serving, TWO, days=29)
    late(serving)
    assert round_of(serving) == 2
    answer_obligation(serving.ports, serving.caller(), accepted, Answer.ACCEPT, evidence=GROUND, approver="the officer")
    assert round_of(serving) == 1
    release(serving.ports, serving.caller(), Plan(CHURN, THREE))
    assert round_of(serving) == 1
    ended = [one.body["because"] for one in serving.ports.stores.ledger.entries() if one.kind == "alert.resolved"]
    assert ended == ["the obligation was met", "its version serves here no more"]
    assert alerts(serving) == []


def test_an_open_alert_is_kept_and_says_what_a_new_policy_made_of_it(serving: World) -> None:
    owes(serving, ONE)
    owes(serving, TWO)
    late(serving)
    round_of(serving)
    (before,) = alerts(serving)
    rolls_back(serving)
    assert round_of(serving) == 1
    (after,) = alerts(serving)
    assert (after.id, after.state, after.revision) == (before.id, AlertState.OPEN, before.revision + 1)
    assert "not rolled back" in after.check.sentence
    assert serving.kinds()[-1] == "alert.changed"


@pytest.mark.parametrize("mode", [Mode.CANARY, Mode.SHADOW])
def test_a_candidate_past_due_is_taken_away_and_the_live_version_stays(serving: World, mode: Mode) -> None:
    release(serving.ports, serving.caller(), Plan(CHURN, THREE, mode=mode, share=0.1))
    rolls_back(serving)
    owes(serving, THREE)
    late(serving)
    assert round_of(serving) == 2
    now = head(serving)
    assert (now.action, now.service.live.model, now.service.candidate, now.actor) == ("reject", TWO, None, "custody")
    assert "taken away as a candidate" in alerts(serving)[0].check.sentence


def test_a_candidate_past_due_stays_where_the_policy_only_alarms(serving: World) -> None:
    release(serving.ports, serving.caller(), Plan(CHURN, THREE, mode=Mode.SHADOW))
    owes(serving, THREE)
    late(serving)
    assert round_of(serving) == 1
    assert head(serving).service.candidate is not None


def test_where_the_live_version_must_stay_a_candidate_past_due_still_goes(serving: World) -> None:
    release(serving.ports, serving.caller(), Plan(CHURN, THREE, mode=Mode.CANARY, share=0.1))
    rolls_back(serving)
    for ref in (ONE, TWO, THREE):
        owes(serving, ref)
    late(serving)
    assert round_of(serving) == 3
    assert (head(serving).action, live(serving)) == ("reject", TWO)
    assert head(serving).reason == "past due after an erasure: churn@3"
    assert sorted("not rolled back" in one.check.sentence for one in alerts(serving)) == [False, True]


def test_a_staged_candidate_past_due_cannot_be_promoted(serving: World) -> None:
    release(serving.ports, serving.caller(), Plan(CHURN, THREE, mode=Mode.CANARY, share=0.1))
    owes(serving, THREE)
    late(serving)
    before = serving.kinds()
    with pytest.raises(Denied, match=r"churn@3 may not be deployed: .*the obligation was due on"):
        advance(serving.ports, serving.caller(), CHURN, "promote")
    assert (live(serving), serving.kinds()) == (TWO, before)


def test_until_it_is_due_a_staged_candidate_can_be_promoted(serving: World) -> None:
    release(serving.ports, serving.caller(), Plan(CHURN, THREE, mode=Mode.CANARY, share=0.1))
    owes(serving, THREE)
    advance(serving.ports, serving.caller(), CHURN, "promote")
    assert live(serving) == THREE


@pytest.mark.parametrize("policy", ["alert", "roll_back"])
def test_a_promotion_made_between_looking_and_writing_stands(
    serving: World, monkeypatch: pytest.MonkeyPatch, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    release(serving.ports, serving.caller(), Plan(CHURN, THREE, mode=Mode.CANARY, share=0.1))
    set_monitor(serving.ports, serving.caller(tenant=ACME), CHURN, {"past_due": policy})
    owes(serving, TWO)
    late(serving)
    now, stores = serving.caller().now, serving.ports.stores
    change = stores.change

    @contextmanager
    def slow(tenant: TenantId, actor: Actor, at: datetime) -> Iterator[Change]:
        monkeypatch.setattr(stores, "change", change)
        advance(serving.ports, serving.caller(), CHURN, "promote")
        with change(tenant, actor, at) as inside:
            yield inside

    monkeypatch.setattr(stores, "change", slow)
    assert remind(serving.ports, now) == 0
    assert (head(serving).action, live(serving), alerts(serving)) == ("promote", THREE, [])
    assert caplog.messages == []


def test_a_kill_between_alert_and_revision_leaves_neither(serving: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rolls_back(serving)
    owes(serving, TWO)
    late(serving)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    before = serving.kinds()
    with monkeypatch.context() as patched:
        patched.setattr("custody.lifecycle.owed.keep_step", killed)
        with pytest.raises(KeyboardInterrupt):
            round_of(serving)
    assert (serving.kinds(), alerts(serving), live(serving)) == (before, [], TWO)
    assert round_of(serving) == 2
    assert live(serving) == ONE


def test_each_deployment_has_its_own_policy(serving: World) -> None:
    other = DeploymentKey(HOUSE, "prod", "churn")
    for ref in (ONE, TWO):
        release(serving.ports, serving.caller(), Plan(other, ref))
    rolls_back(serving, other)
    owes(serving, TWO)
    late(serving)
    assert round_of(serving) == 3
    assert (live(serving), live(serving, other)) == (TWO, ONE)


def test_a_deployment_that_cannot_be_followed_up_holds_no_other_up(serving: World, monkeypatch: pytest.MonkeyPatch) -> None:
    other = DeploymentKey(HOUSE, "prod", "churn")
    release(serving.ports, serving.caller(), Plan(other, TWO))
    owes(serving, TWO)
    late(serving)
    from custody.lifecycle import owed

    due = owed._due

    def broken(ports: Any, shelf: Any, key: DeploymentKey, now: datetime) -> Any:
        if key == CHURN:
            raise Denied("The keys of 'acme' were destroyed.")
        return due(ports, shelf, key, now)

    monkeypatch.setattr(owed, "_due", broken)
    assert round_of(serving) == 1
    assert len(alerts(serving, other)) == 1
