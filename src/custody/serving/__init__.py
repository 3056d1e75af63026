"""The logic of the data plane: tensors, decisions, routing, the manifest, captures; never a socket, a file or a framework."""

from custody.serving.capture import (
    Capture,
    CaptureMode,
    Column,
    Lists,
    Told,
    complete_lines,
    deployment_of,
    is_packed,
    line_after,
    line_head,
    line_of,
    line_of_columns,
    line_of_one,
    packed,
    pays,
    read_batch,
    write_batch,
)
from custody.serving.decision import Decisions, Scores, check_parity, decide, decided, fixture_arrays, positive
from custody.serving.manifest import open_manifest, read_fixture, require_newer
from custody.serving.parameters import PLAIN, Parameters, read_parameters
from custody.serving.ports import Arrays, Loader, Model
from custody.serving.routing import canary_answers, point_of
from custody.serving.scrubbing import scrubbed
from custody.serving.tensors import Given, bf16_of, check_inputs, dtype_of, floats_of

__all__ = [
    "PLAIN",
    "Arrays",
    "Capture",
    "CaptureMode",
    "Column",
    "Decisions",
    "Given",
    "Lists",
    "Loader",
    "Model",
    "Parameters",
    "Scores",
    "Told",
    "bf16_of",
    "canary_answers",
    "check_inputs",
    "check_parity",
    "complete_lines",
    "decide",
    "decided",
    "deployment_of",
    "dtype_of",
    "fixture_arrays",
    "floats_of",
    "is_packed",
    "line_after",
    "line_head",
    "line_of",
    "line_of_columns",
    "line_of_one",
    "open_manifest",
    "packed",
    "pays",
    "point_of",
    "positive",
    "read_batch",
    "read_fixture",
    "read_parameters",
    "require_newer",
    "scrubbed",
    "write_batch",
]
