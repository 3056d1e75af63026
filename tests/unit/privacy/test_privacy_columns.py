"""Tables: scrubbing by distinct value, column classes, k-anonymity against a count by hand."""

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custody.core.errors import InvalidInput
from custody.core.tenancy import TenantId
from custody.privacy.columns.anonymity import anonymity, crowded
from custody.privacy.columns.classify import Handling, classify, classify_columns, unsafe
from custody.privacy.columns.table import pseudonymised, scrub_table
from custody.privacy.columns.words import CATEGORIES
from custody.privacy.patterns.checks import luhn
from custody.privacy.policy import Mode, ScrubPolicy
from custody.privacy.pseudonym import PseudonymKey
from custody.privacy.scrub import scrub
from custody.privacy.tags import TYPES

KEY = PseudonymKey(TenantId("acme"), "k1", b"k" * 32)
TEXTS = st.lists(st.none() | st.sampled_from(["a@b.co", "call 555 0187", "nothing", "", "é"]), max_size=12)


def chunked(values: list[str | None], kind: pa.DataType, cut: int) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values[:cut], kind), pa.array(values[cut:], kind)])


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.integers(0, 12), st.sampled_from([pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]))
def test_a_column_is_scrubbed_as_its_values_are(values: list[str | None], cut: int, kind: pa.DataType) -> None:
    done = scrub_table(pa.table({"note": chunked(values, kind, cut)}), ScrubPolicy())
    expected = [None if value is None else scrub(value, ScrubPolicy(), hint="note").text for value in values]
    assert done.table.column("note").to_pylist() == expected
    assert done.scanned_bytes == done.text_bytes == sum(len((value or "").encode()) for value in values)
    assert done.values == len({value for value in values if value is not None})
    assert done.counts["note"].get("EMAIL", 0) == values.count("a@b.co")


def test_each_distinct_value_is_looked_at_once() -> None:
    seen: Counter[str] = Counter()

    class Counting:
        name = "counting 1"

        def find(self, texts: list[str], *, hint: str = "") -> list[list[object]]:  # noqa: ARG002 - the port's name
            seen.update(texts)
            return [[] for _ in texts]

    scrub_table(pa.table({"x": ["q", "q", "r", None, "q"]}), ScrubPolicy(), patterns=Counting())  # type: ignore[arg-type]  # it finds nothing
    assert (seen["q"], seen["r"]) == (1, 1)


def test_numbers_stay_nested_columns_are_told_and_metadata_goes() -> None:
    table = pa.table({"n": [4111111111111111], "list": [["a@b.co"]], "raw": [b"a@b.co"], "t": ["x"]}).replace_schema_metadata(
        {"who": "ana"}
    )
    done = scrub_table(table, ScrubPolicy())
    assert (done.unread, done.scanned) == (("list", "raw"), ("t",))
    assert done.text_bytes > done.scanned_bytes
    assert done.table.schema.metadata is None
    assert done.table.column("n").to_pylist() == [4111111111111111]
    with pytest.raises(InvalidInput, match="'nose'"):
        scrub_table(table, ScrubPolicy(), columns=["nose"])


def test_a_column_named_after_a_person_is_told() -> None:
    done = scrub_table(pa.table({"mail of ana@example.org": ["x"], "y": ["x"]}), ScrubPolicy())
    assert done.names == {"mail of ana@example.org": ["EMAIL"]}


def test_tokens_join_two_tables() -> None:
    one = pseudonymised(pa.chunked_array([["Ana@x.org", None, "li@x.org"]]), KEY, "EMAIL").to_pylist()
    other = pseudonymised(pa.chunked_array([["ana@x.org"], ["ana@x.org"]]), KEY, "EMAIL").to_pylist()
    assert one[0] == other[0] == other[1] != one[2]
    assert one[1] is None
    done = scrub_table(pa.table({"e": ["ana@x.org"]}), ScrubPolicy(mode=Mode.PSEUDONYM), key=KEY)
    assert done.table.column("e").to_pylist() == [f"[EMAIL:{one[0]}]"]


