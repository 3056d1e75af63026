"""What happens at the edges of each step: twice, at once, too early, too much, damaged, and from outside."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from lifecycle_world import ACME, ADA, CARD, CHURN, CHURN_1, GLOBEX, MALLORY, POLICY, World, rows

from custody.core.errors import Conflict, CustodyError, Denied, InvalidInput, NotFound
from custody.core.manifest import Manifest, Mode, SignedManifest
from custody.core.prediction import PredictionId, unique_at
from custody.core.refs import DatasetRef, DeploymentKey, ModelRef
from custody.core.tenancy import HOUSE, Actor, Role, TenantId
from custody.data.split import Split
from custody.lifecycle import captured
from custody.lifecycle import publish as publish_module
from custody.lifecycle.admit import add_key, add_tenant
from custody.lifecycle.captured import row_of
from custody.lifecycle.convert import convert
from custody.lifecycle.export import card
from custody.lifecycle.ingest import ingest
from custody.lifecycle.monitor import set_cost, set_monitor
from custody.lifecycle.promote import promote, set_golden, set_policy
from custody.lifecycle.publish import CURRENT, publish
from custody.lifecycle.record import record
from custody.lifecycle.release import Plan, advance, release
from custody.lifecycle.retrain import request_retrain
from custody.lifecycle.seal import seal
from custody.lifecycle.stores import Caller
from custody.lifecycle.trace import trace
from custody.lifecycle.train import begin, log, read, train
from custody.lifecycle.watch import evaluate_now
from custody.registry.run import RunStatus
from custody.serving import CaptureMode
from custody.serving.capture import Capture, line_of, write_batch

# data and training


def test_the_same_rows_are_the_same_version_and_other_rows_are_the_next(world: World) -> None:
    first, entry = world.data()
    assert (first.ref, entry is not None) == (DatasetRef("tickets", 1), True)
    assert world.data() == (first, None)
    assert world.data(rows(seed=2))[0].ref == DatasetRef("tickets", 2)
    assert world.data() == (first, None)
    assert world.kinds().count("dataset.ingested") == 2


def test_a_dry_run_stores_no_version(world: World) -> None:
    assert world.data(dry_run=True)[1] is None
    with pytest.raises(NotFound):
        world.ports.stores.of(HOUSE).datasets.get(DatasetRef("tickets", 1))


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
def test_there_is_always_something_to_train_on_and_something_to_measure_on(world: World, share: float) -> None:
    with pytest.raises(InvalidInput, match="holdout share"):
        world.data(holdout=share)


def test_a_model_that_saw_the_holdout_rows_is_not_registered(world: World) -> None:
    run = world.trained(world.data()[0], Split.ALL)
    with pytest.raises(Denied, match="kept for measuring"):
        convert(world.ports, world.caller(), run)


def test_registering_a_run_twice_gives_one_version(world: World) -> None:
    run = world.trained(world.data()[0])
    first, entry = convert(world.ports, world.caller(), run)
    assert entry is not None
    assert convert(world.ports, world.caller(), run) == (first, None)


def test_an_ended_run_takes_nothing_more_and_ending_it_again_changes_nothing(world: World) -> None:
    run = world.trained(world.data()[0])
    assert train(world.ports, world.caller(), run, RunStatus.FINISHED)[1] is None
    with pytest.raises(Conflict):
        log(world.ports, world.caller(), run, params={"a": "b"})
    with pytest.raises(Conflict):
        train(world.ports, world.caller(), run, RunStatus.FAILED)


def test_a_run_without_a_model_cannot_be_registered(world: World) -> None:
    run, _ = begin(world.ports, world.caller(), "churn")
    with pytest.raises(Conflict, match="logged no model"):
        convert(world.ports, world.caller(), run.id)


# the gate and deployment


def test_a_threshold_that_was_not_judged_is_denied(world: World) -> None:
    ref = world.registered()
    assert promote(world.ports, world.caller(), ref)[0].passed
    with pytest.raises(Denied, match=r"judged at threshold 0\.4, 0\.5, not at 0\.45"):
        release(world.ports, world.caller(), Plan(CHURN, ref, 0.45))
    assert release(world.ports, world.caller(), Plan(CHURN, ref, 0.5))[0].number == 1


def test_a_verdict_lets_nothing_be_deployed_once_the_rules_or_the_golden_cases_changed_or_it_expired(world: World) -> None:
    ref = world.registered()
    promote(world.ports, world.caller(), ref)
    plan = Plan(CHURN, ref)
    with pytest.raises(Denied, match="expired at 2026"):
        release(world.ports, Caller(HOUSE, ADA, world.now + timedelta(days=30)), plan)
    set_golden(world.ports, world.caller(), "churn", [{"inputs": {"age": 9.0}, "expect": "Yes"}])
    with pytest.raises(Denied, match="another golden set"):
        release(world.ports, world.caller(), plan)
    assert promote(world.ports, world.caller(), ref)[0].passed
    set_policy(world.ports, world.caller(), "churn", {**POLICY, "max_flips": 1})
    with pytest.raises(Denied, match="older policy"):
        release(world.ports, world.caller(), plan)
    assert not promote(world.ports, world.caller(), ref)[0].passed, "the new rules are younger than the run"
    assert world.ports.stores.of(ACME).deployments.head(CHURN) is None


def test_a_model_is_not_its_own_baseline(world: World) -> None:
    ref = world.registered()
    verdict, _ = promote(world.ports, world.caller(), ref, baseline=ref)
    assert [check.name for check in verdict.checks if check.outcome == "fail"] == ["identity"]


def test_of_two_who_looked_at_the_same_revision_the_second_is_told_who_was_faster(world: World) -> None:
    ref = world.live()
    release(world.ports, world.caller(), Plan(CHURN, ref, 0.5, Mode.CANARY, 0.1, expected=1))
    assert advance(world.ports, world.caller(), CHURN, "promote", expected=2)[0].number == 3
    with pytest.raises(Conflict, match=r"is at revision 3, not 2\. ada made it by 'promote'"):
        advance(world.ports, world.caller(), CHURN, "promote", expected=2)
    with pytest.raises(Conflict, match="at revision 3, not 1"):
        release(world.ports, world.caller(), Plan(CHURN, ref, 0.4, expected=1))


# captures


def test_a_batch_that_comes_twice_is_stored_once(world: World) -> None:
    world.live()
    world.ship("batch-1")
    assert (world.seal(), world.seal(), world.shipped()) == (3, 0, [])
    world.ship("batch-1")  # its process died before it removed its file
    assert (world.seal(), world.shipped()) == (0, [])
    assert world.ports.stores.of(ACME).captures.count(CHURN) == 3
    assert world.kinds().count("captures.sealed") == 1


def test_a_damaged_batch_is_set_aside_and_recorded_and_the_others_are_sealed(world: World) -> None:
    world.live()
    elsewhere = DeploymentKey(GLOBEX, "prod", "churn")
    world.put("a-garbage", b"garbage")
    world.ship("b-of-globex", key=elsewhere)
    world.ship("c-unknown-deployment", key=DeploymentKey(ACME, "prod", "nothing"))
    world.ship("d-unknown-model", model=ModelRef("churn", 99))
    world.ship("e-good")
    assert world.seal() == 3
    assert world.shipped() == []
    aside = [name.rsplit("/", 1)[-1][0] for name in world.ports.stores.objects.names("quarantine/acme/")]
    assert aside == ["a", "b", "c", "d"]
    assert world.kinds().count("captures.quarantined") == 4
    assert world.ports.stores.of(GLOBEX).captures.count(elsewhere) == 0
    assert world.seal() == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.array([2**64 - 1], "u8"), np.array([5], "u8")),
        (np.array([2**64 - 1], "u8"), np.array([-1], "i8")),
        (3, "a"),
        (2**60 + 1, 1.5),
        (True, 3),
        ([1.0, 2.0], 1.5),
        (["a", "b"], "c"),
    ],
)
def test_inputs_of_any_types_beside_each_other_are_sealed_and_hold_up_nobody(world: World, one: Any, other: Any) -> None:
    """Two versions may take one input in different types, and their answers stand in one batch for a moment."""
    world.live()
    world.put("a-mixed", write_batch(b"".join(line_with(world, place, value) for place, value in enumerate((one, other)))))
    world.ship("b-usual")
    assert (world.seal(), world.shipped()) == (5, [])
    assert "captures.quarantined" not in world.kinds()


def line_with(world: World, place: int, value: Any) -> bytes:
    ms = int(world.now.timestamp() * 1000)
    one = PredictionId(CHURN, 1, CHURN_1, unique_at(ms, f"a-mixed{place:03}".encode()))
    column = value if isinstance(value, np.ndarray) else [value]
    return line_of(Capture(one, ms, None, None, CaptureMode.LIVE, None, 0.4, {"age": column}, [0.7], [True], 90))


def test_a_batch_that_cannot_be_sealed_holds_up_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.live()
    world.ship("a-bad", count=1)
    world.ship("b-good")
    usual = captured.capture_table

    def table(captures: Sequence[Capture]) -> Any:
        if len(captures) == 1:
            raise OverflowError("the value 4711 is too large")
        return usual(captures)

    monkeypatch.setattr("custody.lifecycle.seal.capture_table", table)
    assert (world.seal(), len(world.shipped())) == (3, 1)
    assert "cannot be sealed: OverflowError" in caplog.text
    assert "4711" not in caplog.text
    monkeypatch.undo()
    assert (world.seal(), world.shipped()) == (1, [])


@pytest.mark.parametrize("seconds", [0.0, 0.003, 0.3, 100.0])
def test_a_prediction_that_took_long_is_found_again(world: World, seconds: float) -> None:
    """Its id tells when its request came, its record when it was answered."""
    world.live()
    came = int(world.now.timestamp() * 1000)
    one = PredictionId(CHURN, 1, CHURN_1, unique_at(came, b"long-ago-0"))
    at = came + int(seconds * 1000)
    body = Capture(one, at, None, None, CaptureMode.LIVE, None, 0.4, {"age": [0.5]}, [0.7], [True], 90)
    world.put("late", write_batch(line_of(body)))
    assert world.seal() == 1
    assert row_of(world.ports, one) is not None
    (batch,) = world.ports.stores.of(ACME).captures.of(CHURN)
    assert batch.first_at == world.ports.stores.of(ACME).captures.around(CHURN, one.at)[0].first_at == one.at


def test_a_slow_publisher_puts_no_older_state_in_a_newer_ones_place(world: World) -> None:
    """It overwrites what a quicker one wrote with what it read before that, looks again, and is above both."""
    world.live()
    before = world.ports.stores.objects.read(CURRENT)
    release(world.ports, world.caller(), Plan(CHURN, CHURN_1, capture_share=0.5))
    quick = published(world)
    real, drafts = publish_module._draft, [before]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish_module, "_draft", lambda ports, now: drafts.pop() if drafts else real(ports, now))
        assert publish(world.ports, world.now - timedelta(hours=1))
    assert published(world).services == quick.services
    assert published(world).sequence >= quick.sequence


def published(world: World) -> Manifest:
    body = world.ports.stores.objects.read(CURRENT)
    assert body is not None
    return msgspec.json.decode(msgspec.json.decode(body, type=SignedManifest).manifest, type=Manifest)


def test_steady_traffic_makes_one_entry_a_minute_and_labels_make_it_sooner(world: World) -> None:
    world.live()
    every = timedelta(minutes=1)

    def second(number: int) -> int:
        world.ship(f"batch-{number:03}")
        done = seal(world.ports, world.now, every=every)
        world.now += timedelta(seconds=1)
        return done

    assert [second(number) for number in range(121)] == [3, *[0] * 59, 180, *[0] * 59, 180]
    assert world.kinds().count("captures.sealed") == 3
    world.now += timedelta(seconds=1)
    one, *_ = world.ship("just-answered")
    record(world.ports, Caller(ACME, ADA, world.now), CHURN, [(one, "Yes")])
    assert seal(world.ports, world.now, every=every) == 0
    world.now += timedelta(seconds=4)
    assert seal(world.ports, world.now, every=every) == 3
    assert trace(world.ports, Caller(ACME, ADA, world.now), one).complete
    world.now += timedelta(seconds=6)
    world.ship("nobody-waits-for-it")
    assert seal(world.ports, world.now, every=every) == 0
    world.now -= timedelta(hours=1)
    assert seal(world.ports, world.now, every=every) == 3  # the clock was put back


def test_a_backlog_is_sealed_at_once_in_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.live()
    world.ship("first")
    world.seal()
    monkeypatch.setattr("custody.lifecycle.seal._MOST", 4)
    for number in range(10):
        world.ship(f"late-{number}")
    assert seal(world.ports, world.now, every=timedelta(minutes=1)) == 30
    assert world.kinds().count("captures.sealed") == 1 + 3
    assert world.shipped() == []


# labels


def test_a_label_of_no_class_or_no_name_refuses_them_all(world: World) -> None:
    world.live()
    for wrong in (("p-2", "maybe"), ("", "Yes")):
        with pytest.raises(InvalidInput):
            record(world.ports, world.caller(), CHURN, [("p-1", "Yes"), wrong])
    assert world.ports.stores.of(ACME).labels.count(CHURN) == 0


def test_a_trace_of_an_unsealed_prediction_says_what_is_missing(world: World) -> None:
    world.live()
    (one, *_) = world.ship("batch-1")
    before = trace(world.ports, world.caller(), one)
    assert (before.complete, before.gaps) == (
        False,
        ("the captured inputs are not sealed yet, or were not kept: shed, or left out of the sample",),
    )
    world.seal()
    assert trace(world.ports, world.caller(), one).complete


# who may


Act = Callable[[World, Caller, str], object]
INSIDE: dict[str, Act] = {
    "ingest": lambda w, c, _: ingest(w.ports, c, "tickets", rows(), CARD),
    "begin": lambda w, c, _: begin(w.ports, c, "churn"),
    "read": lambda w, c, run: read(w.ports, c, run, DatasetRef("tickets", 1), Split.TRAIN),
    "log": lambda w, c, run: log(w.ports, c, run, params={"a": "b"}),
    "train": lambda w, c, run: train(w.ports, c, run, RunStatus.FAILED),
    "convert": lambda w, c, run: convert(w.ports, c, run),
    "set_policy": lambda w, c, _: set_policy(w.ports, c, "churn", POLICY),
    "set_golden": lambda w, c, _: set_golden(w.ports, c, "churn", [{"inputs": {"age": 1.0}, "expect": "Yes"}]),
    "promote": lambda w, c, _: promote(w.ports, c, CHURN_1),
    "card": lambda w, c, _: card(w.ports, c, CHURN_1),
}
ACROSS: dict[str, Act] = {
    "release": lambda w, c, _: release(w.ports, c, Plan(CHURN, CHURN_1, owner=c.tenant)),
    "advance": lambda w, c, _: advance(w.ports, c, CHURN, "rollback"),
    "record": lambda w, c, _: record(w.ports, c, CHURN, [("p-1", "Yes")]),
    "evaluate": lambda w, c, _: evaluate_now(w.ports, c, CHURN),
    "set_monitor": lambda w, c, _: set_monitor(w.ports, c, CHURN, {}),
    "set_cost": lambda w, c, _: set_cost(w.ports, c, CHURN, {"fp": 1.0, "fn": 1.0, "currency": "points"}),
    "request_retrain": lambda w, c, _: request_retrain(w.ports, c, CHURN, "please"),
    "trace": lambda w, c, _: trace(w.ports, c, "acme:prod:churn:1:churn@1:01KJM6M4000000000000000000"),
    "add_key": lambda w, c, _: add_key(w.ports, c, "mine", Role.VIEWER, ACME),
}


def failure(act: Act, world: World, caller: Caller, run: str) -> CustodyError:
    before = list(world.ports.stores.ledger.entries())
    with pytest.raises(CustodyError) as error:
        act(world, caller, run)
    assert list(world.ports.stores.ledger.entries()) == before
    return error.value


def test_another_tenants_admin_finds_nothing_anywhere(world: World) -> None:
    world.live()
    last = world.ports.stores.of(HOUSE).runs.last()
    assert last is not None
    for tenant in (HOUSE, ACME):  # the team's own things, and another client's
        for name, act in INSIDE.items():
            found = failure(act, world, world.caller(MALLORY, tenant), last.id)
            assert (name, type(found), found.facts["noun"]) == (name, NotFound, "tenant")
    for name, act in ACROSS.items():
        found = failure(act, world, world.caller(MALLORY, GLOBEX), last.id)
        assert (name, type(found), str(found)) == (name, NotFound, str(NotFound.of("tenant", "acme", ls="custody tenant ls")))


def test_a_tenant_that_exists_and_one_that_does_not_look_the_same_from_another(world: World) -> None:
    told = []
    for key in (CHURN, DeploymentKey(TenantId("acma"), "prod", "churn")):
        with pytest.raises(NotFound) as error:
            release(world.ports, world.caller(MALLORY, GLOBEX), Plan(key, CHURN_1, owner=GLOBEX))
        told.append(str(error.value).replace(key.tenant, "x"))
    assert told[0] == told[1]


def test_only_the_teams_own_admins_add_tenants(world: World) -> None:
    for name in ("acme", "newcomer"):
        with pytest.raises(Denied, match="team's own keys"):
            add_tenant(world.ports, world.caller(MALLORY, GLOBEX), name)


@pytest.mark.parametrize("name", sorted(INSIDE.keys() - {"card"}))
def test_a_viewer_may_look_and_change_nothing(world: World, name: str) -> None:
    found = failure(INSIDE[name], world, world.caller(Actor("vera", Role.VIEWER)), "")
    assert (type(found), found.facts["needed"]) == (Denied, Role.APPROVER if name == "set_policy" else Role.CONTRIBUTOR)
