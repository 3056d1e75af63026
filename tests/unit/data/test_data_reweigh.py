"""Weights make a label independent of a group, and change nothing else."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.errors import InvalidInput
from custody.data.reweigh import weights

ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["yes", "no", ""])), min_size=1, max_size=60)


@given(ROWS)
def test_weighted_every_group_has_each_label_as_often_as_all_rows_have_it(rows: list[tuple[str, str]]) -> None:
    groups, labels = [one for one, _ in rows], [two for _, two in rows]
    made = weights(groups, labels)
    assert (made > 0).all()
    cells: dict[tuple[str, str], float] = defaultdict(float)
    for group, label, weight in zip(groups, labels, made, strict=True):
        cells[group, label] += weight
    for (group, label), total in cells.items():
        assert total == pytest.approx(groups.count(group) * labels.count(label) / len(rows))


@given(ROWS)
def test_where_every_group_has_every_label_the_weights_sum_to_the_rows(rows: list[tuple[str, str]]) -> None:
    whole = [*rows, *((group, label) for group in "abc" for label in ("yes", "no", ""))]
    made = weights([one for one, _ in whole], [two for _, two in whole])
    assert made.sum() == pytest.approx(len(whole))


def test_labels_that_do_not_depend_on_the_group_weigh_one() -> None:
    assert weights(["a", "a", "b", "b"] * 5, ["yes", "no"] * 10).tolist() == [1.0] * 20
    assert len(weights([], [])) == 0
    with pytest.raises(InvalidInput):
        weights(["a"], [])


def test_the_example_of_the_paper_comes_out() -> None:
    """Kamiran and Calders 2012, section 4.2: 10 people, 5 of each sex; 4 men and 2 women were hired."""
    sex, hired = ["m"] * 5 + ["f"] * 5, ["+"] * 4 + ["-"] + ["+"] * 2 + ["-"] * 3
    made = dict(zip(zip(sex, hired, strict=True), np.round(weights(sex, hired), 2), strict=True))
    assert made == {("m", "+"): 0.75, ("m", "-"): 2.0, ("f", "+"): 1.5, ("f", "-"): 0.67}
