"""Comparing two sets of rows without the platform: what it finds, shows, saves and stores."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from custody import monitoring
from custody.core.errors import InvalidInput, NotFound
from custody.core.measures.summary import Summary
from custody.monitoring.report import Level
from custody.monitoring.standalone.plots import nice
from custody.monitoring.standalone.profile import Profile

HOSTILE = "<script>alert('x')</script>&\"`"


def rows(seed: int, n: int = 4000, shift: float = 0.0, gold: float = 0.3) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "amount": np.exp(rng.normal(3 + shift, 1, n)),
        "age": np.round(rng.normal(41, 12, n)),
        "plan": rng.choice(["basic", "gold", "trial"], n, p=[0.6, gold, 0.4 - gold]),
        "approved": rng.random(n) < 0.4,
    }


REFERENCE = rows(1)


@pytest.fixture(name="files")
def fixture_files(tmp_path: Path) -> tuple[Path, Path]:
    for name, columns in (("reference", REFERENCE), ("current", rows(2, shift=0.5))):
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet", row_group_size=900)
    return tmp_path / "reference.parquet", tmp_path / "current.parquet"


def test_a_column_that_moved_is_found_and_the_others_are_quiet() -> None:
    found = monitoring.compare(REFERENCE, rows(2, shift=0.5))
    assert (found.level, found.report.looks, found.report.rows) == (Level.ALARM, 1, 4000)
    assert [column.column for column in found.report.drifting] == ["amount"]
    assert re.fullmatch(r"the share of amount <= \d+(\.\d+)? went from \d+ % to \d+ %", found.columns[0].sentence)
    assert found.sentence == f"1 of 4 columns drifts: {found.columns[0].sentence}."
    assert str(found) == f"alarm: {found.sentence}\nalarm  amount: {found.columns[0].sentence}"
    assert {one.column: [d.name for d in one.distances] for one in found.columns} == {
        "amount": ["ks", "wasserstein", "psi", "js"],
        "age": ["ks", "wasserstein", "psi", "js"],
        "plan": ["psi", "js", "chi_squared"],
        "approved": ["psi", "js", "chi_squared"],
    }


def test_without_drift_nothing_is_found_and_distances_read_about_what_they_should() -> None:
    found = monitoring.compare(REFERENCE, rows(3))
    assert (found.level, found.report.drifting, str(found)) == (Level.NONE, (), "none: No drift is shown in 4 columns.")
    for column in found.columns:
        for one in column.distances:
            assert one.value < 4 * one.expected + one.error


def test_a_wider_tolerance_tolerates_more() -> None:
    current = rows(2, gold=0.37)
    assert monitoring.compare(REFERENCE, current).level is not Level.NONE
    tolerance = monitoring.Tolerance(notice=0.09, alarm=0.2)
    assert monitoring.compare(REFERENCE, current, tolerance=tolerance).level is Level.NONE


def test_files_frames_and_arrays_give_the_same_comparison(files: tuple[Path, Path]) -> None:
    expected = monitoring.compare(*files)
    tables = [pq.read_table(file) for file in files]
    for sides in (
        tables,
        [table.to_pandas() for table in tables],
        [table.to_pydict() for table in tables],
        list(map(str, files)),
    ):
        found = monitoring.compare(*sides)
        assert found.report == expected.report
        assert found.to_json()["columns"] == expected.to_json()["columns"]


@pytest.mark.parametrize("name", ["reference.json", "reference.json.gz", "reference.json.zst"])
def test_a_stored_reference_needs_its_rows_no_more(files: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    expected = monitoring.compare(*files)
    monitoring.summarise(files[0]).save(tmp_path / name)
    files[0].unlink()
    found = monitoring.compare(tmp_path / name, files[1])
    assert found.report == expected.report
    assert found.reference.name == "reference"
    assert Summary.from_json(monitoring.summarise(tmp_path / name).summary.to_json()) == expected.reference.summary


def test_profiles_of_parts_add_up_to_the_whole(files: tuple[Path, Path]) -> None:
    reference = monitoring.summarise(files[0])
    table = pq.read_table(files[1])
    parts = [monitoring.summarise(part, like=reference) for part in (table[:100], table[100:])]
    together = parts[0].merge(parts[1])
    assert together.rows == 4000
    assert monitoring.compare(reference, together).report == monitoring.compare(*files).report
    assert monitoring.compare(files[0], together).report == monitoring.compare(*files).report


def test_a_profile_made_like_another_reference_is_refused() -> None:
    other = monitoring.summarise(rows(2))
    with pytest.raises(InvalidInput):
        monitoring.compare(REFERENCE, other)
    with pytest.raises(InvalidInput, match="different specs"):
        monitoring.summarise(REFERENCE).merge(other)


def test_a_profile_says_what_it_holds() -> None:
    found = monitoring.summarise(REFERENCE, columns=["plan", "age"])
    assert (found.rows, found.columns, str(found)) == (4000, ("plan", "age"), "4,000 rows of 2 columns: plan, age")
    assert monitoring.summarise(found) is found


def test_what_is_not_compared_is_named() -> None:
    reference, current = pa.table({"x": [1.0] * 9, "vector": [[1]] * 9}), pa.table({"x": [1.0] * 9, "new": [2] * 9})
    found = monitoring.compare(reference, current)
    assert found.to_json()["not_compared"] == ["vector", "new"]
    assert "Not compared: vector, new." in found.to_html()
    assert [column.column for column in monitoring.compare(REFERENCE, rows(2), columns=["age"]).columns] == ["age"]


def test_a_missing_column_and_an_empty_side_are_errors() -> None:
    with pytest.raises(InvalidInput, match="lacks the columns age"):
        monitoring.compare(REFERENCE, {name: values for name, values in REFERENCE.items() if name != "age"})
    with pytest.raises(InvalidInput, match="without rows"):
        monitoring.compare({"x": []}, {"x": [1]})
    assert monitoring.compare({"x": [1, 2]}, {"x": []}).report.looks == 0


def test_no_saved_profile_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        monitoring.summarise(tmp_path / "none.json")
    for name, text in (("a.json", "no json"), ("b.json", "[]"), ("c.json", '{"version":99,"columns":[]}')):
        (tmp_path / name).write_text(text)
        with pytest.raises(InvalidInput):
            monitoring.summarise(tmp_path / name)


def test_json_is_versioned_complete_and_without_nan(tmp_path: Path) -> None:
    reference = {**REFERENCE, "gap": [None] * 3000 + [float("inf"), float("nan")] * 500, "none": [None] * 4000}
    current = {**rows(2, gold=0.4), "gap": [None] * 2000 + [1.0] * 2000, "none": [None] * 4000}
    monitoring.compare(reference, current).save(tmp_path / "drift.json")
    body = json.loads((tmp_path / "drift.json").read_text(), parse_constant=pytest.fail)
    assert (body["version"], body["level"], body["looks"], body["tolerance"]["alpha"]) == (1, "alarm", 1, 0.05)
    assert (body["reference"], body["current"]) == ({"name": "", "rows": 4000}, {"name": "", "rows": 4000})
    columns = {column["column"]: column for column in body["columns"]}
    gap, plan = columns["gap"], columns["plan"]
    assert {name: gap["reference"][name] for name in ("rows", "null", "nan", "positive_infinite", "negative_infinite")} == {
        "rows": 4000, "null": 3000, "nan": 500, "positive_infinite": 500, "negative_infinite": 0,
    }  # fmt: skip
    assert (gap["level"], gap["quality"], gap["reference"]["quantiles"]) == ("alarm", True, {})
    assert gap["current"]["quantiles"]["0.5"] == pytest.approx(1, rel=0.01)
    assert plan["current"]["levels"]["gold"] == pytest.approx(0.4, abs=0.03)
    assert {one["name"]: sorted(one) for one in plan["distances"]}["js"] == ["error", "expected", "name", "value"]


def wide(seed: int, shift: float) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    numbers = {f"number {i}": rng.normal(10**i, 1 + 10 ** (i / 2), 2000) * np.exp(shift * rng.random()) for i in range(-9, 10)}
    levels = {f"level {i}": rng.choice([f"{HOSTILE} {j}" for j in range(2**i)], 2000) for i in range(1, 6)}
    return {HOSTILE: rng.normal(shift, 1, 2000), **numbers, **levels}


def test_a_page_is_small_whole_and_safe(tmp_path: Path) -> None:
    found = monitoring.compare(wide(1, 0.0), wide(2, 0.7))
    assert len(found.columns) == 25
    found.save(tmp_path / "drift.html")
    page = (tmp_path / "drift.html").read_text()
    assert len(page.encode()) < 100_000
    assert page.startswith("<!doctype html>")
    assert "alert('x')" not in page
    assert not re.search(r"<script|<link|<img|\bon\w+=|javascript:|https?:|url\(|@import|nan|inf\b", page)
    assert page.count("<svg") == 2 * 20 + 5
    assert page.count("<details open>") == len(found.report.drifting)
    for drawing in re.findall(r"<svg.*?</svg>", page):
        ET.fromstring(drawing)  # well formed


def test_a_packed_page_is_the_same_page(tmp_path: Path) -> None:
    found = monitoring.compare(REFERENCE, rows(2))
    found.save(tmp_path / "drift.html.gz")
    assert pa.input_stream(str(tmp_path / "drift.html.gz")).read().decode() == found.to_html()
    with pytest.raises(InvalidInput, match=r"not saved as \.txt"):
        found.save(tmp_path / "drift.txt")


def test_a_notebook_shows_the_comparison_and_its_plots() -> None:
    found = monitoring.compare(REFERENCE, rows(2, shift=0.5))
    shown = found._repr_html_()
    assert shown.startswith('<div class="cd"><style>')
    assert found.columns[0].sentence.replace("<", "&lt;") in shown
    assert "doctype" not in shown
    plot = found.plot("plan")
    assert plot.startswith("<svg")
    assert plot in plot._repr_html_()
    with pytest.raises(InvalidInput, match="no column 'income'"):
        found.plot("income")


def bars(plot: str) -> list[str]:
    return re.findall(r'text-anchor="end">([^<]*)</text>', plot)


def test_a_category_is_drawn_by_its_most_frequent_levels_and_long_names_are_cut() -> None:
    name = "an uncommonly long name of a level"
    reference = {"c": [name] * 50 + ["b"] * 40 + [f"rare {i % 9}" for i in range(10)]}
    drawn = bars(monitoring.compare(reference, {"c": ["b"] * 60 + ["new"] * 40}).plot("c"))
    assert drawn[:3] == ["b", "an uncommonly lon\N{HORIZONTAL ELLIPSIS}", "(never seen before)"[:17] + "\N{HORIZONTAL ELLIPSIS}"]
    assert len(drawn) == 8


@pytest.mark.parametrize("values", [[5.0] * 9, [0.0], [-1e300, 1e300], [1e-300, 2e-300], [float("inf")] * 3, [1.7e9, 1.7e9 + 1]])
def test_odd_columns_are_drawn_too(values: list[float]) -> None:
    with np.errstate(all="raise", under="ignore"):
        drawn = monitoring.compare({"x": values * 5}, {"x": values}).plot("x")
    assert drawn.count("<svg") == 2
    assert "nan" not in drawn


@pytest.mark.parametrize(("raw", "rounded"), [(1.0, 1.0), (1.1, 2.0), (3.0, 5.0), (6.0, 10.0), (0.02, 0.02), (1e-7, 1e-7)])
def test_steps_are_round(raw: float, rounded: float) -> None:
    assert nice(raw) == pytest.approx(rounded)


def test_many_columns_are_listed_and_the_first_fifty_drawn() -> None:
    columns = {f"x{i}": np.arange(40.0) for i in range(60)}
    page = monitoring.compare(columns, columns).to_html()
    assert page.count("<details>") == 50
    assert "Not drawn: 10 more columns." in page


def test_a_small_reference_is_warned_of() -> None:
    small = monitoring.compare({"x": np.arange(50.0)}, {"x": np.arange(50.0)})
    assert "Careful: the reference has only 50 rows" in small.to_html()
    assert str(small.to_json()["warning"]).startswith("the reference has only 50 rows")


def test_comparing_files_loads_no_pandas_and_importing_no_scipy(files: tuple[Path, Path]) -> None:
    code = (
        "import sys; from custody import monitoring; first = {name.partition('.')[0] for name in sys.modules};"
        f"found = monitoring.compare({str(files[0])!r}, {str(files[1])!r}); found.to_html(), found.to_json();"
        "print(found.level.value, *(['scipy at import'] if 'scipy' in first else []), *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    level, *modules = done.stdout.split()
    assert level == "alarm"
    assert "scipy at import" not in done.stdout
    assert {"pandas", "msgspec", "sqlalchemy", "matplotlib"} & set(modules) == set()
    assert {"numpy", "pyarrow"} <= set(modules)


def test_a_pandas_frame_with_every_usual_kind_of_column_is_compared() -> None:
    frame = pd.DataFrame(
        {
            "number": [1.5, None, 2.0] * 100,
            "whole": pd.array([1, 2, None] * 100, dtype="Int64"),
            "text": ["a", "b", None] * 100,
            "category": pd.Categorical(["x", "y", "x"] * 100, categories=["x", "y", "never"]),
            "flag": pd.array([True, None, False] * 100, dtype="boolean"),
            "at": pd.date_range("2026-01-01", periods=300, freq="h"),
        }
    )
    found = monitoring.compare(frame, frame.sample(frac=1, random_state=1))
    assert found.level is Level.NONE
    assert found.to_json()["not_compared"] == ["__index_level_0__"]
    assert {one.column for one in found.columns} == set(frame.columns)
    assert found.reference.summary.column("category").spec.levels == ("x", "y")
    assert [found.reference.summary.column(name).null for name in ("number", "whole", "text", "flag")] == [100] * 4


def test_a_profile_is_a_plain_value() -> None:
    first, second = (monitoring.summarise(REFERENCE) for _ in range(2))
    assert isinstance(first, Profile)
    assert first == second
