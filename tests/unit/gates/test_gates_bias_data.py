"""Group rates of real data, and Fairlearn as oracle; what is not installed or not there is skipped."""

import bz2
import csv
import io
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from custody.core.evidence import Outcome
from custody.core.measures.performance import group_counts
from custody.gates.bias import bias_check
from custody.gates.policy import BiasRule

DATA = Path(os.environ.get("CUSTODY_DATA") or Path(__file__).parents[4] / "shared" / "data")


def read(name: str) -> list[dict[str, str]]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not in {DATA.name}; set CUSTODY_DATA to its folder")
    if path.suffix == ".bz2":
        text = bz2.decompress(path.read_bytes()).decode()
    else:
        body = path.read_bytes()
        while body.startswith(b"PK"):  # one archive in the other
            with zipfile.ZipFile(io.BytesIO(body)) as packed:
                body = packed.read(next(one for one in packed.namelist() if one.endswith((".csv", ".zip"))))
        text = body.decode()
    return list(csv.DictReader(io.StringIO(text)))


def rates(rows: Sequence[dict[str, str]], column: str, target: str, yes: str) -> dict[str, tuple[int, int]]:
    decided = np.array([row[target] == yes for row in rows])
    found = group_counts(decided, decided, {column: [row[column] for row in rows]})
    return {one.group: (one.tp, one.n) for one in found}


@pytest.mark.parametrize(
    ("name", "column", "target", "yes", "most"),
    [("arrests.zip", "colour", "released", "Yes", "White"), ("loanapp.csv.bz2", "black", "approve", "1", "0")],
)
def test_the_group_rates_of_real_data_are_those_of_a_plain_count_and_their_gap_is_proven(
    name: str, column: str, target: str, yes: str, most: str
) -> None:
    rows = read(name)
    found = rates(rows, column, target, yes)
    for group, (k, n) in found.items():
        mine = [row for row in rows if row[column] == group]
        assert (k, n) == (sum(row[target] == yes for row in mine), len(mine))
    assert max(found, key=lambda group: found[group][0] / found[group][1]) == most
    decided = np.array([row[target] == yes for row in rows])
    groups = group_counts(decided, decided, {column: [row[column] for row in rows]})
    assert bias_check(BiasRule(column, "selection_rate", 0.05), groups, 0.5).outcome is Outcome.FAIL


def test_fairlearn_finds_the_same_rates() -> None:
    metrics = pytest.importorskip("fairlearn.metrics", reason="pip install fairlearn")
    rng = np.random.default_rng(2)
    actual, decided, groups = rng.random(4000) < 0.4, rng.random(4000) < 0.5, rng.choice(list("abcd"), 4000)
    names = {
        "selection_rate": metrics.selection_rate,
        "recall": metrics.true_positive_rate,
        "false_positive_rate": metrics.false_positive_rate,
    }
    frame = metrics.MetricFrame(metrics=names, y_true=actual, y_pred=decided, sensitive_features=groups)
    counted = group_counts(decided, actual, {"group": list(groups)})
    for name in names:
        facts = bias_check(BiasRule("group", name), counted, 0.5).facts
        for group in "abcd":
            assert facts[f"rate:{group}"] == pytest.approx(frame.by_group[name][group], abs=1e-12)
