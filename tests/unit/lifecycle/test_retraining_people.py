"""People in live traffic that a model learned from again: who they are stays known, so that erasures and objections reach them."""

from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pytest
from lifecycle_world import ACME, CARD, CHURN, POLICY, World, rows
from test_consent_rows import AGREED, TRAINING, people, says, stored

from custody.core.errors import Conflict
from custody.core.prediction import PredictionId, unique_at
from custody.core.refs import DatasetRef, DeploymentKey, ModelRef
from custody.core.tenancy import HOUSE, TenantId
from custody.data.dataset import DatasetVersion
from custody.data.split import Split
from custody.lifecycle.consent import check_consent, consent
from custody.lifecycle.convert import convert
from custody.lifecycle.disclose import disclose
from custody.lifecycle.forget import forget
from custody.lifecycle.ingest import Roles, ingest
from custody.lifecycle.owed import owed
from custody.lifecycle.promote import promote, set_policy
from custody.lifecycle.record import record
from custody.lifecycle.release import Plan, release
from custody.lifecycle.retrain import assemble
from custody.lifecycle.rows import table_of
from custody.lifecycle.scrub import Treatment, scrub_version
from custody.privacy.erasure.ports import ErasureState
from custody.privacy.pseudonym import is_token
from custody.serving.capture import Capture, CaptureMode, line_of, write_batch

OWN = DeploymentKey(HOUSE, "prod", "churn")
WHO = "zora.quellenberg@example.org"
CALLERS = [WHO, "person1@example.org", None]
AGAIN = DatasetRef("tickets", 2)


def base(world: World, names: pa.Array | None = None) -> DatasetVersion:
    who = names if names is not None else pa.array([f"person{i}@example.org" for i in range(300)])
    card = replace(CARD, subject_key="who")
    roles = Roles(target="left", positive="Yes")
    return ingest(world.ports, world.caller(), "tickets", rows().append_column("who", who), card, roles=roles)[0]


def served(world: World, key: DeploymentKey, names: pa.Array | None = None) -> DatasetVersion:
    """Train a model on people's data, serve it, and let traffic come whose truth is told later; return what is then learned from."""
    data = base(world, names)
    set_policy(world.ports, world.caller(), "churn", POLICY)
    ref = convert(world.ports, world.caller(), world.trained(data, purpose=TRAINING))[0].ref
    assert promote(world.ports, world.caller(), ref)[0].passed
    release(world.ports, world.caller(), Plan(key, ref))
    ms = int(world.now.timestamp() * 1000)
    ids = [PredictionId(key, 1, ModelRef("churn", 1), unique_at(ms, f"{i:>10}".encode())) for i in range(3)]
    made = [
        Capture(one, ms, None, (name,) if name else None, CaptureMode.LIVE, None, 0.4, {"age": [9.5 + i]}, [0.7], [True], 90)
        for i, (one, name) in enumerate(zip(ids, CALLERS, strict=True))
    ]
    world.put("b1", write_batch(b"".join(map(line_of, made))), key.tenant)
    world.seal()
    record(world.ports, world.caller(tenant=key.tenant), key, [(str(one), "Yes") for one in ids])
    return data


def again(world: World, key: DeploymentKey, data: DatasetVersion) -> list[dict[str, object]]:
    """Assemble what a retraining would learn from, and return the rows that came of traffic."""
    head = world.ports.stores.of(key.tenant).deployments.head(key)
    assert head is not None
    made = assemble(world.ports, world.caller(), head, data)
    told: list[dict[str, object]] = table_of(made, world.ports.stores.objects, world.ports.tables).slice(300).to_pylist()
    return told


def test_the_owners_own_traffic_names_people_as_its_data_does(world: World) -> None:
    data = served(world, OWN)
    assert [row["who"] for row in again(world, OWN, data)] == CALLERS
    found = forget(world.ports, world.caller(), WHO, dry_run=True)[0].found
    assert (found.rows, found.datasets) == (1, (str(AGAIN),))


def test_another_tenants_people_stand_under_its_pseudonyms_and_its_erasures_reach_data_and_models(world: World) -> None:
    data = served(world, CHURN)
    names = [row["who"] for row in again(world, CHURN, data)]
    assert names[2] is None
    assert all(is_token(str(one)) for one in names[:2])
    model = convert(world.ports, world.caller(), world.trained(version_of(world, AGAIN), purpose=TRAINING))[0].ref
    acme = world.caller(tenant=ACME)
    assert forget(world.ports, acme, WHO, dry_run=True)[0].found.elsewhere == (f"default: {AGAIN}", f"default: {model}")
    assert b"elsewhere/default/datasets/tickets@2.json" in disclose(world.ports, world.caller(tenant=ACME), WHO)[0]
    done, _ = forget(world.ports, world.caller(tenant=ACME), WHO)
    assert (done.state, done.found.elsewhere) == (ErasureState.DONE, (f"default: {AGAIN}", f"default: {model}"))
    rest = version_of(world, DatasetRef("tickets", 3))
    assert rest.rows == 302
    assert version_of(world, AGAIN).parts == ()
    assert [(one.model, one.owner) for one in owed(world.ports, world.caller())] == [(model, "ada")]
    entries = len(world.kinds())
    assert forget(world.ports, world.caller(tenant=ACME), WHO)[0].state is ErasureState.DONE
    assert len(world.kinds()) == entries
    assert (
        forget(world.ports, world.caller(), "person1@example.org", dry_run=True)[0].found.rows == 2
    )  # the owner's own rows only


def version_of(world: World, ref: DatasetRef) -> DatasetVersion:
    return world.ports.stores.of(HOUSE).datasets.get(ref)


def test_who_objected_where_the_traffic_is_from_is_not_learned_from(world: World) -> None:
    data = served(world, CHURN)
    said = {"subject": WHO, "purpose": TRAINING, "status": "objected", "valid_from": (world.now - timedelta(days=1)).isoformat()}
    consent(world.ports, world.caller(tenant=TenantId("acme")), [said], source="crm")
    assert [row["age"] for row in again(world, CHURN, data)] == [10.5, 11.5]


def admitted(world: World, data: DatasetVersion) -> int:
    return sum(
        check_consent(world.ports, world.caller(), data.ref, TRAINING, split=one).admitted for one in (Split.TRAIN, Split.HOLDOUT)
    )


def test_a_pseudonym_in_the_place_of_a_name_keeps_the_persons_consent(world: World) -> None:
    table = people().append_column("mail", pa.array([f"person{i % 20}@example.org" for i in range(240)]))
    data = stored(world, replace(AGREED, subject_key="mail"), table)
    says(world, "person1@example.org", "person2@example.org")
    plain = admitted(world, data)
    made, _, _ = scrub_version(world.ports, world.caller(), data.ref, chosen={"mail": Treatment.PSEUDONYMISE})
    assert made is not None
    assert admitted(world, made) == plain == 24


def test_people_that_cannot_be_named_are_not_learned_from(world: World) -> None:
    data = served(world, CHURN, pa.array(range(300)))
    with pytest.raises(Conflict, match=r"cannot be named in 'who' of tickets@1"):
        again(world, CHURN, data)
