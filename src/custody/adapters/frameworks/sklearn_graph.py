"""What skl2onnx does not do by itself, mended around it: nothing in skl2onnx is changed."""

from collections.abc import Callable
from typing import Any

from numpy import bool_, float32

Converter = Callable[[Any, Any, Any], None]


class _WholeNumbers:
    """A container of nodes that writes booleans in their attributes as 0 and 1; everything else is the container's own."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *given: Any, **attributes: Any) -> Any:
        return self._container.add_node(*given, **{name: _whole(value) for name, value in attributes.items()})


def _whole(value: Any) -> Any:
    if isinstance(value, list):
        return [int(one) if isinstance(one, bool | bool_) else one for one in value]
    return value


def converters() -> dict[type, Converter]:
    """Return converters to hand to skl2onnx in place of its own.

    skl2onnx 1.20 says where missing values go in histogram trees with booleans (`nodes_missing_value_tracks_true`, a list of
    integers in ONNX). protobuf 6 took them for 0 and 1; protobuf 7 refuses them, and the model did not export.
    """
    from skl2onnx._supported_operators import sklearn_operator_name_map as names
    from skl2onnx.common import _registration
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    def mended(kind: type) -> Converter:
        convert = _registration.get_converter(names[kind])

        def converter(scope: Any, operator: Any, container: Any) -> None:
            convert(scope, operator, _WholeNumbers(container))

        return converter

    return {kind: mended(kind) for kind in (HistGradientBoostingClassifier, HistGradientBoostingRegressor)}


def joined(model: Any, frame: Any) -> Any:
    """Return a model that takes a table's columns one by one, as ONNX gives them; a bare estimator takes one tensor only.

    Pipelines and column transformers, at any depth, pick their columns themselves. Whole numbers become FP32 like the others:
    ONNX joins columns of one type only.
    """
    from skl2onnx.sklapi import CastTransformer
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    parts = [model, *model.get_params(deep=True).values()]
    if any(isinstance(part, Pipeline | ColumnTransformer) for part in parts):
        return model
    casts = [
        (name, "passthrough" if frame[name].dtype.kind == "f" else CastTransformer(dtype=float32), [name])
        for name in frame.columns
    ]
    columns = ColumnTransformer(casts).fit(frame[:1])  # it learns the columns' names and places, nothing else
    return Pipeline([("columns", columns), ("model", model)])
