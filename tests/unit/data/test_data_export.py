"""The mark of an export: an order that only the key explains, still there when rows are missing or added."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custody.data.export import marked, match

KEYS = [b"one key of thirty-two bytes or so", b"another key of about that length!"]


def rows(n: int = 400) -> pa.Table:
    rng = np.random.default_rng(5)
    return pa.table({"id": list(range(n)), "age": rng.integers(18, 80, n).tolist()})


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(0.2, 1.0), st.floats(0, 0.15))
def test_a_part_of_the_rows_with_strangers_between_is_still_known(seed: int, kept: float, added: float) -> None:
    rng = np.random.default_rng(seed)
    out = marked(rows(), KEYS[0])
    mask = rng.random(out.num_rows) < max(kept, 0.2)
    part = out.filter(pa.array(mask)).to_pylist()
    for _ in range(int(added * len(part))):
        part.insert(int(rng.integers(0, len(part))), {"id": int(rng.integers(1000, 9999)), "age": 1})
    found = pa.Table.from_pylist(part)
    assert match(found, KEYS[0], "mine").sigma > 4
    assert match(found, KEYS[1], "other").sigma < 5
    assert match(found, KEYS[0], "mine").sigma > match(found, KEYS[1], "other").sigma


def test_marking_changes_nothing_but_the_order_and_sorting_removes_it() -> None:
    out = marked(rows(), KEYS[0])
    assert out.sort_by("id") == rows()
    assert marked(rows().sort_by("age"), KEYS[0]).column("id") == out.column("id"), "it does not depend on the order before"
    whole = match(out, KEYS[0], "mine")
    assert (whole.in_order, whole.rows) == (1.0, 400)
    assert whole.sigma == pytest.approx((399 - 399 / 2) / (401 / 12) ** 0.5)
    assert abs(match(out.sort_by("id"), KEYS[0], "mine").sigma) < 5


def test_too_few_rows_prove_nothing() -> None:
    assert match(rows(0), KEYS[0], "mine").sigma == match(rows(1), KEYS[0], "mine").sigma == 0.0
    assert match(marked(rows(8), KEYS[0]), KEYS[0], "mine").sigma < 5
    same = pa.table({"a": [1] * 50})
    assert match(same, KEYS[0], "mine").sigma == 0.0


def test_an_unrelated_order_is_rarely_taken_for_the_marked_one() -> None:
    sigmas = [match(rows(200).take(pa.array(np.random.default_rng(i).permutation(200))), KEYS[0], "x").sigma for i in range(200)]
    assert max(sigmas) < 5
    assert abs(float(np.mean(sigmas))) < 0.3
