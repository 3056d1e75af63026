"""Consent: what a person's records mean at a time, judged against an oracle that replays them one by one."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.errors import InvalidInput
from custody.privacy.consent import ConsentRecord, Said, State, refusals, shifts, snapshot, state_at, states
from custody.privacy.purposes import USES, fault_of, path_to, purpose_of
from custody.privacy.statements import records_of

START = datetime(2026, 1, 1, tzinfo=UTC)
TREE = ("marketing", "marketing.communications", "marketing.communications.email", "sales")


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def said(word: Said, start: int, end: int | None = None, **more: object) -> ConsentRecord:
    values = {"subject": "ada", "purpose": TREE[1], "children": False, "recorded_at": day(start), "source": "crm", "notice": "v1"}
    until = None if end is None else day(end)
    return ConsentRecord(said=word, valid_from=day(start), valid_to=until, **{**values, **more})  # type: ignore[arg-type]


GRANT, TAKE = Said.GRANTED, Said.WITHDRAWN
records = st.builds(
    lambda who, purpose, word, start, length, late, children: ConsentRecord(
        who,
        purpose,
        word,
        day(start),
        day(start + length) if length and word is GRANT else None,
        "crm",
        "v1",
        children and word is GRANT,
        day(start + late),
    ),
    st.sampled_from("abc"),
    st.sampled_from(TREE),
    st.sampled_from(list(Said)),
    st.integers(0, 12),
    st.integers(0, 6),
    st.integers(0, 4),
    st.booleans(),
)


def moment(one: ConsentRecord, far: datetime) -> tuple[datetime, bool, datetime, float, bool]:
    return one.valid_from, one.said is not GRANT, one.recorded_at, -(one.valid_to or far).timestamp(), one.said is Said.OBJECTED


def oracle(history: Sequence[ConsentRecord], purpose: str, at: datetime) -> State:
    """Replay one person's records in the order they took effect: a set of open refusals, and the last grant of each key."""
    levels = path_to(purpose)
    refused: dict[str, tuple[datetime, datetime, State]] = {}
    granted: dict[str, datetime | None] = {}
    seen = [one for one in history if one.recorded_at <= at and one.valid_from <= at]
    far = datetime.max.replace(tzinfo=UTC)
    for one in sorted(seen, key=lambda r: moment(r, far)):
        if one.purpose not in levels:
            continue
        level = levels.index(one.purpose)
        if one.said is GRANT:
            if one.purpose != purpose and not one.children:
                continue
            refused = {key: mark for key, mark in refused.items() if levels.index(key) > level}
            granted[one.purpose] = one.valid_to
        else:
            refused[one.purpose] = (one.valid_from, one.recorded_at, State(one.said.value))
    if refused:
        return max(refused.values(), key=lambda mark: (*mark[:2], mark[2] is State.OBJECTED))[2]
    if any(end is None or end > at for end in granted.values()):
        return State.GRANTED
    return State.EXPIRED if granted else State.ABSENT


@given(st.lists(records, max_size=12), st.sampled_from(TREE), st.integers(0, 20))
def test_the_state_of_a_person_is_what_replaying_the_records_gives(
    history: list[ConsentRecord], purpose: str, number: int
) -> None:
    for who in "abc":
        mine = [one for one in history if one.subject == who]
        found, wanted = state_at(mine, purpose, day(number)), oracle(mine, purpose, day(number))
        against = {State.WITHDRAWN, State.OBJECTED}
        assert found == wanted or {found, wanted} == against  # two refusals of one moment: either word is right


@given(st.lists(records, max_size=20), st.lists(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=2)))
def test_no_row_of_a_person_who_did_not_agree_is_admitted(history: list[ConsentRecord], rows: list[list[str | None]]) -> None:
    at, purpose = day(10), TREE[2]
    told = refusals(rows, states(history, purpose, at), consented=True)
    for row, reason in zip(rows, told, strict=True):
        agreed = [
            who is not None and oracle([r for r in history if r.subject == who], purpose, at) is State.GRANTED for who in row
        ]
        assert (reason is None) == all(agreed)
    for row, reason in zip(rows, refusals(rows, states(history, purpose, at), consented=False), strict=True):
        found = [oracle([r for r in history if r.subject == who], purpose, at) for who in row if who is not None]
        assert (reason is None) == (not {State.WITHDRAWN, State.OBJECTED} & set(found))


