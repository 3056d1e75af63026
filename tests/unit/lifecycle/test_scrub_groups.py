"""A version whose groups are too small: its quasi-identifiers are made coarser, small groups left out, and k is counted again."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from lifecycle_world import CARD, World

from custody.core.errors import Conflict, InvalidInput
from custody.core.tenancy import HOUSE
from custody.data.dataset import DatasetVersion
from custody.lifecycle.cards import described, plain_card
from custody.lifecycle.ingest import Roles, ingest
from custody.lifecycle.review import answer
from custody.lifecycle.rows import table_of
from custody.lifecycle.scan import cleared, stands
from custody.lifecycle.scrub import How, Treatment, how_of, scrub_version
from custody.lifecycle.verify import verify_all
from custody.privacy.columns.coarser import coarser_of
from custody.privacy.scans.state import ScanState

N = 200
RNG = np.random.default_rng(7)
PEOPLE = pa.table(
    {
        "age": [*RNG.integers(20, 60, N - 2).tolist(), 33, 34],
        "zip": [f"{n:05}" for n in RNG.integers(12000, 13000, N - 2).tolist()] + ["99999", "99999"],
        "left": ["Yes", "No"] * (N // 2),
    }
)
QUASI = ("age", "zip")
COARSE = {"age": coarser_of("band:20"), "zip": coarser_of("prefix:2")}


def people(world: World, table: pa.Table = PEOPLE, **card: Any) -> DatasetVersion:
    said = {"subjects": ("customers",), "quasi_identifiers": QUASI, "deidentification": {"k": 8}, **card}
    roles = Roles(target="left", positive="Yes")
    return ingest(world.ports, world.caller(), "people", table, replace(CARD, **said), roles=roles)[0]


def stand(world: World, version: DatasetVersion) -> tuple[ScanState, tuple[str, ...]]:
    return stands(world.ports.stores.of(HOUSE), version.ref)


def table(world: World, version: DatasetVersion) -> pa.Table:
    return table_of(version, world.ports.stores.objects, world.ports.tables)


def test_what_falls_short_of_its_promise_is_cleared_after_it(world: World) -> None:
    version = people(world)
    assert stand(world, version)[0] is ScanState.REJECTED
    assert "The smallest group has 1 rows, and the card promises 8." in stand(world, version)[1]
    made, told, _ = scrub_version(world.ports, world.caller(), version.ref, chosen=COARSE, suppress=True)
    assert made is not None
    assert stand(world, made)[0] is ScanState.CLEARED
    cleared(world.ports.stores.of(HOUSE), made.ref)
    rows = table(world, made)
    groups = Counter(zip(rows.column("age").to_pylist(), rows.column("zip").to_pylist(), strict=True))
    assert min(groups.values()) >= 8
    assert set(rows.column("age").to_pylist()) == {20, 40}
    assert set(rows.column("zip").to_pylist()) == {"12"}
    assert (told.suppressed, made.rows) == (2, N - 2)
    assert made.schema.type_of("age") is version.schema.type_of("age")
    assert verify_all(world.ports, world.caller()).problems == ()


def test_the_ledger_and_the_card_say_what_was_made_coarser_and_left_out(world: World) -> None:
    version = people(world)
    made, _, _ = scrub_version(world.ports, world.caller(), version.ref, chosen=COARSE, suppress=True)
    assert made is not None
    body = next(entry.body for entry in world.ports.stores.ledger.entries() if entry.kind == "dataset.scrubbed")
    assert (body["suppressed"], body["generalised"]) == (2, {"band:20": 1, "prefix:2": 1})
    assert "zip" not in str(body)
    assert made.card.deidentification == {
        "k": 8,
        "generalised": "age in bands of 20, zip by its first 2 characters",
        "suppressed": "2 of 200 rows of people@1, in groups of fewer than 8",
    }
    assert made.card.quasi_identifiers == QUASI
    assert int(str(described(world.ports, HOUSE, made).deidentification["measured_k"])) >= 8
    told = str(plain_card(world.ports, world.caller(), made.ref)["sentences"])
    assert "Made coarser: age in bands of 20, zip by its first 2 characters." in told
    assert "Left out, since too few were alike: 2 of 200 rows of people@1, in groups of fewer than 8." in told
    assert "as its owner says" not in told


def test_one_alone_may_not_do_and_says_what_is_still_short(world: World) -> None:
    version = people(world)
    made, told, _ = scrub_version(world.ports, world.caller(), version.ref, chosen=COARSE)
    assert made is not None
    assert told.suppressed == 0
    assert "The smallest group has 2 rows, and the card promises 8." in stand(world, made)[1]
    further, told, _ = scrub_version(world.ports, world.caller(), made.ref, suppress=True)
    assert further is not None
    assert told.suppressed == 2
    assert stand(world, further)[0] is ScanState.CLEARED
    assert str(further.card.deidentification["generalised"]).startswith("age in bands")
    coarser, _, _ = scrub_version(world.ports, world.caller(), further.ref, chosen={"age": coarser_of("band:60")})
    assert coarser is not None
    assert coarser.card.deidentification["generalised"] == "age in bands of 20, zip by its first 2 characters; age in bands of 60"


def test_a_promised_l_is_counted_again_too(world: World) -> None:
    same = PEOPLE.set_column(2, "left", pa.array(["Yes" if age < 40 else "No" for age in PEOPLE.column("age").to_pylist()]))
    version = people(world, same, deidentification={"k": 8, "l": 2})
    made, _, _ = scrub_version(world.ports, world.caller(), version.ref, chosen=COARSE, suppress=True)
    assert made is not None
    assert stand(world, made) == (ScanState.REJECTED, ("Some group has 1 value of 'left', and the card promises 2.",))


def test_the_policy_asks_for_k_where_the_card_promises_none(world: World) -> None:
    version = people(world, deidentification={})
    chosen: dict[str, How] = {"age": Treatment.REMOVE, "zip": coarser_of("prefix:2")}
    made, told, _ = scrub_version(world.ports, world.caller(), version.ref, chosen=chosen, suppress=True)
    assert made is not None
    assert (told.suppressed, made.card.quasi_identifiers) == (2, ("zip",))
    assert str(made.card.deidentification["suppressed"]).endswith("fewer than 5")
    assert stand(world, made)[0] is ScanState.CLEARED


def test_a_dry_run_tells_and_stores_nothing(world: World) -> None:
    version = people(world)
    before = world.kinds()
    none, told, _ = scrub_version(world.ports, world.caller(), version.ref, chosen=COARSE, suppress=True, dry_run=True)
    assert (none, told.suppressed, told.examined.step.state) == (None, 2, ScanState.CLEARED)
    assert world.kinds() == before


def test_what_does_not_fit_is_refused_in_words(world: World) -> None:
    version = people(world)
    plain = people(world, quasi_identifiers=(), deidentification={})
    target = people(world, quasi_identifiers=(*QUASI, "left"))
    cases: list[tuple[DatasetVersion, dict[str, str], bool, str]] = [
        (version, {"ages": "band:10"}, False, "no column 'ages'"),
        (version, {"zip": "band:10"}, False, "not for the column 'zip', which holds texts"),
        (version, {"age": "month"}, False, "not for the column 'age', which holds numbers"),
        (version, {"left": "prefix:1"}, False, "'left' is no declared quasi-identifier"),
        (target, {"left": "prefix:1"}, False, "'left' has a role"),
        (plain, {}, True, "no quasi-identifiers"),
        (version, {"age": "remove", "zip": "remove"}, True, "no quasi-identifiers"),
        (version, {"zip": "keep"}, True, "Every row is in a group of fewer than 8"),
    ]
    for one, columns, suppress, words in cases:
        chosen = {name: how_of(how) for name, how in columns.items()}
        with pytest.raises(InvalidInput, match=words) as raised:
            scrub_version(world.ports, world.caller(), one.ref, chosen=chosen, suppress=suppress)
        assert raised.value.fix or raised.value.why
    for text in ("band:0", "prefix:x", "drop", ""):
        with pytest.raises(InvalidInput):
            how_of(text)


def test_a_person_is_not_merged_with_others_by_their_key(world: World) -> None:
    version = people(world, subject_key="zip", version=2)
    with pytest.raises(InvalidInput, match="names the person"):
        scrub_version(world.ports, world.caller(), version.ref, chosen=COARSE)


def test_groups_that_are_large_enough_leave_nothing_to_do(world: World) -> None:
    version = people(world)
    made, _, _ = scrub_version(world.ports, world.caller(), version.ref, chosen=COARSE, suppress=True)
    assert made is not None
    with pytest.raises(Conflict, match="No group is too small"):
        scrub_version(world.ports, world.caller(), made.ref, suppress=True)


def test_answers_about_places_move_up_with_the_rows_and_end_where_the_column_became_coarser(world: World) -> None:
    text = "please call +44 20 7946 0123 now"
    notes = ["the only one of this age", text, *["nothing to say about it"] * 18]
    rows = pa.table({"age": [99, *[30] * 19], "note": notes, "left": ["Yes", "No"] * 10})
    version = people(world, rows, quasi_identifiers=("age",), deidentification={})
    start, end = text.index("+"), text.index(" now")
    answer(world.ports, world.caller(), version.ref, [f"note/PHONE@1:{start}-{end}"], "harmless", reason="the help line")
    made, told, _ = scrub_version(world.ports, world.caller(), version.ref, suppress=True)
    assert made is not None
    assert told.suppressed == 1
    found = world.ports.stores.of(HOUSE).scans.get(made.ref)
    assert found is not None
    assert [one.item for one in found.answers] == [f"note/PHONE@0:{start}-{end}"]
    assert stand(world, made)[0] is ScanState.CLEARED


def test_what_a_person_found_personal_goes_before_a_text_is_cut(world: World) -> None:
    rows = pa.table({"zip": ["Ana 12345", *["12345"] * 19], "left": ["Yes", "No"] * 10})
    version = people(world, rows, quasi_identifiers=("zip",), deidentification={})
    answer(world.ports, world.caller(), version.ref, ["zip/PERSON@0:0-3"], "personal")
    made, _, _ = scrub_version(world.ports, world.caller(), version.ref, chosen={"zip": coarser_of("prefix:3")})
    assert made is not None
    assert "Ana" not in table(world, made).column("zip").to_pylist()
    found = world.ports.stores.of(HOUSE).scans.get(made.ref)
    assert found is not None
    assert found.answers == ()
