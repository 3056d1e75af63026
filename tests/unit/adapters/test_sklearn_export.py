"""Models that people train every day leave training as ONNX with the same scores, whatever they were trained on."""

import importlib
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from custody.adapters.frameworks.onnx import OnnxModel
from custody.adapters.frameworks.sklearn import export
from custody.adapters.frameworks.sklearn_graph import converters
from custody.core.exported import Exported
from custody.serving import check_parity, read_fixture

ensemble: Any = importlib.import_module("sklearn.ensemble")
linear: Any = importlib.import_module("sklearn.linear_model")
pandas: Any = importlib.import_module("pandas")

ROWS = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
LABELS = (ROWS[:, 0] + ROWS[:, 1] > 0).astype(int)


def with_gaps() -> Any:
    rows = ROWS.copy()
    rows[::7, 1] = np.nan
    return rows


def frame(rows: Any) -> Any:
    return pandas.DataFrame(rows, columns=list("abcd"))


def as_served(exported: Exported) -> float:
    """Return the largest difference from the original's scores, as a server finds it: from the stored bytes alone."""
    fixture = read_fixture(msgspec.json.encode(exported.fixture))
    return check_parity(OnnxModel(exported.onnx, exported.signature), fixture, exported.signature)


@pytest.mark.parametrize("rows", [ROWS, with_gaps(), ROWS.astype(float)], ids=["array", "with missing values", "of doubles"])
@pytest.mark.parametrize("shape", [np.asarray, frame], ids=["array", "table"])
def test_boosted_trees_on_arrays_and_tables(rows: Any, shape: Callable[[Any], Any]) -> None:
    sample = shape(rows)
    exported = export(ensemble.HistGradientBoostingClassifier(max_iter=10).fit(sample, LABELS), sample)
    assert as_served(exported) < 1e-5
    assert exported.fixture.tolerance == 1e-4
    assert len(exported.signature.inputs) == (4 if shape is frame else 1)


@pytest.mark.parametrize(
    "model",
    [
        linear.LogisticRegression(),
        ensemble.RandomForestClassifier(5, random_state=0),
        ensemble.VotingClassifier(
            [("one", linear.LogisticRegression()), ("two", ensemble.RandomForestClassifier(3))],
            voting="soft",
            flatten_transform=False,
        ),
    ],
    ids=lambda model: type(model).__name__,
)
def test_estimators_without_a_pipeline_take_a_tables_columns(model: Any) -> None:
    sample = frame(ROWS).assign(whole=np.arange(len(ROWS)) % 5)
    exported = export(model.fit(sample, LABELS), sample)
    assert as_served(exported) < 1e-4
    assert exported.signature.features == ("a", "b", "c", "d", "whole")


def test_the_fixture_of_an_array_is_plain_values_row_by_row() -> None:
    rows = with_gaps()
    exported = export(ensemble.HistGradientBoostingClassifier(max_iter=3).fit(rows, LABELS), rows)
    values = exported.fixture.inputs["input"]
    assert len(values) == rows.size
    assert values[:4] == [float(rows[0, 0]), None, float(rows[0, 2]), float(rows[0, 3])]


@pytest.mark.parametrize("shape", [np.asarray, frame], ids=["array", "table"])
def test_trees_decide_about_doubles_as_the_original_does(shape: Callable[[Any], Any]) -> None:
    sample = shape(np.random.default_rng(1).uniform(0, 500, (600, 4)).round(2))  # splits lie on values that FP32 cannot hold
    labels = np.asarray(sample)[:, 0] + np.random.default_rng(2).normal(0, 100, 600) > 250
    exported = export(ensemble.HistGradientBoostingClassifier(max_iter=20).fit(sample, labels), sample)
    assert as_served(exported) < 1e-5


class Container:
    """Takes nodes as strictly as the newest protobuf does."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []

    def add_node(self, *_: object, **attributes: Any) -> None:
        for value in attributes.values():
            assert not any(isinstance(one, bool | np.bool_) for one in (value if isinstance(value, list) else ()))
        self.nodes.append(attributes)


def test_trees_are_written_without_booleans(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def convert(scope: Any, operator: Any, container: Any) -> None:
        given.append((scope, operator))
        container.add_node("TreeEnsembleClassifier", "x", "y", name="trees", nodes_missing_value_tracks_true=[True, np.False_, 0])

    registration: Any = importlib.import_module("skl2onnx.common._registration")
    monkeypatch.setattr(registration, "get_converter", lambda _: convert)
    container = Container()
    converters()[ensemble.HistGradientBoostingClassifier]("scope", "operator", container)
    assert given == [("scope", "operator")]
    assert container.nodes == [{"name": "trees", "nodes_missing_value_tracks_true": [1, 0, 0]}]