CARDS = [f"{4000000000000000 + i * 10}" for i in range(1, 400)]
COLUMNS: dict[str, tuple[pa.Array, Handling, str | None]] = {
    "contact": (pa.array([f"p{i}@example.org" for i in range(40)]), Handling.IDENTIFIER, "user.contact.email"),
    "customer_name": (pa.array(["Ana", "Li", "Bo"]), Handling.IDENTIFIER, "user.name"),
    "customerID": (pa.array(["7590-VHVEG", "5575-GNVDE"]), Handling.IDENTIFIER, "user.unique_id"),
    "zip": (pa.array([12345, 23456]), Handling.QUASI, "user.contact.address.postal_code"),
    "age": (pa.array([30, 40]), Handling.QUASI, "user.demographic.age_range"),
    "birth_date": (pa.array([1, 2], pa.timestamp("us")), Handling.QUASI, "user.demographic.date_of_birth"),
    "happy": (pa.array([True, False]), Handling.SAFE, "system.operations"),
    "x1": (pa.array([0.5, 1.5]), Handling.SAFE, "system.operations"),
    "few": (pa.array([1, 2, 3]), Handling.SAFE, "system.operations"),
    "wide": (pa.array([10**9 + i for i in range(20)]), Handling.UNKNOWN, None),
    "plan": (pa.array(["gold", "silver"] * 30), Handling.SAFE, "system.operations"),
    "status": (pa.array([f"met person {i} at the old mill" for i in range(30)]), Handling.SCAN, "user.content"),
    "q7": (pa.array([f"v{i}" for i in range(60)]), Handling.UNKNOWN, None),
    "blob": (pa.array([b"x"]), Handling.UNKNOWN, None),
    "empty": (pa.array([None, None], pa.string()), Handling.SAFE, "system.operations"),
    "when": (pa.array([1], pa.timestamp("us")), Handling.QUASI, "user.behavior"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_classed_by_its_values_or_its_name(name: str) -> None:
    values, handling, category = COLUMNS[name]
    made = classify(name, pa.chunked_array([values]))
    assert (made.handling, made.category) == (handling, category)
    assert 0 <= made.confidence <= 1
    assert made.reason.endswith(".")


def test_cards_are_known_even_as_whole_numbers() -> None:
    cards = [number for number in range(4111111111110000, 4111111111119999) if luhn(str(number))]
    assert classify("ref", pa.chunked_array([cards])).category == "user.payment"


def test_a_harmless_name_makes_no_text_harmless() -> None:
    assert classify("label", pa.chunked_array([[f"Ana {i}" for i in range(60)]])).handling is Handling.UNKNOWN


def test_what_nobody_understands_is_unsafe_until_declared() -> None:
    classes = classify_columns(pa.table({"q7": [f"v{i}" for i in range(60)], "age": list(range(60))}))
    assert unsafe(classes, {}) == ("q7",)
    assert unsafe(classes, {"q7": Handling.SAFE}) == ()


def test_every_type_has_a_category() -> None:
    assert set(TYPES) - set(CATEGORIES) <= {"ORGANIZATION", "NRP", "OTHER"}


ROWS = st.lists(
    st.tuples(st.sampled_from([None, "a", "b"]), st.integers(0, 2) | st.none(), st.sampled_from(["s", "t", None])), max_size=30
)


@settings(max_examples=80, deadline=None)
@given(ROWS, st.integers(1, 4))
def test_groups_are_counted_as_by_hand(rows: list[tuple[str | None, int | None, str | None]], k: int) -> None:
    table = pa.table({"x": pa.array([r[0] for r in rows], pa.string()), "y": pa.array([r[1] for r in rows], pa.int64()),
                      "s": pa.array([r[2] for r in rows], pa.string())})  # fmt: skip
    made = anonymity(table, ["x", "y"], k=k, sensitive=["s"])
    groups = Counter(row[:2] for row in rows)
    values = {group: {row[2] for row in rows if row[:2] == group} for group in groups}
    assert (made.k, made.groups, made.rows) == (min(groups.values(), default=0), len(groups), len(rows))
    assert made.small_rows == sum(size for size in groups.values() if size < k)
    assert made.small_groups == sum(size < k for size in groups.values())
    assert made.reached is (made.small_groups == 0)
    assert made.diversity["s"] == min(map(len, values.values()), default=0)
    assert made.uniform_rows["s"] == sum(groups[group] for group, found in values.items() if len(found) == 1)
    kept = table.filter(pa.array(crowded(table, ["x", "y"], k=k)))
    assert kept.num_rows == len(rows) - made.small_rows
    assert anonymity(kept, ["x", "y"], k=k).reached


def test_a_wrong_column_or_k_is_refused() -> None:
    table = pa.table({"x": [1]})
    with pytest.raises(InvalidInput, match="'z'"):
        anonymity(table, ["z"])
    with pytest.raises(InvalidInput, match="k of at least 1"):
        anonymity(table, ["x"], k=0)
    with pytest.raises(InvalidInput, match="quasi"):
        anonymity(table, [])
