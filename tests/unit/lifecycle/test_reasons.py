"""What people say in their own words stands in the ledger for ever: no telephone number and no e-mail address is kept with it."""

from collections.abc import Callable

import pyarrow as pa
import pytest
from lifecycle_world import ACME, CARD, CHURN, CHURN_1, World, rows
from test_forget import CANARY, add, erased, everywhere, people

from custody.core.errors import InvalidInput
from custody.core.evidence import Check, Outcome
from custody.core.refs import DatasetRef
from custody.core.tenancy import HOUSE
from custody.data.inherit import Waiver
from custody.lifecycle.alerts import answer_alert
from custody.lifecycle.ingest import ingest
from custody.lifecycle.owed import answer_obligation
from custody.lifecycle.release import Plan, advance, release
from custody.lifecycle.retrain import WORKER, request_retrain
from custody.lifecycle.review import answer
from custody.lifecycle.sealing import destroy
from custody.monitoring.alert import Alert, AlertKind, AlertState
from custody.privacy.erasure.obligation import Answer

MAIL, PHONE = "bertram.ohlendorf@example.org", "+44 20 7946 0018"
REASON = f"asked by {MAIL}, or call {PHONE}"
KEPT = "asked by [EMAIL], or call [PHONE]"


def alert_answered(world: World) -> None:
    world.live()
    with world.ports.stores.change(ACME, WORKER, world.now) as change:
        found = Check("drift:training", Outcome.FAIL, "the share of age <= 1 went from 25 % to 31 %")
        change.monitors.save_alert(Alert("a-1", CHURN, AlertKind.DRIFT, found, world.now))
    answer_alert(world.ports, world.caller(), CHURN, "a-1", AlertState.RESOLVED, reason=REASON)


def deployed(world: World) -> None:
    world.live()
    release(world.ports, world.caller(), Plan(CHURN, CHURN_1, threshold=0.5, reason=REASON))
    assert world.ports.stores.of(ACME).deployments.history(CHURN, limit=9).items[0].reason == KEPT


def rolled_back(world: World) -> None:
    world.live()
    release(world.ports, world.caller(), Plan(CHURN, CHURN_1, threshold=0.5))
    advance(world.ports, world.caller(), CHURN, "rollback", reason=REASON)


def retraining_asked_for(world: World) -> None:
    world.live()
    request_retrain(world.ports, world.caller(tenant=ACME), CHURN, REASON)


def keys_destroyed(world: World) -> None:
    world.ports.pseudonyms.of(ACME)
    assert destroy(world.ports, world.caller(tenant=ACME), reason=REASON)[1] is not None


def model_accepted(world: World) -> None:
    everywhere(world)
    (id_,) = erased(world).obligations
    met, _ = answer_obligation(world.ports, world.caller(), id_, Answer.ACCEPT, evidence=REASON, approver=REASON)
    assert (met.evidence, met.approver) == (KEPT, KEPT)


def waived(world: World) -> None:
    add(world)
    bare = people().select(["age", "left", "note"])
    ingest(world.ports, world.caller(), "bare", bare, CARD, derived_from=["tickets@1"], waiver=Waiver(("subject_key",), REASON))


def reviewed(world: World) -> None:
    notes = pa.array([CANARY if i in (3, 77, 200) else "please call Bertram at noon" for i in range(300)])
    version = add(world, rows().append_column("who", people().column("who")).append_column("note", notes))
    answer(world.ports, world.caller(), version.ref, ["note/PERSON@100:12-19"], "harmless", reason=REASON)
    assert world.ports.stores.of(HOUSE).scans.get(DatasetRef("tickets", 1)) is not None


ACTS: list[Callable[[World], None]] = [
    alert_answered,
    deployed,
    rolled_back,
    retraining_asked_for,
    keys_destroyed,
    model_accepted,
    waived,
    reviewed,
]


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_an_address_or_a_number_in_a_reason_is_kept_nowhere(world: World, act: Callable[[World], None]) -> None:
    act(world)
    written = [str(entry) for entry in world.ports.stores.ledger.entries()]
    assert not [one for one in written if MAIL in one or PHONE in one]
    assert act == reviewed or any("[EMAIL]" in one for one in written)  # a review's reason stands in its scan only
    assert [world.ports.stores.holds(one) for one in (MAIL, PHONE)] == [0, 0]


def test_who_accepts_is_named_and_not_only_reached(world: World) -> None:
    everywhere(world)
    (id_,) = erased(world).obligations
    with pytest.raises(InvalidInput, match="by a name or a role") as refusal:
        answer_obligation(world.ports, world.caller(), id_, Answer.ACCEPT, evidence="public health, Art. 17", approver=MAIL)
    assert MAIL not in str(refusal.value)
