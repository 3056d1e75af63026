"""What one tenant must not reach: another's models, bytes, commands and sessions."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from lifecycle_world import ACME, CHURN, CHURN_1, World

from custody.bootstrap.recipes import LocalSteps
from custody.core.digest import digest_of
from custody.core.errors import Conflict, Denied, InvalidInput, NotFound
from custody.core.manifest import Mode
from custody.core.prediction import PredictionId
from custody.core.refs import DatasetRef, ModelRef
from custody.core.tenancy import HOUSE, Actor, Role
from custody.lifecycle.admit import actor_of, add_key, end_session, open_session, revoke_key
from custody.lifecycle.publish import CURRENT
from custody.lifecycle.release import Plan, release, settle
from custody.lifecycle.trace import trace
from custody.lifecycle.train import begin, log
from custody.registry.run import LoggedModel, Recipe

ACMES = Actor("acme's own", Role.ADMIN, ACME)


def test_a_candidate_of_another_registry_is_refused_and_the_manifest_goes_on(world: World) -> None:
    world.live()
    plan = Plan(CHURN, CHURN_1, mode=Mode.SHADOW, owner=ACME)
    with pytest.raises((Conflict, NotFound)):
        release(world.ports, world.caller(ACMES, ACME), plan)
    before = world.ports.stores.objects.read(CURRENT)
    settle(world.ports, world.caller().now)
    assert world.ports.stores.objects.read(CURRENT) == before
    head = world.ports.stores.of(ACME).deployments.head(CHURN)
    assert head is not None
    assert (head.owner, head.number) == (HOUSE, 1)


def test_a_prediction_id_with_another_model_in_it_leads_nowhere(world: World) -> None:
    world.live()
    (real, *_) = world.ship("one")
    world.seal()
    assert trace(world.ports, world.caller(), real).complete
    forged = replace(PredictionId.parse(real), model=ModelRef("secret", 1))
    with pytest.raises(NotFound):
        trace(world.ports, world.caller(ACMES, ACME), str(forged))


def test_a_client_is_not_told_what_may_name_other_clients(world: World) -> None:
    world.live()
    (real, *_) = world.ship("one")
    world.seal()
    seen = {step.kind: step.facts for step in trace(world.ports, world.caller(ACMES, ACME), real).steps}
    assert seen["run"]["cause"] == ""
    assert seen["dataset"]["derived_from"] == []


def test_to_know_a_digest_is_no_right_to_its_bytes(world: World) -> None:
    model = world.ports.stores.of(HOUSE).models.get(world.live())
    run, _ = begin(world.ports, world.caller(ACMES, ACME), "steal")
    stolen = LoggedModel("steal", model.artifact, model.fixture, model.signature, model.framework)
    with pytest.raises(InvalidInput, match="never stored"):
        log(world.ports, world.caller(ACMES, ACME), run.id, models=[stolen])
    with pytest.raises(InvalidInput, match="never stored"):
        begin(world.ports, world.caller(ACMES, ACME), "probe", recipe=Recipe(("true",), {"a": model.artifact}))


def test_the_worker_runs_no_command_of_a_client(world: World, tmp_path: Path) -> None:
    steps = LocalSteps(world.ports, tmp_path, trusted=True)
    with pytest.raises(Denied, match="does not run commands"):
        steps.run(ACME, "churn", Recipe(("touch", str(tmp_path / "pwned")), {}), DatasetRef("tickets", 1), "test")
    assert not (tmp_path / "pwned").exists()


def test_a_program_that_is_missing_ends_the_run_as_failed(world: World, tmp_path: Path) -> None:
    world.data()
    steps = LocalSteps(world.ports, tmp_path, trusted=True)
    assert steps.run(HOUSE, "churn", Recipe(("no-such-program",), {}), DatasetRef("tickets", 1), "test").status == "failed"


def test_a_session_is_as_good_as_its_key_and_no_longer(world: World) -> None:
    stores = world.ports.stores
    key, secret, _ = add_key(world.ports, world.caller(), "ada", Role.VIEWER, ACME)
    session = open_session(world.ports, secret, world.caller().now)
    assert session is not None
    assert actor_of(stores, session, world.now) == Actor("ada", Role.VIEWER, ACME)
    assert open_session(world.ports, session, world.now) is None  # a session opens none
    assert actor_of(stores, session, world.now + timedelta(hours=13)) is None
    manifest = stores.objects.read(CURRENT) or b""
    assert digest_of(secret.encode()).encode() in manifest
    assert digest_of(session.encode()).encode() not in manifest
    other = open_session(world.ports, secret, world.caller().now)
    assert other is not None
    end_session(world.ports, other, world.now)
    assert actor_of(stores, other, world.now) is None
    revoke_key(world.ports, world.caller(), key.id)
    assert actor_of(stores, session, world.now) is None