@given(st.lists(records, max_size=10, unique_by=lambda r: (r.id, r.recorded_at)), st.randoms(use_true_random=False))
def test_order_does_not_count_and_a_withdrawal_now_always_refuses(history: list[ConsentRecord], random: object) -> None:
    mixed = list(history)
    random.shuffle(mixed)  # type: ignore[attr-defined] # hypothesis gives a random.Random
    assert states(mixed, TREE[1], day(30)) == states(history, TREE[1], day(30))
    assert snapshot(mixed, TREE[1]) == snapshot(history, TREE[1])
    after = [*(r for r in history if r.subject == "a"), said(TAKE, 29, subject="a", purpose=TREE[0])]
    assert state_at(after, TREE[2], day(30)) in {State.WITHDRAWN, State.OBJECTED}


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], State.ABSENT),
        ([said(GRANT, 0)], State.GRANTED),
        ([said(GRANT, 11)], State.ABSENT),
        ([said(GRANT, 0, recorded_at=day(11))], State.ABSENT),
        ([said(GRANT, 0, 10)], State.EXPIRED),
        ([said(GRANT, 0, 11)], State.GRANTED),
        ([said(GRANT, 0), said(TAKE, 5)], State.WITHDRAWN),
        ([said(GRANT, 0), said(Said.OBJECTED, 5)], State.OBJECTED),
        ([said(GRANT, 0), said(TAKE, 5), said(GRANT, 6)], State.GRANTED),
        ([said(GRANT, 5), said(TAKE, 5)], State.WITHDRAWN),
        ([said(Said.OBJECTED, 5), said(TAKE, 5)], State.OBJECTED),
        ([said(TAKE, 5), said(Said.OBJECTED, 5)], State.OBJECTED),
        ([said(GRANT, 0, purpose=TREE[0])], State.ABSENT),
        ([said(GRANT, 0, purpose=TREE[0], children=True)], State.GRANTED),
        ([said(GRANT, 0), said(TAKE, 5, purpose=TREE[0])], State.WITHDRAWN),
        ([said(GRANT, 0), said(TAKE, 5, purpose=TREE[2])], State.GRANTED),
        ([said(TAKE, 5), said(GRANT, 6, purpose=TREE[0], children=True)], State.WITHDRAWN),
        ([said(TAKE, 5, purpose=TREE[0]), said(GRANT, 6)], State.GRANTED),
        ([said(GRANT, 0), said(GRANT, 2, 4)], State.EXPIRED),
    ],
)
def test_what_records_mean_on_the_tenth_day(history: list[ConsentRecord], expected: State) -> None:
    assert state_at(history, TREE[1], day(10)) is expected


def test_groups_that_lose_rows_are_told_and_small_ones_are_not() -> None:
    groups = {"sex": ["f"] * 50 + ["m"] * 50 + ["x"] * 4}
    found = shifts(groups, [False] * 25 + [True] * 79)
    assert [(one.group, round(one.before, 2), round(one.after, 2)) for one in found] == [("f", 0.48, 0.32), ("m", 0.48, 0.63)]
    assert shifts(groups, [True] * 104) == ()


# purposes and statements


def test_purposes_are_keys_of_the_taxonomy_or_below_them() -> None:
    assert all(not fault_of(key) for key in (*USES, "train_ai_system.credit_scoring", "custom.research"))
    for wrong in ("", "train", "custom", "Train_ai_system", "marketing..email", "marketing ", "unknown", "a" * 99):
        assert fault_of(wrong)
    assert "did you mean 'train_ai_system'" in fault_of("train_ai_sistem")
    with pytest.raises(InvalidInput):
        purpose_of("training")


def test_all_faults_of_a_file_are_told_by_row_and_no_person_is_named() -> None:
    rows = [
        {"subject": "ada@example.org", "purpose": "train_ai_system", "status": "granted", "valid_from": "2026-01-01"},
        {"subject": "", "purpose": "training", "status": "maybe", "valid_from": "soon", "children": "perhaps"},
        {
            "subject": "bob@example.org",
            "purpose": "sales",
            "status": "granted",
            "valid_from": "2026-02-01",
            "valid_to": "2026-01-01",
        },
        {
            "subject": "bob@example.org",
            "purpose": "sales",
            "status": "withdrawn",
            "valid_from": "2026-02-01",
            "valid_to": "2027-01-01",
        },
    ]
    with pytest.raises(InvalidInput) as error:
        records_of(rows, str.upper, START, source="crm")
    told = error.value.facts["faults"]
    assert isinstance(told, list)
    assert [fault.split(":")[0] for fault in told] == ["row 2"] * 5 + ["row 3", "row 4"]
    assert "example.org" not in str(error.value)
    with pytest.raises(InvalidInput, match="there are none"):
        records_of([], str.upper, START)
    with pytest.raises(InvalidInput, match=r"did you mean 'subject'.*'source' is missing"):
        records_of([{"subjct": "x", **rows[0]}], str.upper, START)


def test_a_row_becomes_a_record_with_a_token_and_times_in_utc() -> None:
    row = {
        "subject": " ada ",
        "purpose": "sales",
        "status": "granted",
        "valid_from": "2026-01-01T02:00:00+02:00",
        "children": "Yes",
    }
    (made,) = records_of([row], str.upper, START, source="crm")
    assert made == ConsentRecord("ADA", "sales", GRANT, START, None, "crm", "", True, START)


@given(
    st.lists(st.dictionaries(st.text(max_size=8), st.none() | st.text(max_size=30) | st.integers() | st.booleans()), max_size=4)
)
def test_any_rows_are_records_or_invalid_input(rows: list[dict[str, object]]) -> None:
    try:
        made = records_of(rows, str.upper, START, source="crm")  # type: ignore[arg-type]
    except InvalidInput:
        return
    assert len(made) == len(rows)
