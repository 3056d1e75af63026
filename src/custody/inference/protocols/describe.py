"""What the protocol tells about models: metadata, configuration, statistics, the index."""

from typing import Any

from custody.inference.models.library import Arm, Served
from custody.inference.models.scoring import DECISION, SCORE, own_outputs
from custody.serving import CaptureMode

_PLATFORM = "onnxruntime_onnx"


def answering(served: Served) -> tuple[Arm, ...]:
    """Return the arms that answer callers: the live one and a canary, never a shadow."""
    return tuple(arm for arm in served.arms if arm.mode is not CaptureMode.SHADOW)


def indexed(name: str, arm: Arm, reason: str) -> dict[str, str]:
    """Return a model version's line in the index; reason: why a newer revision of it is not served."""
    state = "READY"
    if problem := arm.slot.problem:
        state, reason = "UNAVAILABLE", problem
    elif arm.slot.loaded is None:
        checked = "" if arm.slot.checked else " and not checked yet"
        reason = reason or f"not in memory{checked}: it is loaded when it is asked for"
    return {"name": name, "version": str(arm.target.model.version), "state": state, "reason": reason}


def _outputs(arm: Arm) -> list[dict[str, Any]]:
    own = own_outputs(arm)
    shapes = {tensor.name: tensor.shape for tensor in arm.target.signature.outputs}
    made = [{"name": SCORE, "datatype": "FP64", "shape": [-1]}, {"name": DECISION, "datatype": "BOOL", "shape": [-1]}]
    return [*made, *({"name": name, "datatype": datatype, "shape": shapes[name]} for name, datatype in own.items())]


def metadata(served: Served, arm: Arm) -> dict[str, Any]:
    """Return names, types and shapes of a model's inputs and outputs."""
    signature = arm.target.signature
    return {
        "name": served.service.key.name,
        "versions": [str(one.target.model.version) for one in answering(served)],
        "platform": _PLATFORM,
        "inputs": [{"name": one.name, "datatype": one.datatype, "shape": one.shape} for one in signature.inputs],
        "outputs": _outputs(arm),
    }


def config(arm: Arm) -> dict[str, Any]:
    """Return the model's configuration in the protocol's older words; max_batch_size 0: shapes include the batch."""

    def described(name: str, datatype: str, shape: object) -> dict[str, Any]:
        return {"name": name, "data_type": f"TYPE_{'STRING' if datatype == 'BYTES' else datatype}", "dims": shape}

    return {
        "name": arm.key.name,
        "platform": _PLATFORM,
        "max_batch_size": 0,
        "input": [described(one.name, one.datatype, one.shape) for one in arm.target.signature.inputs],
        "output": [described(one["name"], one["datatype"], one["shape"]) for one in _outputs(arm)],
    }


def statistic(arm: Arm) -> dict[str, Any]:
    """Return how many rows a version answered in how many runs, in how many requests, and how long those took."""
    meter = arm.meter
    count, total_ns = sum(meter.latency.counts), int(meter.latency.total_s * 1e9)
    failed = sum(n for status, n in meter.answers.items() if status != 200)
    return {
        "name": arm.key.name,
        "version": str(arm.target.model.version),
        "inference_count": meter.rows,
        "execution_count": meter.runs,
        "inference_stats": {"success": {"count": count, "ns": total_ns}, "fail": {"count": failed, "ns": 0}},
    }
