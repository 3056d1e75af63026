"""Rows from frames and Parquet files: the same counts as of all rows at once, however they are cut."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from custody.core.errors import InvalidInput, NotFound
from custody.core.measures.spec import Kind, Spec
from custody.core.measures.summary import Summary, summarise
from custody.monitoring.standalone import rows as places
from custody.monitoring.standalone.files import load_text, open_parquet, store_text
from custody.monitoring.standalone.rows import Rows, chosen, rows_of, spread
from custody.monitoring.standalone.scan import scan, scan_reference

SPECS = (
    Spec("x", Kind.NUMBER, "x", center=1.0, scale=2.0),
    Spec("n", Kind.NUMBER, "n"),
    Spec("c", Kind.CATEGORY, "c", levels=("a", "b")),
    Spec("b", Kind.CATEGORY, "b", levels=("true", "false")),
)
ROW = st.tuples(
    st.none() | st.floats(), st.none() | st.integers(-9, 9), st.none() | st.sampled_from(["a", "b", "new", ""]), st.booleans()
)
SCHEMA = pa.schema([("x", pa.float64()), ("n", pa.int32()), ("c", pa.string()), ("b", pa.bool_())])


def table_of(rows: list[Any]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ([] for _ in SCHEMA)
    return pa.table([pa.array(list(column), field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def whole(table: pa.Table) -> Summary:
    return summarise({name: table.column(name).to_pylist() for name in table.column_names}, SPECS)


@given(st.lists(ROW, max_size=40), st.integers(1, 50), st.randoms(use_true_random=False), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_any_row_groups_in_any_order_give_the_same_bits(
    tmp_path: Path, rows: list[Any], group: int, random: Any, dictionary: bool
) -> None:
    expected = whole(table_of(rows))
    random.shuffle(rows)
    file = tmp_path / "rows.parquet"
    pq.write_table(table_of(rows), file, row_group_size=group, use_dictionary=dictionary)
    assert scan(open_parquet(file), SPECS) == expected
    assert scan(rows_of(pa.concat_tables([table_of(rows[:group]), table_of(rows[group:])])), SPECS) == expected


@given(st.integers(1, 9), st.integers(0, 2**32))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=10)
def test_reading_in_other_pieces_gives_the_same_bits(tmp_path: Path, piece: int, seed: int) -> None:
    rng, file = np.random.default_rng(seed), tmp_path / "rows.parquet"
    table = pa.table(
        {"x": rng.normal(size=20), "c": rng.choice(["a", "b", "c"], 20), "n": rng.integers(0, 9, 20), "b": [True] * 20}
    )
    pq.write_table(table, file, row_group_size=7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("custody.monitoring.standalone.files.PIECE", piece)
        assert scan(open_parquet(file), SPECS) == whole(table)


def frames() -> list[tuple[str, Callable[[pa.Table], Any]]]:
    return [
        ("table", lambda table: table),
        ("batch", lambda table: table.combine_chunks().to_batches()[0]),
        ("pandas", lambda table: table.to_pandas()),
        ("pandas with an index", lambda table: table.to_pandas().sample(frac=1, random_state=3)),
        ("lists", lambda table: table.to_pydict()),
        ("arrays", lambda table: {name: table.column(name).to_numpy() for name in table.column_names}),
        ("series", lambda table: {name: table.column(name).to_pandas() for name in table.column_names}),
        ("tuples", lambda table: {name: tuple(table.column(name).to_pylist()) for name in table.column_names}),
        ("iterators", lambda table: {name: iter(table.column(name).to_pylist()) for name in table.column_names}),
    ]


@pytest.mark.parametrize("frame", [frame for _, frame in frames()], ids=[name for name, _ in frames()])
def test_every_kind_of_frame_counts_alike(frame: Callable[[pa.Table], Any]) -> None:
    rng = np.random.default_rng(1)
    columns = {
        "x": rng.normal(size=500),
        "n": rng.integers(-9, 9, 500),
        "c": rng.choice(list("abc"), 500),
        "b": rng.random(500) < 0.5,
    }
    table = pa.table(columns)
    assert scan(rows_of(frame(table)), SPECS) == whole(table)


def test_a_missing_value_of_pandas_is_null_and_nan_of_arrow_stays_nan() -> None:
    frame = pd.DataFrame({"x": [1.0, np.nan]})
    assert scan(rows_of(frame), SPECS[:1]).columns[0].null == 1
    assert scan(rows_of(pa.table({"x": [1.0, float("nan")]})), SPECS[:1]).columns[0].nan == 1


def test_a_frame_that_only_hands_out_arrow_is_enough() -> None:
    class Frame:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return pa.table({"x": [1.0, 2.0]}).__arrow_c_stream__(requested_schema)

    assert scan(rows_of(Frame()), SPECS[:1]).rows == 2


def reference_of(path: Path, table: pa.Table, group: int) -> Summary:
    pq.write_table(table, path, row_group_size=group)
    rows = open_parquet(path)
    return scan_reference(rows, rows.names)


def test_a_reference_of_a_file_and_of_a_frame_are_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    texts = [f"please call {i} about this" for i in range(3000)]
    columns = {"x": rng.normal(size=3000), "c": rng.choice(list("abcd"), 3000), "b": rng.random(3000) < 0.4, "text": texts}
    table = pa.table(columns)
    expected = scan_reference(rows_of(table), tuple(table.column_names))
    assert [spec.column for spec in expected.specs] == ["x", "c", "b", "text.length", "text.words"]
    assert reference_of(tmp_path / "a.parquet", table, 3000) == expected
    assert reference_of(tmp_path / "b.parquet", table, 700) == expected
    assert scan_reference(rows_of(table.to_pydict()), tuple(table.column_names)) == expected


def test_the_kept_levels_are_the_most_frequent_of_all_rows(tmp_path: Path) -> None:
    rare, often = [f"rare {i}" for i in range(300)] * 2, [f"often {i}" for i in range(200)] * 9
    summary = reference_of(tmp_path / "a.parquet", pa.table({"c": rare + often}), 300)
    assert sum(level.startswith("often") for level in summary.specs[0].levels) == 200


def test_a_long_file_s_grid_is_read_from_places_spread_over_it(tmp_path: Path) -> None:
    values = np.concatenate([np.zeros(4000), np.random.default_rng(2).normal(1.7e9, 1e5, 36_000)])  # a file sorted by time
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("custody.monitoring.standalone.files.SAMPLE", 8000)
        (spec,) = reference_of(tmp_path / "a.parquet", pa.table({"x": values}), 1000).specs
    assert spec.center == pytest.approx(1.7e9, rel=1e-3)


def test_a_sample_is_bounded_and_repeats_itself(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": np.arange(5000.0)}), tmp_path / "a.parquet", row_group_size=100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("custody.monitoring.standalone.files.SAMPLE", 1600)
        patch.setattr("custody.monitoring.standalone.files.PIECE", 30)
        sample = open_parquet(tmp_path / "a.parquet").sample("x")
        first, again = ([value for piece in sample for value in pa.array(piece).to_pylist()] for _ in range(2))
    assert first == again
    assert (min(first), max(first), len(first)) == (0, 4999, 1600)


@given(st.integers(1, 10_000))
def test_places_are_spread_from_the_first_to_the_last(count: int) -> None:
    found = spread(count)
    assert (found[0], found[-1]) == (0, count - 1)
    assert found == sorted(set(found))
    assert len(found) == min(count, places.PLACES)


def test_columns_that_cannot_be_summarised_are_left_out_and_named(tmp_path: Path) -> None:
    table = pa.table(
        {"x": [1.0], "vector": [[1.0]], "image": [b"png"], "pair": [{"a": 1}], "when": pa.array([1], pa.time32("s"))}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    frame = pd.DataFrame({"x": [1.0, 2.0]}, index=["p", "q"])
    for rows in (rows_of(table), open_parquet(tmp_path / "a.parquet")):
        assert rows.names == ("x", "when")
        assert rows.ignored == ("vector", "image", "pair")
    assert (rows_of(frame).names, rows_of(frame).ignored) == (("x",), ("__index_level_0__",))


def test_names_with_dots_are_not_taken_for_nested_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.0, 2.0], "x.y": ["p", "q"], "x.y.z": [5, 6]}), tmp_path / "a.parquet")
    rows = open_parquet(tmp_path / "a.parquet")
    found = scan_reference(rows, rows.names)
    assert [(spec.column, spec.kind.value) for spec in found.specs] == [("x", "number"), ("x.y", "category"), ("x.y.z", "number")]
    assert found.column("x.y.z").quantile(1) == pytest.approx(6, rel=0.01)


def ask(rows: Rows, columns: list[str] | None = None) -> tuple[str, ...]:
    return chosen(rows, columns)


def test_columns_can_be_chosen() -> None:
    rows = rows_of({"x": [1], "y": [2]})
    assert (ask(rows), ask(rows, ["y"])) == (("x", "y"), ("y",))
    with pytest.raises(InvalidInput, match="no columns z"):
        ask(rows, ["x", "z"])
    with pytest.raises(InvalidInput, match="at least one column"):
        scan_reference(rows, ())


@pytest.mark.parametrize("data", [3, [1, 2], None, pd.DataFrame({"x": [1, "a"]}), pa.array([1]), pd.Series([1.0])])
def test_what_is_no_frame_is_refused_without_its_values(data: Any) -> None:
    with pytest.raises(InvalidInput, match="cannot be read") as caught:
        rows_of(data)
    assert "'a'" not in str(caught.value)


def test_columns_of_different_lengths_and_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidInput, match="different lengths"):
        scan(rows_of({"x": [1.0], "n": [1, 2]}), SPECS[:2])
    with pytest.raises(InvalidInput, match="several columns named x"):
        rows_of(pa.table([[1], [2]], names=["x", "x"]))
    with pytest.raises(InvalidInput, match="lacks the columns n"):
        scan(rows_of({"x": [1.0]}), SPECS[:2])


def test_a_missing_a_foreign_and_a_damaged_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        open_parquet(tmp_path / "none.parquet")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 or not")
    with pytest.raises(InvalidInput, match=r"a\.parquet is not a readable Parquet file"):
        open_parquet(tmp_path / "a.parquet")
    with pytest.raises(InvalidInput, match="not a readable Parquet file"):
        open_parquet(tmp_path)
    pq.write_table(pa.table({"x": np.random.default_rng(0).normal(size=9000)}), tmp_path / "b.parquet")
    body = bytearray((tmp_path / "b.parquet").read_bytes())
    body[4:40] = b"\xff" * 36  # a page's header
    (tmp_path / "b.parquet").write_bytes(body)
    with pytest.raises(InvalidInput, match="damaged"):
        scan(open_parquet(tmp_path / "b.parquet"), SPECS[:1])


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.json.zst"])
def test_text_files_come_back_and_are_packed_by_their_ending(tmp_path: Path, name: str) -> None:
    text = "wörter " * 1000
    store_text(tmp_path / name, text)
    store_text(tmp_path / name, text)
    assert load_text(tmp_path / name) == text
    assert ((tmp_path / name).stat().st_size < 1000) == (name != "a.json")
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_text_files_that_are_not_there_or_no_text_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        load_text(tmp_path / "none.json")
    (tmp_path / "a.json.gz").write_bytes(b"not packed")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe")
    for name in ("a.json.gz", "b.json"):
        with pytest.raises(InvalidInput, match="not a readable text file"):
            load_text(tmp_path / name)
