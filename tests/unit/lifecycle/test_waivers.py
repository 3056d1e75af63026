"""An approver answers for a check of bias that has too few rows to decide; nobody answers for what failed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from lifecycle_world import CARD, CHURN, POLICY, World, rows

from custody.core.digest import Json
from custody.core.errors import CustodyError, Denied, InvalidInput
from custody.core.evidence import Outcome, Verdict
from custody.core.refs import ModelRef
from custody.core.tenancy import Actor, Role
from custody.gates.judge import waived
from custody.lifecycle.convert import convert
from custody.lifecycle.export import card
from custody.lifecycle.ingest import Roles, ingest
from custody.lifecycle.overview import overview
from custody.lifecycle.promote import promote, set_policy
from custody.lifecycle.release import Plan, release

CHECK = "bias:selection_rate:region@0.5"
REASON = "a new region; 40 cases were looked at by hand"
CAROL = Actor("carol", Role.CONTRIBUTOR)


def trained(world: World, *, biased: bool = False, threshold: float = 0.5) -> ModelRef:
    """Train on two regions: one is small, or the model surely selects one more often."""
    table = rows(600)
    high = np.array(table.column("age").to_pylist()) > 0
    region = np.where(high, "north", "south") if biased else np.where(np.arange(600) % 30 == 0, "south", "north")
    data = table.append_column("region", pa.array(region.tolist()))
    roles = Roles(target="left", positive="Yes", groups=("region",))
    made, _ = ingest(
        world.ports, world.caller(), "tickets", data, replace(CARD, bias_treatment="looked at by region"), roles=roles
    )
    rule: dict[str, Json] = {"column": "region", "measure": "selection_rate", "tolerance": 0.2, "min_n": 30}
    set_policy(world.ports, world.caller(), "churn", {**POLICY, "thresholds": [threshold], "bias": [rule]})
    return convert(world.ports, world.caller(), world.trained(made))[0].ref


def judged(world: World, ref: ModelRef, actor: Actor | None = None, **more: Any) -> Verdict:
    caller = world.caller(actor) if actor else world.caller()
    return promote(world.ports, caller, ref, **more)[0]


def test_a_check_without_an_answer_blocks_until_an_approver_answers_for_it(world: World) -> None:
    ref = trained(world)
    first = judged(world, ref)
    assert {check.name: check.outcome for check in first.checks}[CHECK] is Outcome.INCONCLUSIVE
    with pytest.raises(Denied, match="did not pass"):
        release(world.ports, world.caller(), Plan(CHURN, ref))
    verdict = judged(world, ref, waive=[CHECK], reason=f"{REASON}; ask ana@example.org")
    check = next(one for one in verdict.checks if one.name == CHECK)
    assert (verdict.passed, check.outcome) == (True, Outcome.WAIVED)
    assert check.sentence.endswith(f"Waived by ada: {REASON}; ask [EMAIL]")
    release(world.ports, world.caller(), Plan(CHURN, ref))
    entry = next(one for one in world.ports.stores.ledger.entries() if one.kind == "gate.passed")
    assert (entry.actor, [CHECK, "waived"] in entry.body["checks"]) == ("ada", True)  # type: ignore[operator]  # a list
    assert entry.body["waiver"] == f"{REASON}; ask [EMAIL]"
    assert "example.org" not in str(entry)
    told = [row.sentence for row in overview(world.ports, world.caller()).changes]
    assert f"passed, with {CHECK} waived" in told


def test_the_next_version_is_asked_again(world: World) -> None:
    ref = trained(world)
    assert judged(world, ref, waive=[CHECK], reason=REASON).passed
    assert not judged(world, ref).passed


@pytest.mark.parametrize(
    ("more", "kind", "says"),
    [
        ({"waive": [CHECK], "reason": " "}, InvalidInput, "Why may"),
        ({"waive": [CHECK], "reason": "ana@example.org"}, InvalidInput, "Why may"),
        ({"waive": ["bias:selection_rate:regoin@0.5"], "reason": REASON}, InvalidInput, "Did you mean"),
        ({"waive": ["parity@0.5"], "reason": REASON}, InvalidInput, "nothing to waive"),
        ({"waive": [CHECK], "reason": REASON, "actor": CAROL}, Denied, "approver"),
    ],
)
def test_what_a_waiver_needs(world: World, more: dict[str, Any], kind: type[CustodyError], says: str) -> None:
    ref = trained(world)
    before = world.kinds()
    with pytest.raises(kind, match=says):
        judged(world, ref, **more)
    assert world.kinds() == before


def test_what_failed_cannot_be_waived(world: World) -> None:
    ref = trained(world, biased=True)
    assert {check.name: check.outcome for check in judged(world, ref).checks}[CHECK] is Outcome.FAIL
    with pytest.raises(Denied, match="cannot be waived"):
        judged(world, ref, waive=[CHECK], reason=REASON)


def test_a_card_shows_no_counts_of_few_people(world: World) -> None:
    ref = trained(world)
    judged(world, ref, waive=[CHECK], reason=REASON)
    told = card(world.ports, world.caller(), ref)
    stored = world.ports.stores.of(world.caller().tenant).models.get(ref).registered[0].groups
    assert any(0 < cell < 5 for group in stored if group.group == "south" for cell in (group.tn, group.fp, group.fn, group.tp))
    assert told["registered"][0]["groups"] == ()  # the other group's counts would tell the small one's, by the totals
    assert told["registered"][0]["hidden"] == {"region": "counts of fewer than 5 people"}
    (check,) = [one for one in told["verdict"]["checks"] if one["name"] == CHECK]
    assert check["sentence"] == "It is waived; some groups are too small to be shown."
    assert check["facts"] == {"waived_by": "ada", "reason": REASON}


def test_a_failed_check_that_shares_its_name_with_an_open_one_is_not_waived_with_it(world: World) -> None:
    verdict = judged(world, trained(world))
    open_one = next(one for one in verdict.checks if one.name == CHECK)
    both = replace(verdict, checks=(replace(open_one, outcome=Outcome.FAIL), *verdict.checks))
    with pytest.raises(Denied, match="it is fail"):
        waived(both, [CHECK], by="ada", reason=REASON)
    twice = waived(replace(verdict, checks=(open_one, *verdict.checks)), [CHECK], by="ada", reason=REASON)
    assert (twice.passed, len(twice.checks)) == (True, len(verdict.checks) + 1)
