"""A sampled part of the rows is kept, by a hash of their ids; what is kept and what is summarised make the whole, exactly."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custody.core.digest import Digest
from custody.core.errors import InvalidInput
from custody.core.measures.spec import Kind, Spec, specs_of, spread
from custody.core.measures.summary import (
    COMPILED,
    Summary,
    bucket_ends,
    count,
    count_floats,
    count_floats_plainly,
    empty,
    merge,
    summarise,
)
from custody.core.prediction import ALPHABET, PredictionId, unique_at
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.tenancy import TenantId
from custody.serving.capture import (
    Capture,
    CaptureMode,
    Told,
    line_after,
    line_head,
    line_of,
    plain,
    read_batch,
    unpacked,
    write_batch,
)
from custody.serving.sampling import Rest, Rule, open_batch, point_of_row, without
from custody.serving.sampling import sampled as sampled_pieces

KEY, MODEL = DeploymentKey(TenantId("acme"), "prod", "churn"), ModelRef("churn", 3)
AT = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() * 1000)
SPECS = specs_of(
    {
        "age": [1.0, 2.0, 3.5, 4.0, 9.0],
        "plan": ["a", "b", "a", "c", "a"],
        "score": [0.1, 0.5, 0.9, 0.2, 0.3],
        "decision": [True, False] * 2 + [True],
    }
)
REFERENCE = Digest("ab" * 32)
numbers = st.floats(-1e6, 1e6, width=32) | st.none()
row = st.tuples(numbers, st.sampled_from(["a", "b", "z"]), st.floats(0, 1), st.booleans())

if COMPILED:
    from custody.core.measures._buckets import counted


def capture(number: int, rows: list[tuple[Any, ...]], **more: Any) -> Capture:
    unique = unique_at(AT + number, f"{number:010}".encode())
    ages, plans, scores, decisions = ([each[i] for each in rows] for i in range(4))
    columns = {"age": ages, "plan": plans}
    said = {"event_ms": None, "keys": None, "mode": CaptureMode.LIVE, "of": None, **more}
    return Capture(
        PredictionId(KEY, 1, MODEL, unique), AT + number, threshold=0.5, inputs=columns, scores=scores, decisions=decisions, latency_us=5, **said
    )  # fmt: skip


def lines_of(captures: list[Capture]) -> bytes:
    return b"".join(map(line_of, captures))


def together(captures: list[Capture]) -> bytes:
    """Write captures of one target in one line, as the server does."""
    first = captures[0]
    line = line_after(
        line_head(str(first.id).removesuffix(first.id.unique), first.mode, first.threshold),
        first.at_ms,
        [one.id.unique for one in captures],
        [one.latency_us for one in captures],
        [one.inputs for one in captures],
        [orjson.dumps(one.scores) for one in captures],
        [orjson.dumps(one.decisions) for one in captures],
        [Told(one.event_ms, one.keys) for one in captures],
    )
    return line.replace(b'"later":null', b'"later":' + orjson.dumps([one.at_ms - first.at_ms for one in captures]))


def sampled(lines: bytes, rules: dict[tuple[ModelRef, float], Rule]) -> bytes:
    return sampled_pieces([lines], rules)


def rules(share: float) -> dict[tuple[ModelRef, float], Rule]:
    return {(MODEL, 0.5): Rule(share, REFERENCE, SPECS)}


def summary_of(captures: list[Capture]) -> Summary:
    columns: dict[str, list[Any]] = {"age": [], "plan": [], "score": [], "decision": []}
    for one in captures:
        told: dict[str, Any] = {**one.inputs, "score": one.scores, "decision": one.decisions}
        for name, values in columns.items():
            values += list(told[name])
    return summarise(columns, SPECS) if captures else empty(SPECS)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(row, min_size=1, max_size=5), min_size=1, max_size=12), st.sampled_from([0.05, 0.3, 0.7]))
def test_what_is_kept_and_what_is_summarised_make_the_whole(requests: list[list[tuple[Any, ...]]], share: float) -> None:
    every = [capture(number, rows) for number, rows in enumerate(requests)]
    kept, rest = open_batch(write_batch(sampled(lines_of(every), rules(share))))
    together = summary_of(kept)
    for one in rest:
        together = merge(together, one.summary(SPECS))
    assert together == summary_of(every)
    assert sum(one.rows for one in kept) + sum(one.rows for one in rest) == sum(one.rows for one in every)
    assert all(one.share == share for one in kept)
    ids = {str(one.id.of_row(place)) for one in kept for place in one.places or ()}
    assert ids == {str(one.id.of_row(i)) for one in every for i in range(one.rows) if point_of_row(one.id.of_row(i)) < share}


def test_a_kept_row_is_the_row_that_was_answered() -> None:
    one = capture(1, [(float(i), "a", i / 100, i % 2 == 0) for i in range(50)], keys=tuple(f"k{i}" for i in range(50)))
    kept, rest = open_batch(write_batch(sampled(line_of(one), rules(0.3))))
    places = kept[0].places
    assert places
    assert 0 < len(places) < 50
    assert kept[0].keys == tuple(f"k{i}" for i in places)
    assert kept[0].inputs["age"] == [float(i) for i in places]
    assert kept[0].scores == [i / 100 for i in places]
    assert rest[0].rows == 50 - len(places)
    assert (rest[0].key, rest[0].model, rest[0].day, rest[0].share) == (KEY, "churn@3", "2026-03-01", 0.3)


def test_the_share_that_is_kept_is_the_share_that_was_asked_for_and_grows_from_the_inside() -> None:
    every = [capture(number, [(1.0, "a", 0.5, True)]) for number in range(4000)]
    few, many = ({one.id for one in open_batch(write_batch(sampled(lines_of(every), rules(share))))[0]} for share in (0.1, 0.4))
    assert few < many
    assert abs(len(few) - 400) < 5 * (4000 * 0.1 * 0.9) ** 0.5
    assert abs(len(many) - 1600) < 5 * (4000 * 0.4 * 0.6) ** 0.5


def test_a_shadows_row_is_kept_with_the_answer_that_it_mirrors() -> None:
    live = [capture(number, [(1.0, "a", 0.5, True)]) for number in range(200)]
    shadows = [capture(9000 + i, [(1.0, "a", 0.4, False)], mode=CaptureMode.SHADOW, of=one.id) for i, one in enumerate(live)]
    kept, rest = open_batch(write_batch(sampled(lines_of([*live, *shadows]), rules(0.3))))
    assert {one.of for one in kept if one.of} == {one.id for one in kept if one.of is None}
    assert {one.mode for one in rest} == {CaptureMode.LIVE, CaptureMode.SHADOW}


@pytest.mark.parametrize(
    "rule", [{}, rules(1.0), {(MODEL, 0.6): rules(0.1)[MODEL, 0.5]}, {(MODEL, 0.5): Rule(0.1, REFERENCE, specs_of({"gone": [1.0, 2.0]}))}]
)  # fmt: skip
def test_rows_that_cannot_be_counted_are_all_kept_as_they_are(rule: dict[tuple[ModelRef, float], Rule]) -> None:
    lines = lines_of([capture(number, [(1.0, "a", 0.5, True)] * 2) for number in range(20)])
    assert sampled(lines, rule) == lines


def test_sampling_twice_changes_nothing() -> None:
    once = sampled(lines_of([capture(number, [(1.0, "a", 0.5, True)] * 2) for number in range(20)]), rules(0.4))
    kept = b"".join(line for line in once.splitlines(keepends=True) if b'"rest":' not in line)
    assert sampled(kept, rules(0.1)) == kept


@pytest.mark.parametrize("share", [0.01, 0.4, 1.0])
def test_requests_of_one_line_are_sampled_each_for_itself(share: float) -> None:
    every = [replace(capture(number, [(1.0, "a", 0.5, True)] * 2), at_ms=AT) for number in range(20)]
    one, each = (open_batch(write_batch(sampled(lines, rules(share)))) for lines in (together(every), lines_of(every)))
    assert one == each
    assert bool(each[1]) == (share < 1)


def sound() -> bytes:
    return sampled(lines_of([capture(number, [(1.0, "a", 0.5, True)]) for number in range(20)]), rules(0.01))


@pytest.mark.parametrize(("old", "new"), [(b'"rows":', b'"rowz":'), (b'"acme/prod/churn"', b'"acme"'), (b'"live"', b'"dead"')])
def test_a_broken_summary_is_refused(old: bytes, new: bytes) -> None:
    whole = sound()
    assert old in whole
    with pytest.raises(InvalidInput):
        open_batch(write_batch(whole.replace(old, new)))


@pytest.mark.parametrize("change", [{"columns": []}, {"rows": 7}, {"columns": [{"special": "x"}] * len(SPECS)}])
def test_a_summary_that_does_not_fit_its_reference_is_refused(change: dict[str, Any]) -> None:
    import msgspec

    rest = open_batch(write_batch(sound()))[1][0]
    broken = msgspec.convert({**msgspec.to_builtins(rest), **change}, Rest)
    with pytest.raises(InvalidInput):
        broken.summary(SPECS)


@pytest.mark.parametrize("change", [{"share": 0.0}, {"share": 1.5}, {"rows": [1]}, {"rows": [1, 0]}, {"rows": [-1, 0]}])
def test_a_line_with_a_wrong_share_or_places_is_refused(change: dict[str, Any]) -> None:
    line = orjson.loads((Path(__file__).parent / "capture_v1.ndjson").read_bytes())
    good = {**line, "v": 3, "share": 0.5, "rows": [0, 4]}
    assert read_batch(write_batch(orjson.dumps(good) + b"\n"))[0].places == (0, 4)
    with pytest.raises(InvalidInput):
        read_batch(write_batch(orjson.dumps({**good, **change}) + b"\n"))


floats = (
    st.floats(width=32)
    | st.sampled_from([0.1, 0.2, 0.3, 0.7, 1e-40, -0.0])
    | st.integers(-900, 900).map(lambda cents: cents / 100)
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["<f2", "<f4", "<f8"]).flatmap(
        lambda kind: st.lists(floats, min_size=1, max_size=60).map(lambda values: with_no_warnings(values, kind))
    ),
    st.sampled_from([0.1, 0.25, 1.0]),
    st.sampled_from([0.0, 0.1, 5.0]),
)
def test_floats_are_counted_as_they_are_read_from_a_kept_row(values: np.ndarray, scale: float, center: float) -> None:
    spec = Spec("x", Kind.NUMBER, "x", center=center, scale=scale)
    expected = count(spec, (plain(values),))
    assert count_floats(spec, [values]) == count_floats(spec, [values[:7], values[7:]]) == expected
    assert count_floats(spec, [np.repeat(values, 3)[1::3]]) == expected
    assert count_floats_plainly(spec, values) == expected


@pytest.mark.parametrize(
    ("center", "scale"), [(0, 0.7), (0.37, 0.7), (1000, 1.5), (-7e8, 1e-3), (0, 1e-20), (0, 1e-40), (3e-39, 1e-38), (1e30, 1e25)]
)
@pytest.mark.parametrize("kind", ["<f4", "<f8"])
def test_any_floats_are_counted_alike_with_a_c_compiler_and_without(kind: str, center: float, scale: float) -> None:
    assert COMPILED or os.environ.get("CI") != "true", "CI has a C compiler, see .ci/run."
    spec, rng = Spec("x", Kind.NUMBER, "x", center=center, scale=scale), np.random.default_rng(3)
    any_bits = rng.integers(0, 256, 400_000, np.uint8).view(kind)
    digits = np.round(rng.normal(0, 30, 20_000), 3).astype(kind)
    with np.errstate(over="ignore"):
        around = (center + scale * rng.normal(0, 3, 20_000)).astype(kind)
        ends = bucket_ends(spec, rng.integers(1, 130_000, 5_000))[0].astype(kind)  # and their neighbours
        edges = np.concatenate([ends, np.nextafter(ends, np.inf), np.nextafter(ends, -np.inf)])
    for values in (any_bits, digits, np.floor(digits), around, edges, digits[:0]):
        with np.errstate(invalid="ignore"):
            assert count_floats(spec, [values]) == count_floats_plainly(spec, values)
    for wrong in (digits.reshape(-1, 2), digits.astype(">f4"), digits.astype(np.int64), [1.5]) if COMPILED else ():
        with pytest.raises(ValueError, match=r"float32 or float64, of shape \(n,\)"):
            counted((cast("Any", wrong),), 0.0, 1.0)


def with_no_warnings(values: list[float], kind: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.array(values, kind)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=8), st.sampled_from([0.1, 0.5]), st.sampled_from(["<f4", "<f8", "<i8"]))
def test_one_tensor_of_several_columns_is_sampled_as_its_reference_names_them(sizes: list[int], share: float, kind: str) -> None:
    rng = np.random.default_rng(sum(sizes))
    tensors = [rng.normal(0, 50, (n, 2)).astype(kind) for n in sizes]
    scores = [rng.random(n) for n in sizes]
    line = line_after(
        line_head("acme:prod:churn:1:churn@3:", CaptureMode.LIVE, 0.5),
        AT,
        [unique_at(AT + number, f"{number:010}".encode()) for number in range(len(sizes))],
        [9] * len(sizes),
        [{"x": one} for one in tensors],
        [orjson.dumps(one, option=orjson.OPT_SERIALIZE_NUMPY) for one in scores],
        [orjson.dumps([True] * n) for n in sizes],
    )
    whole: list[Capture] = read_batch(write_batch(line))
    specs = specs_of({"x.0": [-30.0, 1.5, 40.0], "x.1": [-30.0, 1.5, 40.0], "score": [0.1, 0.9], "decision": [True, False]})
    kept, rest = open_batch(write_batch(sampled(line, {(MODEL, 0.5): Rule(share, REFERENCE, specs)})))

    def summed(captures: list[Capture]) -> Summary:
        if not captures:
            return empty(specs)
        columns = spread({"x": [row for one in captures for row in one.inputs["x"]]})
        told = {name: [value for one in captures for value in getattr(one, f"{name}s")] for name in ("score", "decision")}
        return summarise({**columns, **told}, specs)

    total = summed(kept)
    for one in rest:
        total = merge(total, one.summary(specs))
    assert total == summed(whole)
    rows = {str(one.id.of_row(i)): one.inputs["x"][i] for one in whole for i in range(one.rows)}
    found = {str(one.id.of_row(place)): one.inputs["x"][i] for one in kept for i, place in enumerate(one.places or ())}
    assert found == {name: row for name, row in rows.items() if point_of_row(PredictionId.parse(name)) < share}


def test_a_row_s_number_is_that_of_the_published_generator() -> None:
    numbers = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    seed = "".join(ALPHABET[1234567 >> shift & 31] for shift in range(55, -1, -5))
    one = PredictionId(KEY, 1, MODEL, unique_at(AT, bytes(10))[:14] + seed)
    assert [point_of_row(one.of_row(row)) for row in range(5)] == [(number >> 11) / 2**53 for number in numbers]


def test_rows_of_a_line_keep_their_own_times() -> None:
    every = [replace(capture(number, [(1.0, "a", 0.5, True)] * 9), at_ms=AT + 100 * number) for number in range(20)]
    kept, rest = open_batch(write_batch(sampled(together(every), rules(0.3))))
    times = {str(one.id): one.at_ms for one in every}
    assert {one.at_ms - times[str(one.id)] for one in kept} == {0}
    (counted,) = rest
    assert counted.at == counted.event == (AT, AT + 1900)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"[true],[true]]", b"[true,true],[]]"),
        (b"[true],[true]]", b"[true]]"),
        (b"[0.5],[0.5]]", b"[0.5,0.5],[]]"),
        (b"[0.5],[0.5]]", b'[0.5],["a"]]'),
        (b'["x"]]', b'["x","y"]]'),
        (b'"later":[0,100]', b'"later":[0]'),
    ],
)
def test_a_damaged_line_is_not_sampled(old: bytes, new: bytes) -> None:
    line = together([capture(number, [(1.0, "a", 0.5, True)], keys=("x",)) for number in range(2)])
    line = line.replace(b'"later":[0,1]', b'"later":[0,100]')
    assert line.count(old) == 1
    with pytest.raises((ValueError, TypeError, msgspec.MsgspecError)):
        sampled(line.replace(old, new), rules(0.5))


def test_lines_of_an_older_server_are_kept_as_they_are() -> None:
    lines = (Path(__file__).parent / "capture_v1.ndjson").read_bytes()
    rule = Rule(0.01, REFERENCE, specs_of({"score": [0.1, 0.9]}))
    every = read_batch(write_batch(lines))
    assert sampled(lines, {(one.id.model, one.threshold): rule for one in every}) == lines


def test_a_sampled_record_is_written_as_it_was_read() -> None:
    every = [replace(capture(number, [(1.0, "a", 0.5, True)] * 3, keys=(f"p{number}",) * 3), at_ms=AT) for number in range(9)]
    kept, _ = open_batch(write_batch(sampled(together(every), rules(0.6))))
    assert len(kept) > 5
    assert all(one.places is not None for one in kept)
    assert read_batch(write_batch(lines_of(kept))) == kept
    less = without(write_batch(sampled(together(every), rules(0.6))), lambda one: one.keys == ("p7",) * len(one.keys or ()))
    assert less is not None
    assert open_batch(less)[0] == [one for one in kept if one.keys and "p7" not in one.keys]


@pytest.mark.parametrize("change", [{"share": 0}, {"rows": []}, {"rows": [[0]] * 3}, {"rows": [[1, 0]] * 2}, {"us": [1]}])
def test_a_line_of_sampled_requests_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    every = [replace(capture(number, [(1.0, "a", 0.5, True)] * 2), at_ms=AT) for number in range(2)]
    good = {**orjson.loads(together(every)), "v": 5, "share": 0.5, "rows": [[0, 4], [2, 3]]}
    assert [one.places for one in read_batch(write_batch(orjson.dumps(good) + b"\n"))] == [(0, 4), (2, 3)]
    with pytest.raises(InvalidInput):
        read_batch(write_batch(orjson.dumps({**good, **change}) + b"\n"))


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(InvalidInput):
        open_batch(write_batch(b""))


def test_records_that_must_go_leave_the_other_lines_to_the_letter() -> None:
    every = [capture(number, [(1.0, "a", 0.5, True)] * 3, keys=(f"p{number}",) * 3) for number in range(40)]
    body = write_batch(sampled(lines_of(every), rules(0.6)))
    lines = unpacked(body)
    assert any(line.startswith(b'{"v":3,"rest"') for line in lines)
    less = without(body, lambda one: one.keys is not None and "p7" in one.keys)
    assert less is not None
    assert unpacked(less) == [line for line in lines if b'"p7"' not in line]
    assert without(less, lambda one: one.keys is not None and "p7" in one.keys) is None
    assert without(write_batch(lines_of(every[:1])), lambda _: True) == b""
    with pytest.raises(InvalidInput):
        without(b"no batch", lambda _: True)


def test_a_record_that_must_go_takes_none_with_it_of_those_in_its_line() -> None:
    every = [replace(capture(number, [(1.0, "a", 0.5, True)] * 3, keys=(f"p{number}",) * 3), at_ms=AT) for number in range(9)]
    body = write_batch(together(every[:5]) + together(every[5:]))
    less = without(body, lambda one: one.keys is not None and "p7" in one.keys)
    assert less is not None
    assert b'"p7"' not in b"".join(unpacked(less))
    assert read_batch(less) == [one for one in every if one.keys != ("p7",) * 3]
    assert unpacked(less)[0] == unpacked(body)[0]
